//! `/api/tags`, `/api/show`, `/api/ps`, `/api/version`.
//!
//! Clients read names, sizes and what a model can do; files are not shown, so sizes and
//! digests are those of nothing. Source: `ListResponse`, `ShowResponse` and
//! `ProcessResponse` of `ollama` 0.6.3, read 2026-11-22.

use http::{HeaderValue, StatusCode, header};
use message::{ErrorKind, Failure, ModelCard};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::{Whole, json};

/// The version of Ollama whose interface this is: clients compare it before they use
/// newer fields (thinking, structured output).
const VERSION: &str = "0.12.0";

/// A request about models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Every model.
    List,
    /// Those in memory: as far as a client can see, all.
    Running,
    /// One of them.
    Show {
        /// Its name; in the body, so not known until that is read.
        model: Option<String>,
    },
    /// This interface's version.
    Version,
}

impl Command {
    /// The command with what the body says.
    ///
    /// # Errors
    /// [`InvalidRequest`](ErrorKind::InvalidRequest) for a body without a model's name.
    pub fn with_body(self, body: &[u8]) -> Result<Self, Failure> {
        let Self::Show { .. } = self else { return Ok(self) };
        // `name` is the field's older name.
        let [model, name] = json::members(body, ["model", "name"])?;
        let name: Option<String> = match json::member(body, model, "model")? {
            Some(model) => Some(model),
            None => json::member(body, name, "name")?,
        };
        let name = name.filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| Failure::invalid_field("model", "this field is required"))?;
        Ok(Self::Show { model: Some(name) })
    }
}

/// Answers a request about models.
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) for a model that is not there.
pub fn answer(command: &Command, cards: &[ModelCard]) -> Result<Whole, Failure> {
    let body = match command {
        Command::List => json!({"models": cards.iter().map(listed).collect::<Vec<_>>()}),
        Command::Running => json!({"models": cards.iter().map(running).collect::<Vec<_>>()}),
        Command::Version => json!({"version": VERSION}),
        Command::Show { model } => {
            let name = model.as_deref().unwrap_or_default();
            show(find(name, cards).ok_or_else(|| not_found(name))?)
        }
    };
    let headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"))];
    Ok(Whole { status: StatusCode::OK, headers, body: json::bytes(&body) })
}

/// `:latest` is how this dialect's clients write a name without a tag.
fn find<'a>(name: &str, cards: &'a [ModelCard]) -> Option<&'a ModelCard> {
    let plain = name.strip_suffix(":latest").unwrap_or(name);
    cards.iter().find(|card| &*card.id == name || &*card.id == plain)
}

fn not_found(name: &str) -> Failure {
    let shown: String = name.chars().take(128).collect();
    let message = format!("model '{shown}' not found; GET /api/tags lists those there are");
    Failure::new(ErrorKind::NotFound, message).with_param("model")
}

fn listed(card: &ModelCard) -> Value {
    json!({
        "name": &*card.id, "model": &*card.id, "modified_at": known_since(card), "size": 0, "digest": "",
        "details": details(card),
    })
}

fn running(card: &ModelCard) -> Value {
    json!({
        "name": &*card.id, "model": &*card.id, "size": 0, "size_vram": 0, "digest": "",
        "details": details(card), "expires_at": "9999-12-31T23:59:59Z",
        "context_length": card.context_length,
    })
}

fn show(card: &ModelCard) -> Value {
    let mut capabilities = vec!["completion", "tools", "thinking"];
    capabilities.extend(card.images.then_some("vision"));
    let mut info = json!({"general.architecture": "", "general.basename": card.name});
    if let Some(length) = card.context_length {
        info["general.context_length"] = length.into();
    }
    json!({
        "modified_at": known_since(card), "details": details(card), "model_info": info,
        "capabilities": capabilities, "template": "", "parameters": "",
    })
}

fn details(card: &ModelCard) -> Value {
    json!({
        "parent_model": "", "format": "gguf", "family": card.provider, "families": [card.provider],
        "parameter_size": "", "quantization_level": "",
    })
}

fn known_since(card: &ModelCard) -> String {
    let time = OffsetDateTime::from_unix_timestamp(card.created_s).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    time.format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card() -> ModelCard {
        ModelCard {
            id: "qwen3:0.6b".into(),
            name: "Qwen3".to_owned(),
            provider: "local".to_owned(),
            created_s: 0,
            context_length: Some(8_192),
            images: true,
            alias_of: Vec::new(),
        }
    }

    fn answered(command: &Command) -> Value {
        let whole = answer(command, &[card()]).unwrap_or_else(|failure| panic!("{failure}"));
        serde_json::from_slice(&whole.body).expect("JSON")
    }

    #[test]
    fn models_have_the_fields_of_the_sdk() {
        let list = answered(&Command::List);
        assert_eq!(list["models"][0]["model"], "qwen3:0.6b");
        assert_eq!(answered(&Command::Running)["models"][0]["context_length"], 8192);
        assert_eq!(answered(&Command::Version)["version"], VERSION);
        let show = Command::Show { model: None };
        let show = show.with_body(br#"{"name":"qwen3:0.6b:latest"}"#).expect("named");
        let shown = answered(&show);
        assert_eq!(shown["capabilities"][3], "vision");
    }

    #[test]
    fn what_is_not_there_is_said() {
        let show = Command::Show { model: Some("x".to_owned()) };
        assert_eq!(answer(&show, &[card()]).expect_err("not there").kind, ErrorKind::NotFound);
        for body in ["{}", "", "{\"model\":1}", "{\"model\":\"\"}"] {
            let show = Command::Show { model: None };
            assert_eq!(show.with_body(body.as_bytes()).expect_err(body).kind, ErrorKind::InvalidRequest);
        }
    }
}
