//! Requests: what the server is sent means what the client said.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use dialect::{Ask, RequestHead};
use http::HeaderMap;
use message::{Dialect, Dropped, Failure};
use serde_json::{Map, Value, json};

use crate::meaning;
use crate::wire::{call, model, target};
use crate::{CLIENTS, DIALECTS};

const CASES: [(&str, &str); 14] = [
    ("cache", include_str!("requests/cache.json")),
    ("image", include_str!("requests/image.json")),
    ("image_url", include_str!("requests/image_url.json")),
    ("pdf", include_str!("requests/pdf.json")),
    ("sources", include_str!("requests/sources.json")),
    ("structured", include_str!("requests/structured.json")),
    ("system", include_str!("requests/system.json")),
    ("text", include_str!("requests/text.json")),
    ("thinking", include_str!("requests/thinking.json")),
    ("tool_choice_any", include_str!("requests/tool_choice_any.json")),
    ("tool_choice_named", include_str!("requests/tool_choice_named.json")),
    ("tool_result_image", include_str!("requests/tool_result_image.json")),
    ("tool_results", include_str!("requests/tool_results.json")),
    ("tools", include_str!("requests/tools.json")),
];

/// What became of a request on its way to a server.
pub(crate) struct Sent {
    /// Path and body, as sent.
    pub(crate) wire: Value,
    /// What the server would read and the client did not say, or the other way round.
    pub(crate) changed: Vec<String>,
    /// What the cell declares as lost.
    pub(crate) dropped: Vec<Dropped>,
}

/// One cell.
pub(crate) fn send(client: Dialect, server: Dialect, body: &Value) -> Result<Sent, Failure> {
    let asked = call(client, body, true)?;
    let outgoing = target(server).encode(&asked, model(server))?;
    let bytes = outgoing.body.concat();
    let written: Value = serde_json::from_slice(&bytes).expect("JSON");
    let wire = json!({"path": outgoing.path, "body": written});
    let read = read_back(&outgoing.path, &bytes);
    let changed = difference(&meaning::of_chat(asked.chat()?), &read);
    Ok(Sent { wire, changed, dropped: outgoing.dropped })
}

/// What a server that is us would understand.
fn read_back(path: &str, body: &[u8]) -> Map<String, Value> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    // Base URLs of these dialects end in the version.
    let path = match path {
        "/chat/completions" | "/responses" => format!("/v1{path}"),
        path if path.starts_with("/models/") => format!("/v1beta{path}"),
        path => path.to_owned(),
    };
    let head = RequestHead { method: "POST", path: &path, query, headers: &HeaderMap::new() };
    let Ask::Call { dialect, model, stream, .. } = dialect::route(&head) else { panic!("{path} is no call") };
    let value: Value = serde_json::from_slice(body).expect("JSON");
    let mut read = call_at(dialect, model.as_deref(), stream, &value);
    // Limits that a dialect demands are added for those who set none.
    read.remove("stream");
    read
}

fn call_at(dialect: Dialect, named: Option<&str>, stream: bool, body: &Value) -> Map<String, Value> {
    assert_eq!(crate::wire::in_path(dialect), named.is_some());
    let read = call(dialect, body, stream).unwrap_or_else(|failure| panic!("{dialect}: {failure}: {body}"));
    meaning::of_chat(read.chat().unwrap_or_else(|failure| panic!("{dialect}: {failure}: {body}")))
}

/// `name: before → after` for every setting, and for every thing said, that differs.
fn difference(before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<String> {
    let mut changed = Vec::new();
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        match (before.get(name), after.get(name)) {
            (Some(Value::Array(one)), Some(Value::Array(two))) if one.len() == two.len() => {
                let pairs = one.iter().zip(two).enumerate();
                changed.extend(
                    pairs
                        .filter(|(_, (one, two))| one != two)
                        .map(|(at, (one, two))| format!("{name}.{at}: {one} → {two}")),
                );
            }
            (one, two) if one == two => {}
            (one, two) => {
                let show =
                    |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), Value::to_string);
                changed.push(format!("{name}: {} → {}", show(one), show(two)));
            }
        }
    }
    changed
}

/// What is said another way to these servers, for want of their own: carried all the same.
const SAID_ANOTHER_WAY: &[(&str, Dialect, &str)] = &[
    // A tool message takes text only: pictures follow in a user message that says whose they are.
    ("tool_result_image", Dialect::OpenAiChat, "Attached to the result of tool call"),
    // So it is before Gemini 3.
    ("tool_result_image", Dialect::Gemini, "Attached to the result of tool call"),
    // A file has no name there: it goes before the file as text.
    ("pdf", Dialect::Gemini, r#"{"text":"report"#),
    ("sources", Dialect::Gemini, r#"{"text":"Almanac"#),
];

/// Whether a declared loss is about this change: paths are in the client's own words.
fn declares(dropped: &Dropped, change: &str) -> bool {
    let words: &[&str] = match change.split(['.', ':']).next().unwrap_or_default() {
        "said" => &["messages", "input", "contents"],
        "system" => &["system", "messages", "input", "instructions"],
        "tools" => &["tools", "toolConfig"],
        "max_tokens" => &["max", "inferenceConfig.max", "generationConfig.max"],
        "thinks" => &["thinking", "reasoning", "generationConfig.thinking", "additionalModel"],
        "top_p" => &["top_p", "inferenceConfig.topP", "generationConfig.topP"],
        name => return dropped.path.contains(name),
    };
    words.iter().any(|word| dropped.path.starts_with(word))
}

#[test]
fn requests_mean_to_the_server_what_the_client_said() {
    let mut silent = String::new();
    for (case, text) in CASES {
        let bodies: BTreeMap<String, Value> = serde_json::from_str(text).expect("JSON");
        let mut golden = String::new();
        let mut outcome = String::new();
        for client in CLIENTS {
            for server in DIALECTS {
                let cell = format!("{client} → {server}");
                match send(client, server, &bodies[client.name()]) {
                    Err(failure) => {
                        writeln!(outcome, "{cell}: refused: {failure}").unwrap();
                    }
                    Ok(Sent { wire, changed, dropped }) => {
                        writeln!(golden, "{cell}: {wire}").unwrap();
                        let declared: Vec<String> =
                            dropped.iter().map(|Dropped { path, why }| format!("{path} ({why})")).collect();
                        writeln!(
                            outcome,
                            "{cell}: {}",
                            if changed.is_empty() { "carried" } else { "changed" }
                        )
                        .unwrap();
                        for change in &changed {
                            writeln!(outcome, "    {change}").unwrap();
                            let another_way = SAID_ANOTHER_WAY.iter().any(|(known, target, words)| {
                                *known == case && *target == server && change.contains(words)
                            });
                            if !another_way && !dropped.iter().any(|dropped| declares(dropped, change)) {
                                writeln!(silent, "{case}: {cell}: {change}").unwrap();
                            }
                        }
                        for declared in declared {
                            writeln!(outcome, "    declared: {declared}").unwrap();
                        }
                    }
                }
            }
        }
        insta::assert_snapshot!(format!("request_{case}"), golden);
        insta::assert_snapshot!(format!("request_{case}_outcome"), outcome);
    }
    assert_eq!(silent, "", "lost without a word");
}
