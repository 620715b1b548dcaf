//! Tools a model may call.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::{CacheMarker, Extra};

/// One tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// The name the model calls it by.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// Its form.
    pub kind: ToolKind,
    /// Arguments must satisfy the schema exactly.
    pub strict: Option<bool>,
    /// The prompt up to and including this tool should be cached.
    pub cache: Option<CacheMarker>,
    /// Unknown fields of the tool.
    pub extra: Extra,
}

/// The form of a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToolKind {
    /// Run by the client, arguments described by a JSON Schema (`None`: not given).
    Function {
        /// The JSON Schema of the arguments.
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "said")]
        schema: Option<Value>,
    },
    /// Anything else (run by the vendor, or with free-text input): the whole
    /// definition in its home dialect's words.
    Opaque(Value),
}

/// Whether and which tool must be called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToolChoice {
    /// The model decides.
    Auto,
    /// Some tool.
    Any,
    /// No tool.
    None,
    /// This tool.
    Named(String),
}

/// A schema that is there, `null` included: what was not said is no field at all.
fn said<'de, D: Deserializer<'de>>(schema: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(schema).map(Some)
}
