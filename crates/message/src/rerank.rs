//! A decoded request to order documents by how well they answer a query.

use serde_json::Value;

use crate::{Dialect, Dropped, Extra, Failure};

/// A whole decoded request to rerank.
#[derive(Debug, Clone, PartialEq)]
pub struct Rerank {
    /// The dialect it was decoded from: the only one that may write `extra` back.
    pub home: Dialect,
    /// What the documents shall answer.
    pub query: String,
    /// The documents, in the client's order.
    pub documents: Vec<RerankDocument>,
    /// How many of the best to give back; `None`: all.
    pub top_n: Option<u32>,
    /// Fields that must not be left out; see [`Chat::essential`](crate::Chat::essential).
    pub essential: Vec<Dropped>,
    /// Unknown fields of the request.
    pub extra: Extra,
}

/// A document to be ordered.
#[derive(Debug, Clone, PartialEq)]
pub enum RerankDocument {
    /// Text.
    Text(String),
    /// A structured one.
    Json(Value),
}

/// A document's place in the answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranked {
    /// The document's place in the request.
    pub index: u32,
    /// How well it answers, 0 to 1 where the model is calibrated.
    pub score: f64,
}

impl Rerank {
    /// Asked first by every target that is not the call's home.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported), naming the field.
    pub fn leave_home(&self) -> Result<(), Failure> {
        crate::chat::leave_home(&self.essential)
    }
}
