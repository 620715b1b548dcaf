//! Google Cloud's way: a short-lived access token, of a service account, of a user who
//! logged in with `gcloud`, or of the machine.
//!
//! Where credentials are looked for, and the exchanges: "How Application Default
//! Credentials works", RFC 7523, and `google-auth` 2.62.2 (`_default.py`,
//! `oauth2/_client.py`, `compute_engine/_metadata.py`), read 2026-11-22.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request};
use message::Secret;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use serde_json::json;

use super::cached::{Cached, Fresh};
use super::fetch;

/// What a token is for.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// How long an assertion is good for: the most the token service takes.
const ASSERTION_LIFETIME_S: u64 = 3_600;

/// How long before its end a token is fetched again, as Google's own clients do.
const RENEW_BEFORE: Duration = Duration::from_secs(225);

/// Where the machine's own service account is asked.
const METADATA_HOST: &str = "metadata.google.internal";

/// The token service of files that name none.
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

/// Access tokens.
pub(crate) struct Tokens {
    credentials: Credentials,
    quota_project: Option<HeaderValue>,
    cached: Cached<Secret>,
}

enum Credentials {
    ServiceAccount(Box<ServiceAccount>),
    User { client_id: String, client_secret: Secret, refresh_token: Secret, token_uri: String },
    Machine { host: String },
}

struct ServiceAccount {
    email: String,
    key: RsaKeyPair,
    key_id: Option<String>,
    token_uri: String,
}

impl Tokens {
    /// Finds credentials: the file given, the one of `GOOGLE_APPLICATION_CREDENTIALS`,
    /// the one `gcloud auth application-default login` wrote, else the machine's.
    pub(super) fn open(file: Option<&Path>) -> Result<Self, String> {
        let named =
            file.map(Path::to_owned).or_else(|| set("GOOGLE_APPLICATION_CREDENTIALS").map(PathBuf::from));
        let found = named.or_else(|| well_known().filter(|path| path.is_file()));
        let (credentials, quota_project) = match found {
            Some(path) => read(&path)?,
            None => {
                let host = set("GCE_METADATA_HOST").unwrap_or_else(|| METADATA_HOST.to_owned());
                (Credentials::Machine { host }, None)
            }
        };
        let quota_project = quota_project.and_then(|project| HeaderValue::from_str(&project).ok());
        Ok(Self { credentials, quota_project, cached: Cached::new() })
    }

    /// The project that pays, where the credentials name another than the one called.
    pub(super) fn quota_project(&self) -> Option<&HeaderValue> {
        self.quota_project.as_ref()
    }

    /// A token that is good now.
    pub(super) async fn get(&self) -> Result<Arc<Secret>, String> {
        self.cached.get(|| self.fetch()).await
    }

    async fn fetch(&self) -> Result<Fresh<Secret>, String> {
        match &self.credentials {
            Credentials::ServiceAccount(account) => {
                let assertion = account.assertion(SystemTime::now())?;
                let form = form(&[
                    ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                    ("assertion", &assertion),
                ]);
                post(&account.token_uri, form).await
            }
            Credentials::User { client_id, client_secret, refresh_token, token_uri } => {
                let form = form(&[
                    ("grant_type", "refresh_token"),
                    ("client_id", client_id),
                    ("client_secret", client_secret.expose()),
                    ("refresh_token", refresh_token.expose()),
                ]);
                post(token_uri, form).await
            }
            Credentials::Machine { host } => {
                let url = format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/token");
                let request = Request::builder()
                    .uri(&url)
                    .header("metadata-flavor", "Google")
                    .body(Bytes::new())
                    .map_err(|error| format!("{url}: {error}"))?;
                exchange(&url, request).await.map_err(|why| {
                    format!("{why}; outside Google Cloud, set GOOGLE_APPLICATION_CREDENTIALS to a credentials file")
                })
            }
        }
    }
}

fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn well_known() -> Option<PathBuf> {
    let folder = match set("CLOUDSDK_CONFIG") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(set("HOME")?).join(".config/gcloud"),
    };
    Some(folder.join("application_default_credentials.json"))
}

