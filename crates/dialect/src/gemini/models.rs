//! `GET /v1beta/models` and `GET /v1beta/models/{id}`.
//!
//! Source: `types.Model`, `ListModelsResponse` and their converters of `google-genai`
//! 3.4.0, read 2026-11-22.

use http::{HeaderValue, StatusCode, header};
use message::{ErrorKind, Failure, ModelCard};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::{Whole, json};

/// Models on a page when the client does not say, and at most; as the service has it.
const PAGE_MODELS: usize = 50;
const PAGE_MODELS_MAX: usize = 1_000;

/// A request about models.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// A page of the list.
    List(Page),
    /// One model.
    Get {
        /// Its name, percent-decoded.
        id: String,
    },
}

/// Which part of the list, in the client's own words; checked when answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Most models wanted.
    pub size: Option<String>,
    /// Where the page before ended: a number of models.
    pub token: Option<String>,
}

impl Page {
    /// What the query says.
    pub(super) fn of(query: &str) -> Self {
        let mut page = Self::default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let value = || Some(percent_decode_str(value).decode_utf8_lossy().into_owned());
            match name {
                "pageSize" | "page_size" => page.size = value(),
                "pageToken" | "page_token" => page.token = value(),
                _ => {}
            }
        }
        page
    }
}

/// Answers a request about models.
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) for a model that is not there;
/// [`InvalidRequest`](ErrorKind::InvalidRequest) for a page that cannot be.
pub fn answer(command: &Command, cards: &[ModelCard]) -> Result<Whole, Failure> {
    let body = match command {
        Command::List(page) => list(page, cards)?,
        Command::Get { id } => match cards.iter().find(|card| *card.id == **id) {
            Some(card) => model(card),
            None => {
                let shown: String = id.chars().take(128).collect();
                let message =
                    format!("models/{shown} is not found here; GET /v1beta/models lists those there are");
                return Err(Failure::new(ErrorKind::NotFound, message).with_param("model"));
            }
        },
    };
    let headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8"))];
    Ok(Whole { status: StatusCode::OK, headers, body: json::bytes(&body) })
}

fn list(page: &Page, cards: &[ModelCard]) -> Result<Value, Failure> {
    let number = |name: &str, text: &Option<String>| match text.as_deref().filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => match text.parse::<usize>() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Failure::invalid_field(name, "not one this server gave or takes")),
        },
    };
    let size = number("pageSize", &page.size)?.filter(|size| *size > 0).unwrap_or(PAGE_MODELS);
    let from = number("pageToken", &page.token)?.unwrap_or(0).min(cards.len());
    let to = from.saturating_add(size.min(PAGE_MODELS_MAX)).min(cards.len());
    let mut body = json!({"models": cards[from..to].iter().map(model).collect::<Vec<_>>()});
    if to < cards.len() {
        body["nextPageToken"] = to.to_string().into();
    }
    Ok(body)
}

fn model(card: &ModelCard) -> Value {
    let mut model = json!({
        "name": format!("models/{}", card.id),
        "baseModelId": &*card.id,
        "version": "001",
        "displayName": card.name,
        "description": format!("{} ({})", card.name, card.provider),
        "supportedGenerationMethods": ["generateContent", "countTokens", "embedContent"],
    });
    if let Some(length) = card.context_length {
        model["inputTokenLimit"] = length.into();
        model["outputTokenLimit"] = length.into();
    }
    model
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cards(count: usize) -> Vec<ModelCard> {
        let card = |number| ModelCard {
            id: format!("m{number}").into(),
            name: format!("M {number}"),
            provider: "local".to_owned(),
            created_s: 0,
            context_length: Some(8_192),
            images: false,
            alias_of: Vec::new(),
        };
        (0..count).map(card).collect()
    }

    fn answered(command: &Command, cards: &[ModelCard]) -> Value {
        let whole = answer(command, cards).unwrap_or_else(|failure| panic!("{failure}"));
        serde_json::from_slice(&whole.body).expect("JSON")
    }

    #[test]
    fn a_model_has_the_fields_of_the_sdk() {
        let model = answered(&Command::Get { id: "m0".to_owned() }, &cards(1));
        assert_eq!((&model["name"], &model["inputTokenLimit"]), (&json!("models/m0"), &json!(8192)));
        let failure = answer(&Command::Get { id: "x".to_owned() }, &cards(1)).expect_err("not there");
        assert_eq!(failure.kind, ErrorKind::NotFound);
    }

    #[test]
    fn pages_lead_through_all() {
        let cards = cards(120);
        let mut seen = 0;
        let mut page = Page::of("pageSize=50");
        loop {
            let list = answered(&Command::List(page.clone()), &cards);
            seen += list["models"].as_array().expect("an array").len();
            let Some(token) = list["nextPageToken"].as_str() else { break };
            page.token = Some(token.to_owned());
        }
        assert_eq!(seen, 120);
        let failure = answer(&Command::List(Page::of("pageToken=x")), &cards).expect_err("not ours");
        assert_eq!(failure.param.as_deref(), Some("pageToken"));
    }
}
