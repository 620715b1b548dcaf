//! How one server of a dialect differs from the vendor's own: a closed list of named
//! transforms, chosen in a provider's table, read by the outbound side of the dialects.
//!
//! The names are what `quirks = [...]` takes in a provider's table; each says what the
//! server needs, and the module that obeys it.

use std::fmt;

/// One difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Quirk {
    /// The cap on output tokens goes in `max_tokens`, not in `max_completion_tokens`.
    MaxTokensField,
    /// It takes `top_k`, `min_p` and `repetition_penalty` (vLLM, SGLang, llama.cpp).
    SamplingExtensions,
    /// It knows no role `developer`: `system` is said instead.
    NoDeveloperRole,
    /// In thinking mode it refuses an assistant's tool calls without the reasoning that
    /// led to them: `reasoning_content` is always there, empty if it is not known.
    ReasoningContent,
    /// It writes and reads reasoning as `reasoning`, not as `reasoning_content`.
    ReasoningField,
    /// It refuses reasoning in what it is given: earlier reasoning is left out.
    NoReasoningReplay,
    /// It refuses `reasoning_effort`.
    NoReasoningEffort,
    /// It refuses `stream_options`; it tells usage unasked.
    NoStreamOptions,
    /// It refuses `parallel_tool_calls`.
    NoParallelToolCalls,
    /// It knows `json_object` but no `json_schema`: the schema is asked for in words.
    NoJsonSchema,
    /// Turns of one role must not follow each other: they are merged.
    StrictRoleAlternation,
    /// Ids of tool calls have nine letters or digits.
    ToolCallId9,
    /// It refuses `n`, also when it is 1.
    NoN,
    /// It refuses `logprobs`, `top_logprobs` and `logit_bias`.
    NoLogprobs,
    /// It refuses `user`.
    NoUser,
    /// The seed goes in `random_seed`.
    RandomSeedField,
    /// Vertex AI's own forms: Claude's model stands in the path (`…/models/MODEL:rawPredict`)
    /// and the version in the body; a count of tokens for Gemini has no request within.
    VertexPaths,
    /// It refuses what only OpenAI's own service has: `prompt_cache_key` and its like,
    /// `safety_identifier`, `verbosity`, `moderation`.
    NoOpenAiSettings,
}

impl Quirk {
    /// Every quirk there is.
    pub const ALL: [Self; 18] = [
        Self::MaxTokensField,
        Self::SamplingExtensions,
        Self::NoDeveloperRole,
        Self::ReasoningContent,
        Self::ReasoningField,
        Self::NoReasoningReplay,
        Self::NoReasoningEffort,
        Self::NoStreamOptions,
        Self::NoParallelToolCalls,
        Self::NoJsonSchema,
        Self::StrictRoleAlternation,
        Self::ToolCallId9,
        Self::NoN,
        Self::NoLogprobs,
        Self::NoUser,
        Self::RandomSeedField,
        Self::VertexPaths,
        Self::NoOpenAiSettings,
    ];

    /// The name used in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MaxTokensField => "max-tokens-field",
            Self::SamplingExtensions => "sampling-extensions",
            Self::NoDeveloperRole => "no-developer-role",
            Self::ReasoningContent => "reasoning-content",
            Self::ReasoningField => "reasoning-field",
            Self::NoReasoningReplay => "no-reasoning-replay",
            Self::NoReasoningEffort => "no-reasoning-effort",
            Self::NoStreamOptions => "no-stream-options",
            Self::NoParallelToolCalls => "no-parallel-tool-calls",
            Self::NoJsonSchema => "no-json-schema",
            Self::StrictRoleAlternation => "strict-role-alternation",
            Self::ToolCallId9 => "tool-call-id-9",
            Self::NoN => "no-n",
            Self::NoLogprobs => "no-logprobs",
            Self::NoUser => "no-user",
            Self::RandomSeedField => "random-seed-field",
            Self::VertexPaths => "vertex-paths",
            Self::NoOpenAiSettings => "no-openai-settings",
        }
    }

    /// What it does, in one line, for documents.
    pub const fn about(self) -> &'static str {
        match self {
            Self::MaxTokensField => "the cap on output tokens is sent as `max_tokens`",
            Self::SamplingExtensions => "`top_k`, `min_p` and `repetition_penalty` are sent",
            Self::NoDeveloperRole => "the role `developer` is sent as `system`",
            Self::ReasoningContent => {
                "an assistant's tool calls always carry `reasoning_content`, empty if it is not known"
            }
            Self::ReasoningField => "earlier reasoning is sent as `reasoning`",
            Self::NoReasoningReplay => "earlier reasoning is left out",
            Self::NoReasoningEffort => "`reasoning_effort` is left out",
            Self::NoStreamOptions => "`stream_options` is left out; usage comes unasked",
            Self::NoParallelToolCalls => "`parallel_tool_calls` is left out",
            Self::NoJsonSchema => "a JSON schema is asked for in words, beside `json_object`",
            Self::StrictRoleAlternation => "turns of one role that follow each other are merged",
            Self::ToolCallId9 => "ids of tool calls are sent as nine letters and digits",
            Self::NoN => "`n` is left out when it is 1",
            Self::NoLogprobs => "`logprobs`, `top_logprobs` and `logit_bias` are left out",
            Self::NoUser => "`user` is left out",
            Self::RandomSeedField => "the seed is sent as `random_seed`",
            Self::NoOpenAiSettings => {
                "`prompt_cache_key` and its like, `safety_identifier`, `verbosity` and `moderation` are left out"
            }
            Self::VertexPaths => {
                "Claude on Vertex AI: model in the path, version in the body; a count for Gemini: no `generateContentRequest`"
            }
        }
    }

    /// The quirk of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|quirk| quirk.name() == name)
    }
}

/// How a server differs from the vendor's own: a set of [`Quirk`]s.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Quirks(u32);

impl Quirks {
    /// Whether it has this one.
    pub const fn has(self, quirk: Quirk) -> bool {
        self.0 & (1 << quirk as u32) != 0
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those it has, in the order of [`Quirk::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Quirk> {
        Quirk::ALL.into_iter().filter(move |quirk| self.has(*quirk))
    }
}

impl FromIterator<Quirk> for Quirks {
    fn from_iter<I: IntoIterator<Item = Quirk>>(quirks: I) -> Self {
        Self(quirks.into_iter().fold(0, |bits, quirk| bits | 1 << quirk as u32))
    }
}

impl fmt::Debug for Quirks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Quirk::name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_quirk_has_its_own_name_and_bit() {
        for (place, quirk) in Quirk::ALL.into_iter().enumerate() {
            assert_eq!(quirk as usize, place, "ALL is in the order of the definition");
            assert_eq!(Quirk::from_name(quirk.name()), Some(quirk));
            let alone: Quirks = [quirk].into_iter().collect();
            assert_eq!(alone.iter().collect::<Vec<_>>(), [quirk]);
        }
        assert_eq!(Quirk::from_name("no-such-quirk"), None);
        assert!(Quirks::default().is_empty());
    }
}
