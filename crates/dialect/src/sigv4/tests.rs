//! Tests against requests that botocore signed (`fixtures/sigv4.json`) and against our
//! own signer.

use http::{HeaderMap, HeaderName, HeaderValue};
use message::{ErrorKind, Secret, SignedRequest};
use proptest::prelude::*;

use super::*;
use crate::RequestHead;

#[derive(serde::Deserialize)]
struct Fixture {
    access_key_id: String,
    secret: String,
    now_s: i64,
    requests: Vec<Request>,
    short_term_keys: Vec<ShortTermKey>,
}

#[derive(Clone, serde::Deserialize)]
struct Request {
    name: String,
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: String,
}

#[derive(serde::Deserialize)]
struct ShortTermKey {
    name: String,
    expires_s: u64,
    key: String,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("../../fixtures/sigv4.json")).expect("fixture")
}

impl Request {
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name: HeaderName = name.parse().expect("a name");
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        }
        headers
    }

    fn signed(&self) -> SignedRequest {
        let headers = self.headers();
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        parse(text("authorization").unwrap_or_default(), text("x-amz-date")).expect(&self.name)
    }

    fn verify(&self, signed: &SignedRequest, secret: &str, now_s: i64) -> Result<(), Failure> {
        let headers = self.headers();
        let request =
            RequestHead { method: &self.method, path: &self.path, query: &self.query, headers: &headers };
        let received = Received { request: &request, body_sha256: body_sha256(self.body.as_bytes()), now_s };
        verify(signed, &Secret::new(secret), &received)
    }

    fn set(&mut self, name: &str, value: &str) {
        let (_, old) = self.headers.iter_mut().find(|(key, _)| key == name).expect(name);
        *old = value.to_owned();
    }
}

