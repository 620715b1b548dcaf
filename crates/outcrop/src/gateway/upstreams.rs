//! Hosted models: one connection pool per provider, one target per model of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use message::{BoxService, ModelCard};
use platform::route::{Target, Targets};
use upstream::{Remote, Transport};

use crate::config::Config;
use crate::exit::Exit;
use crate::gateway::models::now_s;

/// A provider that was opened.
pub(super) struct Hosted {
    name: String,
    transport: Arc<Transport>,
    /// Models of it that are listed or aliased.
    targets: Vec<Target>,
    /// Any other model of it can be called, too.
    any: bool,
}

/// Opens every provider and names every model of it that is known, configured or
/// aliased, as `provider/model`. Reads credentials; connects to nobody.
pub(super) fn open(config: &Config) -> Result<Vec<Hosted>, Exit> {
    let mut hosted = Vec::with_capacity(config.providers.len());
    for (name, provider) in &config.providers {
        let wrong = |error| Exit::usage(format!("providers.{name}: {error}"));
        let resolved = provider.resolve(name).map_err(wrong)?;
        let transport = Transport::open(name, provider).map_err(wrong)?;
        let aliased = config.aliases.values().filter_map(|target| target.split_once('/'));
        let models: BTreeSet<&str> = aliased
            .filter_map(|(provider, model)| (provider == name).then_some(model))
            .chain(resolved.models.iter().map(String::as_str))
            .collect();
        let targets = models.into_iter().map(|model| target(name, model, &transport)).collect();
        hosted.push(Hosted { name: name.clone(), transport, targets, any: provider.takes_any_model() });
    }
    Ok(hosted)
}

impl Hosted {
    /// Adds what it serves to the table.
    pub(super) fn route(&self, targets: &mut Targets) -> Result<(), Exit> {
        for target in &self.targets {
            targets.add(target.clone()).map_err(Exit::usage)?;
        }
        if self.any {
            let (name, transport) = (self.name.clone(), Arc::clone(&self.transport));
            targets.open(&self.name, move |model| target(&name, model, &transport));
        }
        Ok(())
    }

    /// The names of the models that are listed.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        self.targets.iter().map(|target| target.card.id.to_string())
    }
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
