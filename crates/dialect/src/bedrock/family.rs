//! Which family a model belongs to, by its id on Bedrock: what Converse lets every model
//! say in the same words, it takes from some families only, and the rest each family
//! spells in its own way.
//!
//! Ids carry the vendor (`us.anthropic.claude-…`, also inside ARNs), but for application
//! inference profiles, provisioned and imported models, whose ARNs tell nothing. Source:
//! Amazon Bedrock user guide, "Supported foundation models" and "Supported models and
//! model features", read 2026-11-22.

use crate::claude::Claude;

/// A model's family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// Anthropic's.
    Claude(Claude),
    /// Amazon Nova, and whether it thinks (since 2).
    Nova { thinks: bool },
    /// Amazon Titan, writing.
    TitanText,
    /// Amazon Titan, embedding text.
    TitanEmbed,
    /// Amazon Nova, embedding.
    NovaEmbed,
    /// Cohere Command.
    Command,
    /// Cohere Embed.
    CohereEmbed,
    /// Cohere Rerank and Amazon Rerank: the vendor's own asks for a version.
    Rerank { cohere: bool },
    /// Meta Llama.
    Llama,
    /// Mistral AI.
    Mistral,
    /// OpenAI's, and others that take OpenAI's bodies (Qwen, DeepSeek, Kimi, GLM …).
    OpenAi { reasoning_effort: bool },
    /// Of a vendor whose parameters are not known here.
    Other,
    /// The id does not tell: an application inference profile, an imported model, an alias.
    Unknown,
}

/// Vendors by what their ids contain; the first that fits decides.
const VENDORS: &[(&str, Family)] = &[
    ("amazon.nova-2-multimodal-embed", Family::NovaEmbed),
    ("amazon.nova-2", Family::Nova { thinks: true }),
    ("amazon.nova-", Family::Nova { thinks: false }),
    ("amazon.titan-embed-text", Family::TitanEmbed),
    ("amazon.titan-embed-g1-text", Family::TitanEmbed),
    ("amazon.titan-text", Family::TitanText),
    ("amazon.titan-tg1", Family::TitanText),
    ("amazon.rerank", Family::Rerank { cohere: false }),
    ("cohere.rerank", Family::Rerank { cohere: true }),
    ("cohere.embed", Family::CohereEmbed),
    ("cohere.command", Family::Command),
    ("meta.llama", Family::Llama),
    ("mistral.", Family::Mistral),
    ("openai.", Family::OpenAi { reasoning_effort: true }),
    ("qwen.", Family::OpenAi { reasoning_effort: false }),
    ("deepseek.v", Family::OpenAi { reasoning_effort: false }),
    ("moonshot.", Family::OpenAi { reasoning_effort: false }),
    ("moonshotai.", Family::OpenAi { reasoning_effort: false }),
    ("zai.", Family::OpenAi { reasoning_effort: false }),
    ("minimax.", Family::OpenAi { reasoning_effort: false }),
    ("xai.", Family::OpenAi { reasoning_effort: true }),
    ("google.gemma", Family::OpenAi { reasoning_effort: false }),
    ("nvidia.", Family::OpenAi { reasoning_effort: false }),
    ("ai21.", Family::OpenAi { reasoning_effort: false }),
    ("deepseek.", Family::Other),
    ("amazon.", Family::Other),
    ("cohere.", Family::Other),
    ("stability.", Family::Other),
    ("writer.", Family::Other),
    ("twelvelabs.", Family::Other),
    ("luma.", Family::Other),
];

impl Family {
    /// The family of a model by its id or ARN.
    pub(super) fn of(model: &str) -> Self {
        if let Some(claude) = Claude::of(model) {
            return Self::Claude(claude);
        }
        if model.contains("anthropic.") {
            return Self::Claude(Claude::UNTOLD);
        }
        let known = VENDORS.iter().find(|(word, _)| model.contains(word));
        known.map_or(Self::Unknown, |(_, family)| *family)
    }

    /// Reasoning sealed by Claude may be given back to it. Where the id does not tell, it
    /// may: whoever sealed it most likely goes by the same name.
    pub(super) const fn takes_seals(self) -> bool {
        matches!(self, Self::Claude(_) | Self::Unknown)
    }

    /// Cache points.
    pub(super) const fn caches(self) -> bool {
        matches!(self, Self::Claude(_) | Self::Nova { .. } | Self::Unknown)
    }

    /// How long to cache: a choice only Claude gives.
    pub(super) const fn takes_ttl(self) -> bool {
        matches!(self, Self::Claude(_) | Self::Unknown)
    }

    /// Search results, which it cites.
    pub(super) const fn takes_search_results(self) -> bool {
        matches!(self, Self::Claude(_) | Self::Unknown)
    }

    /// Whether a tool's failure can be told from its success.
    pub(super) const fn takes_tool_status(self) -> bool {
        matches!(self, Self::Claude(_) | Self::Nova { .. } | Self::Unknown)
    }

    /// System turns inside the conversation.
    pub(super) fn takes_system_turns(self) -> bool {
        matches!(self, Self::Claude(claude) if claude.takes_system_turns())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_arns_tell_their_family() {
        for (model, family) in [
            ("us.amazon.nova-pro-v1:0", Family::Nova { thinks: false }),
            ("global.amazon.nova-2-lite-v1:0", Family::Nova { thinks: true }),
            ("amazon.nova-2-multimodal-embeddings-v1:0", Family::NovaEmbed),
            ("amazon.titan-embed-text-v2:0", Family::TitanEmbed),
            ("cohere.embed-v4:0", Family::CohereEmbed),
            (
                "arn:aws:bedrock:us-west-2::foundation-model/cohere.rerank-v3-5:0",
                Family::Rerank { cohere: true },
            ),
            ("us.meta.llama4-scout-17b-instruct-v1:0", Family::Llama),
            ("mistral.mistral-large-2407-v1:0", Family::Mistral),
            ("openai.gpt-oss-120b-1:0", Family::OpenAi { reasoning_effort: true }),
            ("us.deepseek.r1-v1:0", Family::Other),
            ("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc", Family::Unknown),
        ] {
            assert_eq!(Family::of(model), family, "{model}");
        }
    }

    #[test]
    fn only_some_claudes_take_system_turns() {
        let takes = |model: &str| Family::of(model).takes_system_turns();
        assert!(takes("anthropic.claude-opus-4-8") && takes("us.anthropic.claude-opus-5-5"));
        assert!(!takes("anthropic.claude-sonnet-5") && !takes("anthropic.claude-opus-4-7"));
    }
}
