//! Hosted models: one connection pool per provider, one target per model of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use message::{BoxService, ModelCard};
use platform::route::Target;
use upstream::{Remote, Transport};

use crate::config::Config;
use crate::exit::Exit;
use crate::gateway::models::now_s;

/// Opens every provider and names every model of it that is configured or aliased,
/// as `provider/model`. Reads credentials; connects to nobody.
pub(super) fn open(config: &Config) -> Result<Vec<Target>, Exit> {
    let mut targets = Vec::new();
    for (name, provider) in &config.providers {
        let transport = Transport::open(name, provider)
            .map_err(|error| Exit::usage(format!("providers.{name}: {error}")))?;
        let aliased = config.aliases.values().filter_map(|target| target.split_once('/'));
        let models: BTreeSet<&str> = aliased
            .filter_map(|(provider, model)| (provider == name).then_some(model))
            .chain(provider.models.iter().map(String::as_str))
            .collect();
        targets.extend(models.into_iter().map(|model| target(name, model, &transport)));
    }
    Ok(targets)
}

fn target(provider: &str, model: &str, transport: &Arc<Transport>) -> Target {
    let card = ModelCard {
        id: format!("{provider}/{model}").into(),
        name: model.to_owned(),
        provider: provider.to_owned(),
        created_s: now_s(),
        context_length: None,
        // Not known from here; the vendor refuses what its model cannot see.
        images: true,
        alias_of: Vec::new(),
    };
    Target { service: BoxService::new(Remote::new(transport, model)), card }
}
