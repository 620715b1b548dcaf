//! `GET /v1/models` and `GET /v1/models/{id}`, shared by Anthropic and OpenAI.
//!
//! One JSON satisfies both SDKs: it has the fields of both. Anthropic pages its list,
//! OpenAI's clients expect all of it at once: so a page is cut only for who asks.
//!
//! Source: `types/model_info.py` and `types/model_list_params.py` of `anthropic` 2.12.0,
//! `types/model.py` of `openai` 3.54.0, read 2026-11-22.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use message::{Dialect, ErrorKind, Failure, ModelCard};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::{Ask, RequestHead, Whole};

/// Most models on one page, as Anthropic limits it.
const PAGE_MODELS_MAX: usize = 1_000;

/// How alike a name must be to be suggested (Jaro-Winkler, 0 to 1).
const LIKENESS_MIN: f64 = 0.75;

/// Most names suggested.
const SUGGESTIONS_MAX: usize = 3;

/// A request about models.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// The list, or a page of it.
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
    pub limit: Option<String>,
    /// The page right behind this model.
    pub after_id: Option<String>,
    /// The page right before this model.
    pub before_id: Option<String>,
}

/// What a request asks about models; `path` is below the root, `dialect` whose root it is
/// (the likelier client's, at the bare one).
pub fn route(request: &RequestHead<'_>, path: &str, dialect: Option<Dialect>) -> Option<Ask> {
    let rest = path.strip_prefix("/v1/models")?;
    let dialect = dialect.unwrap_or_else(|| likeliest(request));
    let id = match rest.strip_prefix('/') {
        None if rest.is_empty() => None,
        Some(id) if !id.is_empty() => Some(percent_decode_str(id).decode_utf8_lossy().into_owned()),
        _ => return None,
    };
    let command = match (request.method, id) {
        ("GET" | "HEAD", None) => Command::List(page(request.query)),
        ("GET" | "HEAD", Some(id)) => Command::Get { id },
        ("DELETE", Some(_)) => return Some(Ask::Unbuilt { dialect, operation: "Delete a fine-tuned model" }),
        _ => return Some(Ask::Unknown { dialect, wrong_method: true }),
    };
    Some(Ask::Command { dialect, command: crate::Command::Models(command) })
}

/// Anthropic's SDK names its version on every request.
fn likeliest(request: &RequestHead<'_>) -> Dialect {
    if request.headers.contains_key("anthropic-version") || request.headers.contains_key("x-api-key") {
        Dialect::Anthropic
    } else {
        Dialect::OpenAiChat
    }
}

fn page(query: &str) -> Page {
    let mut page = Page::default();
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        let value = || Some(percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned());
        match name {
            "limit" => page.limit = value(),
            "after_id" => page.after_id = value(),
            "before_id" => page.before_id = value(),
            _ => {}
        }
    }
    page
}

/// Answers a request about models.
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound), with the nearest names, for a model that is not
/// there; [`InvalidRequest`](ErrorKind::InvalidRequest) for a page that cannot be.
pub fn answer(command: &Command, cards: &[ModelCard]) -> Result<Whole, Failure> {
    let body = match command {
        Command::List(page) => list(page, cards)?,
        Command::Get { id } => match cards.iter().find(|card| *card.id == **id) {
            Some(card) => model(card),
            None => return Err(not_found(id, cards)),
        },
    };
    let headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    Ok(Whole { status: StatusCode::OK, headers, body: Bytes::from(body.to_string()) })
}

fn list(page: &Page, cards: &[ModelCard]) -> Result<Value, Failure> {
    let limit = match page.limit.as_deref().map(str::parse) {
        None => cards.len(),
        Some(Ok(limit @ 1..=PAGE_MODELS_MAX)) => limit,
        Some(_) => {
            return Err(Failure::invalid_field(
                "limit",
                format_args!("must be between 1 and {PAGE_MODELS_MAX}"),
            ));
        }
    };
    let position = |param: &str, id: &str| {
        let found = cards.iter().position(|card| &*card.id == id);
        found.ok_or_else(|| Failure::invalid_field(param, "no model goes by this id; start again without it"))
    };
    let (from, to) = match (&page.after_id, &page.before_id) {
        (Some(_), Some(_)) => {
            return Err(Failure::invalid_field("before_id", "cannot be combined with `after_id`"));
        }
        (Some(id), None) => (position("after_id", id)? + 1, cards.len()),
        (None, Some(id)) => {
            let end = position("before_id", id)?;
            (end.saturating_sub(limit), end)
        }
        (None, None) => (0, cards.len()),
    };
    let shown = &cards[from..to.min(from.saturating_add(limit))];
    let has_more = match page.before_id {
        Some(_) => from > 0,
        None => from + shown.len() < to,
    };
    Ok(json!({
        "object": "list",
        "data": shown.iter().map(model).collect::<Vec<_>>(),
        "has_more": has_more,
        "first_id": shown.first().map(|card| &*card.id),
        "last_id": shown.last().map(|card| &*card.id),
    }))
}

fn model(card: &ModelCard) -> Value {
    let created = OffsetDateTime::from_unix_timestamp(card.created_s).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    json!({
        "id": &*card.id,
        // OpenAI
        "object": "model",
        "created": card.created_s,
        "owned_by": card.provider,
        // Anthropic
        "type": "model",
        "display_name": card.name,
        "created_at": created.format(&Rfc3339).unwrap_or_default(),
        "lifecycle": "active",
        "max_input_tokens": card.context_length,
        "max_tokens": card.context_length,
    })
}

fn not_found(id: &str, cards: &[ModelCard]) -> Failure {
    let shown: String = id.chars().take(128).collect();
    let mut near: Vec<(f64, &str)> = cards
        .iter()
        .map(|card| (strsim::jaro_winkler(&shown, &card.id), &*card.id))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .collect();
    near.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let names: Vec<String> = near.iter().take(SUGGESTIONS_MAX).map(|(_, name)| format!("`{name}`")).collect();
    let hint = match names.is_empty() {
        true => "GET /v1/models lists those there are".to_owned(),
        false => format!("did you mean {}?", names.join(", ")),
    };
    Failure::new(ErrorKind::NotFound, format!("there is no model `{shown}` here; {hint}")).with_param("model")
}
