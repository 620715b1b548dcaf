//! One `[providers.NAME]` table of the configuration: where a model server is, which
//! dialects it speaks, how to prove who we are, and how long to wait.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use dialect::Quirk;
use message::Dialect;
use serde::Deserialize;
use thiserror::Error;

use crate::Auth;

/// A model server, as configured. What is not said is inherited from the
/// [data](crate::Known) of its kind, where there is such.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Provider {
    /// Whose data to inherit from. Default: the table's own name, if it is a known one.
    pub kind: Option<String>,
    /// The one wire format it speaks: the short form of `dialects`.
    pub dialect: Option<Speaks>,
    /// The wire formats it speaks, the preferred one first.
    pub dialects: Vec<Speaks>,
    /// What paths are appended to: `https://api.anthropic.com`, `http://127.0.0.1:8000/v1`.
    /// May hold `{region}`, `{resource}` and `{project}`.
    pub base_url: Option<String>,
    /// Where a dialect lies below `base_url`, if it does not lie right there.
    pub paths: BTreeMap<Speaks, String>,
    /// The region in `base_url`, and that AWS signatures are for.
    pub region: Option<String>,
    /// The vendor's name for a deployment, in `base_url` (Azure, SageMaker).
    pub resource: Option<String>,
    /// The project in `base_url` (Google).
    pub project: Option<String>,
    /// Its models, by its own names; each is served as `provider/model`. Without this, or
    /// with `"*"` among them, any `provider/model` is sent there.
    pub models: Option<Vec<String>>,
    /// How to prove who we are.
    pub auth: Auth,
    /// Headers sent with every request, besides the dialect's own. Not for secrets:
    /// those belong into `auth`.
    pub headers: BTreeMap<String, String>,
    /// How it differs from the vendor whose dialect it speaks: [`dialect::Quirk`]s by name.
    pub quirks: Option<Vec<QuirkName>>,
    /// PEM file of a certificate authority to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// How much to take.
    pub limits: Limits,
}

impl Provider {
    /// Whether any `provider/model` is sent there, listed or not.
    pub fn takes_any_model(&self) -> bool {
        self.models.as_ref().is_none_or(|models| models.iter().any(|model| model == ANY_MODEL))
    }
}

/// Among `models`: any.
pub(crate) const ANY_MODEL: &str = "*";

/// The dialects a model server may speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Speaks {
    /// Anthropic Messages; `/v1/messages` is appended to `base_url`.
    Anthropic,
    /// OpenAI Chat Completions and Embeddings; `base_url` ends in `/v1`:
    /// `/chat/completions` is appended.
    #[serde(rename = "openai-chat", alias = "openai")]
    OpenAiChat,
    /// OpenAI Responses; `base_url` ends in `/v1`: `/responses` is appended.
    #[serde(rename = "openai-responses")]
    OpenAiResponses,
    /// OpenAI's legacy Completions; `base_url` ends in `/v1`: `/completions` is appended.
    #[serde(rename = "openai-completions")]
    OpenAiCompletions,
    /// Gemini; `base_url` ends in the version: `/models/MODEL:generateContent` is appended.
    Gemini,
    /// Cohere v2; `/v2/chat` is appended to `base_url`.
    Cohere,
    /// Bedrock's Converse and InvokeModel; `/model/MODEL/…` is appended to `base_url`.
    #[serde(alias = "bedrock-converse")]
    Bedrock,
}

impl Speaks {
    /// The dialect in the hub's words.
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::Anthropic => Dialect::Anthropic,
            Self::OpenAiChat => Dialect::OpenAiChat,
            Self::OpenAiResponses => Dialect::OpenAiResponses,
            Self::OpenAiCompletions => Dialect::OpenAiCompletions,
            Self::Gemini => Dialect::Gemini,
            Self::Cohere => Dialect::Cohere,
            Self::Bedrock => Dialect::BedrockConverse,
        }
    }

    /// The name used in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bedrock => "bedrock",
            other => other.dialect().name(),
        }
    }
}

/// A quirk by its name in configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct QuirkName(pub Quirk);

impl TryFrom<String> for QuirkName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        Quirk::from_name(&name).map(Self).ok_or_else(|| {
            let known: Vec<&str> = Quirk::ALL.into_iter().map(Quirk::name).collect();
            format!("there is no quirk `{name}`; there are {}", known.join(", "))
        })
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
    /// `kind` names no data.
    #[error(
        "provider `{provider}`: there is no kind `{kind}`; `outcrop providers list` shows those there are"
    )]
    Kind {
        /// Which provider.
        provider: String,
        /// What was configured.
        kind: String,
    },
    /// Something must be said that is not inherited either.
    #[error("provider `{provider}`: {field} is missing: {advice}")]
    Missing {
        /// Which provider.
        provider: String,
        /// Which setting.
        field: &'static str,
        /// What to write.
        advice: String,
    },
    /// It speaks nothing that can be spoken to a server.
    #[error("provider `{provider}`: none of its dialects can be spoken to a server yet")]
    Dialect {
        /// Which provider.
        provider: String,
    },
    /// A certificate authority cannot be read.
    #[error("provider `{provider}`: ca_file: {reason}")]
    CaFile {
        /// Which provider.
        provider: String,
        /// What is wrong with it.
        reason: String,
    },
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
