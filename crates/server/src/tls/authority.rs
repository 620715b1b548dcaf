//! The local certificate authority: `ca.key` and `ca.pem` in one folder.
//!
//! Both are written whole under another name and then linked into place, which fails
//! if somebody else was first; then theirs is used. So two first starts at once agree,
//! and a crash leaves a key without a certificate at worst, for which the next start
//! makes one.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use time::{Duration, OffsetDateTime};

use super::{TlsError, ca_path};

/// How long the authority is valid: clients are told to trust it once.
const VALID: Duration = Duration::days(3652);

/// Clocks of clients may be behind ours by this much.
const BACKDATED: Duration = Duration::days(1);

/// The authority.
pub(super) struct Authority {
    pub(super) issuer: Issuer<'static, KeyPair>,
    pub(super) certificate: CertificateDer<'static>,
}

impl Authority {
    /// Opens the authority in `folder`; makes what is missing.
    pub(super) fn open(folder: &Path, now: OffsetDateTime) -> Result<Self, TlsError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|source| file("create", folder, source))?;
        let key = key(folder)?;
        let certificate = certificate(folder, &key, now)?;
        let params = params(now);
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }
}

fn key(folder: &Path) -> Result<KeyPair, TlsError> {
    let path = folder.join("ca.key");
    let pem = read_or_make(&path, 0o600, || {
        Ok(KeyPair::generate().map_err(|error| TlsError::Issue(error.to_string()))?.serialize_pem())
    })?;
    KeyPair::from_pem(&pem).map_err(|error| unusable(folder, &format!("ca.key: {error}")))
}

fn certificate(
    folder: &Path,
    key: &KeyPair,
    now: OffsetDateTime,
) -> Result<CertificateDer<'static>, TlsError> {
    let pem = read_or_make(&ca_path(folder), 0o644, || {
        let made = params(now).self_signed(key);
        Ok(made.map_err(|error| TlsError::Issue(error.to_string()))?.pem())
    })?;
    CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|error| unusable(folder, &format!("ca.pem: {error}")))
}

/// What the authority's certificate says. An issuer made of the same words and key is
/// the same issuer to whoever verifies, so the certificate is never parsed back.
fn params(now: OffsetDateTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Outcrop local authority");
    params.distinguished_name.push(DnType::OrganizationName, "Outcrop");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = now - BACKDATED;
    params.not_after = now + VALID;
    params
}

/// Reads the file; if there is none, makes it, unless another process was quicker.
fn read_or_make(
    path: &Path,
    mode: u32,
    make: impl FnOnce() -> Result<String, TlsError>,
) -> Result<String, TlsError> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        read => return read.map_err(|source| file("read", path, source)),
    }
    let draft = draft_path(path);
    let placed = write_new(&draft, mode, &make()?).and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    let _ = fs::remove_file(&draft);
    placed.map_err(|source| file("write", path, source))?;
    fs::read_to_string(path).map_err(|source| file("read", path, source))
}

fn draft_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.{:016x}", std::process::id(), fastrand::u64(..)));
    path.with_file_name(name)
}

fn write_new(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn file(action: &'static str, path: &Path, source: io::Error) -> TlsError {
    TlsError::File { action, path: path.to_owned(), source }
}

fn unusable(folder: &Path, reason: &str) -> TlsError {
    TlsError::Authority { folder: folder.to_owned(), reason: reason.to_owned() }
}
