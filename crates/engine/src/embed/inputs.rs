//! From a request for embeddings to tokens: everything that can be refused is refused
//! here, before the model does any work.

use message::{Dropped, Embed, EmbedInput, EmbedPurpose, ErrorKind, Extra, Failure, Truncate, said};

use super::{Job, Wanted, Words};
use crate::EmbeddingDefaults;
use crate::backend::Input;
use crate::outlet::Outlet;

/// Most inputs of one call (OpenAI's limit).
const MAX_INPUTS: usize = 2048;

/// What of a call has no meaning here, for the caller to know.
pub(crate) fn dropped(extra: &Extra) -> Vec<Dropped> {
    const UNKNOWN: &str = "unknown to models served here";
    said(extra).map(|name| Dropped { path: name.to_owned(), why: UNKNOWN }).collect()
}

/// What it takes to read requests for one model.
pub(crate) struct Inputs {
    pub(crate) words: Words,
    pub(crate) defaults: EmbeddingDefaults,
}

impl Inputs {
    /// Makes a job of a request, whose vectors go out by `events`.
    pub(crate) fn prepare(&self, embed: &Embed, events: Outlet) -> Result<Job, Failure> {
        let inputs = self.read(embed)?;
        let dimensions = self.dimensions(embed)?;
        let wanted = Wanted::Vectors { dimensions, normalize: embed.normalize.unwrap_or(true) };
        Ok(Job { inputs, wanted, events })
    }

    /// The tokens of every input.
    fn read(&self, embed: &Embed) -> Result<Vec<Input>, Failure> {
        embed.leave_home()?;
        if embed.inputs.is_empty() {
            return Err(Failure::invalid_field("input", "there is nothing to embed"));
        }
        if embed.inputs.len() > MAX_INPUTS {
            return Err(Failure::invalid_field(
                "input",
                format_args!("at most {MAX_INPUTS} inputs in one call"),
            ));
        }
        self.dimensions(embed)?;
        let prefix = self.prefix(embed.purpose);
        let inputs = embed.inputs.iter().enumerate();
        inputs.map(|(index, input)| self.tokens(index, prefix, input, embed.truncate)).collect()
    }

    /// How many numbers each vector shall have, if not all.
    fn dimensions(&self, embed: &Embed) -> Result<Option<usize>, Failure> {
        let all = self.words.model.embedding_length();
        let Some(wanted) = embed.dimensions else { return Ok(None) };
        let wrong = |why: String| Err(Failure::invalid_field("dimensions", why));
        match self.defaults.least_dimensions {
            _ if wanted == all => Ok(None),
            _ if wanted == 0 || wanted > all => wrong(format!("this model's vectors have {all} numbers")),
            Some(least) if wanted >= least => Ok(Some(wanted as usize)),
            Some(least) => wrong(format!("this model's vectors can be cut to {least} numbers, not to fewer")),
            None => Err(Failure::unsupported(format!(
                "dimensions: this model's vectors mean something only whole: leave it out, or ask for {all}"
            ))
            .with_param("dimensions")),
        }
    }

    fn prefix(&self, purpose: Option<EmbedPurpose>) -> &str {
        match purpose {
            Some(EmbedPurpose::Query) => &self.defaults.query_prefix,
            Some(EmbedPurpose::Document) => &self.defaults.document_prefix,
            Some(EmbedPurpose::Classification) => &self.defaults.classification_prefix,
            Some(EmbedPurpose::Clustering) => &self.defaults.clustering_prefix,
            Some(EmbedPurpose::Similarity) => &self.defaults.similarity_prefix,
            None => "",
        }
    }

    fn tokens(
        &self,
        index: usize,
        prefix: &str,
        input: &EmbedInput,
        truncate: Option<Truncate>,
    ) -> Result<Input, Failure> {
        let path = format!("input.{index}");
        let refused =
            |why: &str| Err(Failure::unsupported(format!("{path}: {why}")).with_param(path.clone()));
        let text = match input {
            EmbedInput::Text(text) => text,
            EmbedInput::Tokens(_) => {
                return refused(
                    "token ids are those of another model's vocabulary; send the text itself \
                     (LangChain: check_embedding_ctx_length=False)",
                );
            }
            EmbedInput::Image(_) => return refused("this model takes text only, not images"),
        };
        if text.is_empty() {
            return Err(Failure::invalid_field(path, "is empty"));
        }
        let cuts = matches!(truncate, Some(Truncate::Start | Truncate::End));
        let at_least = self.words.at_least(text);
        if !cuts && at_least > self.words.max_tokens {
            return Err(self.too_long(&path, &format!("at least {at_least}")));
        }
        let text = match truncate {
            Some(Truncate::Start) => self.words.end(text),
            Some(Truncate::End) => self.words.start(text),
            _ => text,
        };
        let words = self.words.tokens(&format!("{prefix}{text}"));
        let (before, after) = self.words.model.around();
        let room = self.words.max_tokens.saturating_sub(before.len() + after.len());
        let words = match truncate {
            _ if words.len() <= room => words.as_slice(),
            Some(Truncate::End) => &words[..room],
            Some(Truncate::Start) => &words[words.len() - room..],
            Some(Truncate::None) | None => {
                let count = words.len() + before.len() + after.len();
                return Err(self.too_long(&path, &count.to_string()));
            }
        };
        Ok(Input::one([before, words, after].concat()))
    }

    fn too_long(&self, path: &str, tokens: &str) -> Failure {
        Failure::new(
            ErrorKind::ContextOverflow,
            format!(
                "{path}: its {tokens} tokens are more than the {} this model takes; split the text, \
                 or ask for truncation where your interface has it",
                self.words.max_tokens
            ),
        )
        .with_param(path)
    }
}
