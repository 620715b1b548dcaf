//! A decoded conversation: what every dialect's request body means.
//!
//! Lossless at home: what a dialect says that has no field here stays in `extra`
//! (at the level where it stood) and is written back only by the same dialect; any
//! other dialect reports it as [`Dropped`](crate::Dropped).

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use crate::{Block, Dialect, Dropped, Extensions, Extra, Failure, Grammar, Priority, Tool, ToolChoice};

/// Who speaks a [`Message`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Instructions inside the conversation (OpenAI anywhere; Anthropic and Converse mid-conversation).
    System,
    /// OpenAI's newer word for instructions; means [`Role::System`] elsewhere.
    Developer,
    /// The person or program asking.
    User,
    /// The model.
    Assistant,
    /// One tool's result (OpenAI). Anthropic and Converse carry results in user turns.
    Tool,
}

/// One turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order.
    pub content: Vec<Block>,
    /// The dialect wrote the content as a bare string (kept for home).
    pub plain: bool,
    /// Unknown fields of the message.
    pub extra: Extra,
}

impl Message {
    /// A message of one text block.
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        Self { role, content: vec![Block::text(text)], plain: true, extra: Extra::new() }
    }
}

/// How tokens are chosen and when generation ends. `None` means "the model's default".
///
/// Floats stay [`Number`]s so that `1` and `1.0` survive a round trip.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Most output tokens to generate.
    pub max_tokens: Option<u64>,
    /// Softmax temperature; 0 is greedy.
    pub temperature: Option<Number>,
    /// Nucleus mass, 0 to 1.
    pub top_p: Option<Number>,
    /// Keep only the k likeliest tokens.
    pub top_k: Option<u64>,
    /// Keep tokens at least this fraction as likely as the likeliest.
    pub min_p: Option<Number>,
    /// Additive penalty on tokens already seen, −2 to 2.
    pub presence_penalty: Option<Number>,
    /// Additive penalty per occurrence, −2 to 2.
    pub frequency_penalty: Option<Number>,
    /// Multiplicative penalty (llama.cpp, vLLM); 1 is none.
    pub repetition_penalty: Option<Number>,
    /// Same seed, same prompt, same model: same answer.
    pub seed: Option<i64>,
    /// Strings that end the answer and are not part of it.
    pub stop: Vec<String>,
    /// Log-probabilities wanted: `Some(n)` = of the chosen token and its `n` best alternatives.
    pub logprobs: Option<u8>,
    /// What only servers of open models take.
    pub extensions: Extensions,
}

/// The form the answer must take.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum OutputFormat {
    /// Free text.
    #[default]
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON that satisfies a schema.
    JsonSchema {
        /// The format's name (OpenAI and Converse ask for one).
        name: Option<String>,
        /// What it is for.
        description: Option<String>,
        /// The JSON Schema.
        schema: Value,
        /// OpenAI's `strict`.
        strict: Option<bool>,
    },
    /// Text of a language. What the client said of it stays in `extra`, too, for servers
    /// that take it and for the others to tell of.
    Grammar(Grammar),
}

/// How hard to think, on the union of the vendors' scales.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    XHigh,
    Max,
}

impl Effort {
    /// The vendors' word for it; they agree on all of them.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::XHigh => "xhigh",
            Self::Max => "max",
        }
    }

    /// The effort a vendor's word means; `None` for a word this version does not know.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::None, Self::Minimal, Self::Low, Self::Medium, Self::High, Self::XHigh, Self::Max]
            .into_iter()
            .find(|effort| effort.word() == word)
    }
}

/// What the caller said about thinking.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reasoning {
    /// On, off, or the model's choice (`None`).
    pub enabled: Option<bool>,
    /// How hard.
    pub effort: Option<Effort>,
    /// Most thinking tokens.
    pub budget_tokens: Option<u64>,
    /// Whether the answer should show what was thought; `None` if the client did not say.
    pub shown: Option<bool>,
}

