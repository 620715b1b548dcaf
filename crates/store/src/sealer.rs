//! Secrets at rest: XChaCha20-Poly1305 under a master key kept beside the database.
//!
//! SigV4 verification needs the secret itself, so a hash will not do. The file
//! `master.key` (64 hex digits, mode 0600) is made on first start; whoever copies only
//! the database (a backup, a replica) learns no secret. The owner's id is associated
//! data: a sealed secret moved to another row does not open.
//!
//! Construction: draft-irtf-cfrg-xchacha-03 (read 2026-11-22). A random 192-bit nonce
//! per secret makes reuse impossible in practice.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::directory::{at, ensure_private_file, write_atomically};
use crate::error::StoreError;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
/// The file's name in the data directory.
const FILE: &str = "master.key";

/// Seals and opens secrets under the master key.
#[derive(Clone)]
pub struct Sealer(XChaCha20Poly1305);

/// A sealed secret that does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a sealed secret does not open: it was sealed under another master key, for another owner, or was changed"
)]
pub struct SealError;

impl Sealer {
    /// Loads the directory's master key. With none there, makes one if `fresh` (nothing
    /// was ever sealed). The caller holds the directory's lock.
    pub(crate) fn load(directory: &Path, fresh: bool) -> Result<Self, StoreError> {
        let path = directory.join(FILE);
        let text = match fs::read(&path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&path)(error)),
            Err(_) if !fresh => return Err(StoreError::MasterKeyLost { path }),
            Err(_) => create(&path)?,
        };
        ensure_private_file(&path)?;
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        hex::decode_to_slice(text.trim_ascii(), &mut *key)
            .map_err(|_| StoreError::MasterKeyMalformed { path })?;
        Ok(Self::new(&key))
    }

    /// A sealer of a given key.
    pub fn new(key: &[u8; KEY_BYTES]) -> Self {
        Self(XChaCha20Poly1305::new(key.into()))
    }

    /// Seals `secret` for `owner`: hex of nonce, ciphertext and tag.
    ///
    /// # Errors
    /// The operating system gave no random bytes.
    pub fn seal(&self, owner: &str, secret: &str) -> Result<String, StoreError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(StoreError::Random)?;
        let payload = Payload { msg: secret.as_bytes(), aad: owner.as_bytes() };
        let sealed = self
            .0
            .encrypt(XNonce::from_slice(&nonce), payload)
            .expect("the cipher fails only on messages over 256 GiB");
        Ok(hex::encode([&nonce[..], &sealed].concat()))
    }

    /// Opens what [`Sealer::seal`] sealed for the same `owner`.
    ///
    /// # Errors
    /// [`SealError`] for anything else.
    pub fn open(&self, owner: &str, sealed: &str) -> Result<Zeroizing<String>, SealError> {
        let bytes = hex::decode(sealed).map_err(|_| SealError)?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES).ok_or(SealError)?;
        let payload = Payload { msg: sealed, aad: owner.as_bytes() };
        let secret = self.0.decrypt(XNonce::from_slice(nonce), payload).map_err(|_| SealError)?;
        String::from_utf8(secret).map(Zeroizing::new).map_err(|_| SealError)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(…)")
    }
}

fn create(path: &Path) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    getrandom::fill(&mut *key).map_err(StoreError::Random)?;
    let mut text = Zeroizing::new(hex::encode(*key).into_bytes());
    text.push(b'\n');
    write_atomically(path, &text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn opens_what_it_sealed_and_nothing_else() {
        let sealer = Sealer::new(&[7; 32]);
        let sealed = sealer.seal("key_a", "a secret").unwrap();
        assert_eq!(sealer.open("key_a", &sealed).unwrap().as_str(), "a secret");
        assert_eq!(sealer.open("key_b", &sealed), Err(SealError), "another owner");
        assert_eq!(Sealer::new(&[8; 32]).open("key_a", &sealed), Err(SealError), "another key");
        for place in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[place] = if changed[place] == b'0' { b'1' } else { b'0' };
            assert_eq!(sealer.open("key_a", std::str::from_utf8(&changed).unwrap()), Err(SealError));
            assert_eq!(sealer.open("key_a", &sealed[..place]), Err(SealError), "cut");
        }
        assert_ne!(sealed, sealer.seal("key_a", "a secret").unwrap(), "nonces differ");
    }

    #[test]
    fn master_key_is_made_once_private_and_never_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let sealed = Sealer::load(directory.path(), true).unwrap().seal("o", "s").unwrap();
        let mode = fs::metadata(directory.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(Sealer::load(directory.path(), false).unwrap().open("o", &sealed).unwrap().as_str(), "s");

        fs::remove_file(directory.path().join(FILE)).unwrap();
        let lost = Sealer::load(directory.path(), false).unwrap_err();
        assert!(matches!(lost, StoreError::MasterKeyLost { .. }), "{lost}");
        fs::write(directory.path().join(FILE), "not hex").unwrap();
        let malformed = Sealer::load(directory.path(), true).unwrap_err();
        assert!(matches!(malformed, StoreError::MasterKeyMalformed { .. }), "{malformed}");
    }
}
