//! A decoded request for embeddings, and what applies to its answer.

use serde::{Deserialize, Serialize};

use crate::{Dialect, Dropped, Extra, Failure, Media};

/// A whole decoded request for embeddings: one vector per input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Embed {
    /// The dialect it was decoded from: the only one that may write `extra` back.
    pub home: Dialect,
    /// What to embed, in order.
    pub inputs: Vec<EmbedInput>,
    /// How many numbers a vector shall have; `None`: as many as the model makes.
    pub dimensions: Option<u32>,
    /// What the vectors are for.
    pub purpose: Option<EmbedPurpose>,
    /// Whether vectors have length 1. `None`: the model's habit.
    pub normalize: Option<bool>,
    /// What to do with an input that is too long. `None`: the target's habit.
    pub truncate: Option<Truncate>,
    /// The end user, as the client names them.
    pub user: Option<String>,
    /// Fields that must not be left out; see [`Chat::essential`](crate::Chat::essential).
    #[serde(skip)]
    pub essential: Vec<Dropped>,
    /// Unknown fields of the request.
    pub extra: Extra,
}

/// One thing to embed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum EmbedInput {
    /// Text.
    Text(String),
    /// Token ids of the target's own vocabulary.
    Tokens(Vec<u32>),
    /// A picture.
    Image(Media),
}

/// What a vector is for; models that tell these apart prefix or project differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EmbedPurpose {
    /// A question put to a collection.
    Query,
    /// A member of the collection.
    Document,
    /// Input of a classifier.
    Classification,
    /// To be grouped with its like.
    Clustering,
    /// To be compared with others of its kind.
    Similarity,
}

/// What becomes of an input that is longer than the model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Truncate {
    /// It is refused.
    None,
    /// Its start is cut off.
    Start,
    /// Its end is cut off.
    End,
}

impl Embed {
    /// A request for the embeddings of `inputs`, from `home`.
    pub fn new(home: Dialect, inputs: Vec<EmbedInput>) -> Self {
        Self {
            home,
            inputs,
            dimensions: None,
            purpose: None,
            normalize: None,
            truncate: None,
            user: None,
            essential: Vec::new(),
            extra: Extra::new(),
        }
    }

    /// Asked first by every target that is not the call's home.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported), naming the field.
    pub fn leave_home(&self) -> Result<(), Failure> {
        crate::chat::leave_home(&self.essential)
    }
}
