//! What a client may know of a model that can be called here.

use std::sync::Arc;

/// A model's public face, from which every dialect renders its model lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelCard {
    /// The name clients call it by.
    pub id: Arc<str>,
    /// Its human name.
    pub name: String,
    /// Who runs it: `local`, or a configured provider's name.
    pub provider: String,
    /// Unix seconds at which it became known here.
    pub created_s: i64,
    /// Tokens of prompt and answer together, where known.
    pub context_length: Option<u64>,
    /// Takes pictures.
    pub images: bool,
    /// It is an alias: a name routed to other models (Bedrock: an inference profile).
    pub alias_of: Vec<Arc<str>>,
}
