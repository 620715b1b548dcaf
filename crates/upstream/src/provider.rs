//! One `[providers.NAME]` table of the configuration: where a model server is, which
//! dialect it speaks, how to prove who we are, and how long to wait.

use std::collections::BTreeMap;
use std::time::Duration;

use message::Dialect;
use serde::Deserialize;
use thiserror::Error;

use crate::Auth;

/// A model server, as configured.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// The wire format it speaks.
    pub dialect: Speaks,
    /// What paths are appended to: `https://api.anthropic.com`, `http://127.0.0.1:8000/v1`.
    pub base_url: String,
    /// Its models, by its own names; each is served as `provider/model`. Default none.
    #[serde(default)]
    pub models: Vec<String>,
    /// How to prove who we are.
    #[serde(default)]
    pub auth: Auth,
    /// Headers sent with every request, besides the dialect's own. Not for secrets:
    /// those belong into `auth`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// How long to wait for what.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// How much to take.
    #[serde(default)]
    pub limits: Limits,
}

/// The dialects a model server may speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Speaks {
    /// Anthropic Messages; `base_url` is the host: `/v1/messages` is appended.
    Anthropic,
    /// OpenAI Chat Completions; `base_url` ends in `/v1`: `/chat/completions` is appended.
    #[serde(rename = "openai-chat", alias = "openai")]
    OpenAiChat,
}

impl Speaks {
    /// The dialect in the hub's words.
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::Anthropic => Dialect::Anthropic,
            Self::OpenAiChat => Dialect::OpenAiChat,
        }
    }
}

/// How long to wait for a provider, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// To open a connection (DNS, TCP). Default 10 s: a host that is there answers in
    /// one, and SYN retransmission needs a few.
    pub connect_ms: u64,
    /// From sending to the response head. Default 10 min, as the vendors' own SDKs
    /// have it: a whole answer is only announced when it is done.
    pub first_byte_ms: u64,
    /// Between two pieces of the body. Default 2 min: vendors send pings while a model
    /// thinks, so longer silence means a dead peer.
    pub between_ms: u64,
    /// For the whole exchange. Default 1 h: longer than any answer should take.
    pub total_ms: u64,
    /// For the body of an error reply, once its head is here. Default 10 s: it is small.
    pub error_body_ms: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect_ms: 10_000,
            first_byte_ms: 600_000,
            between_ms: 120_000,
            total_ms: 3_600_000,
            error_body_ms: 10_000,
        }
    }
}

impl Timeouts {
    pub(crate) const fn connect(&self) -> Duration {
        Duration::from_millis(self.connect_ms)
    }

    pub(crate) const fn first_byte(&self) -> Duration {
        Duration::from_millis(self.first_byte_ms)
    }

    pub(crate) const fn between(&self) -> Duration {
        Duration::from_millis(self.between_ms)
    }

    pub(crate) const fn total(&self) -> Duration {
        Duration::from_millis(self.total_ms)
    }

    pub(crate) const fn error_body(&self) -> Duration {
        Duration::from_millis(self.error_body_ms)
    }
}

/// How much to take from a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of a whole (not streamed) answer. Default 32 MiB: room for a long answer
    /// with log-probabilities, held in memory once.
    pub answer_max_bytes: u64,
    /// Bytes of an error reply that are read; the rest is dropped. Default 64 KiB.
    pub error_max_bytes: usize,
    /// Idle connections kept open. Default 256: a busy gateway's working set.
    pub idle_connections: usize,
    /// Milliseconds an idle connection is kept. Default 50 s: below the minute after
    /// which common load balancers close it, which would race with our next request.
    pub idle_connection_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            answer_max_bytes: 32 << 20,
            error_max_bytes: 64 << 10,
            idle_connections: 256,
            idle_connection_ms: 50_000,
        }
    }
}

/// A provider that cannot be used as configured.
#[derive(Debug, Error)]
pub enum ProviderError {
    /// The address is no URL of a model server.
    #[error("provider `{provider}`: base_url `{url}` {reason}; write it like `https://api.example.com/v1`")]
    BaseUrl {
        /// Which provider.
        provider: String,
        /// What was configured.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The secret cannot be had.
    #[error("provider `{provider}`: auth: {reason}")]
    Auth {
        /// Which provider.
        provider: String,
        /// What is wrong; never the secret.
        reason: String,
    },
    /// A configured header is none.
    #[error("provider `{provider}`: headers.{header}: {reason}")]
    Header {
        /// Which provider.
        provider: String,
        /// Which header.
        header: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A timeout or limit of zero would fail every call.
    #[error("provider `{provider}`: {field} must be greater than 0")]
    Zero {
        /// Which provider.
        provider: String,
        /// Which setting.
        field: &'static str,
    },
    /// No trusted certificate authorities were found for an https provider.
    #[error(
        "provider `{provider}`: no trusted root certificates: {reason}; install ca-certificates or set SSL_CERT_FILE"
    )]
    Roots {
        /// Which provider.
        provider: String,
        /// What the system said.
        reason: String,
    },
}
