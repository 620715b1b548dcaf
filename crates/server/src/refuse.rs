//! A failure as a response in the client's own dialect, with the request's id.

use bytes::Bytes;
use dialect::Whole;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use message::{Dialect, ErrorKind, Failure, RequestId};

use crate::body::ResponseBody;

/// The header every answer carries the request's id in, beside the vendor's own.
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The header that names the exchange as the hosted model's server knows it.
const X_PROVIDER_REQUEST_ID: HeaderName = HeaderName::from_static("x-outcrop-provider-request-id");

/// The failure as a response; its private cause goes to the log.
pub(crate) fn refuse(dialect: Dialect, failure: &Failure, id: &RequestId) -> Response<ResponseBody> {
    log(failure, id);
    let mut response = respond(dialect, dialect::failure(dialect, failure, id), id);
    name_provider_request(response.headers_mut(), failure.provider_request_id.as_deref());
    response
}

/// A whole answer as a response.
pub(crate) fn respond(dialect: Dialect, whole: Whole, id: &RequestId) -> Response<ResponseBody> {
    let mut response = head(dialect, whole.status, id);
    response.headers_mut().extend(whole.headers.into_iter().map(|(name, value)| (Some(name), value)));
    *response.body_mut() = ResponseBody::whole(whole.body);
    response
}

/// An empty response with the request's id in the dialect's header and in `x-request-id`.
pub(crate) fn head(dialect: Dialect, status: StatusCode, id: &RequestId) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::whole(Bytes::new()));
    *response.status_mut() = status;
    name_request(response.headers_mut(), dialect, id);
    response
}

pub(crate) fn name_request(headers: &mut HeaderMap, dialect: Dialect, id: &RequestId) {
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        let vendors = dialect::request_id_header(dialect);
        if vendors != X_REQUEST_ID {
            headers.insert(vendors, value.clone());
        }
        headers.insert(X_REQUEST_ID, value);
    }
}

pub(crate) fn name_provider_request(headers: &mut HeaderMap, id: Option<&str>) {
    if let Some(value) = id.and_then(|id| HeaderValue::from_str(id).ok()) {
        headers.insert(X_PROVIDER_REQUEST_ID, value);
    }
}

/// What the client is not told. Faults of ours and of upstreams are warnings; a
/// client's own are its business.
pub(crate) fn log(failure: &Failure, id: &RequestId) {
    let cause = failure.cause.as_deref().map(tracing::field::display);
    match failure.kind {
        ErrorKind::Internal => tracing::error!(%id, kind = ?failure.kind, cause, "{failure}"),
        ErrorKind::Upstream | ErrorKind::Timeout => {
            tracing::warn!(%id, kind = ?failure.kind, cause, "{failure}");
        }
        _ => tracing::debug!(%id, kind = ?failure.kind, cause, "{failure}"),
    }
}
