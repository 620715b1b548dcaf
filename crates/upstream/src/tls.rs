//! Whom to trust: the system's certificate authorities (`SSL_CERT_FILE` and
//! `SSL_CERT_DIR` are honoured), and one's own.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// The system's authorities, read once, or why there are none.
fn system() -> Result<RootCertStore, String> {
    static ROOTS: OnceLock<Result<RootCertStore, String>> = OnceLock::new();
    let read = || {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            return Err(found.errors.first().map_or_else(|| "none found".to_owned(), ToString::to_string));
        }
        Ok(roots)
    };
    ROOTS.get_or_init(read).clone()
}

/// Trusts nobody: for servers in the clear, since reading certificates takes a while.
pub(crate) fn none() -> Result<ClientConfig, String> {
    config(RootCertStore::empty())
}

/// Trusts the system's authorities and those of `ca_file`, which are enough alone.
pub(crate) fn trusting(ca_file: Option<&Path>) -> Result<ClientConfig, String> {
    let Some(path) = ca_file else { return config(system()?) };
    let mut roots = system().unwrap_or_else(|_| RootCertStore::empty());
    for authority in authorities(path)? {
        roots.add(authority).map_err(|error| error.to_string())?;
    }
    config(roots)
}

/// The certificates of a PEM file; at least one.
pub(crate) fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |why: String| format!("cannot read certificates from `{}`: {why}", path.display());
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?.collect();
    match found {
        Ok(found) if found.is_empty() => Err(wrong("there is none".to_owned())),
        Ok(found) => Ok(found),
        Err(error) => Err(wrong(error.to_string())),
    }
}

fn config(roots: RootCertStore) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
