//! How a provider learns who we are: which secret, from where, in which header.
//!
//! * `source.rs`: a secret from the environment, a file, a command, or the table itself;
//! * `aws.rs`: credentials by the standard AWS chain, and a signature over each request;
//! * `google.rs`: access tokens of a service account or of the machine;
//! * `cached.rs`: something that is fetched again before it expires, once for all callers;
//! * `fetch.rs`: the small HTTP client that tokens and credentials are fetched with.
//!
//! What never changes is a header made once; the rest is asked for per request, from
//! memory unless it is due. Secrets are in no error and no log line.

mod aws;
mod cached;
mod fetch;
mod google;
mod source;

use std::fmt;
use std::path::PathBuf;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri};
use message::Secret;
use serde::{Deserialize, Deserializer};

use crate::Speaks;
use source::Source;

/// How to prove who we are. At most one of `env`, `file`, `command` and `value`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// In which way. Default: the dialect's own habit.
    pub scheme: Option<Scheme>,
    /// The header of [`Scheme::Header`].
    pub header: Option<String>,
    /// Environment variables that may hold the secret; the first that is set counts.
    #[serde(deserialize_with = "one_or_more")]
    pub env: Vec<String>,
    /// Path of a file that holds the secret (surrounding white space is not part of it);
    /// read again when it changes. For [`Scheme::Google`], of a credentials file.
    pub file: Option<PathBuf>,
    /// A command that prints the secret, and its arguments; no shell is involved. It may
    /// print JSON instead: `{"secret": "…", "expires_in": SECONDS}`.
    pub command: Option<Vec<String>>,
    /// The secret itself.
    pub value: Option<Plain>,
    /// Without a secret nothing is sent, instead of this being an error.
    pub optional: bool,
    /// The service that AWS signatures are for.
    pub service: Option<String>,
    /// The profile of the AWS configuration files. Default: `AWS_PROFILE`, or `default`.
    pub profile: Option<String>,
}

/// The way a secret is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// `authorization: Bearer …`
    Bearer,
    /// `x-api-key: …` (Anthropic)
    XApiKey,
    /// `api-key: …` (Azure)
    ApiKey,
    /// `x-goog-api-key: …` (Gemini)
    XGoogApiKey,
    /// The header named in `header`.
    Header,
    /// AWS: a secret that is given is an API key, sent as bearer; without one the
    /// standard credential chain signs each request (Signature Version 4).
    Aws,
    /// Google Cloud: an access token for a service account, a user or the machine.
    Google,
    /// Send nothing.
    None,
}

impl Scheme {
    /// The name used in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::XApiKey => "x-api-key",
            Self::ApiKey => "api-key",
            Self::XGoogApiKey => "x-goog-api-key",
            Self::Header => "header",
            Self::Aws => "aws",
            Self::Google => "google",
            Self::None => "none",
        }
    }
}

/// A secret written in the configuration itself.
#[derive(Clone, PartialEq)]
pub struct Plain(pub(crate) Secret);

impl Plain {
    #[cfg(test)]
    pub(crate) fn new(text: &str) -> Self {
        Self(Secret::new(text))
    }
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}

fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Names {
        One(String),
        More(Vec<String>),
    }
    Ok(match Names::deserialize(deserializer)? {
        Names::One(name) => vec![name],
        Names::More(names) => names,
    })
}

impl Auth {
    /// This, where it says something, over what is inherited. A secret of its own
    /// replaces the inherited one, wherever that would come from.
    pub(crate) fn over(&self, inherited: Option<&Self>) -> Self {
        let Some(inherited) = inherited else { return self.clone() };
        let mut merged = self.clone();
        merged.scheme = self.scheme.or(inherited.scheme);
        merged.header = self.header.clone().or_else(|| inherited.header.clone());
        merged.service = self.service.clone().or_else(|| inherited.service.clone());
        merged.profile = self.profile.clone().or_else(|| inherited.profile.clone());
        if !self.has_source() {
            merged.env.clone_from(&inherited.env);
            merged.file.clone_from(&inherited.file);
            merged.optional |= inherited.optional;
        }
        merged
    }

    /// Whether it says where a secret is.
    pub(crate) fn has_source(&self) -> bool {
        !self.env.is_empty() || self.file.is_some() || self.command.is_some() || self.value.is_some()
    }

    /// The environment variable that holds the secret, if one of those named does.
    pub fn env_found(&self) -> Option<&str> {
        let is_set = |name: &&String| std::env::var(name).is_ok_and(|value| !value.trim().is_empty());
        self.env.iter().find(is_set).map(String::as_str)
    }