fn fault(result: Result<(), Failure>) -> AuthFault {
    match result {
        Err(Failure { kind: ErrorKind::Unauthenticated(fault), .. }) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn verifies_what_botocore_signs() {
    let Fixture { access_key_id, secret, now_s, requests, .. } = fixture();
    for request in requests {
        let signed = request.signed();
        assert_eq!(signed.access_key_id, access_key_id);
        assert_eq!(request.verify(&signed, &secret, now_s), Ok(()), "{}", request.name);
    }
}

/// Over HTTP/2 it signs `:authority`, over HTTP/1.1 `host`.
#[test]
fn verifies_what_the_aws_sdk_for_javascript_signs() {
    let requests: Vec<Request> =
        serde_json::from_str(include_str!("../../fixtures/sigv4_js.json")).expect("fixture");
    let Fixture { secret, now_s, .. } = fixture();
    let mut first_headers = Vec::new();
    for mut request in requests {
        let signed = request.signed();
        assert_eq!(request.verify(&signed, &secret, now_s), Ok(()), "{}", request.name);
        first_headers.push(signed.signed_headers[0].clone());
        request.set("host", "127.0.0.1:8081");
        assert_eq!(fault(request.verify(&signed, &secret, now_s)), AuthFault::BadSignature);
    }
    assert_eq!(first_headers, [":authority", ":authority", ":authority", "amz-sdk-invocation-id"]);
}

#[test]
fn the_known_vectors_are_among_them() {
    let signatures: Vec<String> =
        fixture().requests.iter().take(3).map(|request| request.signed().signature).collect();
    assert_eq!(
        signatures,
        [
            "0dedbc5ddf5586dd3996fbd284483bedf06d18ea507001ec2089fe7f4cd42343",
            "1029816beddb81fb44a5ec0a7c21eb75417d93ef6d45f2d0feceac6ea7da14bf",
            "bab8a6320995d31ea776b34f7eee93d71b98c63bdea7a50646e2346f616d84ba",
        ]
    );
}

#[test]
fn any_change_breaks_the_signature() {
    let Fixture { secret, now_s, requests, .. } = fixture();
    for request in requests {
        let signed = request.signed();
        let broken = |change: &dyn Fn(&mut Request)| {
            let mut changed = request.clone();
            change(&mut changed);
            fault(changed.verify(&signed, &secret, now_s))
        };
        let name = &request.name;
        assert_eq!(broken(&|request| request.method = "PATCH".into()), AuthFault::BadSignature, "{name}");
        assert_eq!(broken(&|request| request.path.push('x')), AuthFault::BadSignature, "{name}");
        assert_eq!(broken(&|request| request.query.push_str("&x=1")), AuthFault::BadSignature, "{name}");
        assert_eq!(broken(&|request| request.body.push('x')), AuthFault::BadSignature, "{name}");
        assert_eq!(broken(&|request| request.set("host", "other")), AuthFault::BadSignature, "{name}");
        assert_eq!(
            broken(&|request| request.headers.retain(|(key, _)| key != "host")),
            AuthFault::BadSignature,
            "{name}"
        );
        assert_eq!(fault(request.verify(&signed, "other secret", now_s)), AuthFault::BadSignature, "{name}");
        for change in [
            |signed: &mut SignedRequest| signed.region.push('x'),
            |signed: &mut SignedRequest| signed.service.push('x'),
            |signed: &mut SignedRequest| signed.signed_headers.push("host".into()),
            |signed: &mut SignedRequest| signed.signature.replace_range(..1, "x"),
            |signed: &mut SignedRequest| signed.signature.clear(),
        ] {
            let mut changed = signed.clone();
            change(&mut changed);
            assert_eq!(fault(request.verify(&changed, &secret, now_s)), AuthFault::BadSignature, "{name}");
        }
    }
}

#[test]
fn headers_that_are_not_signed_may_change() {
    let Fixture { secret, now_s, mut requests, .. } = fixture();
    requests[0].headers.push(("x-forwarded-for".into(), "10.0.0.1".into()));
    assert_eq!(requests[0].verify(&requests[0].signed(), &secret, now_s), Ok(()));
}

#[test]
fn an_unsigned_body_is_refused() {
    let Fixture { secret, now_s, requests, .. } = fixture();
    for hash in ["UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "", &"0".repeat(64)] {
        let mut request = requests[0].clone();
        request.headers.push(("x-amz-content-sha256".into(), hash.into()));
        assert_eq!(fault(request.verify(&request.signed(), &secret, now_s)), AuthFault::BadSignature);
    }
}

#[test]
fn clocks_may_differ_by_five_minutes() {
    let Fixture { secret, now_s, requests, .. } = fixture();
    let (request, signed) = (&requests[0], requests[0].signed());
    let at = |now_s| request.verify(&signed, &secret, now_s);
    assert_eq!(at(now_s + SKEW_MAX_S), Ok(()));
    assert_eq!(at(now_s - SKEW_MAX_S), Ok(()));
    let late = at(now_s + SKEW_MAX_S + 1);
    insta::assert_snapshot!(late.clone().expect_err("late"), @"the signature's time 20261122T120000Z is more than 5 minutes before this server's clock (20261122T120501Z); set the client's clock, or sign again before sending");
    assert_eq!(fault(late), AuthFault::ClockSkew);
    assert_eq!(fault(at(now_s - SKEW_MAX_S - 1)), AuthFault::ClockSkew);
    for extreme in [i64::MIN, i64::MAX, 0] {
        assert_eq!(fault(at(extreme)), AuthFault::ClockSkew);
    }
}

#[test]
fn a_kept_key_is_as_good() {
    let Fixture { secret, now_s, requests, .. } = fixture();
    let (request, signed) = (&requests[0], requests[0].signed());
    let headers = request.headers();
    let head = RequestHead {
        method: &request.method,
        path: &request.path,
        query: &request.query,
        headers: &headers,
    };
    let received = Received { request: &head, body_sha256: body_sha256(request.body.as_bytes()), now_s };
    let key = SigningKey::derive(&Secret::new(&*secret), &signed);
    assert_eq!(verify_with_key(&signed, &key, &received), Ok(()));
    assert_eq!(format!("{key:?}"), "SigningKey(…)");
}

#[test]
fn short_term_keys() {
    let Fixture { access_key_id, secret, now_s, short_term_keys, .. } = fixture();
    let headers = HeaderMap::new();
    let request = RequestHead { method: "POST", path: "/any", query: "", headers: &headers };
    let at = |signed: &SignedRequest, secret: &str, now_s| {
        let received = Received { request: &request, body_sha256: [7; 32], now_s };
        verify(signed, &Secret::new(secret), &received)
    };
    for ShortTermKey { name, expires_s, key } in short_term_keys {
        let signed = parse_short_term_key(&key).expect(&name);
        assert_eq!(signed.access_key_id, access_key_id);
        let presigned = signed.presigned.as_ref().expect("presigned");
        assert_eq!((presigned.host.as_str(), presigned.expires_s), ("bedrock.amazonaws.com", expires_s));
        let end_s = now_s + i64::try_from(expires_s).expect("small");
        for good_s in [now_s - SKEW_MAX_S, now_s, end_s] {
            assert_eq!(at(&signed, &secret, good_s), Ok(()), "{name}");
        }
        assert_eq!(fault(at(&signed, &secret, end_s + 1)), AuthFault::Expired);
        assert_eq!(fault(at(&signed, &secret, now_s - SKEW_MAX_S - 1)), AuthFault::ClockSkew);
        assert_eq!(fault(at(&signed, "other secret", now_s)), AuthFault::BadSignature);
        // Some generators leave the padding off.
        assert_eq!(parse_short_term_key(key.trim_end_matches('=')), Ok(signed));
    }
}

#[test]
fn damaged_short_term_keys_are_refused() {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    let key = &fixture().short_term_keys[0].key;
    let url = STANDARD.decode(&key[SHORT_TERM_PREFIX.len()..]).expect("base64");
    let url = String::from_utf8(url).expect("text");
    let made = |url: &str| format!("{SHORT_TERM_PREFIX}{}", STANDARD.encode(url));
    assert!(parse_short_term_key(&made(&url)).is_ok());
    for (from, to) in [
        ("Expires=43200", "Expires=43201"),
        ("Expires=43200", "Expires=0"),
        ("Expires=43200", "Expires=-1"),
        ("Expires=43200", "Expires=43200&X-Amz-Expires=1"),
        ("CallWithBearerToken", "GetObject"),
        ("Action=CallWithBearerToken&", ""),
        ("%2Fbedrock%2F", "%2Fs3%2F"),
        ("SignedHeaders=host", "SignedHeaders=host%3Bx"),
        ("SignedHeaders=host", "SignedHeaders=%ff"),
        ("SHA256", "SHA512"),
        ("X-Amz-Signature=", "X-Amz-Signature=0"),
        ("bedrock.amazonaws.com/", "bedrock.amazonaws.com/path/"),
        ("bedrock.amazonaws.com/", "evil\nhost:x/"),
        ("bedrock.amazonaws.com/", "/"),
        ("?", ""),
    ] {
        let damaged = url.replacen(from, to, 1);
        assert_ne!(damaged, url, "{from}");
        let failure = parse_short_term_key(&made(&damaged)).expect_err(to);
        assert_eq!(failure.kind, ErrorKind::Unauthenticated(AuthFault::Malformed), "{to}");
    }
    for broken in
        ["bedrock-api-key-", "bedrock-api-key-!", "other", &"bedrock-api-key-A".repeat(2000), &key[..60]]
    {
        assert!(parse_short_term_key(broken).is_err(), "{broken}");
    }
}

#[test]
fn the_authority_of_http2_stands_for_the_host() {
    let Fixture { access_key_id, secret, now_s, .. } = fixture();
    let secret = Secret::new(secret);
    let signer =
        Signer { access_key_id: &access_key_id, secret: &secret, region: "eu-north-1", service: "bedrock" };
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-date", HeaderValue::from_static("20261122T120000Z"));
    headers.insert("host", HeaderValue::from_static("127.0.0.1:8080"));
    let request = RequestHead { method: "POST", path: "/model/m/converse", query: "", headers: &headers };
    let hash = body_sha256(b"{}");
    let authorization = signer.sign(&request, "20261122T120000Z", &hash);
    let mut signed = parse(&authorization, Some("20261122T120000Z")).expect("a signature");
    let received = Received { request: &request, body_sha256: hash, now_s };
    assert_eq!(verify(&signed, &secret, &received), Ok(()));
    // The same over `:authority` is another signature, over the same value.
    signed.signed_headers[0] = ":authority".into();
    assert_eq!(fault(verify(&signed, &secret, &received)), AuthFault::BadSignature);
    let canonical = canonical::Canonical {
        request: &request,
        service: "bedrock",
        signed_headers: &signed.signed_headers,
        payload_hash: &hex::encode(hash),
    };
    let text = canonical.request().unwrap_or_else(|_| panic!("the host is there"));
    assert!(String::from_utf8(text).expect("text").contains("\n:authority:127.0.0.1:8080\nx-amz-date:"));
}

proptest! {
    #[test]
    fn what_is_signed_verifies(
        method in "[A-Z]{1,8}",
        path in "/[!-~]{0,40}",
        query in "[!-~]{0,40}",
        header in "[ -~]{0,40}",
        body in prop::collection::vec(any::<u8>(), 0..64),
        secret in "[!-~]{1,40}",
        service in "bedrock|s3|bedrock-mantle",
        late_s in -SKEW_MAX_S..=SKEW_MAX_S,
    ) {
        let now_s = 1_795_348_800;
        let time = timestamp(now_s);
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("h"));
        headers.insert("x-amz-date", time.parse().expect("a value"));
        headers.append("x-any", header.parse().expect("a value"));
        headers.append("x-any", HeaderValue::from_static("b"));
        let request = RequestHead { method: &method, path: &path, query: &query, headers: &headers };
        let secret = Secret::new(secret);
        let signer = Signer { access_key_id: "AKID", secret: &secret, region: "r", service: &service };
        let hash = body_sha256(&body);
        let signed = parse(&signer.sign(&request, &time, &hash), Some(&time)).expect("a signature");
        let received = Received { request: &request, body_sha256: hash, now_s: now_s + late_s };
        prop_assert_eq!(verify(&signed, &secret, &received), Ok(()));
        let other = Received { body_sha256: body_sha256(b"another body"), ..received };
        prop_assert!(verify(&signed, &secret, &other).is_err());
    }

    #[test]
    fn no_short_term_key_panics(text in ".{0,120}") {
        let _ = parse_short_term_key(&text);
        let _ = parse_short_term_key(&format!("{SHORT_TERM_PREFIX}{text}"));
        use base64::Engine;
        let encoded = base64::engine::general_purpose::STANDARD.encode(format!("h/?{text}"));
        let _ = parse_short_term_key(&format!("{SHORT_TERM_PREFIX}{encoded}"));
    }
}
