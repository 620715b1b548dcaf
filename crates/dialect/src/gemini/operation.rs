//! Gemini's paths → what is asked.
//!
//! `/v1beta/models/NAME:method`, also under `/v1` and `/v1beta1`, bare or below `/gemini`;
//! and Vertex's long form, `/v1/projects/P/locations/L/publishers/google/models/NAME:method`.
//! A name may hold `/` and `:`; the method is what follows the last `:`.
//! Source: the paths of `google-genai` 3.4.0, read 2026-11-22.

use message::{Dialect, Operation};
use percent_encoding::percent_decode_str;

use super::models;
use crate::{Ask, Command, RequestHead};

const DIALECT: Dialect = Dialect::Gemini;

/// Resources of the service that are not built, by first path segment.
const UNBUILT: [(&str, &str); 9] = [
    ("batches", "Batches"),
    ("cachedContents", "Cached contents"),
    ("corpora", "Corpora"),
    ("dynamic", "Dynamic models"),
    ("fileSearchStores", "File search stores"),
    ("files", "Files"),
    ("interactions", "Interactions"),
    ("tunedModels", "Tuned models"),
    ("operations", "Operations"),
];

/// What a request asks of Gemini's interface; `path` is below the root. `own_root` says that
/// the root is this dialect's; the bare one is shared.
pub fn route(request: &RequestHead<'_>, path: &str, own_root: bool) -> Option<Ask> {
    let (version, rest) = path.strip_prefix('/')?.split_once('/')?;
    let beta = matches!(version, "v1beta" | "v1beta1" | "v1alpha");
    if !beta && version != "v1" {
        return None;
    }
    let vertex = rest.starts_with("projects/").then(|| rest.split_once("/publishers/google/models"));
    let below = match vertex {
        Some(split) => Some(split?.1),
        None => rest.strip_prefix("models"),
    };
    let below = below.filter(|below| below.is_empty() || below.starts_with('/'));
    if let Some(ask) = below.and_then(|below| model(request, below)) {
        return Some(ask);
    }
    // The plain `/v1/models` belongs to whoever shows Google's key.
    let shows_key = request.headers.contains_key(super::door::X_GOOG_API_KEY)
        || request.query.split('&').any(|pair| pair.starts_with("key="));
    if !(beta || own_root || vertex.is_some() || shows_key) {
        return None;
    }
    let command = |command| Some(Ask::Command { dialect: DIALECT, command: Command::Gemini(command) });
    match (request.method, below) {
        ("GET" | "HEAD", Some("")) => return command(models::Command::List(models::Page::of(request.query))),
        ("GET" | "HEAD", Some(id)) if id.len() > 1 => {
            return command(models::Command::Get { id: decoded(&id[1..]) });
        }
        (_, Some(_)) => {
            let wrong_method = !matches!(request.method, "GET" | "HEAD");
            return Some(Ask::Unknown { dialect: DIALECT, wrong_method });
        }
        (_, None) => {}
    }
    let first = rest.split(['/', ':']).next().unwrap_or_default();
    let unbuilt = UNBUILT.iter().find(|(segment, _)| *segment == first);
    unbuilt.map(|(_, operation)| Ask::Unbuilt { dialect: DIALECT, operation })
}

/// `/NAME:method`.
fn model(request: &RequestHead<'_>, path: &str) -> Option<Ask> {
    let (name, method) = path.strip_prefix('/')?.rsplit_once(':')?;
    let call = |operation, stream| {
        let model = Some(decoded(name));
        Some(match request.method {
            "POST" => Ask::Call { dialect: DIALECT, operation, model, stream },
            _ => Ask::Unknown { dialect: DIALECT, wrong_method: true },
        })
    };
    let unbuilt = |operation| Some(Ask::Unbuilt { dialect: DIALECT, operation });
    match method {
        "generateContent" => call(Operation::Chat, false),
        "streamGenerateContent" => call(Operation::Chat, true),
        "countTokens" => call(Operation::CountTokens, false),
        "embedContent" | "batchEmbedContents" => call(Operation::Embed, false),
        "predict" => unbuilt("predict"),
        "predictLongRunning" => unbuilt("predictLongRunning"),
        "computeTokens" => unbuilt("computeTokens"),
        "batchGenerateContent" => unbuilt("batchGenerateContent"),
        "asyncBatchEmbedContent" => unbuilt("asyncBatchEmbedContent"),
        _ => None,
    }
}

fn decoded(name: &str) -> String {
    percent_decode_str(name).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn ask_with(method: &str, path: &str, query: &str, headers: &HeaderMap) -> Ask {
        crate::route(&RequestHead { method, path, query, headers })
    }

    fn ask(method: &str, path: &str) -> Ask {
        ask_with(method, path, "", &HeaderMap::new())
    }

    fn call(operation: Operation, model: &str, stream: bool) -> Ask {
        Ask::Call { dialect: DIALECT, operation, model: Some(model.to_owned()), stream }
    }

    #[test]
    fn methods_are_calls_under_every_root() {
        for root in [
            "/v1beta",
            "/v1",
            "/gemini/v1beta",
            "/gemini/v1",
            "/v1beta1/projects/p/locations/l/publishers/google",
        ] {
            for (method, operation, stream) in [
                ("generateContent", Operation::Chat, false),
                ("streamGenerateContent", Operation::Chat, true),
                ("countTokens", Operation::CountTokens, false),
                ("embedContent", Operation::Embed, false),
                ("batchEmbedContents", Operation::Embed, false),
            ] {
                let path = format!("{root}/models/qwen3:0.6b:{method}");
                assert_eq!(ask("POST", &path), call(operation, "qwen3:0.6b", stream), "{path}");
                assert_eq!(ask("GET", &path), Ask::Unknown { dialect: DIALECT, wrong_method: true });
            }
        }
        assert_eq!(
            ask("POST", "/v1beta/models/vendor%2Fm/x:generateContent"),
            call(Operation::Chat, "vendor/m/x", false)
        );
    }

    #[test]
    fn lists_are_shared_at_the_bare_root() {
        let key = HeaderMap::from_iter([(super::super::door::X_GOOG_API_KEY, HeaderValue::from_static("k"))]);
        for (path, query, headers, own) in [
            ("/v1beta/models", "", HeaderMap::new(), true),
            ("/gemini/v1/models", "", HeaderMap::new(), true),
            ("/v1/models", "key=k", HeaderMap::new(), true),
            ("/v1/models", "", key, true),
            ("/v1/models", "", HeaderMap::new(), false),
        ] {
            let asked = ask_with("GET", path, query, &headers);
            assert_eq!(
                matches!(asked, Ask::Command { dialect: DIALECT, .. }),
                own,
                "{path}?{query}: {asked:?}"
            );
        }
        let Ask::Command { command: Command::Gemini(models::Command::Get { id }), .. } =
            ask("GET", "/v1beta/models/a%2Fb")
        else {
            panic!("a model")
        };
        assert_eq!(id, "a/b");
    }

    #[test]
    fn the_rest_is_known_by_name_or_not_at_all() {
        for (path, operation) in [
            ("/v1beta/files", "Files"),
            ("/v1beta/cachedContents/x", "Cached contents"),
            ("/v1beta/models/m:predict", "predict"),
        ] {
            assert_eq!(ask("POST", path), Ask::Unbuilt { dialect: DIALECT, operation }, "{path}");
        }
        for path in ["/v1beta", "/v1beta/", "/v1beta/nothing", "/v1beta/projects/p", "/v1beta/modelsx"] {
            assert!(matches!(ask("GET", path), Ask::Unknown { wrong_method: false, .. }), "{path}");
        }
    }
}
