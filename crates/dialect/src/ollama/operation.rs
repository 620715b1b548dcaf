//! Ollama's paths → what is asked: `/api/…`, bare or below `/ollama`.

use message::{Dialect, Operation};

use super::models;
use crate::{Ask, Command, RequestHead};

/// Operations on model files, which are the operator's here.
const UNBUILT: [(&str, &str); 7] = [
    ("/api/pull", "Pull a model"),
    ("/api/push", "Push a model"),
    ("/api/create", "Create a model"),
    ("/api/copy", "Copy a model"),
    ("/api/delete", "Delete a model"),
    ("/api/blobs", "Blobs"),
    ("/api/web", "Web search"),
];

/// What a request asks of Ollama's interface; `path` is below the root.
pub fn route(request: &RequestHead<'_>, path: &str) -> Option<Ask> {
    let dialect = Dialect::Ollama;
    let (method, ask) = match path {
        "/api/chat" | "/api/generate" => ("POST", call(Operation::Chat)),
        "/api/embed" | "/api/embeddings" => ("POST", call(Operation::Embed)),
        "/api/show" => ("POST", command(models::Command::Show { model: None })),
        "/api/tags" => ("GET", command(models::Command::List)),
        "/api/ps" => ("GET", command(models::Command::Running)),
        "/api/version" => ("GET", command(models::Command::Version)),
        _ => {
            let (_, operation) = UNBUILT.iter().find(|(known, _)| path.starts_with(known))?;
            return Some(Ask::Unbuilt { dialect, operation });
        }
    };
    let same = request.method == method || (method == "GET" && request.method == "HEAD");
    Some(if same { ask } else { Ask::Unknown { dialect, wrong_method: true } })
}

fn call(operation: Operation) -> Ask {
    Ask::Call { dialect: Dialect::Ollama, operation, model: None, stream: false }
}

fn command(command: models::Command) -> Ask {
    Ask::Command { dialect: Dialect::Ollama, command: Command::Ollama(command) }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    #[test]
    fn paths_are_understood() {
        let ask =
            |method, path| crate::route(&RequestHead { method, path, query: "", headers: &HeaderMap::new() });
        for path in ["/api/chat", "/api/generate", "/ollama/api/chat"] {
            assert_eq!(ask("POST", path), call(Operation::Chat), "{path}");
        }
        assert_eq!(ask("POST", "/api/embed"), call(Operation::Embed));
        assert_eq!(ask("GET", "/api/tags"), command(models::Command::List));
        assert_eq!(ask("GET", "/api/chat"), Ask::Unknown { dialect: Dialect::Ollama, wrong_method: true });
        let unbuilt = Ask::Unbuilt { dialect: Dialect::Ollama, operation: "Pull a model" };
        assert_eq!(ask("POST", "/api/pull"), unbuilt);
    }
}