#[derive(Deserialize)]
struct File {
    #[serde(rename = "type")]
    kind: String,
    client_email: Option<String>,
    private_key: Option<String>,
    private_key_id: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    refresh_token: Option<String>,
    token_uri: Option<String>,
    quota_project_id: Option<String>,
}

fn read(path: &Path) -> Result<(Credentials, Option<String>), String> {
    let wrong = |why: &str| format!("credentials file `{}`: {why}", path.display());
    let text = std::fs::read(path).map_err(|error| wrong(&error.to_string()))?;
    // serde's errors may quote the text: only the place is told.
    let file: File = serde_json::from_slice(&text)
        .map_err(|error| wrong(&format!("is not one of Google's (line {})", error.line())))?;
    let token_uri = file.token_uri.unwrap_or_else(|| TOKEN_URI.to_owned());
    match file.kind.as_str() {
        "service_account" => {
            let (Some(email), Some(key)) = (file.client_email, file.private_key) else {
                return Err(wrong("a service account needs client_email and private_key"));
            };
            let key = PrivatePkcs8KeyDer::from_pem_slice(key.as_bytes())
                .ok()
                .and_then(|key| RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).ok())
                .ok_or_else(|| wrong("its private_key cannot be read; was the file copied whole?"))?;
            let account = ServiceAccount { email, key, key_id: file.private_key_id, token_uri };
            Ok((Credentials::ServiceAccount(Box::new(account)), file.quota_project_id))
        }
        "authorized_user" => {
            let (Some(client_id), Some(client_secret), Some(refresh_token)) =
                (file.client_id, file.client_secret, file.refresh_token)
            else {
                return Err(wrong("a user's credentials need client_id, client_secret and refresh_token"));
            };
            let (client_secret, refresh_token) = (Secret::new(client_secret), Secret::new(refresh_token));
            Ok((
                Credentials::User { client_id, client_secret, refresh_token, token_uri },
                file.quota_project_id,
            ))
        }
        kind => Err(wrong(&format!(
            "credentials of type `{kind}` are not known; use `command = [\"gcloud\", \"auth\", \"print-access-token\"]`"
        ))),
    }
}

impl ServiceAccount {
    /// Who we are and what we want, signed.
    fn assertion(&self, now: SystemTime) -> Result<String, String> {
        let now_s = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut header = json!({"alg": "RS256", "typ": "JWT"});
        if let Some(id) = &self.key_id {
            header["kid"] = id.as_str().into();
        }
        let claims = json!({
            "iss": self.email, "scope": SCOPE, "aud": self.token_uri,
            "iat": now_s, "exp": now_s + ASSERTION_LIFETIME_S,
        });
        let encode = |part: String| URL_SAFE_NO_PAD.encode(part);
        let unsigned = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), unsigned.as_bytes(), &mut signature)
            .map_err(|_| "the service account's key cannot sign".to_owned())?;
        Ok(format!("{unsigned}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

fn form(fields: &[(&str, &str)]) -> String {
    let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let fields: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    fields.join("&")
}

async fn post(url: &str, form: String) -> Result<Fresh<Secret>, String> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(url)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from(form))
        .map_err(|error| format!("{url}: {error}"))?;
    exchange(url, request).await
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: u64,
}

#[derive(Deserialize)]
struct Denied {
    error: Option<String>,
    error_description: Option<String>,
}

async fn exchange(url: &str, request: Request<Bytes>) -> Result<Fresh<Secret>, String> {
    let response = fetch::send(request).await.map_err(|why| format!("{url} cannot be reached: {why}"))?;
    let status = response.status();
    if !status.is_success() {
        let why = serde_json::from_slice::<Denied>(response.body())
            .ok()
            .and_then(|denied| denied.error_description.or(denied.error))
            .unwrap_or_else(|| "without saying why".to_owned());
        return Err(format!("{url} refused a token ({status}): {why}"));
    }
    let granted: Granted = serde_json::from_slice(response.body())
        .map_err(|_| format!("{url} answered with something that is not a token"))?;
    let expires_in = Duration::from_secs(granted.expires_in);
    let renew_in = expires_in.saturating_sub(RENEW_BEFORE);
    Ok(Fresh { value: Secret::new(granted.access_token), renew_in, expires_in })
}

#[cfg(test)]
mod tests;
