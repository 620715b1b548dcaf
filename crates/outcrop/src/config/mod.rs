//! `outcrop.toml`: what this server listens on, which models it serves, where the
//! others are, and every limit.
//!
//! One file, read whole and checked whole ([`Config::load`]): unknown keys are errors,
//! as is the same name for two things. Without a file the defaults serve the default
//! model on loopback.

mod adapter;
mod home;
mod served;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use catalog::DEFAULT_MODEL;
use serde::Deserialize;

pub(crate) use adapter::Adapter;
pub(crate) use home::Home;
pub(crate) use served::Served;

use crate::exit::Exit;

/// The file looked for in the current folder.
const FILE_NAME: &str = "outcrop.toml";

/// Models run on a GPU.
const GPU: bool =
    cfg!(any(feature = "cuda", feature = "rocm", feature = "metal", feature = "vulkan", feature = "opencl"));

/// Everything a configuration can say.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Models served here: catalog ids or GGUF files (relative to the configuration file),
    /// and when each is in memory.
    pub(crate) models: Vec<Served>,
    /// Where to listen, and the limits of the front door.
    pub(crate) server: server::Config,
    /// Which file of a model is served here.
    pub(crate) quantization: Quantization,
    /// How local models run.
    pub(crate) engine: engine::Config,
    /// Fine-tuned variants of local models, by the names they are served by.
    pub(crate) adapters: BTreeMap<String, Adapter>,
    /// Servers that hosted models are reached at, by name.
    pub(crate) providers: BTreeMap<String, upstream::Provider>,
    /// How long responses are kept that clients asked to be kept, and how many.
    pub(crate) responses: platform::responses::Limits,
    /// Names clients use → a local model's id or `provider/model`.
    pub(crate) aliases: BTreeMap<String, String>,
    /// The file this was read from.
    #[serde(skip)]
    pub(crate) file: Option<PathBuf>,
}

/// Which file of a local model is served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Quantization {
    /// The one that was derived for this machine, if there is one.
    #[default]
    Fastest,
    /// The one that was pulled; none is derived.
    AsPulled,
}

impl Config {
    /// Whether files derived for this machine are made and served. They are made for its
    /// processor: a build for a GPU has nothing of them.
    pub(crate) fn derives(&self) -> bool {
        self.quantization == Quantization::Fastest && !GPU
    }

    /// Memory for all local models together, in bytes; `None`: no limit. A tenth is left to
    /// the gateway, the system and what is not counted. What a GPU has is not known here.
    pub(crate) fn memory_bytes(&self) -> Option<u64> {
        let machine = || catalog::memory_bytes().filter(|_| !GPU).map(|bytes| bytes / 10 * 9);
        self.engine.memory_mib.map(|mib| mib.saturating_mul(1 << 20)).or_else(machine)
    }

    /// Serves these models only, each as the file says, if it names it, with its adapters.
    pub(crate) fn serve_only(&mut self, models: &[String]) {
        let said = |name: &String| self.models.iter().find(|served| served.model == *name).cloned();
        self.models = models.iter().map(|name| said(name).unwrap_or_else(|| Served::named(name))).collect();
        let served: Vec<String> = self.local_ids().collect();
        self.adapters.retain(|_, adapter| served.contains(&adapter.model));
    }

    /// Reads the file named, or `./outcrop.toml` if there is one, or nothing.
    pub(crate) fn load(file: Option<&Path>) -> Result<Self, Exit> {
        let file = match file {
            Some(file) => file.to_owned(),
            None if Path::new(FILE_NAME).is_file() => PathBuf::from(FILE_NAME),
            None => return Ok(Self::default().with_default_model()),
        };
        let text = std::fs::read_to_string(&file).map_err(|error| {
            Exit::usage(format!("cannot read the configuration {}: {error}", file.display()))
        })?;
        let mut config =
            Self::parse(&text).map_err(|why| Exit::usage(format!("{}: {why}", file.display())))?;
        config.file = Some(file);
        Ok(config.with_default_model())
    }

