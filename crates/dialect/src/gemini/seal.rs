//! Seals of reasoning as clients and servers of this dialect write them.
//!
//! A `thoughtSignature` is base64 here, and SDKs check that it is. Gemini's own goes to its
//! clients as it came. Another vendor's (a Claude behind this door) is wrapped in base64
//! with a marker, so that it comes back known for what it is, and never reaches Gemini.
//! Inside the hub a seal is written the way [`Sealer`] says.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use message::Sealer;

/// What every wrapped seal begins with: `outcrop.` in base64, as far as whole characters go.
pub(super) const MARKER: &str = "b3V0Y3JvcC";

/// Reads with and without padding; writes with it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

const SEAL: &str = "outcrop.seal:";
const REDACTED: &str = "outcrop.redacted:";

/// What a client's `thoughtSignature` holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// A seal, as it travels through the hub.
    Seal(String),
    /// Another vendor's encrypted reasoning, whole.
    Redacted(String),
}

/// A client's `thoughtSignature`.
pub(super) fn of_client(signature: &str) -> Held {
    if signature.starts_with(MARKER)
        && let Ok(bytes) = BASE64.decode(standard(signature))
        && let Ok(text) = String::from_utf8(bytes)
    {
        if let Some(seal) = text.strip_prefix(SEAL) {
            return Held::Seal(seal.to_owned());
        }
        if let Some(data) = text.strip_prefix(REDACTED) {
            return Held::Redacted(data.to_owned());
        }
    }
    Held::Seal(Sealer::Gemini.tag(signature))
}

/// A seal of the hub, as a client of this dialect is given it.
pub(super) fn for_client(travelled: &str) -> String {
    match Sealer::read(travelled) {
        (Sealer::Gemini, seal) => seal.to_owned(),
        _ => BASE64.encode([SEAL, travelled].concat()),
    }
}

/// Encrypted reasoning, as a client of this dialect is given it.
pub(super) fn redacted_for_client(data: &str) -> String {
    BASE64.encode([REDACTED, data].concat())
}

/// A seal of the hub as Gemini takes it back; `None`: it is not Gemini's.
pub(super) fn for_server(travelled: &str) -> Option<&str> {
    match Sealer::read(travelled) {
        (Sealer::Gemini, seal) => Some(seal),
        _ => None,
    }
}

/// Base64 in the standard alphabet; Google's SDKs write the one for URLs.
pub(super) fn standard(data: &str) -> String {
    data.replace('-', "+").replace('_', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seal_comes_back_as_it_went() {
        for travelled in ["c2VhbA==", &Sealer::Gemini.tag("Zm9v"), &Sealer::OpenAi.tag("gAAA_-=")] {
            let signature = for_client(travelled);
            assert!(BASE64.decode(&signature).is_ok(), "{signature}");
            assert_eq!(of_client(&signature), Held::Seal(travelled.to_owned()));
            let urlsafe = signature.replace('+', "-").replace('/', "_").replace('=', "");
            if !travelled.starts_with("outcrop.gemini") {
                assert_eq!(of_client(&urlsafe), Held::Seal(travelled.to_owned()));
                assert!(signature.starts_with(MARKER));
            }
        }
        assert_eq!(of_client(&redacted_for_client("x")), Held::Redacted("x".to_owned()));
    }

    #[test]
    fn r9_gemini_takes_back_its_own_only() {
        assert_eq!(for_server(&Sealer::Gemini.tag("Zm9v")), Some("Zm9v"));
        assert_eq!(for_server("claude's"), None);
        assert_eq!(for_server(&Sealer::OpenAi.tag("x")), None);
    }
}
