//! Local models: found in the catalog or the file system, fetched if need be, opened, and
//! loaded when the server starts or a call comes.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use catalog::{Catalog, Request, Settings};
use engine::{Adapter, Engine, Footprint, Load, ModelSpec, Residence, Room};
use message::{BoxService, Call, ErrorKind, Failure, ModelCard, Retry, Service, service_fn};
use platform::route::Target;

use crate::command::{models, pull};
use crate::config::{Config, Home, Served};
use crate::exit::{Code, Exit};
use crate::gateway::worker;

/// What a client is told to wait while a model is fetched, before it asks again.
const FETCHING_RETRY: Duration = Duration::from_secs(2);

/// A model to be served here.
pub(crate) struct LocalModel {
    /// The name clients call it by.
    pub(crate) id: String,
    /// Its human name.
    name: String,
    /// The file, if it is here.
    pub(crate) path: Option<PathBuf>,
    /// The file of the second model, that looks at images for it.
    projector: Option<PathBuf>,
    /// Fine-tuned variants of it.
    adapters: Vec<Adapter>,
    context_length: Option<u64>,
    residence: Residence,
    /// What answers, since the file is here.
    opened: OnceLock<Opened>,
    /// What is to be done with it at the start is done.
    settled: AtomicBool,
}

/// A model whose file is here.
struct Opened {
    engine: Engine,
    path: PathBuf,
    /// Tokens that one call may use, as its file tells.
    context_length: Option<u64>,
}

/// One model by itself, of a file that is here; not loaded yet.
pub(crate) fn alone(named: &str, config: &Config, home: &Home) -> Result<Engine, Exit> {
    let catalog = Catalog::load(home.path()).map_err(Exit::usage)?;
    let model = find_one(&Served::named(named), config, home, &catalog)?;
    model.open_if_here(config, home, &catalog, &Room::default())?;
    let missing =
        || Exit::new(Code::NotFound, format!("{named} is not here; `outcrop pull {named}` fetches it"));
    model.opened.into_inner().map(|opened| opened.engine).ok_or_else(missing)
}

/// Finds every model the configuration names: a GGUF file, or an id that is here or
/// can be fetched.
pub(super) fn find(config: &Config, home: &Home, catalog: &Catalog) -> Result<Vec<LocalModel>, Exit> {
    config.models.iter().map(|served| find_one(served, config, home, catalog)).collect()
}

fn find_one(served: &Served, config: &Config, home: &Home, catalog: &Catalog) -> Result<LocalModel, Exit> {
    let Served { model: named, projector, residence } = served;
    let adapters = adapters(&Config::local_id(named), config)?;
    let projector = projector.as_ref().map(|file| config.folder().join(file));
    if let Some(path) = projector.as_ref().filter(|path| !path.is_file()) {
        return Err(Exit::new(Code::NotFound, format!("there is no projector file {}", path.display())));
    }
    let found = |id: String, name: String, path, projector, context_length| LocalModel {
        id,
        name,
        path,
        projector,
        adapters,
        context_length,
        residence: *residence,
        opened: OnceLock::new(),
        settled: AtomicBool::new(false),
    };
    if Config::is_file_name(named) {
        let path = config.folder().join(named);
        if !path.is_file() {
            return Err(Exit::new(Code::NotFound, format!("there is no model file {}", path.display())));
        }
        let id = Config::local_id(named);
        let projector = projector.or_else(|| beside(&path, &id));
        return Ok(found(id.clone(), id, Some(path), projector, None));
    }
    let known = catalog.get(named);
    let path = file(named, config, home);
    if path.is_none() {
        // Says which names are near, for a typing error.
        Request::parse(named, catalog).map_err(pull::fail)?;
    }
    let name = known.map_or_else(|| named.clone(), |model| model.name.clone());
    let context_length = known.map(|model| u64::from(model.context_length));
    let projector = projector.or_else(|| beside(&home.models().join(named), named));
    Ok(found(named.clone(), name, path, projector, context_length))
}

/// The projector that lies beside a model's file and is named after it.
fn beside(path: &Path, id: &str) -> Option<PathBuf> {
    let path = path.with_file_name(format!("mmproj-{id}.gguf"));
    path.is_file().then_some(path)
}

/// The adapters of a model, whose files must be here.
fn adapters(id: &str, config: &Config) -> Result<Vec<Adapter>, Exit> {
    let of_it = config.adapters.iter().filter(|(_, adapter)| adapter.model == id);
    let of_it = of_it.map(|(name, adapter)| adapter.served_as(name, config.folder()));
    of_it
        .map(|adapter| match adapter.path.is_file() {
            true => Ok(adapter),
            false => {
                let Adapter { name, path, .. } = adapter;
                let missing = format!("adapters.{name}: there is no file {}", path.display());
                Err(Exit::new(Code::NotFound, missing))
            }
        })
        .collect()
}

/// The file of a model that is here.
fn file(id: &str, config: &Config, home: &Home) -> Option<PathBuf> {
    let find = if config.derives() { catalog::fastest } else { catalog::find };
    find(&home.models(), id)
}

impl LocalModel {
    /// Opens it if its file is here: from then on calls wait while it is loaded.
    pub(super) fn open_if_here(
        &self,
        config: &Config,
        home: &Home,
        catalog: &Catalog,
        room: &Room,
    ) -> Result<(), Exit> {
        self.path.as_ref().map_or(Ok(()), |path| self.open(path.clone(), config, home, catalog, room))
    }

