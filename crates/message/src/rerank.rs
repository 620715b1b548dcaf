//! A decoded request to order documents by how well they answer a query.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Dialect, Dropped, Extra, Failure};

/// A whole decoded request to rerank.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    #[serde(skip)]
    pub essential: Vec<Dropped>,
    /// Unknown fields of the request.
    pub extra: Extra,
}

/// A document to be ordered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum RerankDocument {
    /// Text.
    Text(String),
    /// A structured one.
    Json(Value),
}

/// A document's place in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ranked {
    /// The document's place in the request.
    pub index: u32,
    /// How well it answers, 0 to 1 where the model is calibrated.
    pub score: f64,
}

impl RerankDocument {
    /// What a model reads of it: its text, or all of it as JSON.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Json(value) => match value.get("text").and_then(Value::as_str) {
                Some(text) if value.as_object().is_some_and(|fields| fields.len() == 1) => {
                    Cow::Borrowed(text)
                }
                _ => Cow::Owned(value.to_string()),
            },
        }
    }
}

impl Rerank {
    /// A request to order all of `documents`, from `home`.
    pub fn new(home: Dialect, query: impl Into<String>, documents: Vec<RerankDocument>) -> Self {
        let (query, extra) = (query.into(), Extra::new());
        Self { home, query, documents, top_n: None, essential: Vec::new(), extra }
    }

    /// Asked first by every target that is not the call's home.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported), naming the field.
    pub fn leave_home(&self) -> Result<(), Failure> {
        crate::chat::leave_home(&self.essential)
    }
}
