//! Headers → what a request shows to prove who sends it. The first thing read of a
//! request, and from strangers: pure, bounded, and silent about what it saw.
//!
//! `Authorization` wins over `x-api-key`, and that over `x-goog-api-key`. Anthropic's SDKs for other languages send both
//! when both `ANTHROPIC_AUTH_TOKEN` and `ANTHROPIC_API_KEY` are set, and Claude Code tells
//! gateway users to set the former, while the latter is often left over from talking to
//! the vendor directly. (Python's anthropic 2.12.0 sends `Authorization: Bearer` for
//! either; observed 2026-11-22.)

use http::{HeaderMap, HeaderName, HeaderValue, header};
use message::{AuthFault, Credential, Failure, Secret};

use crate::sigv4;

/// Longest bearer token, in bytes. Ours have under 100; a stranger's JWT may have a few
/// thousand and gets "unknown key" instead of a puzzle.
const TOKEN_BYTES_MAX: usize = 16 << 10;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Google's; the door moves a `?key=` there (see `gemini/door.rs`).
const X_GOOG_API_KEY: HeaderName = crate::gemini::door::X_GOOG_API_KEY;

/// Reads the credential of a request; [`Credential::None`] if it shows none.
///
/// # Errors
/// [`Malformed`](AuthFault::Malformed) if it cannot be read, [`Missing`](AuthFault::Missing)
/// if it is empty. The message never repeats it.
pub fn read(headers: &HeaderMap) -> Result<Credential, Failure> {
    if let Some(authorization) = only(headers, &header::AUTHORIZATION)? {
        return read_authorization(authorization, headers);
    }
    for name in [X_API_KEY, X_GOOG_API_KEY] {
        if let Some(key) = only(headers, &name)? {
            return read_token(key);
        }
    }
    Ok(Credential::None)
}

fn read_authorization(authorization: &str, headers: &HeaderMap) -> Result<Credential, Failure> {
    if authorization.starts_with("AWS4-") {
        let date = headers.get("x-amz-date").and_then(|value| value.to_str().ok());
        return sigv4::parse(authorization, date).map(|signed| Credential::Signed(Box::new(signed)));
    }
    let (scheme, token) = authorization.split_once(' ').unwrap_or((authorization, ""));
    if scheme.eq_ignore_ascii_case("bearer") {
        return read_token(token);
    }
    Err(malformed("the Authorization header must be 'Bearer <key>' or an AWS4-HMAC-SHA256 signature"))
}

fn read_token(token: &str) -> Result<Credential, Failure> {
    let token = token.trim();
    if token.is_empty() {
        return Err(Failure::unauthenticated(
            AuthFault::Missing,
            "the API key is empty; is the environment variable that should hold it set?",
        ));
    }
    if token.len() > TOKEN_BYTES_MAX {
        return Err(malformed(format!("the API key is longer than {TOKEN_BYTES_MAX} bytes")));
    }
    if token.starts_with(sigv4::SHORT_TERM_PREFIX) {
        return sigv4::parse_short_term_key(token).map(|signed| Credential::Signed(Box::new(signed)));
    }
    Ok(Credential::Bearer(Secret::new(token)))
}

/// The value of a header that may stand once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Failure> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().map(HeaderValue::to_str).transpose();
    match (value, values.next()) {
        (_, Some(_)) => Err(malformed(format!("the header {name} stands more than once"))),
        (Err(_), _) => Err(malformed(format!("the header {name} holds characters that are not ASCII"))),
        (Ok(value), None) => Ok(value),
    }
}

fn malformed(message: impl Into<String>) -> Failure {
    Failure::unauthenticated(AuthFault::Malformed, message)
}

#[cfg(test)]
mod tests {
    use message::ErrorKind;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).expect("a value"))
            })
            .fold(HeaderMap::new(), |mut headers, (name, value)| {
                headers.append(name, value);
                headers
            })
    }

    fn bearer(pairs: &[(&'static str, &str)]) -> String {
        match read(&headers(pairs)) {
            Ok(Credential::Bearer(secret)) => secret.expose().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    fn fault(pairs: &[(&'static str, &str)]) -> AuthFault {
        match read(&headers(pairs)) {
            Err(Failure { kind: ErrorKind::Unauthenticated(fault), .. }) => fault,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reads_each_kind() {
        assert!(matches!(read(&HeaderMap::new()), Ok(Credential::None)));
        assert_eq!(bearer(&[("authorization", "Bearer oc_1")]), "oc_1");
        assert_eq!(bearer(&[("authorization", "bearer  oc_1 ")]), "oc_1");
        assert_eq!(bearer(&[("x-api-key", "oc_1")]), "oc_1");
        assert_eq!(bearer(&[("x-goog-api-key", "oc_1")]), "oc_1");
        let signed = headers(&[
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKID/20261122/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=0dedbc5ddf5586dd3996fbd284483bedf06d18ea507001ec2089fe7f4cd42343",
            ),
            ("x-amz-date", "20261122T120000Z"),
        ]);
        let Ok(Credential::Signed(signed)) = read(&signed) else { panic!("a signature") };
        assert_eq!(signed.access_key_id, "AKID");
    }

    #[test]
    fn authorization_wins() {
        assert_eq!(bearer(&[("x-api-key", "sk-ant-left-over"), ("authorization", "Bearer oc_1")]), "oc_1");
    }

    #[test]
    fn refuses_the_rest() {
        let long = "a".repeat(TOKEN_BYTES_MAX + 1);
        for (pairs, expected) in [
            (&[("authorization", "Basic dXNlcg==")][..], AuthFault::Malformed),
            (&[("authorization", "oc_1")], AuthFault::Malformed),
            (&[("authorization", "AWS4-HMAC-SHA256")], AuthFault::Malformed),
            (&[("authorization", "Bearer a"), ("authorization", "Bearer b")], AuthFault::Malformed),
            (&[("x-api-key", "a"), ("x-api-key", "b")], AuthFault::Malformed),
            (&[("authorization", "Bearer é")], AuthFault::Malformed),
            (&[("x-api-key", &long)], AuthFault::Malformed),
            (&[("authorization", "Bearer bedrock-api-key-!")], AuthFault::Malformed),
            (&[("authorization", "Bearer ")], AuthFault::Missing),
            (&[("authorization", "Bearer")], AuthFault::Missing),
            (&[("x-api-key", "")], AuthFault::Missing),
        ] {
            assert_eq!(fault(pairs), expected, "{pairs:?}");
        }
    }

    #[test]
    fn nothing_is_repeated_in_errors_or_logs() {
        let failure = read(&headers(&[("authorization", "Basic hunter2")])).expect_err("no scheme of ours");
        assert!(!failure.message.contains("hunter2"));
        let credential = read(&headers(&[("authorization", "Bearer hunter2")])).expect("a token");
        assert!(!format!("{credential:?}").contains("hunter2"));
        let signature = "0dedbc5ddf5586dd3996fbd284483bedf06d18ea507001ec2089fe7f4cd42343";
        let signed = headers(&[
            (
                "authorization",
                &format!(
                    "AWS4-HMAC-SHA256 Credential=AKID/20261122/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature={signature}"
                ),
            ),
            ("x-amz-date", "20261122T120000Z"),
        ]);
        let credential = read(&signed).expect("a signature");
        assert!(!format!("{credential:?}").contains(signature));
    }
}
