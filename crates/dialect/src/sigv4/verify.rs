//! Is this signature by who holds the secret, over this very request, and fresh?

use message::{AuthFault, Failure, Presigned, Secret, SignedRequest};
use subtle::ConstantTimeEq;

use super::canonical::{Canonical, HeaderMissing, string_to_sign};
use super::{SigningKey, body_sha256, malformed, timestamp};
use crate::RequestHead;

/// How far a client's clock may be off, in seconds, either way: 5 minutes, as AWS
/// allows. Also how long a captured request could be sent again.
pub const SKEW_MAX_S: i64 = 5 * 60;

/// A request as it came in.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// Its head: raw path and query, and all headers.
    pub request: &'a RequestHead<'a>,
    /// The hash of its whole body ([`body_sha256`]); not looked at
    /// for a short-term key, which covers no request.
    pub body_sha256: [u8; 32],
    /// The time, in seconds since 1970.
    pub now_s: i64,
}

/// Checks a signature against the secret of the access key it names.
///
/// # Errors
/// [`Unauthenticated`](message::ErrorKind::Unauthenticated) with
/// [`ClockSkew`](AuthFault::ClockSkew), [`Expired`](AuthFault::Expired),
/// [`Malformed`](AuthFault::Malformed) or [`BadSignature`](AuthFault::BadSignature).
pub fn verify(signed: &SignedRequest, secret: &Secret, received: &Received<'_>) -> Result<(), Failure> {
    verify_with_key(signed, &SigningKey::derive(secret, signed), received)
}

/// [`verify`] with a signing key that the caller kept; it must be
/// [derived](SigningKey::derive) for the same access key, date, region and service.
///
/// # Errors
/// As [`verify`].
pub fn verify_with_key(
    signed: &SignedRequest,
    key: &SigningKey,
    received: &Received<'_>,
) -> Result<(), Failure> {
    check_time(signed, received.now_s)?;
    let canonical_request = match &signed.presigned {
        Some(presigned) => short_term_request(presigned),
        None => {
            let payload_hash = check_payload(received)?;
            let canonical = Canonical {
                request: received.request,
                service: &signed.service,
                signed_headers: &signed.signed_headers,
                payload_hash: &payload_hash,
            };
            canonical.request().map_err(|HeaderMissing(name)| {
                bad_signature(format!("the signature covers the header {name}, which the request does not have; a proxy may have removed it"))
            })?
        }
    };
    let scope = [&*signed.date, &*signed.region, &*signed.service];
    let expected = key.sign(string_to_sign(&signed.timestamp, &scope, &canonical_request).as_bytes());
    let mut given = [0; 32];
    let readable = hex::decode_to_slice(&signed.signature, &mut given).is_ok();
    if readable && bool::from(expected.ct_eq(&given)) {
        return Ok(());
    }
    Err(bad_signature(
        "the request's signature does not match; check the secret access key, and that nothing between client and server changes path, query, headers or body",
    ))
}

fn bad_signature(message: impl Into<String>) -> Failure {
    Failure::unauthenticated(AuthFault::BadSignature, message)
}

fn check_time(signed: &SignedRequest, now_s: i64) -> Result<(), Failure> {
    let signed_s = timestamp::parse(&signed.timestamp)
        .ok_or_else(|| malformed("the signature's time cannot be read"))?;
    let age_s = now_s.saturating_sub(signed_s);
    let lifetime_s = match &signed.presigned {
        Some(presigned) => i64::try_from(presigned.expires_s).unwrap_or(i64::MAX),
        None => SKEW_MAX_S,
    };
    let (time, now) = (&signed.timestamp, timestamp::format(now_s));
    if age_s < -SKEW_MAX_S {
        let message = format!(
            "the signature's time {time} is ahead of this server's clock ({now}) by more than 5 minutes; set the client's clock"
        );
        return Err(Failure::unauthenticated(AuthFault::ClockSkew, message));
    }
    if age_s <= lifetime_s {
        return Ok(());
    }
    Err(if signed.presigned.is_some() {
        let message = format!("the short-term key of {time} has expired (it is {now}); make a new one");
        Failure::unauthenticated(AuthFault::Expired, message)
    } else {
        let message = format!(
            "the signature's time {time} is more than 5 minutes before this server's clock ({now}); set the client's clock, or sign again before sending"
        );
        Failure::unauthenticated(AuthFault::ClockSkew, message)
    })
}

/// The payload hash the signature covers, once it is known to be that of the body.
fn check_payload(received: &Received<'_>) -> Result<String, Failure> {
    let actual = hex::encode(received.body_sha256);
    match received.request.headers.get("x-amz-content-sha256") {
        None => Ok(actual),
        Some(claimed) if claimed.as_bytes() == actual.as_bytes() => Ok(actual),
        Some(claimed)
            if claimed.as_bytes().starts_with(b"UNSIGNED-")
                || claimed.as_bytes().starts_with(b"STREAMING-") =>
        {
            Err(bad_signature("x-amz-content-sha256 leaves the body unsigned; send the hash of the body"))
        }
        Some(_) => Err(bad_signature("x-amz-content-sha256 is not the hash of the body that arrived")),
    }
}

/// What a short-term key signs: a request that is never sent.
fn short_term_request(presigned: &Presigned) -> Vec<u8> {
    let Presigned { host, canonical_query, .. } = presigned;
    let empty_body = hex::encode(body_sha256(b""));
    format!("POST\n/\n{canonical_query}\nhost:{host}\n\nhost\n{empty_body}").into_bytes()
}