impl Reasoning {
    /// Whether the model is told not to think.
    pub fn off(&self) -> bool {
        self.enabled == Some(false) || self.effort == Some(Effort::None)
    }

    /// Whether the model is asked to think, however much.
    pub fn wanted(&self) -> bool {
        !self.off() && (self.enabled == Some(true) || self.effort.is_some() || self.budget_tokens.is_some())
    }
}

/// A whole decoded request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chat {
    /// The dialect it was decoded from: the only one that may write `extra` back.
    pub home: Dialect,
    /// Instructions that stand outside the conversation (Anthropic, Converse).
    pub system: Vec<Block>,
    /// The dialect wrote the system prompt as a bare string.
    pub system_plain: bool,
    /// The turns, in order.
    pub messages: Vec<Message>,
    /// Tools the model may call.
    pub tools: Vec<Tool>,
    /// The languages that free-text tools take, by the tools' names: each is a function of
    /// one text named `input`.
    pub tool_inputs: Vec<(String, Grammar)>,
    /// Whether and which tool must be called.
    pub tool_choice: Option<ToolChoice>,
    /// Whether several tools may be called in one turn.
    pub parallel_tool_calls: Option<bool>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// The form the answer must take.
    pub output: OutputFormat,
    /// What was said about thinking.
    pub reasoning: Option<Reasoning>,
    /// The one message is a bare prompt to be continued, its template (if any) already
    /// written out by the client (legacy Completions, Titan text, Llama). A target that
    /// only knows turns gets it as the user's.
    pub raw: bool,
    /// How many answers are wanted (`n`, `candidateCount`): at least 1. Their seeds are the
    /// client's and those that follow it, so that a seed still decides all of them.
    pub choices: u32,
    /// How soon the answer is wanted, where the body says it (a service tier); see
    /// [`Call::priority`](crate::Call::priority).
    pub priority: Option<Priority>,
    /// The end user, as the client names them (`user`, `metadata.user_id`).
    pub user: Option<String>,
    /// Fields of `extra` that must not be left out (a suffix, spoken answers):
    /// any target but home refuses the call. See [`Chat::leave_home`]. Not serialised:
    /// who hands a call on to another process has asked.
    #[serde(skip)]
    pub essential: Vec<Dropped>,
    /// Unknown fields of the request.
    pub extra: Extra,
}

impl Chat {
    /// An empty conversation from `home`.
    pub fn new(home: Dialect) -> Self {
        Self {
            home,
            system: Vec::new(),
            system_plain: false,
            messages: Vec::new(),
            tools: Vec::new(),
            tool_inputs: Vec::new(),
            tool_choice: None,
            parallel_tool_calls: None,
            sampling: Sampling::default(),
            output: OutputFormat::Text,
            reasoning: None,
            raw: false,
            choices: 1,
            priority: None,
            user: None,
            essential: Vec::new(),
            extra: Extra::new(),
        }
    }

    /// Asked first by every target that is not the call's home (the engine included).
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported), naming the field, when the call asks
    /// for something only its home dialect can express and an answer without it would be wrong.
    pub fn leave_home(&self) -> Result<(), Failure> {
        if self.choices > 1 {
            return Err(cannot("n", "it gives one answer per call; send the call several times"));
        }
        self.leave_home_with_choices()
    }

    /// [`Chat::leave_home`], for a target that gives several answers itself.
    ///
    /// # Errors
    /// As there, but for the number of answers.
    pub fn leave_home_with_choices(&self) -> Result<(), Failure> {
        leave_home(&self.essential)
    }
}

/// See [`Chat::leave_home`].
pub(crate) fn leave_home(essential: &[Dropped]) -> Result<(), Failure> {
    match essential.first() {
        None => Ok(()),
        Some(Dropped { path, why }) => Err(cannot(path, why)),
    }
}

fn cannot(path: &str, why: &str) -> Failure {
    Failure::unsupported(format!("{path}: this model cannot do that: {why}")).with_param(path)
}