    /// Makes ready to prove who we are. Reads the environment and files; runs nothing
    /// and connects to nobody. The error says what is wrong and never holds the secret.
    pub(crate) fn open(&self, speaks: Speaks, region: Option<&str>) -> Result<Authenticator, String> {
        let scheme = self.scheme.unwrap_or(match speaks {
            Speaks::Anthropic => Scheme::XApiKey,
            Speaks::Gemini => Scheme::XGoogApiKey,
            Speaks::Bedrock => Scheme::Aws,
            Speaks::OpenAiChat | Speaks::OpenAiResponses | Speaks::OpenAiCompletions | Speaks::Cohere => {
                Scheme::Bearer
            }
        });
        match scheme {
            Scheme::None => return Ok(Authenticator::Nothing),
            Scheme::Google if self.file.is_some() || !self.has_source() => {
                return google::Tokens::open(self.file.as_deref()).map(Authenticator::google);
            }
            Scheme::Aws if !self.has_source() || self.has_only_unset_env() => {
                let service = self.service.as_deref().unwrap_or("bedrock");
                let region = region.ok_or("AWS signatures need a `region`")?;
                return Ok(Authenticator::aws(aws::Chain::new(self.profile.as_deref(), region, service)));
            }
            _ => {}
        }
        let Some(source) = Source::open(self)? else {
            let asked = self.scheme.is_some() && !self.optional;
            return match asked {
                true => {
                    Err("a scheme is set but no secret: add `env`, `file`, `command` or `value`".to_owned())
                }
                false => Ok(Authenticator::Nothing),
            };
        };
        let form = Form::of(scheme, self.header.as_deref())?;
        match source {
            Source::Fixed(secret) => Ok(Authenticator::Fixed(form.header(secret.expose())?)),
            Source::Changing(secret) => Ok(Authenticator::Changing(form, secret)),
        }
    }

    fn has_only_unset_env(&self) -> bool {
        let others = self.file.is_some() || self.command.is_some() || self.value.is_some();
        !others && self.env_found().is_none()
    }
}

/// Which header, and what stands before the secret in it.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    name: HeaderName,
    prefix: &'static str,
}

impl Form {
    fn of(scheme: Scheme, header: Option<&str>) -> Result<Self, String> {
        let plain = |name: &'static str| Self { name: HeaderName::from_static(name), prefix: "" };
        Ok(match scheme {
            Scheme::XApiKey => plain("x-api-key"),
            Scheme::ApiKey => plain("api-key"),
            Scheme::XGoogApiKey => plain("x-goog-api-key"),
            Scheme::Header => {
                let name = header.ok_or("scheme `header` needs `header`, the header's name")?;
                let name =
                    HeaderName::try_from(name).map_err(|_| format!("`{name}` is not a header's name"))?;
                Self { name, prefix: "" }
            }
            Scheme::Bearer | Scheme::Aws | Scheme::Google | Scheme::None => {
                Self { name: AUTHORIZATION, prefix: "Bearer " }
            }
        })
    }

    fn header(&self, secret: &str) -> Result<(HeaderName, HeaderValue), String> {
        let mut value = HeaderValue::from_str(&format!("{}{secret}", self.prefix))
            .map_err(|_| "the secret holds characters that cannot stand in a header".to_owned())?;
        value.set_sensitive(true);
        Ok((self.name.clone(), value))
    }
}

/// Proves who we are, request by request.
pub(crate) enum Authenticator {
    /// Sends nothing.
    Nothing,
    /// Always the same header.
    Fixed((HeaderName, HeaderValue)),
    /// A secret that may change.
    Changing(Form, source::Changing),
    /// An access token of Google Cloud.
    Google(Form, Box<google::Tokens>),
    /// A signature over the request.
    Aws(Box<aws::Chain>),
}

/// What a signature covers.
pub(crate) struct Unsigned<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) body: &'a [Bytes],
}

impl Authenticator {
    fn google(tokens: google::Tokens) -> Self {
        Self::Google(Form { name: AUTHORIZATION, prefix: "Bearer " }, Box::new(tokens))
    }

    fn aws(chain: aws::Chain) -> Self {
        Self::Aws(Box::new(chain))
    }

    /// Adds what proves who we are to the headers of a request that has `host`.
    ///
    /// # Errors
    /// Why there is no credential; never the secret.
    pub(crate) async fn authorize(
        &self,
        unsigned: Unsigned<'_>,
        headers: &mut HeaderMap,
    ) -> Result<(), String> {
        let (name, value) = match self {
            Self::Nothing => return Ok(()),
            Self::Fixed((name, value)) => (name.clone(), value.clone()),
            // Boxed: the way to a fresh secret is long, and every call would carry room for it.
            Self::Changing(form, secret) => form.header(Box::pin(secret.get()).await?.expose())?,
            Self::Google(form, tokens) => {
                if let Some(project) = tokens.quota_project() {
                    headers.insert("x-goog-user-project", project.clone());
                }
                form.header(Box::pin(tokens.get()).await?.expose())?
            }
            Self::Aws(chain) => return Box::pin(chain.sign(unsigned, headers)).await,
        };
        headers.insert(name, value);
        Ok(())
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Fixed(_) => "Fixed(…)",
            Self::Changing(..) => "Changing(…)",
            Self::Google(..) => "Google(…)",
            Self::Aws(_) => "Aws(…)",
        })
    }
}

#[cfg(test)]
mod tests;
