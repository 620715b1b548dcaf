//! Cohere's paths → what is asked: `/v2/chat`, `/v2/embed`, `/v2/rerank`, bare or below
//! `/cohere`. Source: the v2 client of `cohere` 7.3.1, read 2026-11-22.
//!
//! `/v1/rerank` too: version 1 of it is what Jina, vLLM and llama.cpp's server speak.

use message::{Dialect, Operation};

use crate::{Ask, RequestHead};

/// Resources that are not built, by path below the root.
const UNBUILT: [(&str, &str); 8] = [
    ("/v1/chat", "Chat (version 1)"),
    ("/v1/embed", "Embed (version 1)"),
    ("/v1/classify", "Classify"),
    ("/v1/tokenize", "Tokenize"),
    ("/v1/detokenize", "Detokenize"),
    ("/v1/embed-jobs", "Embed jobs"),
    ("/v1/datasets", "Datasets"),
    ("/v2/parse", "Parse"),
];

/// What a request asks of Cohere's interface; `path` is below the root.
pub fn route(request: &RequestHead<'_>, path: &str, own_root: bool) -> Option<Ask> {
    let dialect = Dialect::Cohere;
    let operation = match path {
        "/v2/chat" => Operation::Chat,
        "/v2/embed" => Operation::Embed,
        "/v1/rerank" | "/v2/rerank" => Operation::Rerank,
        _ => {
            let (known, operation) = UNBUILT.iter().find(|(known, _)| path.starts_with(known))?;
            let mine = own_root || known.starts_with("/v2");
            return mine.then_some(Ask::Unbuilt { dialect, operation });
        }
    };
    Some(match request.method {
        "POST" => Ask::Call { dialect, operation, model: None, stream: false },
        _ => Ask::Unknown { dialect, wrong_method: true },
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    #[test]
    fn version_2_and_the_old_rerank_are_understood_under_both_roots() {
        let ask = |method, path: &str| {
            crate::route(&RequestHead { method, path, query: "", headers: &HeaderMap::new() })
        };
        let dialect = Dialect::Cohere;
        for (path, operation) in
            [("chat", Operation::Chat), ("embed", Operation::Embed), ("rerank", Operation::Rerank)]
        {
            let call = Ask::Call { dialect, operation, model: None, stream: false };
            assert_eq!(ask("POST", &format!("/v2/{path}")), call);
            assert_eq!(ask("POST", &format!("/cohere/v2/{path}")), call);
            let wrong = Ask::Unknown { dialect, wrong_method: true };
            assert_eq!(ask("GET", &format!("/v2/{path}")), wrong);
        }
        for path in ["/v1/rerank", "/cohere/v1/rerank"] {
            let operation = Operation::Rerank;
            assert_eq!(ask("POST", path), Ask::Call { dialect, operation, model: None, stream: false });
        }
        let unbuilt = Ask::Unbuilt { dialect, operation: "Tokenize" };
        assert_eq!(ask("POST", "/cohere/v1/tokenize"), unbuilt);
        assert!(!matches!(ask("POST", "/v1/embed"), Ask::Unbuilt { dialect: Dialect::Cohere, .. }));
    }
}
