//! The table: every name that can be called, and what answers it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use message::{BoxService, ModelCard};

use super::name;

/// One model that can be called.
#[derive(Debug, Clone)]
pub struct Target {
    /// What answers. It knows by which name its server knows the model.
    pub service: BoxService,
    /// Its public face; `card.id` is the name clients call it by.
    pub card: ModelCard,
}

/// Every name that can be called. Filled once, then handed to [`Route`](super::Route).
#[derive(Debug, Default)]
pub struct Targets {
    by_name: HashMap<Arc<str>, Arc<Target>>,
    /// `model` → the one target called `provider/model`; `None` if several providers have it.
    by_bare_name: HashMap<Box<str>, Option<Arc<Target>>>,
    /// Provider → what makes a target of any model it may have.
    open: HashMap<Box<str>, Opening>,
    models: Vec<ModelCard>,
    aliases: Vec<ModelCard>,
}

/// Makes a target of a model that is not listed.
struct Opening(Box<dyn Fn(&str) -> Target + Send + Sync>);

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opening")
    }
}

/// A table that contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Two things by one name.
    #[error("two models or aliases are called {name}; rename one")]
    Taken {
        /// The name.
        name: String,
    },
    /// An alias of nothing.
    #[error("alias {alias} stands for {target}, which is neither a model nor an alias defined before it")]
    Dangling {
        /// The alias.
        alias: String,
        /// What it should stand for.
        target: String,
    },
    /// A name nobody could call.
    #[error(
        "{name:?} cannot be a model's name: 1 to {} printable characters, no spaces",
        name::NAME_MAX_BYTES
    )]
    Name {
        /// The name.
        name: String,
    },
}

impl Targets {
    /// Adds a model under `target.card.id`.
    ///
    /// # Errors
    /// [`RouteError::Taken`], [`RouteError::Name`].
    pub fn add(&mut self, target: Target) -> Result<(), RouteError> {
        let id = Arc::clone(&target.card.id);
        self.claim(&id)?;
        let target = Arc::new(target);
        if let Some((_, bare)) = id.split_once('/') {
            self.by_bare_name
                .entry(bare.into())
                .and_modify(|one| *one = None)
                .or_insert_with(|| Some(Arc::clone(&target)));
        }
        self.models.push(target.card.clone());
        self.by_name.insert(id, target);
        Ok(())
    }

    /// Sends every `provider/model` that is not listed to what `make` makes of the model.
    pub fn open(&mut self, provider: &str, make: impl Fn(&str) -> Target + Send + Sync + 'static) {
        self.open.insert(provider.into(), Opening(Box::new(make)));
    }

    /// Adds `alias` as another name of `to`: a model, or an alias added before.
    ///
    /// # Errors
    /// [`RouteError`].
    pub fn alias(&mut self, alias: &str, to: &str) -> Result<(), RouteError> {
        self.claim(alias)?;
        let Some(target) = self.find(to) else {
            return Err(RouteError::Dangling { alias: alias.into(), target: to.into() });
        };
        let alias: Arc<str> = alias.into();
        let alias_of = vec![Arc::clone(&target.card.id)];
        self.aliases.push(ModelCard { id: Arc::clone(&alias), alias_of, ..target.card.clone() });
        self.by_name.insert(alias, target);
        Ok(())
    }

    /// The target meant by a name: one that goes by it, one of an open provider that it
    /// names in full, or one in any of the forms [`name::forms`] knows.
    pub(super) fn find(&self, name: &str) -> Option<Arc<Target>> {
        if let Some(target) = self.by_name.get(name) {
            return Some(Arc::clone(target));
        }
        self.unlisted(name).or_else(|| name::forms(name, |form| self.exact(form)).cloned())
    }

    /// Made for this one call: strangers' names are not kept.
    fn unlisted(&self, name: &str) -> Option<Arc<Target>> {
        let (provider, model) = name.split_once('/')?;
        let opening = self.open.get(provider)?;
        (!model.is_empty() && is_name(name)).then(|| Arc::new((opening.0)(model)))
    }

    /// Every name, for suggestions.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.models.iter().chain(&self.aliases).map(|card| &*card.id)
    }

    pub(super) fn cards(&self) -> Arc<[ModelCard]> {
        self.models.iter().chain(&self.aliases).cloned().collect()
    }

    fn exact(&self, name: &str) -> Option<&Arc<Target>> {
        self.by_name.get(name).or_else(|| self.by_bare_name.get(name)?.as_ref())
    }

    fn claim(&self, name: &str) -> Result<(), RouteError> {
        if !is_name(name) {
            return Err(RouteError::Name { name: name.into() });
        }
        if self.by_name.contains_key(name) {
            return Err(RouteError::Taken { name: name.into() });
        }
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    let spoken = |char: char| !char.is_whitespace() && !char.is_control();
    !name.is_empty() && name.len() <= name::NAME_MAX_BYTES && name.chars().all(spoken)
}
