//! Wires the parts together: configuration → models and upstreams → routes → stack.
//!
//! The only place where the engine, upstreams, platform and server meet.

mod local;
mod models;
mod upstreams;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use catalog::Catalog;
use engine::Room;
use platform::responses::Responses;
use platform::route::{Route, Targets};
use server::{Auth, Gateway, Ready};

use crate::config::{Config, Home};
use crate::exit::Exit;

pub(crate) use local::Local;
pub(crate) use models::{LocalModel, alone};
use upstreams::Hosted;

/// Everything that answers calls.
pub(crate) struct Parts {
    route: Route,
    hosted: Vec<Hosted>,
    local: Vec<LocalModel>,
    /// The memory that local models share.
    room: Room,
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
    /// that says they are still being fetched. Nothing is opened yet.
    pub(crate) fn new(config: &Config, home: &Home) -> Result<Self, Exit> {
        let catalog = Catalog::load(home.path()).map_err(Exit::usage)?;
        let parts = Self {
            route: Route::new(Targets::default()),
            hosted: upstreams::open(config)?,
            local: models::find(config, home, &catalog)?,
            room: Room::new(config.memory_bytes()),
            aliases: config.aliases.clone(),
        };
        parts.publish()?;
        Ok(parts)
    }

    /// Opens the local models that are here, fetches the others, and loads those that are to
    /// be loaded at the start, one after the other. What is open can be called. Blocks.
    pub(crate) fn load(&self, config: &Config, home: &Home) -> Result<(), Exit> {
        let catalog = Catalog::load(home.path()).map_err(Exit::usage)?;
        for model in &self.local {
            model.open_if_here(config, home, &catalog, &self.room)?;
        }
        self.publish()?;
        for model in &self.local {
            if model.fetch(config, home, &catalog, &self.room)? {
                self.publish()?;
            }
            model.settle()?;
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
            readiness: Arc::new(move || parts.ready()),
            responses,
        }
    }

    /// Routes every name to what answers it now.
    fn publish(&self) -> Result<(), Exit> {
        let mut targets = Targets::default();
        for model in &self.local {
            for target in model.targets() {
                targets.add(target).map_err(Exit::usage)?;
            }
        }
        for hosted in &self.hosted {
            hosted.route(&mut targets)?;
        }
        // An alias may name another alias, in any order of the file: those whose target
        // is known go first, until no more can.
        let mut known: BTreeSet<String> = self.local.iter().flat_map(LocalModel::names).cloned().collect();
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

    fn ready(&self) -> Ready {
        Ready {
            waiting_for: self.local.iter().filter_map(LocalModel::not_ready).collect(),
            models: self.local.iter().map(|model| (model.id.clone(), model.state())).collect(),
        }
    }
}