    /// Reads and checks the text of a configuration.
    fn parse(text: &str) -> Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        config.check()?;
        Ok(config)
    }

    /// With nothing to serve named, the default model is served.
    fn with_default_model(mut self) -> Self {
        if self.models.is_empty() && self.providers.is_empty() {
            self.models.push(Served::named(DEFAULT_MODEL));
        }
        self
    }

    /// What single fields cannot say: names that clash, aliases that lead nowhere.
    fn check(&self) -> Result<(), String> {
        self.server.check()?;
        for (name, adapter) in &self.adapters {
            if self.local_ids().any(|id| id == *name) {
                return Err(format!("adapters.{name}: a model of that name is served already"));
            }
            if !self.local_ids().any(|id| id == adapter.model) {
                return Err(format!(
                    "adapters.{name}: `{}` is not among `models`; an adapter needs the model it was \
                     trained on, add it there",
                    adapter.model
                ));
            }
        }
        for (alias, target) in &self.aliases {
            if self.local_names().any(|name| name == *alias) {
                return Err(format!("aliases.{alias}: a model of that name is served already"));
            }
            if let Some((provider, model)) = target.split_once('/') {
                if !self.providers.contains_key(provider) {
                    return Err(format!(
                        "aliases.{alias}: there is no provider `{provider}`; add [providers.{provider}] \
                         (targets are `provider/model` or the id of a model in `models`)"
                    ));
                }
                if model.is_empty() {
                    return Err(format!("aliases.{alias}: `{target}` names no model"));
                }
            } else if !self.local_names().any(|name| name == *target) && !self.aliases.contains_key(target) {
                return Err(format!(
                    "aliases.{alias}: `{target}` is not among `models`; add it there, or write `provider/model`"
                ));
            }
        }
        Ok(())
    }

    /// Whether a model is named by its file rather than by an id.
    pub(crate) fn is_file_name(named: &str) -> bool {
        named.ends_with(".gguf")
    }

    /// The name clients call a local model by: its id, or its file's name without `.gguf`.
    pub(crate) fn local_id(named: &str) -> String {
        if !Self::is_file_name(named) {
            return named.to_owned();
        }
        Path::new(named).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
    }

    fn local_ids(&self) -> impl Iterator<Item = String> {
        let default = (self.models.is_empty() && self.providers.is_empty()).then(|| DEFAULT_MODEL.to_owned());
        self.models.iter().map(|served| Self::local_id(&served.model)).chain(default)
    }

    /// What local models and their variants are called by.
    fn local_names(&self) -> impl Iterator<Item = String> {
        self.local_ids().chain(self.adapters.keys().cloned())
    }

    /// The folder that relative model files are meant from.
    pub(crate) fn folder(&self) -> &Path {
        self.file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_serves_the_default_model_on_loopback() {
        let config = Config::parse("").unwrap().with_default_model();
        assert!(config.server.listen.ip().is_loopback() && config.server.tls_listen.ip().is_loopback());
        assert_eq!(config.models, [Served::named(DEFAULT_MODEL)]);
    }

    #[test]
    fn the_example_is_right_and_its_defaults_are_the_defaults() {
        let config = Config::parse(include_str!("../../../../outcrop.example.toml")).unwrap();
        assert_eq!(config.server, server::Config::default());
        assert_eq!(config.quantization, Quantization::default());
        assert_eq!(config.engine, engine::Config::default());
        assert_eq!(config.responses, platform::responses::Limits::default());
        assert_eq!(config.providers["claude"].timeouts, upstream::Timeouts::default());
    }

    #[test]
    fn unknown_keys_are_errors_with_their_place() {
        let error = Config::parse("[server]\nlissten = \"127.0.0.1:1\"").unwrap_err();
        assert!(error.contains("lissten") && error.contains("line 2"), "{error}");
    }

    #[test]
    fn a_model_is_a_name_or_a_table() {
        let text = r#"models = ["a", { model = "b", load = "demand", keep_alive_s = 5 }, { model = "c", pinned = true }]"#;
        let mut config = Config::parse(text).unwrap();
        let residence = |n: usize| config.models[n].residence;
        assert_eq!(residence(0), engine::Residence::default());
        assert_eq!((residence(1).load, residence(1).keep_alive_s), (engine::Load::Demand, Some(5)));
        assert!(residence(2).pinned && residence(2).load == engine::Load::Start);
        assert_eq!(config.local_ids().collect::<Vec<_>>(), ["a", "b", "c"]);
        config.serve_only(&["c".to_owned(), "d".to_owned()]);
        assert!(config.models[0].residence.pinned && !config.models[1].residence.pinned);
        for (table, told) in [
            (r#"{ model = "b", lod = "demand" }"#, "lod"),
            (r#"{ load = "demand" }"#, "model"),
            (r#"{ model = "b", load = "later" }"#, "later"),
            (r#"{ model = "b", pinned = true, keep_alive_s = 5 }"#, "keep_alive_s"),
            ("5", "a model's name"),
        ] {
            let error = Config::parse(&format!("models = [{table}]")).unwrap_err();
            assert!(error.contains(told) && error.contains("line 1"), "{error}");
        }
    }

    #[test]
    fn memory_is_what_is_said_or_most_of_what_there_is() {
        let config = Config::parse("[engine]\nmemory_mib = 3").unwrap();
        assert_eq!(config.memory_bytes(), Some(3 << 20));
        let most = Config::default().memory_bytes();
        assert_eq!(most, catalog::memory_bytes().filter(|_| !GPU).map(|bytes| bytes / 10 * 9));
    }

    #[test]
    fn aliases_must_lead_somewhere() {
        let error = Config::parse("models = [\"m\"]\n[aliases]\nfast = \"n\"").unwrap_err();
        assert!(error.contains("aliases.fast") && error.contains("`n`"), "{error}");
        let error = Config::parse("[aliases]\nfast = \"claude/x\"").unwrap_err();
        assert!(error.contains("[providers.claude]"), "{error}");
        assert!(Config::parse("models = [\"m\"]\n[aliases]\nfast = \"m\"").is_ok());
    }

    #[test]
    fn an_adapter_needs_its_model_and_a_name_of_its_own() {
        let parse = |name: &str, model: &str| {
            let adapter = format!("[adapters.{name}]\nmodel = \"{model}\"\npath = \"a.gguf\"");
            Config::parse(&format!("models = [\"m\", \"n\"]\n{adapter}\n[aliases]\nl = \"legal\""))
        };
        let mut config = parse("legal", "m").unwrap();
        assert_eq!(config.adapters["legal"].scale, 1.0);
        config.serve_only(&["n".to_owned()]);
        assert!(config.adapters.is_empty(), "its model is not served");
        let error = parse("legal", "o").unwrap_err();
        assert!(error.contains("adapters.legal") && error.contains("`o`"), "{error}");
        assert!(parse("m", "n").unwrap_err().contains("adapters.m"));
        assert!(parse("l", "m").unwrap_err().contains("aliases.l"));
    }

    #[test]
    fn one_name_cannot_mean_two_things() {
        let error = Config::parse("models = [\"m\"]\n[aliases]\nm = \"m\"").unwrap_err();
        assert!(error.contains("aliases.m"), "{error}");
    }
}
