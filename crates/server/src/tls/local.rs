//! The server's own certificate: issued from the local authority, held in memory only,
//! and issued anew while the server runs, long before it expires.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SanType};
use rustls::CertificateError;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use time::{Duration, OffsetDateTime};

use super::authority::Authority;
use super::{TlsError, ca_path};

/// How long a certificate is valid: short, since nobody has to trust it by hand.
const VALID: Duration = Duration::days(90);

/// A new one is issued when less than this is left.
const RENEW_BEFORE: Duration = Duration::days(30);

/// Clocks of clients may be behind ours by this much.
const BACKDATED: Duration = Duration::days(1);

/// Names every certificate holds.
const ALWAYS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// TLS from the local authority.
pub struct Local {
    folder: PathBuf,
    config: Arc<rustls::ServerConfig>,
}

impl Local {
    /// Opens the authority in `folder` (made on first use, readable by this user only)
    /// and issues a certificate for `localhost`, 127.0.0.1, ::1 and `names`.
    ///
    /// # Errors
    /// When files cannot be read or written, a name is none, or the authority's files
    /// do not fit together or it is about to expire.
    pub fn open(folder: &Path, names: &[String]) -> Result<Self, TlsError> {
        let now = OffsetDateTime::now_utc();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let authority = Authority::open(folder, now)?;
        let names = subject_names(names)?;
        let issued = Issued::new(&authority, &names, now, &provider)?;
        check(folder, &authority, &issued, now, &provider)?;

        let current = Current { issued: ArcSwap::from_pointee(issued), renewing: Mutex::new(()) };
        let resolver = Resolver { authority, names, provider: Arc::clone(&provider), current };
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Issue(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { folder: folder.to_owned(), config: Arc::new(config) })
    }

    /// For [`Listeners::bind`](crate::Listeners::bind).
    pub fn server_config(&self) -> Arc<rustls::ServerConfig> {
        Arc::clone(&self.config)
    }

    /// The authority's certificate, for clients to trust.
    pub fn ca_path(&self) -> PathBuf {
        ca_path(&self.folder)
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").field("folder", &self.folder).finish_non_exhaustive()
    }
}

fn subject_names(names: &[String]) -> Result<Vec<SanType>, TlsError> {
    let all = ALWAYS.iter().copied().chain(names.iter().map(String::as_str));
    all.map(|name| {
        if let Ok(address) = name.parse::<IpAddr>() {
            return Ok(SanType::IpAddress(address));
        }
        let fault = || TlsError::Name { name: name.to_owned() };
        ServerName::try_from(name).map_err(|_| fault())?;
        name.try_into().map(SanType::DnsName).map_err(|_| fault())
    })
    .collect()
}

/// An issued certificate.
struct Issued {
    key: Arc<CertifiedKey>,
    not_after: OffsetDateTime,
}

impl Issued {
    fn new(
        authority: &Authority,
        names: &[SanType],
        now: OffsetDateTime,
        provider: &CryptoProvider,
    ) -> Result<Self, TlsError> {
        let issue = |error: rcgen::Error| TlsError::Issue(error.to_string());
        let not_after = now + VALID;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Outcrop");
        params.subject_alt_names = names.to_vec();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.not_before = now - BACKDATED;
        params.not_after = not_after;

        let key = KeyPair::generate().map_err(issue)?;
        let certificate = params.signed_by(&key, &authority.issuer).map_err(issue)?;
        let chain = vec![CertificateDer::from(certificate), authority.certificate.clone()];
        let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let key = CertifiedKey::from_der(chain, secret, provider)
            .map_err(|error| TlsError::Issue(error.to_string()))?;
        Ok(Self { key: Arc::new(key), not_after })
    }
}

/// Looks at the certificate as a client will, a whole validity ahead: tells an
/// authority that expires, and files that do not belong together.
fn check(
    folder: &Path,
    authority: &Authority,
    issued: &Issued,
    now: OffsetDateTime,
    provider: &Arc<CryptoProvider>,
) -> Result<(), TlsError> {
    let unusable = |reason: String| TlsError::Authority { folder: folder.to_owned(), reason };
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.certificate.clone()).map_err(|error| unusable(error.to_string()))?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| unusable(error.to_string()))?;
    let localhost = ServerName::try_from("localhost").map_err(|error| unusable(error.to_string()))?;
    let then = now + VALID - Duration::days(1);
    let then_s = u64::try_from(then.unix_timestamp()).unwrap_or_default();
    let then = UnixTime::since_unix_epoch(std::time::Duration::from_secs(then_s));
    let look = |certificate| verifier.verify_server_cert(certificate, &[], &localhost, &[], then);
    // A trust anchor's own dates are not looked at when it vouches for another, though
    // OpenSSL's clients do; judged as a server's certificate, dates are the first thing
    // it can fail on (an authority always fails on something there).
    use CertificateError::{Expired, ExpiredContext};
    if let Err(rustls::Error::InvalidCertificate(Expired | ExpiredContext { .. })) =
        look(&authority.certificate)
    {
        return Err(unusable("it expires too soon".to_owned()));
    }
    look(&issued.key.cert[0]).map(|_| ()).map_err(|error| unusable(error.to_string()))
}

