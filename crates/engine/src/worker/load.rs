//! From a file to a model that can be asked.

use std::path::Path;
use std::sync::Arc;

use crate::backend::LoadedModel;
use crate::embed::Inputs;
use crate::grammar::Grammars;
use crate::protocol::Ready;
use crate::request::Requests;
use crate::scheduler::Origins;
use crate::template::ChatTemplate;
use crate::{Config, LoadError, ModelInfo, backend};

/// A model whose file is open.
pub(super) struct Loaded {
    pub(super) model: Arc<LoadedModel>,
    pub(super) ready: Ready,
    pub(super) reads: Reads,
}

/// What it takes to read calls for a model.
pub(super) enum Reads {
    /// Of one that answers.
    Chats(Box<Requests>),
    /// Of one that makes embeddings.
    Inputs(Inputs),
}

/// Opens the file at `path`; `progress` hears how far that is, 0 to 1.
pub(super) fn load(
    path: &Path,
    name: &str,
    config: &Config,
    progress: impl FnMut(f32) + 'static,
) -> Result<Loaded, LoadError> {
    let model = Arc::new(LoadedModel::open(path, config, progress)?);
    tell_where(&model, name, config);
    if model.ranks() {
        let reason = "it scores texts against a query (a reranker), which is not served here".to_owned();
        return Err(LoadError::Model { path: path.to_owned(), reason });
    }
    if model.embeds() { Ok(embedder(model, name, config)) } else { chatter(model, name, config) }
}

/// Says which chips there are, which were chosen, and why.
fn tell_where(model: &LoadedModel, name: &str, config: &Config) {
    let chips = backend::devices(config).unwrap_or_default();
    let chips = chips.iter().map(|chip| format!("{chip}, {} MiB free", chip.free_bytes >> 20));
    let chips = chips.collect::<Vec<_>>().join("; ");
    let kernels = backend::kernels(config).unwrap_or_default();
    let (on, why) = model.computed_on();
    tracing::info!(model = name, on, why, chips, kernels, threads = config.threads(), "computed");
}

fn chatter(model: Arc<LoadedModel>, name: &str, config: &Config) -> Result<Loaded, LoadError> {
    let vocabulary = model.vocabulary();
    let (default, with_tools) = (model.chat_template(None), model.chat_template(Some("tool_use")));
    let template = ChatTemplate::new(default.as_deref(), with_tools.as_deref(), vocabulary)?;
    let info = ModelInfo {
        has_template: default.is_some(),
        native_tools: template.traits().tools.is_some(),
        ..describe(&model, name, config)
    };
    let ready = Ready { thinks: template.thought().is_some(), info };
    let requests = Requests {
        longest_piece: vocabulary.longest_piece(),
        max_call_tokens: ready.info.max_call_tokens as usize,
        grammars: Grammars::new(Arc::clone(vocabulary)),
        defaults: config.sampling.clone(),
        origins: Origins::new(config),
        model: Arc::clone(&model),
        template,
    };
    Ok(Loaded { model, ready, reads: Reads::Chats(Box::new(requests)) })
}

fn embedder(model: Arc<LoadedModel>, name: &str, config: &Config) -> Loaded {
    let info =
        ModelInfo { embedding_length: Some(model.embedding_length()), ..describe(&model, name, config) };
    let inputs = Inputs {
        longest_piece: model.vocabulary().longest_piece(),
        decomposes: model.metadata("tokenizer.ggml.model").as_deref() == Some("bert"),
        max_tokens: info.max_call_tokens as usize,
        defaults: config.embedding.clone(),
        model: Arc::clone(&model),
    };
    Loaded { model, ready: Ready { info, thinks: false }, reads: Reads::Inputs(inputs) }
}

fn describe(model: &LoadedModel, name: &str, config: &Config) -> ModelInfo {
    let context_length = model.context_length();
    ModelInfo {
        name: name.to_owned(),
        architecture: model.metadata("general.architecture").unwrap_or_default(),
        title: model.metadata("general.name"),
        license: model.metadata("general.license"),
        context_length,
        max_call_tokens: context_length.min(config.context_tokens),
        vocab_size: u32::try_from(model.vocabulary().len()).unwrap_or(u32::MAX),
        size_bytes: model.size_bytes(),
        parameters: model.parameters(),
        has_template: false,
        native_tools: false,
        embedding_length: None,
        computed_on: model.computed_on().0.to_owned(),
    }
}
