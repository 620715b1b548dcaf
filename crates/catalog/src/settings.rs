//! What the environment says about fetching: the hub, the package index, proxies.
//!
//! Proxies (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY` …) and trust (`SSL_CERT_FILE`,
//! `SSL_CERT_DIR`, else the system's roots) are read by the HTTP client itself.

use std::env;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::PipSettings;

/// The hub's address unless `HF_ENDPOINT` says otherwise.
const HUB_ENDPOINT: &str = "https://huggingface.co";
/// Pause before a broken download is taken up again; doubled each time.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// How to fetch.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The user has accepted the terms of what is pulled.
    pub accept_terms: bool,
    /// Address of the model hub (`HF_ENDPOINT`: a mirror).
    pub hub_endpoint: String,
    /// The user's token at the hub (`HF_TOKEN`), for gated models.
    pub(crate) hub_token: Option<Token>,
    /// pip's settings.
    pub pip: PipSettings,
    /// Bytes free for a folder. Replaced in tests.
    pub(crate) free_space: fn(&Path) -> io::Result<u64>,
    /// See [`RETRY_DELAY`].
    pub(crate) retry_delay: Duration,
}

/// A secret for an `Authorization` header.
#[derive(Clone)]
pub(crate) struct Token(pub(crate) String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Settings {
    /// Reads the environment and pip's configuration files.
    pub fn from_env() -> Self {
        let variable = |name: &str| env::var(name).ok().filter(|value| !value.trim().is_empty());
        Self {
            accept_terms: false,
            hub_endpoint: variable("HF_ENDPOINT").unwrap_or_else(|| HUB_ENDPOINT.into()),
            hub_token: hub_token(variable),
            pip: PipSettings::from_env(),
            free_space,
            retry_delay: RETRY_DELAY,
        }
    }
}

/// `HF_TOKEN`, or what `hf auth login` saved (huggingface_hub's environment variables, read 2026-11-22).
fn hub_token(variable: impl Fn(&str) -> Option<String>) -> Option<Token> {
    let saved = || {
        let path = variable("HF_TOKEN_PATH").map(PathBuf::from).or_else(|| {
            let home = variable("HF_HOME").map(PathBuf::from).or_else(|| {
                let cache = variable("XDG_CACHE_HOME").map(PathBuf::from);
                let cache = cache.or_else(|| variable("HOME").map(|home| Path::new(&home).join(".cache")))?;
                Some(cache.join("huggingface"))
            })?;
            Some(home.join("token"))
        })?;
        fs::read_to_string(path).ok()
    };
    let token = variable("HF_TOKEN").or_else(|| variable("HUGGING_FACE_HUB_TOKEN")).or_else(saved)?;
    let token = token.trim();
    (!token.is_empty()).then(|| Token(token.into()))
}

fn free_space(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}