struct Current {
    issued: ArcSwap<Issued>,
    renewing: Mutex<()>,
}

/// Hands the certificate to each handshake, and renews it when it grows old.
struct Resolver {
    authority: Authority,
    names: Vec<SanType>,
    provider: Arc<CryptoProvider>,
    current: Current,
}

impl Resolver {
    fn renew(&self, now: OffsetDateTime) {
        let _alone = self.current.renewing.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_old(&self.current.issued.load(), now) {
            return;
        }
        match Issued::new(&self.authority, &self.names, now, &self.provider) {
            Ok(issued) => self.current.issued.store(Arc::new(issued)),
            Err(error) => tracing::error!(%error, "the TLS certificate could not be renewed"),
        }
    }
}

fn is_old(issued: &Issued, now: OffsetDateTime) -> bool {
    issued.not_after - now < RENEW_BEFORE
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let now = OffsetDateTime::from(SystemTime::now());
        if is_old(&self.current.issued.load(), now) {
            self.renew(now);
        }
        Some(Arc::clone(&self.current.issued.load().key))
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("names", &self.names).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn authority(folder: &Path, now: OffsetDateTime) -> Authority {
        Authority::open(folder, now).unwrap()
    }

    fn provider() -> Arc<CryptoProvider> {
        Arc::new(rustls::crypto::ring::default_provider())
    }

    #[test]
    fn the_authority_is_made_once_and_its_key_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let tls = folder.path().join("tls");
        let local = Local::open(&tls, &[]).unwrap();
        let first = std::fs::read(local.ca_path()).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&tls), 0o700);
        assert_eq!(mode(&tls.join("ca.key")), 0o600);
        Local::open(&tls, &["gateway.example".to_owned(), "10.1.2.3".to_owned()]).unwrap();
        assert_eq!(std::fs::read(local.ca_path()).unwrap(), first);
        assert_eq!(std::fs::read_dir(&tls).unwrap().count(), 2, "no draft is left behind");
    }

    #[test]
    fn two_first_starts_at_once_agree() {
        let folder = tempfile::tempdir().unwrap();
        let opened: Vec<_> = (0..8)
            .map(|_| {
                let path = folder.path().to_owned();
                std::thread::spawn(move || authority(&path, OffsetDateTime::now_utc()).certificate)
            })
            .collect();
        let opened: Vec<_> = opened.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(opened.iter().all(|certificate| *certificate == opened[0]));
        Local::open(folder.path(), &[]).unwrap();
    }

    #[test]
    fn a_crash_between_key_and_certificate_is_mended() {
        let folder = tempfile::tempdir().unwrap();
        let local = Local::open(folder.path(), &[]).unwrap();
        std::fs::remove_file(local.ca_path()).unwrap();
        Local::open(folder.path(), &[]).unwrap();
    }

    #[test]
    fn an_old_authority_and_foreign_files_are_told_before_clients_fail() {
        let folder = tempfile::tempdir().unwrap();
        authority(folder.path(), OffsetDateTime::now_utc() - Duration::days(3600));
        let told = Local::open(folder.path(), &[]).unwrap_err().to_string();
        assert!(told.contains("remove ca.pem and ca.key"), "{told}");

        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        Local::open(one.path(), &[]).unwrap();
        Local::open(other.path(), &[]).unwrap();
        std::fs::copy(one.path().join("ca.key"), other.path().join("ca.key")).unwrap();
        let told = Local::open(other.path(), &[]).unwrap_err();
        assert!(matches!(told, TlsError::Authority { .. }), "{told}");

        std::fs::write(other.path().join("ca.key"), "nonsense").unwrap();
        let told = Local::open(other.path(), &[]).unwrap_err();
        assert!(matches!(told, TlsError::Authority { .. }), "{told}");
    }

    #[test]
    fn names_that_are_none_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["", "two words", "a\0b", "http://x"] {
            let told = Local::open(folder.path(), &[name.to_owned()]).unwrap_err();
            assert!(matches!(told, TlsError::Name { .. }), "{name:?}: {told}");
        }
    }

    #[test]
    fn a_certificate_is_renewed_before_it_expires() {
        let folder = tempfile::tempdir().unwrap();
        let now = OffsetDateTime::now_utc();
        let authority = authority(folder.path(), now);
        let names = subject_names(&[]).unwrap();
        let issued = Issued::new(&authority, &names, now, &provider()).unwrap();
        let first = Arc::clone(&issued.key);
        let current = Current { issued: ArcSwap::from_pointee(issued), renewing: Mutex::new(()) };
        let resolver = Resolver { authority, names, provider: provider(), current };
        let in_use = |resolver: &Resolver| Arc::clone(&resolver.current.issued.load().key);

        resolver.renew(now + Duration::days(59));
        assert!(Arc::ptr_eq(&first, &in_use(&resolver)), "young enough");
        resolver.renew(now + Duration::days(61));
        assert!(!Arc::ptr_eq(&first, &in_use(&resolver)), "renewed");
        assert!(!is_old(&resolver.current.issued.load(), now + Duration::days(61)));
    }
}
