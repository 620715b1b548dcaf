//! `GET /v1/models` and `GET /v1/models/{id}`, shared by Anthropic and OpenAI.
//!
//! One JSON satisfies both SDKs: it has the fields of both. Anthropic pages its list,
//! OpenAI's clients expect all of it at once: so a page is cut only for who asks.
//!
//! Source: `types/model_info.py` and `types/model_list_params.py` of `anthropic` 2.12.0,
//! `types/model.py` of `openai` 3.54.0, read 2026-11-22.

use http::{HeaderValue, StatusCode, header};
use message::{Dialect, ErrorKind, Failure, ModelCard};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::{Ask, RequestHead, Whole, json};

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
    Ok(Whole { status: StatusCode::OK, headers, body: json::bytes(&body) })
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

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn cards(names: &[&str]) -> Vec<ModelCard> {
        let card = |name: &&str| ModelCard {
            id: (*name).into(),
            name: name.to_uppercase(),
            provider: "local".to_owned(),
            created_s: 1_790_000_000,
            context_length: Some(8_192),
            images: false,
            alias_of: Vec::new(),
        };
        names.iter().map(card).collect()
    }

    fn ask(method: &str, path: &str, query: &str, headers: &HeaderMap) -> Ask {
        crate::route(&RequestHead { method, path, query, headers })
    }

    fn command(path: &str, query: &str) -> (Dialect, Command) {
        match ask("GET", path, query, &HeaderMap::new()) {
            Ask::Command { dialect, command: crate::Command::Models(command) } => (dialect, command),
            other => panic!("{other:?}"),
        }
    }

    fn answered(query: &str, cards: &[ModelCard]) -> Value {
        let whole =
            answer(&command("/v1/models", query).1, cards).unwrap_or_else(|failure| panic!("{failure}"));
        serde_json::from_slice(&whole.body).expect("JSON")
    }

    fn ids(list: &Value) -> Vec<&str> {
        list["data"].as_array().expect("an array").iter().filter_map(|model| model["id"].as_str()).collect()
    }

    #[test]
    fn a_model_has_the_fields_of_both_sdks() {
        let whole = answer(&Command::Get { id: "smol".to_owned() }, &cards(&["smol"])).expect("it is there");
        let model: Value = serde_json::from_slice(&whole.body).expect("JSON");
        assert_eq!(
            model,
            json!({
                "id": "smol", "object": "model", "created": 1_790_000_000, "owned_by": "local", "type": "model",
                "display_name": "SMOL", "created_at": "2026-09-21T14:13:20Z", "lifecycle": "active",
                "max_input_tokens": 8192, "max_tokens": 8192,
            })
        );
    }

    #[test]
    fn paths_are_understood_under_every_root() {
        for path in ["/v1/models", "/openai/v1/models"] {
            assert_eq!(command(path, ""), (Dialect::OpenAiChat, Command::List(Page::default())), "{path}");
        }
        assert_eq!(command("/anthropic/v1/models", "").0, Dialect::Anthropic);
        for path in ["/v1/models/org%2Fname:1", "/v1/models/org/name%3A1"] {
            assert_eq!(command(path, "").1, Command::Get { id: "org/name:1".to_owned() }, "{path}");
        }
        let headers = HeaderMap::from_iter([(
            http::HeaderName::from_static("anthropic-version"),
            HeaderValue::from_static("2023-06-01"),
        )]);
        let asked = ask("GET", "/v1/models", "", &headers);
        assert!(matches!(asked, Ask::Command { dialect: Dialect::Anthropic, .. }), "{asked:?}");
    }

    #[test]
    fn other_methods_and_paths_are_not_lists() {
        let none = HeaderMap::new();
        let dialect = Dialect::OpenAiChat;
        assert_eq!(ask("POST", "/v1/models", "", &none), Ask::Unknown { dialect, wrong_method: true });
        assert_eq!(ask("GET", "/v1/models/", "", &none), Ask::Unknown { dialect, wrong_method: false });
        assert_eq!(ask("GET", "/v1/modelsx", "", &none), Ask::Unknown { dialect, wrong_method: false });
        assert!(matches!(ask("DELETE", "/v1/models/ft:x", "", &none), Ask::Unbuilt { .. }));
    }

    #[test]
    fn without_a_limit_all_are_listed() {
        let names: Vec<String> = (0..1_500).map(|number| format!("m{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let list = answered("", &cards(&names));
        assert_eq!(ids(&list), names);
        assert_eq!((&list["object"], &list["has_more"]), (&json!("list"), &json!(false)));
        let empty = answered("limit=5", &[]);
        assert_eq!((&empty["first_id"], &empty["last_id"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn pages_go_both_ways() {
        let cards = cards(&["a", "b", "c/1", "d", "e"]);
        for (query, expected, has_more) in [
            ("limit=2", vec!["a", "b"], true),
            ("limit=2&after_id=b", vec!["c/1", "d"], true),
            ("after_id=c%2F1&limit=2", vec!["d", "e"], false),
            ("limit=2&after_id=e", vec![], false),
            ("limit=2&before_id=e", vec!["c/1", "d"], true),
            ("limit=9&before_id=c%2F1", vec!["a", "b"], false),
            ("before_id=a", vec![], false),
            ("workspace_id=x&&=&limit=1000", vec!["a", "b", "c/1", "d", "e"], false),
        ] {
            let list = answered(query, &cards);
            assert_eq!((ids(&list), &list["has_more"]), (expected, &json!(has_more)), "{query}");
        }
        let mut all = Vec::new();
        let mut query = "limit=2".to_owned();
        loop {
            let list = answered(&query, &cards);
            all.extend(ids(&list).into_iter().map(str::to_owned));
            if list["has_more"] == false {
                break;
            }
            query = format!("limit=2&after_id={}", list["last_id"].as_str().expect("an id"));
        }
        assert_eq!(all, ["a", "b", "c/1", "d", "e"]);
    }

    #[test]
    fn impossible_pages_name_the_parameter() {
        for (query, param) in [
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("limit=x", "limit"),
            ("after_id=nobody", "after_id"),
            ("before_id=nobody", "before_id"),
            ("after_id=a&before_id=a", "before_id"),
        ] {
            let failure = answer(&command("/v1/models", query).1, &cards(&["a"])).expect_err(query);
            assert_eq!((failure.kind, failure.param.as_deref()), (ErrorKind::InvalidRequest, Some(param)));
        }
    }

    #[test]
    fn a_stranger_gets_the_nearest_names() {
        let get =
            |id: &str| answer(&Command::Get { id: id.to_owned() }, &cards(&["smollm2-135m", "qwen3-0.6b"]));
        let failure = get("smollm-135m").expect_err("not there");
        assert_eq!((failure.kind, failure.param.as_deref()), (ErrorKind::NotFound, Some("model")));
        assert_eq!(failure.message, "there is no model `smollm-135m` here; did you mean `smollm2-135m`?");
        let failure = get(&"zz".repeat(10_000)).expect_err("not there");
        assert!(
            failure.message.ends_with("GET /v1/models lists those there are") && failure.message.len() < 300
        );
    }
}
