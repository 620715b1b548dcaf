//! Which family's body an InvokeModel request carries: by the model's id where it tells,
//! and by the members of the body otherwise, for an alias may have any name.
//!
//! Source: "Inference request parameters and response fields" of the Amazon Bedrock user
//! guide, read 2026-11-22.

use message::Failure;
use serde_json::Value;

use super::malformed;
use crate::bedrock::family::Family;
use crate::json;

/// The shapes of bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Anthropic Messages.
    Anthropic,
    /// Amazon Nova: Converse's blocks.
    Nova,
    /// Amazon Titan, a bare prompt.
    TitanText,
    /// Meta Llama, and imported models' `BedrockCompletion`: a bare prompt.
    Llama,
    /// Mistral, a bare prompt.
    MistralText,
    /// Mistral's chat: OpenAI's, with a `stop_reason`.
    MistralChat,
    /// Cohere Command, a bare prompt.
    CohereText,
    /// Cohere Command R: a message and its history.
    CohereChat,
    /// OpenAI Chat Completions, which many vendors' models on Bedrock take.
    OpenAiChat,
    /// OpenAI's legacy Completions, a bare prompt: imported models' `OpenAICompletion`.
    OpenAiText,
    /// Amazon Titan's embeddings.
    TitanEmbed,
    /// Cohere's embeddings.
    CohereEmbed,
    /// Amazon Nova's embeddings.
    NovaEmbed,
    /// Cohere's and Amazon's reranking.
    Rerank,
}

/// What tells the shapes apart.
struct Shape<'a> {
    names: Vec<&'static str>,
    messages: Option<&'a [u8]>,
}

/// The members looked at.
const NAMES: [&str; 25] = [
    "messages",
    "anthropic_version",
    "schemaVersion",
    "inferenceConfig",
    "inputText",
    "inputImage",
    "textGenerationConfig",
    "dimensions",
    "normalize",
    "embeddingTypes",
    "taskType",
    "singleEmbeddingParams",
    "segmentedEmbeddingParams",
    "texts",
    "images",
    "inputs",
    "input_type",
    "query",
    "documents",
    "message",
    "prompt",
    "max_gen_len",
    "top_k",
    "return_likelihoods",
    "num_generations",
];

impl Shape<'_> {
    fn has(&self, name: &str) -> bool {
        self.names.contains(&name)
    }

    fn has_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.has(name))
    }
}

impl Form {
    /// The shape of `body`, sent to a model of this name.
    ///
    /// # Errors
    /// [`InvalidRequest`](message::ErrorKind::InvalidRequest) for what is not a JSON object
    /// of any of them; [`Unsupported`](message::ErrorKind::Unsupported) for pictures to be
    /// made or embedded.
    pub(super) fn of(model: &str, body: &[u8]) -> Result<Self, Failure> {
        let spans = json::members(body, NAMES).map_err(malformed)?;
        let messages = spans[0].clone().and_then(|span| body.get(span));
        let names = NAMES.into_iter().zip(spans).filter_map(|(name, span)| span.map(|_| name)).collect();
        let shape = Shape { names, messages };
        let family = Family::of(model);
        if shape.has("taskType") {
            return if shape.has("singleEmbeddingParams") {
                Ok(Self::NovaEmbed)
            } else {
                Err(unbuilt(
                    "taskType",
                    "a task for pictures, or for files in S3, which no model here can do",
                ))
            };
        }
        if shape.messages.is_some() {
            return Ok(Self::of_conversation(family, &shape));
        }
        if shape.has("query") && shape.has("documents") {
            return Ok(Self::Rerank);
        }
        if shape.has_any(&["texts", "images", "inputs"]) {
            return Ok(Self::CohereEmbed);
        }
        if shape.has("inputImage") {
            return Err(unbuilt("inputImage", "Titan's embeddings of pictures, which no model here can do"));
        }
        if shape.has("inputText") {
            return Ok(Self::of_titan(model, family, &shape));
        }
        if shape.has("message") {
            return Ok(Self::CohereChat);
        }
        if shape.has("prompt") {
            return Ok(Self::of_prompt(family, &shape));
        }
        Err(malformed(Failure::invalid_field(
            "messages",
            "required, but missing (or `prompt`, `inputText`, `texts`, `query`, as the model's family has it)",
        )))
    }

    fn of_conversation(family: Family, shape: &Shape<'_>) -> Self {
        match family {
            Family::Claude(_) => Self::Anthropic,
            Family::Nova { .. } => Self::Nova,
            Family::Mistral => Self::MistralChat,
            Family::OpenAi { .. } => Self::OpenAiChat,
            _ if shape.has("anthropic_version") => Self::Anthropic,
            _ if shape.has_any(&["schemaVersion", "inferenceConfig"]) => Self::Nova,
            _ if shape.messages.is_some_and(has_converse_blocks) => Self::Nova,
            _ => Self::OpenAiChat,
        }
    }

    fn of_titan(model: &str, family: Family, shape: &Shape<'_>) -> Self {
        let embeds = shape.has_any(&["dimensions", "normalize", "embeddingTypes"]) || model.contains("embed");
        match family {
            Family::TitanEmbed => Self::TitanEmbed,
            Family::TitanText => Self::TitanText,
            _ if embeds && !shape.has("textGenerationConfig") => Self::TitanEmbed,
            _ => Self::TitanText,
        }
    }