    /// Fetches it if it is not opened yet. Whether it was; blocks.
    pub(super) fn fetch(
        &self,
        config: &Config,
        home: &Home,
        catalog: &Catalog,
        room: &Room,
    ) -> Result<bool, Exit> {
        if self.opened.get().is_some() {
            return Ok(false);
        }
        let request = Request::parse(&self.id, catalog).map_err(pull::fail)?;
        let settings = Settings::from_env();
        let pulled = pull::fetch(&request, home, &settings)?;
        let derived = config.derives().then(|| models::after_pull(&pulled.id, home, &settings)).flatten();
        self.open(derived.unwrap_or(pulled).path, config, home, catalog, room)?;
        Ok(true)
    }

    fn open(
        &self,
        path: PathBuf,
        config: &Config,
        home: &Home,
        catalog: &Catalog,
        room: &Room,
    ) -> Result<(), Exit> {
        // What its head does not tell is learnt when it is loaded.
        let head = catalog::details(&home.models(), catalog, &path.to_string_lossy()).ok();
        let beside = self.adapters.iter().filter_map(|adapter| adapter.path.metadata().ok());
        let beside: u64 = beside.map(|file| file.len()).sum();
        let footprint = head.as_ref().map_or_else(Footprint::default, |head| Footprint {
            file_bytes: head.size_bytes + beside + self.projector_bytes(),
            bytes_per_1000_tokens: head.memory.as_ref().map_or(0, |memory| memory.bytes_per_1000_tokens),
        });
        let mut config = config.engine.clone();
        config.saved_folder.get_or_insert_with(|| home.path().join("cache"));
        let spec = ModelSpec {
            path: &path,
            projector: self.projector.as_deref(),
            name: &self.id,
            config: &config,
            adapters: &self.adapters,
            residence: self.residence,
            footprint,
        };
        let engine =
            Engine::spawn(worker::command()?, spec, room).map_err(|error| self.cannot(&path, error))?;
        let context_length = head.and_then(|head| head.context_length);
        let context_length = context_length.map(|tokens| tokens.min(config.context_tokens.into()));
        // Once: whoever opens it found it closed, and one thread does.
        let _ = self.opened.set(Opened { engine, path, context_length });
        Ok(())
    }

    /// Does what is to be done with it at the start: loads it, unless it is to wait for a
    /// call or there is no room for it. Blocks.
    pub(super) fn settle(&self) -> Result<(), Exit> {
        if let (Load::Start, Some(opened)) = (self.residence.load, self.opened.get()) {
            tracing::info!(model = self.id, path = %opened.path.display(), "loading");
            if !opened.engine.wake().map_err(|error| self.cannot(&opened.path, error))? {
                tracing::info!(
                    model = self.id,
                    "not loaded: those before it have the memory (engine.memory_mib); a call will load it"
                );
            }
        }
        self.settled.store(true, Ordering::Release);
        Ok(())
    }

    fn projector_bytes(&self) -> u64 {
        let about = self.projector.as_ref().and_then(|path| path.metadata().ok());
        about.map_or(0, |about| about.len())
    }

    fn cannot(&self, path: &Path, error: engine::LoadError) -> Exit {
        Exit::failed(format!("cannot load {} from {}: {error}", self.id, path.display()))
    }

    /// What became of it, in words.
    pub(super) fn state(&self) -> String {
        self.opened.get().map_or_else(|| "being fetched".to_owned(), |opened| opened.engine.state())
    }

    /// Why the server is not ready because of it; `None`: it is. Asleep is ready.
    pub(super) fn not_ready(&self) -> Option<String> {
        let why = match self.opened.get() {
            Some(opened) if self.settled.load(Ordering::Acquire) => opened.engine.not_ready()?,
            _ => format!("is {}", self.state()),
        };
        Some(format!("model {} {why}", self.id))
    }

    /// The names clients call it and its variants by.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.id).chain(self.adapters.iter().map(|adapter| &adapter.name))
    }

    /// Where calls for it and its variants go.
    pub(super) fn targets(&self) -> impl Iterator<Item = Target> {
        let variants = self.adapters.iter().map(|Adapter { name, .. }| {
            let title = format!("{} ({name})", self.name);
            self.target(name, title, |engine| engine.variant(name))
        });
        std::iter::once(self.target(&self.id, self.name.clone(), |engine| Some(engine.clone())))
            .chain(variants)
    }

    /// Where calls for `id` go: what is chosen of the engine, or until that is here an
    /// answer that says so.
    fn target(&self, id: &str, name: String, choose: impl Fn(&Engine) -> Option<Engine>) -> Target {
        let opened = self.opened.get();
        let card = ModelCard {
            id: id.into(),
            name,
            provider: "local".to_owned(),
            created_s: self.path.as_deref().and_then(modified_s).unwrap_or_else(now_s),
            context_length: opened.and_then(|opened| opened.context_length).or(self.context_length),
            images: self.projector.is_some(),
            alias_of: Vec::new(),
        };
        let service = match opened.and_then(|opened| choose(&opened.engine)) {
            Some(engine) => BoxService::new(told(engine)),
            None => BoxService::new(fetching(&self.id)),
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

fn fetching(id: &str) -> impl Service {
    let message = format!("model {id} is still being fetched; ask again in a moment");
    let failure = Failure::new(ErrorKind::Unavailable, message).with_retry(Retry::After(FETCHING_RETRY));
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
