//! A provider's secret: where it comes from and in which header it goes.

use std::fmt;
use std::path::PathBuf;

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use message::Secret;
use serde::{Deserialize, Deserializer};

use crate::Speaks;

/// How to prove who we are. At most one of `env`, `file` and `value`; with none of
/// them nothing is sent.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// In which header. Default: the dialect's own habit.
    pub scheme: Option<Scheme>,
    /// Name of the environment variable that holds the secret.
    pub env: Option<String>,
    /// Path of a file that holds the secret (surrounding white space is not part of it).
    pub file: Option<PathBuf>,
    /// The secret itself.
    pub value: Option<Plain>,
}

/// The header a secret goes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// `authorization: Bearer …`
    Bearer,
    /// `x-api-key: …`
    XApiKey,
    /// Send nothing.
    None,
}

/// A secret written in the configuration itself.
#[derive(Clone, PartialEq)]
pub struct Plain(pub(crate) Secret);

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

impl Auth {
    /// The header to send, or `None` when nothing is to be sent. Reads the environment
    /// or the file; the error says what is wrong and never holds the secret.
    pub(crate) fn header(&self, speaks: Speaks) -> Result<Option<(HeaderName, HeaderValue)>, String> {
        let scheme = self.scheme.unwrap_or(match speaks {
            Speaks::Anthropic => Scheme::XApiKey,
            Speaks::OpenAiChat => Scheme::Bearer,
        });
        let Some(secret) = self.secret()? else {
            return match self.scheme {
                Some(Scheme::Bearer | Scheme::XApiKey) => {
                    Err("a scheme is set but no secret: add `env`, `file` or `value`".to_owned())
                }
                _ => Ok(None),
            };
        };
        let (name, text) = match scheme {
            Scheme::Bearer => (AUTHORIZATION, format!("Bearer {}", secret.expose())),
            Scheme::XApiKey => (HeaderName::from_static("x-api-key"), secret.expose().to_owned()),
            Scheme::None => return Ok(None),
        };
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| "the secret holds characters that cannot stand in a header".to_owned())?;
        value.set_sensitive(true);
        Ok(Some((name, value)))
    }

    fn secret(&self) -> Result<Option<Secret>, String> {
        let text = match (&self.env, &self.file, &self.value) {
            (None, None, None) => return Ok(None),
            (Some(name), None, None) => std::env::var(name)
                .map_err(|_| format!("environment variable `{name}` is not set (or not UTF-8)"))?,
            (None, Some(path), None) => std::fs::read_to_string(path)
                .map_err(|error| format!("cannot read file `{}`: {error}", path.display()))?,
            (None, None, Some(Plain(secret))) => secret.expose().to_owned(),
            _ => return Err("give only one of `env`, `file` and `value`".to_owned()),
        };
        match text.trim() {
            "" => Err("the secret is empty".to_owned()),
            text => Ok(Some(Secret::new(text))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Auth {
        Auth { value: Some(Plain(Secret::new(text))), ..Auth::default() }
    }

    #[test]
    fn each_dialect_has_its_habit() {
        let (name, sent) = value("s3cret").header(Speaks::Anthropic).unwrap().unwrap();
        assert_eq!((name.as_str(), sent.to_str().unwrap()), ("x-api-key", "s3cret"));
        let (name, sent) = value(" s3cret\n").header(Speaks::OpenAiChat).unwrap().unwrap();
        assert_eq!((name.as_str(), sent.to_str().unwrap()), ("authorization", "Bearer s3cret"));
        assert!(sent.is_sensitive());
    }

    #[test]
    fn a_scheme_overrides_the_habit() {
        let auth = Auth { scheme: Some(Scheme::Bearer), ..value("k") };
        assert_eq!(auth.header(Speaks::Anthropic).unwrap().unwrap().0, AUTHORIZATION);
        let auth = Auth { scheme: Some(Scheme::None), ..value("k") };
        assert_eq!(auth.header(Speaks::Anthropic).unwrap(), None);
    }

    #[test]
    fn nothing_configured_sends_nothing() {
        assert_eq!(Auth::default().header(Speaks::OpenAiChat).unwrap(), None);
    }

    #[test]
    fn a_file_is_read_and_trimmed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, "from-file\n").unwrap();
        let auth = Auth { file: Some(path), ..Auth::default() };
        assert_eq!(auth.header(Speaks::Anthropic).unwrap().unwrap().1, "from-file");
    }

    #[test]
    fn faults_are_told_without_the_secret() {
        let twice = Auth { env: Some("X".into()), ..value("hidden") };
        assert!(twice.header(Speaks::Anthropic).unwrap_err().contains("only one"));
        let odd = value("hid\u{1}den").header(Speaks::Anthropic).unwrap_err();
        assert!(odd.contains("characters") && !odd.contains("den"), "{odd}");
        assert!(value("  ").header(Speaks::Anthropic).unwrap_err().contains("empty"));
        let unset = Auth { env: Some("OUTCROP_TEST_UNSET".into()), ..Auth::default() };
        assert!(unset.header(Speaks::Anthropic).unwrap_err().contains("OUTCROP_TEST_UNSET"));
        let bare = Auth { scheme: Some(Scheme::Bearer), ..Auth::default() };
        assert!(bare.header(Speaks::Anthropic).unwrap_err().contains("no secret"));
        assert_eq!(format!("{:?}", value("hidden")).find("hidden"), None);
    }
}