    fn of_prompt(family: Family, shape: &Shape<'_>) -> Self {
        match family {
            Family::Llama => Self::Llama,
            Family::Mistral => Self::MistralText,
            Family::Command => Self::CohereText,
            Family::OpenAi { .. } => Self::OpenAiText,
            _ if shape.has("max_gen_len") => Self::Llama,
            _ if shape.has_any(&["return_likelihoods", "num_generations"]) => Self::CohereText,
            _ if shape.has("top_k") => Self::MistralText,
            _ => Self::OpenAiText,
        }
    }

    /// Whether a model of `family` takes it as it is. One whose family the id does not
    /// tell is sent what the client thought fit.
    pub(super) fn fits(self, family: Family) -> bool {
        match family {
            Family::Unknown | Family::Other => true,
            Family::Claude(_) => self == Self::Anthropic,
            Family::Nova { .. } => self == Self::Nova,
            Family::TitanText => self == Self::TitanText,
            Family::TitanEmbed => self == Self::TitanEmbed,
            Family::NovaEmbed => self == Self::NovaEmbed,
            Family::Command => matches!(self, Self::CohereText | Self::CohereChat),
            Family::CohereEmbed => self == Self::CohereEmbed,
            Family::Rerank { .. } => self == Self::Rerank,
            Family::Llama => self == Self::Llama,
            Family::Mistral => matches!(self, Self::MistralText | Self::MistralChat | Self::OpenAiChat),
            Family::OpenAi { .. } => matches!(self, Self::OpenAiChat | Self::OpenAiText | Self::MistralChat),
        }
    }
}

fn unbuilt(member: &str, what: &str) -> Failure {
    malformed(Failure::unsupported(format!("`{member}` asks for {what}")).with_param(member))
}

/// Whether the first turn's content is Nova's: a list of objects that have no `type`.
fn has_converse_blocks(messages: &[u8]) -> bool {
    let Ok(turns) = serde_json::from_slice::<Vec<Turn>>(messages) else { return false };
    turns
        .iter()
        .filter_map(|turn| turn.content.as_array())
        .flatten()
        .any(|block| block.as_object().is_some_and(|block| !block.contains_key("type")))
}

#[derive(serde::Deserialize)]
struct Turn {
    #[serde(default)]
    content: Value,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_told_apart_whatever_the_model_is_called() {
        for (body, form) in [
            (r#"{"anthropic_version":"x","messages":[]}"#, Form::Anthropic),
            (r#"{"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#, Form::Nova),
            (r#"{"schemaVersion":"messages-v1","messages":[]}"#, Form::Nova),
            (r#"{"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]}"#, Form::OpenAiChat),
            (r#"{"messages":[{"role":"user","content":"hi"}]}"#, Form::OpenAiChat),
            (r#"{"inputText":"hi"}"#, Form::TitanText),
            (r#"{"inputText":"hi","dimensions":256}"#, Form::TitanEmbed),
            (r#"{"prompt":"hi","max_gen_len":5}"#, Form::Llama),
            (r#"{"prompt":"hi","top_k":5}"#, Form::MistralText),
            (r#"{"prompt":"hi","return_likelihoods":"NONE"}"#, Form::CohereText),
            (r#"{"prompt":"hi","max_tokens":5}"#, Form::OpenAiText),
            (r#"{"message":"hi"}"#, Form::CohereChat),
            (r#"{"texts":["hi"],"input_type":"search_query"}"#, Form::CohereEmbed),
            (r#"{"query":"q","documents":[]}"#, Form::Rerank),
            (r#"{"taskType":"SINGLE_EMBEDDING","singleEmbeddingParams":{}}"#, Form::NovaEmbed),
        ] {
            assert_eq!(Form::of("house-model", body.as_bytes()), Ok(form), "{body}");
        }
    }

    #[test]
    fn the_models_id_settles_what_the_body_leaves_open() {
        for (model, body, form) in [
            ("us.anthropic.claude-haiku-4-5", r#"{"messages":[]}"#, Form::Anthropic),
            ("amazon.nova-lite-v1:0", r#"{"messages":[]}"#, Form::Nova),
            ("mistral.mistral-large-2407-v1:0", r#"{"messages":[]}"#, Form::MistralChat),
            ("amazon.titan-embed-text-v1", r#"{"inputText":"hi"}"#, Form::TitanEmbed),
            ("all-minilm-embed", r#"{"inputText":"hi"}"#, Form::TitanEmbed),
            ("meta.llama3-8b-instruct-v1:0", r#"{"prompt":"hi"}"#, Form::Llama),
            ("mistral.mistral-7b-instruct-v0:2", r#"{"prompt":"hi"}"#, Form::MistralText),
            ("cohere.command-text-v14", r#"{"prompt":"hi"}"#, Form::CohereText),
        ] {
            assert_eq!(Form::of(model, body.as_bytes()), Ok(form), "{model}");
            assert!(form.fits(Family::of(model)) || Family::of(model) == Family::Unknown, "{model}");
        }
    }
}
