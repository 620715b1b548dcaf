//! An `Authorization: AWS4-HMAC-SHA256 …` header → its parts. The header comes from
//! anybody: everything is checked and bounded before it is kept.

use message::{Failure, SignedRequest};

use super::{ALGORITHM, malformed, timestamp};

/// Longest access key id, in bytes. AWS allows 128.
const ACCESS_KEY_ID_BYTES_MAX: usize = 128;
/// Longest region or service name, in bytes; the longest of AWS have 26.
const SCOPE_NAME_BYTES_MAX: usize = 64;
/// Most headers a signature may cover; SDKs sign about 20.
const SIGNED_HEADERS_MAX: usize = 100;

/// Parses an `Authorization` header of Signature Version 4; `x_amz_date` is the header
/// of that name.
///
/// # Errors
/// [`Malformed`](message::AuthFault::Malformed), saying what is wrong with which part.
pub fn parse(authorization: &str, x_amz_date: Option<&str>) -> Result<SignedRequest, Failure> {
    let (algorithm, rest) = authorization.split_once(' ').unwrap_or((authorization, ""));
    check_algorithm(algorithm)?;
    let [mut credential, mut signed_headers, mut signature] = [None; 3];
    for part in rest.split(',') {
        let Some((name, value)) = part.trim().split_once('=') else {
            return Err(malformed(
                "the Authorization header has a part without '='; expected Credential=…, SignedHeaders=…, Signature=…",
            ));
        };
        let place = match name {
            "Credential" => &mut credential,
            "SignedHeaders" => &mut signed_headers,
            "Signature" => &mut signature,
            _ => {
                return Err(malformed(
                    "the Authorization header has a part that is none of Credential, SignedHeaders and Signature",
                ));
            }
        };
        if place.replace(value).is_some() {
            return Err(malformed(format!("the Authorization header has {name} twice")));
        }
    }
    let missing = |name: &str| malformed(format!("the Authorization header has no {name}=…"));
    Parts {
        credential: credential.ok_or_else(|| missing("Credential"))?,
        signed_headers: signed_headers.ok_or_else(|| missing("SignedHeaders"))?,
        signature: signature.ok_or_else(|| missing("Signature"))?,
        timestamp: x_amz_date.ok_or_else(|| malformed("a signed request must have the header x-amz-date"))?,
    }
    .check()
}

pub(super) fn check_algorithm(algorithm: &str) -> Result<(), Failure> {
    if algorithm == ALGORITHM {
        return Ok(());
    }
    Err(malformed(format!("the signature's algorithm is not known here; sign with {ALGORITHM}")))
}

/// What header and presigned query have in common, still as text.
pub(super) struct Parts<'a> {
    pub(super) credential: &'a str,
    pub(super) signed_headers: &'a str,
    pub(super) signature: &'a str,
    pub(super) timestamp: &'a str,
}

impl Parts<'_> {
    pub(super) fn check(self) -> Result<SignedRequest, Failure> {
        let scope: Vec<&str> = self.credential.splitn(6, '/').collect();
        let [access_key_id, date, region, service, "aws4_request"] = scope[..] else {
            return Err(malformed(
                "the Credential must be access-key-id/YYYYMMDD/region/service/aws4_request",
            ));
        };
        check_text("access key id", access_key_id, ACCESS_KEY_ID_BYTES_MAX)?;
        check_text("region", region, SCOPE_NAME_BYTES_MAX)?;
        check_text("service", service, SCOPE_NAME_BYTES_MAX)?;
        if timestamp::parse(self.timestamp).is_none() {
            return Err(malformed("x-amz-date must be written as YYYYMMDDTHHMMSSZ"));
        }
        if !self.timestamp.starts_with(date) || date.len() != 8 {
            return Err(malformed("the date in the Credential is not that of x-amz-date"));
        }
        let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if self.signature.len() != 64 || !self.signature.bytes().all(hex) {
            return Err(malformed("the Signature must be 64 lower-case hexadecimal digits"));
        }
        Ok(SignedRequest {
            access_key_id: access_key_id.to_owned(),
            date: date.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            timestamp: self.timestamp.to_owned(),
            signed_headers: check_signed_headers(self.signed_headers)?,
            signature: self.signature.to_owned(),
            presigned: None,
        })
    }
}

fn check_text(what: &str, text: &str, bytes_max: usize) -> Result<(), Failure> {
    let fine =
        !text.is_empty() && text.len() <= bytes_max && text.bytes().all(|byte| byte.is_ascii_graphic());
    if fine {
        Ok(())
    } else {
        Err(malformed(format!("the {what} in the Credential is empty, too long or not ASCII")))
    }
}

