//! `/livez`, `/readyz` and `/`: for load balancers, and for people who open the
//! address in a browser. No credential needed, nothing secret told.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Response, StatusCode};
use message::{Dialect, RequestId};
use serde_json::json;

use crate::body::ResponseBody;
use crate::gateway::{Gateway, Ready};
use crate::phase::Phase;
use crate::refuse;

/// The answer, if the request is one of these.
pub(crate) fn answer(
    method: &Method,
    path: &str,
    gateway: &Gateway,
    phase: Phase,
    id: &RequestId,
) -> Option<Response<ResponseBody>> {
    if method != Method::GET && method != Method::HEAD {
        return None;
    }
    let (status, value) = match path {
        "/livez" => (StatusCode::OK, json!({"status": "live"})),
        "/readyz" => ready(gateway, phase),
        "/" => (
            StatusCode::OK,
            json!({
                "name": "outcrop",
                "version": env!("CARGO_PKG_VERSION"),
                "about": "an open model cloud: point a client of one of these dialects here",
                "dialects": {
                    "bedrock": "POST /model/{id}/converse",
                    "anthropic": "POST /v1/messages",
                    "openai": ["POST /v1/chat/completions", "POST /v1/responses", "POST /v1/embeddings"],
                    "gemini": "POST /v1beta/models/{id}:generateContent",
                    "cohere": ["POST /v2/chat", "POST /v2/rerank"],
                    "ollama": "POST /api/chat",
                },
                "models": "GET /v1/models",
                "health": ["/livez", "/readyz"],
            }),
        ),
        _ => return None,
    };
    let mut response = refuse::head(Dialect::OpenAiChat, status, id);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    *response.body_mut() = ResponseBody::whole(Bytes::from(value.to_string()));
    Some(response)
}

fn ready(gateway: &Gateway, phase: Phase) -> (StatusCode, serde_json::Value) {
    let Ready { mut waiting_for, models } = (gateway.readiness)();
    if phase > Phase::Serving {
        waiting_for.push("shutting down".to_owned());
    }
    let models: serde_json::Map<_, _> = models.into_iter().map(|(id, state)| (id, state.into())).collect();
    match waiting_for.as_slice() {
        [] => (StatusCode::OK, json!({"status": "ready", "models": models})),
        waiting => (
            StatusCode::SERVICE_UNAVAILABLE,
            json!({"status": "not ready", "waiting_for": waiting, "models": models}),
        ),
    }
}
