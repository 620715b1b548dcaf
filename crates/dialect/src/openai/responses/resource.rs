//! Stored responses as resources: paths → what is asked.
//!
//! Source: `resources/responses/` of `openai` 3.54.0, read 2026-11-22.

use message::{Dialect, Failure, Operation};

use crate::{Ask, RequestHead};

/// Most input items on one page, as the service documents it.
pub const PAGE_ITEMS_MAX: usize = 100;

/// Input items on a page whose length nobody asked for.
const PAGE_ITEMS_DEFAULT: usize = 20;

/// A request about stored responses.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// The response, or the events of one that is answered in the background.
    Get {
        /// Its id.
        id: String,
        /// Events from after this number on; `None`: the response itself.
        events_after: Option<i64>,
    },
    /// Forget it.
    Delete {
        /// Its id.
        id: String,
    },
    /// Stop answering it.
    Cancel {
        /// Its id.
        id: String,
    },
    /// What it was an answer to.
    InputItems {
        /// Its id.
        id: String,
        /// Which of them.
        page: Result<Page, Failure>,
    },
    /// A conversation made shorter (the conversation is the body).
    Compact,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Begins after the item of this id.
    pub after: Option<String>,
    /// Most items, 1 to [`PAGE_ITEMS_MAX`].
    pub limit: usize,
    /// Oldest first.
    pub ascending: bool,
}

/// What a request asks of Responses; `rest` is below `/v1/responses`.
pub(in crate::openai) fn route(request: &RequestHead<'_>, rest: &str) -> Option<Ask> {
    let dialect = Dialect::OpenAiResponses;
    let call = |operation| Ask::Call { dialect, operation, model: None, stream: false };
    let command = |command| Some(Ask::Command { dialect, command: crate::Command::Responses(command) });
    let wrong_method = Some(Ask::Unknown { dialect, wrong_method: true });
    let method = request.method;
    if rest.is_empty() {
        return if method == "POST" { Some(call(Operation::Chat)) } else { wrong_method };
    }
    let rest = rest.strip_prefix('/')?;
    match (method, rest) {
        ("POST", "input_tokens") => return Some(call(Operation::CountTokens)),
        ("POST", "compact") => return command(Command::Compact),
        (_, "input_tokens" | "compact") => return wrong_method,
        _ => {}
    }
    let (id, below) = rest.split_once('/').map_or((rest, None), |(id, below)| (id, Some(below)));
    let id = percent_encoding::percent_decode_str(id).decode_utf8().ok().filter(|id| !id.is_empty())?;
    let id = id.into_owned();
    match (method, below) {
        ("GET", None) => command(Command::Get { id, events_after: events_after(request.query) }),
        ("DELETE", None) => command(Command::Delete { id }),
        ("POST", Some("cancel")) => command(Command::Cancel { id }),
        ("GET", Some("input_items")) => command(Command::InputItems { id, page: page(request.query) }),
        (_, None | Some("cancel" | "input_items")) => wrong_method,
        _ => None,
    }
}

fn query<'a>(query: &'a str, name: &'a str) -> Option<&'a str> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

fn events_after(text: &str) -> Option<i64> {
    matches!(query(text, "stream"), Some("true" | "1"))
        .then(|| query(text, "starting_after").and_then(|after| after.parse().ok()).unwrap_or(-1))
}

fn page(text: &str) -> Result<Page, Failure> {
    let limit = match query(text, "limit") {
        None => PAGE_ITEMS_DEFAULT,
        Some(limit) => match limit.parse() {
            Ok(limit) if (1..=PAGE_ITEMS_MAX).contains(&limit) => limit,
            _ => {
                return Err(Failure::invalid_field(
                    "limit",
                    format_args!("must be an integer between 1 and {PAGE_ITEMS_MAX}"),
                ));
            }
        },
    };
    let ascending = match query(text, "order") {
        None | Some("desc") => false,
        Some("asc") => true,
        Some(_) => return Err(Failure::invalid_field("order", "expected `asc` or `desc`")),
    };
    Ok(Page { after: query(text, "after").map(str::to_owned), limit, ascending })
}
