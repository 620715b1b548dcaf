//! From a file to a model that can be asked.

use std::path::Path;
use std::sync::Arc;

use crate::backend::{LoadedModel, Mtmd};
use crate::embed::{Inputs, Words};
use crate::grammar::Grammars;
use crate::protocol::Ready;
use crate::request::Requests;
use crate::rerank::Pairs;
use crate::scheduler::Origins;
use crate::template::ChatTemplate;
use crate::vision::Sight;
use crate::{Adapter, Config, LoadError, ModelInfo, Task, backend};

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
    /// Of one that scores documents against a query.
    Pairs(Pairs),
}

/// Opens the file at `path` and those of its adapters; `progress` hears how far that is, 0 to 1.
pub(super) fn load(
    path: &Path,
    projector: Option<&Path>,
    name: &str,
    config: &Config,
    adapters: &[Adapter],
    progress: impl FnMut(f32) + 'static,
) -> Result<Loaded, LoadError> {
    let model = Arc::new(LoadedModel::open(path, config, adapters, progress)?);
    tell_where(&model, name, config);
    let task = task(&model).map_err(|reason| LoadError::Model { path: path.to_owned(), reason })?;
    match (task, projector, adapters.first()) {
        (Task::Chat, projector, _) => {
            let sight = projector.map(|projector| sight(&model, projector, config)).transpose()?;
            chatter(model, sight, name, config, adapters)
        }
        (_, Some(projector), _) => Err(LoadError::Projector {
            path: projector.to_owned(),
            reason: "its model reads text only".to_owned(),
        }),
        (_, _, Some(adapter)) => Err(unusable(adapter, "only models that answer have adapters")),
        (Task::Embed, ..) => Ok(embedder(model, name, config)),
        (Task::Rerank, ..) => Ok(ranker(model, name, config)),
    }
}

/// Opens the second model, that looks at images for the first.
fn sight(model: &Arc<LoadedModel>, path: &Path, config: &Config) -> Result<Sight, LoadError> {
    let opened = Mtmd::open(path, model, config)?;
    let name = super::keep::fingerprint(path, config)
        .map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
    Ok(Sight::new(Box::new(opened), name.into_bytes(), Arc::clone(model.gallery())))
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

/// What a model does; or in words why none of it can be served.
fn task(model: &LoadedModel) -> Result<Task, String> {
    match (model.ranks(), model.labels()) {
        (false, _) => Ok(if model.embeds() { Task::Embed } else { Task::Chat }),
        (true, _) if !model.encodes() => {
            Err("it scores documents by going on with a prompt (as Qwen3-Reranker), \
             which is not served; rerankers of the BERT family are"
                .to_owned())
        }
        (true, 1) => Ok(Task::Rerank),
        (true, labels) => Err(format!("it sorts texts into {labels} classes; a reranker gives one score")),
    }
}

fn chatter(
    model: Arc<LoadedModel>,
    sight: Option<Sight>,
    name: &str,
    config: &Config,
    adapters: &[Adapter],
) -> Result<Loaded, LoadError> {
    let fingerprint = |adapter: &Adapter| match adapter.fingerprint() {
        Ok(fingerprint) => Ok(fingerprint.into()),
        Err(error) => Err(unusable(adapter, error)),
    };
    let fingerprints = adapters.iter().map(fingerprint).collect::<Result<_, _>>()?;
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
        origins: Origins::new(config, fingerprints),
        model: Arc::clone(&model),
        template,
        sight,
    };
    Ok(Loaded { model, ready, reads: Reads::Chats(Box::new(requests)) })
}

fn embedder(model: Arc<LoadedModel>, name: &str, config: &Config) -> Loaded {
    let embedding_length = Some(model.embedding_length());
    let info = ModelInfo { task: Task::Embed, embedding_length, ..describe(&model, name, config) };
    let words = Words::new(Arc::clone(&model), info.max_call_tokens);
    let reads = Reads::Inputs(Inputs { words, defaults: config.embedding.clone() });
    Loaded { model, ready: Ready { info, thinks: false }, reads }
}

fn ranker(model: Arc<LoadedModel>, name: &str, config: &Config) -> Loaded {
    let info = ModelInfo { task: Task::Rerank, ..describe(&model, name, config) };
    let reads = Reads::Pairs(Pairs { words: Words::new(Arc::clone(&model), info.max_call_tokens) });
    Loaded { model, ready: Ready { info, thinks: false }, reads }
}

fn unusable(adapter: &Adapter, why: impl ToString) -> LoadError {
    let Adapter { name, path, .. } = adapter.clone();
    LoadError::Adapter { name, path, reason: why.to_string() }
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
        task: Task::Chat,
        images: false,
        embedding_length: None,
        computed_on: model.computed_on().0.to_owned(),
    }
}
