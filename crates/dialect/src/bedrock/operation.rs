//! Method + raw path → which Bedrock operation is asked for.
//!
//! All operations of `bedrock-runtime` and `bedrock`, and one of `bedrock-agent-runtime`, are known from a table, so that a client who
//! asks for one that is not built is told its name and never gets "no such page".
//!
//! Source: service models of botocore 1.44.5 (read 2026-11-22), see `operations.txt`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use message::{Dialect, Operation};
use percent_encoding::percent_decode_str;

use super::models::{Command, ModelFilter, ProfilePage};
use crate::{Ask, RequestHead};

/// Finds the operation that `path` (below the root) and the method name; `None` if the
/// path is none of Bedrock's.
pub fn route(request: &RequestHead<'_>, path: &str) -> Option<Ask> {
    let path = path.strip_prefix('/')?;
    let first = path.split('/').next()?;
    let mut wrong_method = false;
    for operation in TABLE.get(first)? {
        let Some(label) = operation.matches(path) else { continue };
        if operation.method == request.method {
            return Some(ask(operation.name, label, request.query));
        }
        wrong_method = true;
    }
    wrong_method.then_some(Ask::Unknown { dialect: Dialect::BedrockConverse, wrong_method })
}

/// What an operation means here. `label` is the path's first label, still encoded.
fn ask(name: &'static str, label: &str, query: &str) -> Ask {
    let call = |dialect, operation, stream| Ask::Call {
        dialect,
        operation,
        model: Some(decode(label).into_owned()),
        stream,
    };
    let command = |command| Ask::Command {
        dialect: Dialect::BedrockConverse,
        command: crate::Command::Bedrock(command),
    };
    match name {
        "Converse" => call(Dialect::BedrockConverse, Operation::Chat, false),
        "ConverseStream" => call(Dialect::BedrockConverse, Operation::Chat, true),
        "InvokeModel" => call(Dialect::BedrockInvoke, Operation::Chat, false),
        "InvokeModelWithResponseStream" => call(Dialect::BedrockInvoke, Operation::Chat, true),
        "CountTokens" => call(Dialect::BedrockConverse, Operation::CountTokens, false),
        "Rerank" => Ask::Call {
            dialect: Dialect::BedrockConverse,
            operation: Operation::Rerank,
            model: None,
            stream: false,
        },
        "ListFoundationModels" => command(Command::ListFoundationModels(ModelFilter {
            provider: parameter(query, "byProvider"),
            customization: parameter(query, "byCustomizationType"),
            output_modality: parameter(query, "byOutputModality"),
            inference_type: parameter(query, "byInferenceType"),
        })),
        "GetFoundationModel" => command(Command::GetFoundationModel { id: decode(label).into_owned() }),
        "ListInferenceProfiles" => command(Command::ListInferenceProfiles(ProfilePage {
            kind: parameter(query, "type"),
            max_results: parameter(query, "maxResults"),
            next_token: parameter(query, "nextToken"),
        })),
        "GetInferenceProfile" => command(Command::GetInferenceProfile { id: decode(label).into_owned() }),
        _ => Ask::Unbuilt { dialect: Dialect::BedrockConverse, operation: name },
    }
}

/// Decodes a path label or a query value, once. Bytes that are not UTF-8 become `�`:
/// no model goes by such a name.
fn decode(raw: &str) -> Cow<'_, str> {
    percent_decode_str(raw).decode_utf8_lossy()
}

/// A query parameter's value; the first, if there are several.
fn parameter(query: &str, name: &str) -> Option<String> {
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find(|(key, _)| decode(key) == name)
        .map(|(_, value)| decode(value).into_owned())
}

/// One line of the table.
struct Entry {
    method: &'static str,
    /// The URI template without its leading slash.
    template: &'static str,
    name: &'static str,
}

impl Entry {
    /// The first label of `path` (or "" for a template without labels) if it matches.
    fn matches<'a>(&self, path: &'a str) -> Option<&'a str> {
        let mut first_label = None;
        let mut segments = path.split('/');
        for expected in self.template.split('/') {
            let segment = segments.next()?;
            if !expected.starts_with('{') {
                if segment != expected {
                    return None;
                }
            } else if segment.is_empty() {
                return None;
            } else {
                first_label.get_or_insert(segment);
            }
        }
        // Anything left, be it only a trailing slash, makes it another path.
        segments.next().is_none().then(|| first_label.unwrap_or_default())
    }
}

/// The operations by the first segment of their path, which is never a label.
static TABLE: LazyLock<HashMap<&str, Vec<Entry>>> = LazyLock::new(|| {
    let mut table = HashMap::<&str, Vec<Entry>>::new();
    for entry in entries() {
        let first = entry.template.split('/').next().unwrap_or_default();
        table.entry(first).or_default().push(entry);
    }
    table
});

