//! TLS without anybody's help: a certificate authority of this installation's own,
//! made on first start, and a short-lived certificate issued from it in memory.
//!
//! It exists because some official clients (boto3) refuse to send a bearer token over
//! cleartext HTTP even to 127.0.0.1. `outcrop trust` prints how to make clients trust it.

mod authority;
mod local;

use std::path::{Path, PathBuf};

use thiserror::Error;

pub use local::Local;

/// The environment variables that make clients trust the authority when they hold the
/// path of its certificate: the AWS SDKs and CLI; OpenSSL, httpx and Go; Python's
/// requests; Node.
pub const TRUST_VARIABLES: [&str; 4] =
    ["AWS_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"];

/// Where the authority's certificate lies below the folder given to [`Local::open`].
pub fn ca_path(folder: &Path) -> PathBuf {
    folder.join("ca.pem")
}

/// Why there is no TLS.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A configured name cannot stand in a certificate.
    #[error("server.tls_names: `{name}` is neither a host name nor an IP address")]
    Name {
        /// The name.
        name: String,
    },
    /// The authority's files do not fit together, or it has expired.
    #[error(
        "the local certificate authority in {} cannot be used: {reason}; remove ca.pem and ca.key there to \
         have a new one made, and run `outcrop trust` again",
        folder.display()
    )]
    Authority {
        /// Where it lies.
        folder: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A certificate cannot be issued.
    #[error("cannot issue a TLS certificate: {0}")]
    Issue(String),
}
