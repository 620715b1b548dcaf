//! OpenAI's paths → what is asked.
//!
//! What models answer is built; every other resource of the service is known by name, so
//! that its clients learn at once that it is not. `/v1/models` stands in
//! [`models`](crate::models), shared with Anthropic.
//!
//! Source: the resource paths of `openai` 3.54.0, read 2026-11-22.

use message::{Dialect, Operation};

use super::responses;
use crate::{Ask, RequestHead};

/// First path segment of each resource that is not built, and its name.
const UNBUILT: [(&str, &str); 24] = [
    ("agents", "Agents"),
    ("assistants", "Assistants"),
    ("audio", "Audio"),
    ("batches", "Batches"),
    ("chatkit", "ChatKit"),
    ("containers", "Containers"),
    ("content_provenance_checks", "Content provenance checks"),
    ("conversations", "Conversations"),
    ("decisions", "Decisions"),
    ("evals", "Evals"),
    ("files", "Files"),
    ("fine_tuning", "Fine-tuning"),
    ("images", "Images"),
    ("live", "Live"),
    ("moderations", "Moderations"),
    ("organization", "Organization administration"),
    ("projects", "Project administration"),
    ("realtime", "Realtime"),
    ("safety", "Safety"),
    ("skills", "Skills"),
    ("threads", "Threads"),
    ("uploads", "Uploads"),
    ("vector_stores", "Vector stores"),
    ("videos", "Videos"),
];

/// What a request asks of OpenAI's interface; `path` is below the root.
pub fn route(request: &RequestHead<'_>, path: &str) -> Option<Ask> {
    let dialect = Dialect::OpenAiChat;
    let rest = path.strip_prefix("/v1/")?;
    let unbuilt = |operation| Some(Ask::Unbuilt { dialect, operation });
    let call = |dialect, operation| Some(Ask::Call { dialect, operation, model: None, stream: false });
    if let Some(below) =
        rest.strip_prefix("responses").filter(|below| below.is_empty() || below.starts_with('/'))
    {
        return responses::resource::route(request, below);
    }
    match (request.method, rest) {
        ("POST", "chat/completions") => call(dialect, Operation::Chat),
        ("POST", "completions") => call(Dialect::OpenAiCompletions, Operation::Chat),
        ("POST", "embeddings") => call(dialect, Operation::Embed),
        ("GET", "chat/completions") => unbuilt("Stored chat completions"),
        (_, "chat/completions" | "completions" | "embeddings") => {
            Some(Ask::Unknown { dialect, wrong_method: true })
        }
        (_, stored) if stored.starts_with("chat/completions/") => unbuilt("Stored chat completions"),
        _ => {
            let first = rest.split('/').next().unwrap_or_default();
            let (_, name) = UNBUILT.iter().find(|(segment, _)| *segment == first)?;
            unbuilt(name)
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn ask(method: &str, path: &str) -> Ask {
        crate::route(&RequestHead { method, path, query: "", headers: &HeaderMap::new() })
    }

    #[test]
    fn chat_completions_is_a_call() {
        let dialect = Dialect::OpenAiChat;
        let call = Ask::Call { dialect, operation: Operation::Chat, model: None, stream: false };
        for path in ["/v1/chat/completions", "/openai/v1/chat/completions"] {
            assert_eq!(ask("POST", path), call);
            assert_eq!(ask("PUT", path), Ask::Unknown { dialect, wrong_method: true });
        }
    }

    #[test]
    fn what_is_not_built_is_known_by_name() {
        for (method, path, name) in [
            ("GET", "/v1/chat/completions", "Stored chat completions"),
            ("DELETE", "/v1/chat/completions/c1", "Stored chat completions"),
            ("POST", "/v1/fine_tuning/jobs", "Fine-tuning"),
            ("POST", "/v1/audio/speech", "Audio"),
        ] {
            let dialect = Dialect::OpenAiChat;
            assert_eq!(ask(method, path), Ask::Unbuilt { dialect, operation: name }, "{path}");
        }
    }

    #[test]
    fn other_paths_are_unknown() {
        for path in
            ["/", "", "/v1", "/v1/", "/v1/chat", "/v1/chat/completions/", "/v1/responsesx", "/v2/responses"]
        {
            let ask = ask("GET", path);
            let known = matches!(&ask, Ask::Unknown { wrong_method: false, .. });
            let stored = path == "/v1/chat/completions/" && matches!(&ask, Ask::Unbuilt { .. });
            assert!(known || stored, "{path:?}: {ask:?}");
        }
    }
}
