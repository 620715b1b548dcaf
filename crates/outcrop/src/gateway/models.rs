//! Local models: found in the catalog or the file system, fetched if need be, loaded.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use catalog::{Catalog, Request, Settings};
use engine::Engine;
use message::{BoxService, Call, ErrorKind, Failure, ModelCard, Retry, Service, service_fn};
use platform::route::Target;

use crate::command::{models, pull};
use crate::config::{Config, Home};
use crate::exit::{Code, Exit};
use crate::gateway::worker;

/// What a client is told to wait while a model loads, before it asks again.
const LOADING_RETRY: Duration = Duration::from_secs(2);

/// A model to be served here.
pub(crate) struct LocalModel {
    /// The name clients call it by.
    pub(crate) id: String,
    /// Its human name.
    name: String,
    /// The file, if it is here.
    pub(crate) path: Option<PathBuf>,
    context_length: Option<u64>,
    /// How much of it is loaded, in hundredths.
    loaded: Arc<AtomicU8>,
}

/// Finds every model the configuration names: a GGUF file, or an id that is here or
/// can be fetched.
pub(super) fn find(config: &Config, home: &Home, catalog: &Catalog) -> Result<Vec<LocalModel>, Exit> {
    config.models.iter().map(|named| find_one(named, config, home, catalog)).collect()
}

fn find_one(named: &str, config: &Config, home: &Home, catalog: &Catalog) -> Result<LocalModel, Exit> {
    if Config::is_file_name(named) {
        let path = config.folder().join(named);
        if !path.is_file() {
            return Err(Exit::new(Code::NotFound, format!("there is no model file {}", path.display())));
        }
        let id = Config::local_id(named);
        return Ok(LocalModel {
            name: id.clone(),
            id,
            path: Some(path),
            context_length: None,
            loaded: Arc::default(),
        });
    }
    let known = catalog.get(named);
    let path = file(named, config, home);
    if path.is_none() {
        // Says which names are near, for a typing error.
        Request::parse(named, catalog).map_err(pull::fail)?;
    }
    Ok(LocalModel {
        id: named.to_owned(),
        name: known.map_or_else(|| named.to_owned(), |model| model.name.clone()),
        path,
        context_length: known.map(|model| u64::from(model.context_length)),
        loaded: Arc::default(),
    })
}

/// The file of a model that is here.
fn file(id: &str, config: &Config, home: &Home) -> Option<PathBuf> {
    let find = if config.derives() { catalog::fastest } else { catalog::find };
    find(&home.models(), id)
}

impl LocalModel {
    /// Fetches the file if it is not here, and loads it. Blocks.
    pub(super) fn load(&self, config: &Config, home: &Home, catalog: &Catalog) -> Result<Engine, Exit> {
        let path = match &self.path {
            Some(path) => path.clone(),
            None => {
                let request = Request::parse(&self.id, catalog).map_err(pull::fail)?;
                let settings = Settings::from_env();
                let pulled = pull::fetch(&request, home, &settings)?;
                let derived =
                    config.derives().then(|| models::after_pull(&pulled.id, home, &settings)).flatten();
                derived.unwrap_or(pulled).path
            }
        };
        tracing::info!(model = self.id, path = %path.display(), "loading");
        let loaded = Arc::clone(&self.loaded);
        let progress = move |done: f32| loaded.store((done * 100.0) as u8, Ordering::Relaxed);
        Engine::spawn(worker::command()?, &path, &self.id, &config.engine, progress).map_err(|error| {
            Exit::failed(format!("cannot load {} from {}: {error}", self.id, path.display()))
        })
    }

    /// How much of it is loaded, in hundredths.
    pub(super) fn loaded_percent(&self) -> u8 {
        self.loaded.load(Ordering::Relaxed)
    }

    /// Where calls for it go: the engine, or until it is loaded an answer that says so.
    pub(super) fn target(&self, engine: Option<&Engine>) -> Target {
        let card = ModelCard {
            id: self.id.as_str().into(),
            name: self.name.clone(),
            provider: "local".to_owned(),
            created_s: self.path.as_deref().and_then(modified_s).unwrap_or_else(now_s),
            context_length: engine
                .map(|engine| u64::from(engine.model().max_call_tokens))
                .or(self.context_length),
            images: false,
            alias_of: Vec::new(),
        };
        let service = match engine {
            Some(engine) => BoxService::new(told(engine.clone())),
            None => BoxService::new(loading(&self.id)),
        };
        Target { service, card }
    }
}

/// The engine, whose losses and refusals are told in the words of whoever asks.
fn told(engine: Engine) -> impl Service {
    service_fn(move |call: Call| {
        let engine = engine.clone();
        async move { dialect::told(&call, engine.call(call.clone()).await) }
    })
}

fn loading(id: &str) -> impl Service {
    let failure =
        Failure::new(ErrorKind::Unavailable, format!("model {id} is still loading; ask again in a moment"))
            .with_retry(Retry::After(LOADING_RETRY));
    service_fn(move |_| std::future::ready(Err(failure.clone())))
}

fn modified_s(path: &Path) -> Option<i64> {
    unix_s(path.metadata().ok()?.modified().ok()?)
}

/// The clock, in Unix seconds.
pub(super) fn now_s() -> i64 {
    unix_s(SystemTime::now()).unwrap_or_default()
}

fn unix_s(time: SystemTime) -> Option<i64> {
    i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}