fn check_signed_headers(list: &str) -> Result<Vec<String>, Failure> {
    let mut names: Vec<String> = Vec::new();
    for name in list.split(';') {
        let token = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
        let plain = !name.is_empty() && name.bytes().all(token);
        if !plain && name != ":authority" {
            return Err(malformed("SignedHeaders must be lower-case header names joined by ';'"));
        }
        if names.len() == SIGNED_HEADERS_MAX || names.iter().any(|known| known == name) {
            return Err(malformed(format!(
                "SignedHeaders names a header twice, or more than {SIGNED_HEADERS_MAX} headers"
            )));
        }
        names.push(name.to_owned());
    }
    // Without it the same signature would be good at any other server.
    if !names.iter().any(|name| name == "host" || name == ":authority") {
        return Err(malformed("SignedHeaders must name host (or :authority over HTTP/2)"));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIGNATURE: &str = "0dedbc5ddf5586dd3996fbd284483bedf06d18ea507001ec2089fe7f4cd42343";
    const DATE: Option<&str> = Some("20261122T120000Z");

    fn header(credential: &str, headers: &str, signature: &str) -> String {
        format!("{ALGORITHM} Credential={credential}, SignedHeaders={headers}, Signature={signature}")
    }

    fn good() -> String {
        header("AKID/20261122/us-east-1/bedrock/aws4_request", "host;x-amz-date", SIGNATURE)
    }

    #[test]
    fn reads_the_parts() {
        let expected = SignedRequest {
            access_key_id: "AKID".into(),
            date: "20261122".into(),
            region: "us-east-1".into(),
            service: "bedrock".into(),
            timestamp: "20261122T120000Z".into(),
            signed_headers: vec!["host".into(), "x-amz-date".into()],
            signature: SIGNATURE.into(),
            presigned: None,
        };
        assert_eq!(parse(&good(), DATE), Ok(expected.clone()));
        // Without spaces, and in another order.
        assert_eq!(parse(&good().replace(", ", ","), DATE), Ok(expected.clone()));
        let turned = format!(
            "{ALGORITHM} Signature={SIGNATURE},  SignedHeaders=host;x-amz-date , Credential=AKID/20261122/us-east-1/bedrock/aws4_request"
        );
        assert_eq!(parse(&turned, DATE), Ok(expected));
    }

    #[test]
    fn refuses_the_rest_and_says_why() {
        let scope = "AKID/20261122/us-east-1/bedrock/aws4_request";
        let many = (0..200).map(|n| format!("x-{n}")).collect::<Vec<_>>().join(";");
        for (authorization, date, why) in [
            (String::new(), DATE, "algorithm"),
            (ALGORITHM.to_owned(), DATE, "without '='"),
            (format!("{ALGORITHM} "), DATE, "without '='"),
            (good().replace("HMAC", "ECDSA-P256"), DATE, "algorithm"),
            (good().replace("Signature=", "Sig="), DATE, "none of"),
            (good() + ",", DATE, "without '='"),
            (good() + ", Signature=00", DATE, "Signature twice"),
            (format!("{ALGORITHM} Credential={scope}, Signature={SIGNATURE}"), DATE, "no SignedHeaders"),
            (good(), None, "x-amz-date"),
            (good(), Some("2026-11-22T12:00:00Z"), "YYYYMMDDTHHMMSSZ"),
            (good(), Some("20261123T120000Z"), "not that of x-amz-date"),
            (header("AKID/2026/us-east-1/bedrock/aws4_request", "host", SIGNATURE), DATE, "not that of"),
            (header("AKID//us-east-1/bedrock/aws4_request", "host", SIGNATURE), DATE, "not that of"),
            (header("AKID/20261122/us-east-1/bedrock", "host", SIGNATURE), DATE, "must be access-key-id/"),
            (
                header("AKID/20261122/us-east-1/bedrock/aws5", "host", SIGNATURE),
                DATE,
                "must be access-key-id/",
            ),
            (header(&format!("{scope}/x"), "host", SIGNATURE), DATE, "must be access-key-id/"),
            (header(&scope.replace("AKID", ""), "host", SIGNATURE), DATE, "access key id"),
            (header(&scope.replace("AKID", &"A".repeat(129)), "host", SIGNATURE), DATE, "access key id"),
            (header(&scope.replace("us-east-1", "ů"), "host", SIGNATURE), DATE, "region"),
            (header(&scope.replace("bedrock", ""), "host", SIGNATURE), DATE, "service"),
            (header(scope, "", SIGNATURE), DATE, "lower-case header names"),
            (header(scope, "Host", SIGNATURE), DATE, "lower-case header names"),
            (header(scope, "host;;date", SIGNATURE), DATE, "lower-case header names"),
            (header(scope, "host;:path", SIGNATURE), DATE, "lower-case header names"),
            (header(scope, "host;a;host", SIGNATURE), DATE, "twice"),
            (header(scope, &many, SIGNATURE), DATE, "more than"),
            (header(scope, "x-amz-date", SIGNATURE), DATE, "must name host"),
            (header(scope, "host", "abc"), DATE, "64 lower-case"),
            (header(scope, "host", &SIGNATURE.to_uppercase()), DATE, "64 lower-case"),
            (header(scope, "host", &"é".repeat(32)), DATE, "64 lower-case"),
        ] {
            let failure = parse(&authorization, date).expect_err(&authorization);
            assert!(failure.message.contains(why), "{authorization}: {failure}");
            assert_eq!(failure.kind, message::ErrorKind::Unauthenticated(message::AuthFault::Malformed));
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,200}", date in prop::option::of(".{0,20}")) {
            let _ = parse(&text, date.as_deref());
            let _ = parse(&format!("{ALGORITHM} {text}"), date.as_deref());
            let _ = parse(&header(&text, &text, SIGNATURE), DATE);
        }
    }
}
