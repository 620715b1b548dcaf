//! Short-term Bedrock keys: `bedrock-api-key-` and, in base64, a presigned query that
//! names the access key it stands for.
//!
//! Format of aws-bedrock-token-generator 1.1.0 (read 2026-11-22): the URL without its
//! scheme, `bedrock.amazonaws.com/?Action=CallWithBearerToken&X-Amz-…`, plus an unsigned
//! `&Version=1`. Verified offline, with the secret of the access key it names.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use message::{Failure, Presigned, SignedRequest};

use super::canonical::{canonical_query, decode};
use super::malformed;
use super::parse::{Parts, check_algorithm};

/// What every short-term key begins with.
pub const PREFIX: &str = "bedrock-api-key-";
/// Longest validity of a short-term key, in seconds: 12 hours, as AWS allows.
pub const EXPIRES_MAX_S: u64 = 12 * 60 * 60;
/// Longest short-term key, in bytes. A session token inside may have 4 KiB, and
/// percent- and base64-encoding stretch it.
const KEY_BYTES_MAX: usize = 16 << 10;

/// Some generators leave the padding off.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Parses a short-term key, [`PREFIX`] included.
///
/// # Errors
/// [`Malformed`](message::AuthFault::Malformed), saying what is wrong.
pub fn parse(key: &str) -> Result<SignedRequest, Failure> {
    let broken = || malformed("the short-term key (bedrock-api-key-…) cannot be read; was it copied whole?");
    if key.len() > KEY_BYTES_MAX {
        return Err(malformed(format!("the short-term key is longer than {KEY_BYTES_MAX} bytes")));
    }
    let encoded = key.strip_prefix(PREFIX).ok_or_else(broken)?;
    let url = BASE64.decode(encoded).ok().and_then(|url| String::from_utf8(url).ok()).ok_or_else(broken)?;
    let (address, query) = url.split_once('?').ok_or_else(broken)?;
    let address = address.strip_prefix("https://").unwrap_or(address);
    let host = address.strip_suffix('/').filter(|host| is_host(host)).ok_or_else(broken)?;
    read_query(host, query)
}

fn read_query(host: &str, query: &str) -> Result<SignedRequest, Failure> {
    let one = |name: &str| -> Result<Cow<'_, str>, Failure> {
        let mut values =
            query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(key, _)| *key == name);
        match (values.next(), values.next()) {
            (Some((_, value)), None) => String::from_utf8(decode(value).into_owned())
                .map(Cow::Owned)
                .map_err(|_| malformed(format!("{name} in the short-term key is not text"))),
            _ => Err(malformed(format!("the short-term key must have {name} once"))),
        }
    };
    check_algorithm(&one("X-Amz-Algorithm")?)?;
    // Any presigned URL has the rest; only this makes it a key.
    if one("Action")? != "CallWithBearerToken" {
        return Err(malformed("the short-term key was not made for calling models"));
    }
    let expires_s =
        one("X-Amz-Expires")?.parse().ok().filter(|expires_s| (1..=EXPIRES_MAX_S).contains(expires_s));
    let Some(expires_s) = expires_s else {
        return Err(malformed(format!(
            "X-Amz-Expires of a short-term key must be 1 to {EXPIRES_MAX_S} seconds"
        )));
    };
    let mut signed = Parts {
        credential: &one("X-Amz-Credential")?,
        signed_headers: &one("X-Amz-SignedHeaders")?,
        signature: &one("X-Amz-Signature")?,
        timestamp: &one("X-Amz-Date")?,
    }
    .check()?;
    if signed.service != "bedrock" || signed.signed_headers != ["host"] {
        return Err(malformed("a short-term key must be signed for the service bedrock, over host alone"));
    }
    // `Version` is appended after signing.
    let is_signed = |pair: &&str| !matches!(pair.split('=').next(), Some("X-Amz-Signature" | "Version"));
    let canonical_query = canonical_query(query.split('&').filter(is_signed));
    signed.presigned = Some(Presigned { host: host.to_owned(), canonical_query, expires_s });
    Ok(signed)
}

fn is_host(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':');
    !text.is_empty() && text.bytes().all(plain)
}
