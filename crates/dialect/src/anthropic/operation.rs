//! Which of Anthropic's operations a request asks for.
//!
//! Two are answered: messages and token counts (`/v1/models` is shared with OpenAI and
//! lives beside the folders). The rest of the API is known by name, so that its callers
//! hear at once that it is not built. Paths as in the Python SDK `anthropic` 2.12.0, read 2026-11-22.

use message::{Dialect, Operation};

use crate::{Ask, RequestHead};

/// Path segments under `/v1` that are not built, and the SDK's name for what is there.
const UNBUILT: [(&str, &str); 14] = [
    ("agents", "agents"),
    ("complete", "completions.create"),
    ("deployment_runs", "deployment_runs"),
    ("deployments", "deployments"),
    ("dreams", "dreams"),
    ("environments", "environments"),
    ("files", "files"),
    ("memory_stores", "memory_stores"),
    ("organizations", "organization"),
    ("sessions", "sessions"),
    ("skills", "skills"),
    ("tunnels", "tunnels"),
    ("user_profiles", "user_profiles"),
    ("vaults", "vaults"),
];

/// Finds the operation. `path` is below the dialect's root (`/anthropic` or none).
///
/// Some paths (`/v1/files`) are also OpenAI's: on the bare root they are only claimed
/// for a client that sends `anthropic-version`, as every Anthropic SDK does.
pub fn route(request: &RequestHead<'_>, path: &str) -> Option<Ask> {
    let below = path.strip_prefix("/v1/")?;
    match below {
        "messages" => return Some(call(request, Operation::Chat)),
        "messages/count_tokens" => return Some(call(request, Operation::CountTokens)),
        _ => {}
    }
    if below == "messages/batches" || below.starts_with("messages/batches/") {
        return Some(unbuilt("messages.batches"));
    }
    let ours = path.len() < request.path.len() || request.headers.contains_key("anthropic-version");
    let first = below.split('/').next()?;
    let (_, name) = UNBUILT.iter().find(|(segment, _)| *segment == first)?;
    ours.then(|| unbuilt(name))
}

fn call(request: &RequestHead<'_>, operation: Operation) -> Ask {
    let dialect = Dialect::Anthropic;
    if request.method == "POST" {
        Ask::Call { dialect, operation, model: None, stream: false }
    } else {
        Ask::Unknown { dialect, wrong_method: true }
    }
}

const fn unbuilt(operation: &'static str) -> Ask {
    Ask::Unbuilt { dialect: Dialect::Anthropic, operation }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn ask(method: &str, path: &str, version: bool) -> Option<Ask> {
        let mut headers = HeaderMap::new();
        if version {
            headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
        }
        let below = path.strip_prefix("/anthropic").unwrap_or(path);
        route(&RequestHead { method, path, query: "beta=true", headers: &headers }, below)
    }

    #[test]
    fn both_operations_on_both_roots() {
        for root in ["", "/anthropic"] {
            for (path, expected) in
                [("/v1/messages", Operation::Chat), ("/v1/messages/count_tokens", Operation::CountTokens)]
            {
                let path = format!("{root}{path}");
                let dialect = Dialect::Anthropic;
                let call = Ask::Call { dialect, operation: expected, model: None, stream: false };
                assert_eq!(ask("POST", &path, false), Some(call));
                assert_eq!(ask("GET", &path, true), Some(Ask::Unknown { dialect, wrong_method: true }));
            }
        }
    }

    #[test]
    fn what_is_not_built_is_known_by_name() {
        assert_eq!(ask("POST", "/v1/messages/batches", false), Some(unbuilt("messages.batches")));
        assert_eq!(ask("GET", "/v1/messages/batches/b/results", false), Some(unbuilt("messages.batches")));
        assert_eq!(ask("GET", "/v1/organizations/me", true), Some(unbuilt("organization")));
        assert_eq!(ask("GET", "/anthropic/v1/files", false), Some(unbuilt("files")));
    }

    #[test]
    fn shared_paths_are_left_to_openai() {
        assert_eq!(ask("GET", "/v1/files", false), None);
        assert_eq!(ask("GET", "/v1/files", true), Some(unbuilt("files")));
        assert_eq!(ask("GET", "/v1/models", true), None);
        assert_eq!(ask("POST", "/v1/messages/", true), None);
        assert_eq!(ask("POST", "/v1/messagesx", true), None);
        assert_eq!(ask("POST", "/v2/messages", true), None);
    }
}
