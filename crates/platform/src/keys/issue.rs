//! Making a key: random secrets, what is stored of them, and what is told.
//!
//! The bearer secret is `ock_<id>_<43 of A-Z a-z 0-9>`: the id finds its row without a
//! search, the rest carries 256 bits. It is stored as plain SHA-256. Slow hashes
//! (argon2, bcrypt) exist to make guessing low-entropy passwords expensive; 256 random
//! bits cannot be guessed at any speed, and a slow hash on every request would be a gift
//! to whoever wants the server busy.
//!
//! The AWS pair is `OCAK` + 16 of A-Z 0-9 and 40 of A-Z a-z 0-9 (238 bits), the lengths AWS
//! SDKs and tools expect (key kinds: Amazon Bedrock user guide, read 2026-11-22).

use std::time::{SystemTime, UNIX_EPOCH};

use message::Secret;
use sha2::{Digest, Sha256};
use store::{KeyRow, Sealer};
use time::OffsetDateTime;

use super::{CreatedKey, KeyError, KeyInfo, KeyState, NAME_MAX_CHARS, NewKey};

/// What every bearer secret begins with, so that scanners for leaked secrets can find it.
pub(super) const BEARER_PREFIX: &str = "ock_";

const ID_CHARS: usize = 16;
const BEARER_CHARS: usize = 43;
const ACCESS_KEY_CHARS: usize = 16;
const SECRET_ACCESS_KEY_CHARS: usize = 40;
const TAIL_CHARS: usize = 4;

const LOWER: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const UPPER: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const MIXED: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Makes a key: the row to store, and what its owner sees once.
pub(super) fn issue(
    new: &NewKey,
    sealer: &Sealer,
    now: SystemTime,
) -> Result<(KeyRow, CreatedKey), KeyError> {
    let name = new.name.trim();
    if name.is_empty() || name.chars().count() > NAME_MAX_CHARS || name.contains(char::is_control) {
        return Err(KeyError::Name);
    }
    let now_s = unix_seconds(now);
    let expires_s = new.expires.map(unix_seconds);
    if expires_s.is_some_and(|at| at <= now_s || OffsetDateTime::from_unix_timestamp(at).is_err()) {
        return Err(KeyError::Expiry);
    }
    let short_id = random(LOWER, ID_CHARS)?;
    let id = format!("key_{short_id}");
    let bearer = format!("{BEARER_PREFIX}{short_id}_{}", random(MIXED, BEARER_CHARS)?);
    let secret = random(MIXED, SECRET_ACCESS_KEY_CHARS)?;
    let row = KeyRow {
        name: name.to_owned(),
        bearer_sha256: hex::encode(digest(&bearer)),
        bearer_tail: bearer[bearer.len() - TAIL_CHARS..].to_owned(),
        access_key_id: format!("OCAK{}", random(UPPER, ACCESS_KEY_CHARS)?),
        sealed_secret: sealer.seal(&id, &secret)?,
        created_s: now_s,
        expires_s,
        revoked_s: None,
        id,
    };
    let info = info(&row, now_s);
    Ok((row, CreatedKey { info, bearer: Secret::new(bearer), secret_access_key: Secret::new(secret) }))
}

/// The id inside a bearer secret, if it is one of ours by its looks.
pub(super) fn id_in(bearer: &str) -> Option<&str> {
    bearer.strip_prefix(BEARER_PREFIX)?.split_once('_').map(|(id, _)| id)
}

/// What is stored of a bearer secret.
pub(super) fn digest(bearer: &str) -> [u8; 32] {
    Sha256::digest(bearer.as_bytes()).into()
}

/// What may be told of a stored key.
pub(super) fn info(row: &KeyRow, now_s: i64) -> KeyInfo {
    let state = match (row.revoked_s, row.expires_s) {
        (Some(_), _) => KeyState::Revoked,
        (None, Some(at)) if at <= now_s => KeyState::Expired,
        _ => KeyState::Active,
    };
    KeyInfo {
        id: row.id.clone(),
        name: row.name.clone(),
        bearer_tail: row.bearer_tail.clone(),
        access_key_id: row.access_key_id.clone(),
        created: date(row.created_s),
        expires: row.expires_s.map(date),
        revoked: row.revoked_s.map(date),
        state,
    }
}

/// Whole seconds since 1970; before that, 0.
pub(super) fn unix_seconds(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

fn date(unix_s: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(unix_s).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Characters drawn evenly from an alphabet: bytes that would favour some are thrown away.
fn random(alphabet: &[u8], chars: usize) -> Result<String, KeyError> {
    let even = 256 - 256 % alphabet.len();
    let mut text = String::with_capacity(chars);
    let mut bytes = [0_u8; 64];
    while text.len() < chars {
        getrandom::fill(&mut bytes).map_err(KeyError::Random)?;
        let wanted = chars - text.len();
        let drawn = bytes.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < even);
        text.extend(drawn.take(wanted).map(|byte| char::from(alphabet[byte % alphabet.len()])));
    }
    Ok(text)
}