fn entries() -> impl Iterator<Item = Entry> {
    include_str!("operations.txt").lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let (method, template, name) = (words.next()?, words.next()?, words.next()?);
        Some(Entry { method, template: template.strip_prefix('/')?, name })
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn ask_for(method: &str, target: &str) -> Option<Ask> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = HeaderMap::new();
        route(&RequestHead { method, path, query, headers: &headers }, path)
    }

    fn call(dialect: Dialect, operation: Operation, model: &str, stream: bool) -> Option<Ask> {
        Some(Ask::Call { dialect, operation, model: Some(model.to_owned()), stream })
    }

    #[test]
    fn the_table_holds_all_operations_of_both_services_and_rerank() {
        assert_eq!(entries().count(), 11 + 108 + 1);
    }

    #[test]
    fn every_operation_routes_to_itself() {
        const BUILT: [&str; 10] = [
            "Converse",
            "ConverseStream",
            "InvokeModel",
            "InvokeModelWithResponseStream",
            "CountTokens",
            "ListFoundationModels",
            "GetFoundationModel",
            "ListInferenceProfiles",
            "GetInferenceProfile",
            "Rerank",
        ];
        for entry in entries() {
            let path: String = entry
                .template
                .split('/')
                .map(|segment| {
                    if segment.starts_with('{') { "/arn%3Aaws%2Fx" } else { "/" }.to_owned() + segment
                })
                .map(|segment| segment.split('{').next().unwrap().to_owned())
                .collect();
            let asked = ask_for(entry.method, &path);
            if BUILT.contains(&entry.name) {
                assert!(
                    matches!(asked, Some(Ask::Call { .. } | Ask::Command { .. })),
                    "{} is built: {asked:?}",
                    entry.name
                );
            } else {
                let unbuilt = Ask::Unbuilt { dialect: Dialect::BedrockConverse, operation: entry.name };
                assert_eq!(asked, Some(unbuilt), "{} {path}", entry.method);
            }
        }
    }

    #[test]
    fn calls_are_told_apart() {
        use Dialect::{BedrockConverse, BedrockInvoke};
        use Operation::{Chat, CountTokens};
        assert_eq!(ask_for("POST", "/model/m/converse"), call(BedrockConverse, Chat, "m", false));
        assert_eq!(ask_for("POST", "/model/m/converse-stream"), call(BedrockConverse, Chat, "m", true));
        assert_eq!(ask_for("POST", "/model/m/invoke"), call(BedrockInvoke, Chat, "m", false));
        assert_eq!(
            ask_for("POST", "/model/m/invoke-with-response-stream"),
            call(BedrockInvoke, Chat, "m", true)
        );
        assert_eq!(ask_for("POST", "/model/m/count-tokens"), call(BedrockConverse, CountTokens, "m", false));
    }

    #[test]
    fn models_are_decoded_once_and_after_splitting() {
        for (raw, model) in [
            (
                "us.anthropic.claude-sonnet-4-5-20250929-v1%3A0",
                "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            ),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
            (
                "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fabc",
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/abc",
            ),
            ("local%2Fqwen3", "local/qwen3"),
            ("a%252Fb", "a%2Fb"),
            ("100%", "100%"),
            ("%FF", "\u{FFFD}"),
            ("..", ".."),
        ] {
            let asked = ask_for("POST", &format!("/model/{raw}/converse"));
            assert_eq!(asked, call(Dialect::BedrockConverse, Operation::Chat, model, false), "{raw}");
        }
    }

    #[test]
    fn other_paths_are_not_ours() {
        for path in [
            "",
            "/",
            "/model",
            "/model/",
            "/model//converse",
            "/model/m",
            "/model/m/converse/",
            "/model/m/Converse",
            "/model/a/b/converse",
            "//model/m/converse",
            "/foundation-models/",
            "/v1/messages",
            "model/m/converse",
        ] {
            assert_eq!(ask_for("POST", path), None, "{path}");
        }
    }

    #[test]
    fn a_known_path_with_another_method_says_so() {
        let wrong = Some(Ask::Unknown { dialect: Dialect::BedrockConverse, wrong_method: true });
        assert_eq!(ask_for("GET", "/model/m/converse"), wrong);
        assert_eq!(ask_for("POST", "/foundation-models"), wrong);
        assert_eq!(ask_for("post", "/model/m/converse"), wrong);
    }

    #[test]
    fn query_parameters_are_decoded() {
        let Some(Ask::Command { command: crate::Command::Bedrock(command), .. }) = ask_for(
            "GET",
            "/foundation-models?x=1&byProvider=My%20Own%26Co&byOutputModality=TEXT&byOutputModality=IMAGE",
        ) else {
            panic!("a command")
        };
        let Command::ListFoundationModels(filter) = command else { panic!("{command:?}") };
        assert_eq!(filter.provider.as_deref(), Some("My Own&Co"));
        assert_eq!(filter.output_modality.as_deref(), Some("TEXT"));
        assert_eq!(filter.inference_type, None);
    }
}
