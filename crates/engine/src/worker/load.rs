//! From a file to a model that can be asked.

use std::path::Path;
use std::sync::Arc;

use crate::backend::{LoadedModel, Mtmd};
use crate::embed::Inputs;
use crate::grammar::Grammars;
use crate::protocol::Ready;
use crate::request::Requests;
use crate::scheduler::Origins;
use crate::template::ChatTemplate;
use crate::vision::Sight;
use crate::{Config, LoadError, ModelInfo};

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
    projector: Option<&Path>,
    name: &str,
    config: &Config,
    progress: impl FnMut(f32) + 'static,
) -> Result<Loaded, LoadError> {
    let model = Arc::new(LoadedModel::open(path, config, progress)?);
    if model.ranks() {
        let reason = "it scores texts against a query (a reranker), which is not served here".to_owned();
        return Err(LoadError::Model { path: path.to_owned(), reason });
    }
    if !model.embeds() {
        let sight = projector.map(|projector| sight(&model, projector, config)).transpose()?;
        return chatter(model, sight, name, config);
    }
    match projector {
        None => Ok(embedder(model, name, config)),
        Some(projector) => Err(LoadError::Projector {
            path: projector.to_owned(),
            reason: "its model makes embeddings of text only".to_owned(),
        }),
    }
}

/// Opens the second model, that looks at images for the first.
fn sight(model: &Arc<LoadedModel>, path: &Path, config: &Config) -> Result<Sight, LoadError> {
    let opened = Mtmd::open(path, model, config)?;
    let name = super::keep::fingerprint(path, config)
        .map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
    Ok(Sight::new(Box::new(opened), name.into_bytes(), Arc::clone(model.gallery())))
}

fn chatter(
    model: Arc<LoadedModel>,
    sight: Option<Sight>,
    name: &str,
    config: &Config,
) -> Result<Loaded, LoadError> {
    let vocabulary = model.vocabulary();
    let (default, with_tools) = (model.chat_template(None), model.chat_template(Some("tool_use")));
    let template = ChatTemplate::new(default.as_deref(), with_tools.as_deref(), vocabulary)?;
    let template = template.seeing(sight.is_some());
    let info = ModelInfo {
        has_template: default.is_some(),
        native_tools: template.traits().tools.is_some(),
        images: sight.is_some(),
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
        sight,
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
        images: false,
        embedding_length: None,
    }
}
