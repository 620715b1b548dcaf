//! Wires the parts together: configuration → models and upstreams → routes → stack.
//!
//! The only place where the engine, upstreams, platform and server meet.

mod local;
mod models;
mod upstreams;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use catalog::Catalog;
use engine::Engine;
use platform::responses::Responses;
use platform::route::{Route, Targets};
use server::{Auth, Gateway};

use crate::config::{Config, Home};
use crate::exit::Exit;

pub(crate) use local::Local;
pub(crate) use models::LocalModel;
use upstreams::Hosted;

/// Everything that answers calls.
pub(crate) struct Parts {
    route: Route,
    hosted: Vec<Hosted>,
    local: Vec<LocalModel>,
    engines: Mutex<BTreeMap<String, Engine>>,
    aliases: BTreeMap<String, String>,
}

/// What `outcrop check` tells.
pub(crate) struct Report {
    /// The names clients can call.
    pub(crate) serves: Vec<String>,
    /// Local models that must be fetched first.
    pub(crate) missing: Vec<String>,
}

/// Finds what is wrong with a configuration without starting anything.
pub(crate) fn check(config: &Config, home: &Home) -> Result<Report, Exit> {
    let parts = Parts::new(config, home)?;
    let serves = parts.names();
    let missing =
        parts.local.iter().filter(|model| model.path.is_none()).map(|model| model.id.clone()).collect();
    Ok(Report { serves, missing })
}

impl Parts {
    /// Reads everything the configuration names, and routes local models to an answer
    /// that says they are still loading. Nothing is loaded yet.
    pub(crate) fn new(config: &Config, home: &Home) -> Result<Self, Exit> {
        let catalog = Catalog::load(home.path()).map_err(Exit::usage)?;
        let parts = Self {
            route: Route::new(Targets::default()),
            hosted: upstreams::open(config)?,
            local: models::find(config, home, &catalog)?,
            engines: Mutex::default(),
            aliases: config.aliases.clone(),
        };
        parts.publish()?;
        Ok(parts)
    }

    /// Fetches and loads the local models, one after the other; each can be called as
    /// soon as it is loaded. Blocks.
    pub(crate) fn load(&self, config: &Config, home: &Home) -> Result<(), Exit> {
        let catalog = Catalog::load(home.path()).map_err(Exit::usage)?;
        for model in &self.local {
            let engine = model.load(config, home, &catalog)?;
            self.engines.lock().unwrap_or_else(PoisonError::into_inner).insert(model.id.clone(), engine);
            self.publish()?;
        }
        Ok(())
    }

    /// What the server stands before; `responses` is where it keeps those it is asked to.
    pub(crate) fn gateway(self: &Arc<Self>, auth: Auth, responses: Option<Responses>) -> Gateway {
        let route = self.route.clone();
        let parts = Arc::clone(self);
        Gateway {
            service: platform::stack::build(self.route.clone()),
            auth,
            cards: Arc::new(move || route.cards()),
            readiness: Arc::new(move || parts.not_ready()),
            responses,
        }
    }

    /// Routes every name to what answers it now.
    fn publish(&self) -> Result<(), Exit> {
        let engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut targets = Targets::default();
        for model in &self.local {
            targets.add(model.target(engines.get(&model.id))).map_err(Exit::usage)?;
        }
        for hosted in &self.hosted {
            hosted.route(&mut targets)?;
        }
        // An alias may name another alias, in any order of the file: those whose target
        // is known go first, until no more can.
        let mut known: BTreeSet<String> = self.local.iter().map(|model| model.id.clone()).collect();
        known.extend(self.hosted.iter().flat_map(Hosted::names));
        let mut waiting: Vec<_> = self.aliases.iter().collect();
        while let Some(next) = waiting.iter().position(|(_, target)| known.contains(*target)) {
            let (name, target) = waiting.swap_remove(next);
            targets.alias(name, target).map_err(Exit::usage)?;
            known.insert(name.clone());
        }
        if let Some((name, target)) = waiting.first() {
            return Err(Exit::usage(format!("aliases.{name}: `{target}` leads to no model")));
        }
        self.route.replace(targets);
        Ok(())
    }

    /// The names clients can call, local models first.
    pub(crate) fn names(&self) -> Vec<String> {
        self.route.cards().iter().map(|card| card.id.to_string()).collect()
    }

    fn not_ready(&self) -> Vec<String> {
        let engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        let state = |model: &LocalModel| match engines.get(&model.id) {
            None => Some(format!("model {} is loading ({} %)", model.id, model.loaded_percent())),
            Some(engine) => engine.not_ready().map(|why| format!("model {} {why}", model.id)),
        };
        self.local.iter().filter_map(state).collect()
    }
}
