//! The models known by name: those that come with Outcrop, and the user's own.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;
use url::Url;

use crate::{CatalogError, Model, PullError, Source};

/// What `make run` serves: small, quick, and under an open-source licence.
pub const DEFAULT_MODEL: &str = "smollm2-135m-instruct";

/// The catalog that comes with this version.
const BUILT_IN: &str = include_str!("models.toml");
/// The user's own, in the data directory.
const FILE: &str = "models.toml";
/// Longest model id, in characters: it becomes a file name.
pub(crate) const ID_MAX_CHARS: usize = 100;
/// Most names suggested for an unknown one.
const SUGGESTIONS_MAX: usize = 3;
/// How near a suggested name must come (Jaro-Winkler, 0 to 1).
const SIMILARITY_MIN: f64 = 0.8;

/// Models known by name.
#[derive(Debug, Clone)]
pub struct Catalog {
    models: Vec<Model>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    models: Vec<Model>,
}

impl Catalog {
    /// The built-in catalog and the data directory's `models.toml`, if there is one.
    ///
    /// # Errors
    /// [`CatalogError`] if the user's file cannot be read, or contradicts itself or the built-in one.
    pub fn load(data_dir: &Path) -> Result<Self, CatalogError> {
        let path = data_dir.join(FILE);
        let own = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Self::parse(BUILT_IN, "built-in"),
            Err(source) => return Err(CatalogError::Io { path, source }),
        };
        let mut catalog = Self::parse(BUILT_IN, "built-in")?;
        let origin = path.display().to_string();
        catalog.models.extend(Self::parse(&own, &origin)?.models);
        check(&catalog.models, &origin)?;
        Ok(catalog)
    }

    fn parse(text: &str, origin: &str) -> Result<Self, CatalogError> {
        let file: File = toml::from_str(text)
            .map_err(|error| CatalogError::Malformed { origin: origin.into(), why: error.to_string() })?;
        check(&file.models, origin)?;
        Ok(Self { models: file.models })
    }

    /// All models: built-in ones first, in the files' order.
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// The model of that id.
    pub fn get(&self, id: &str) -> Option<&Model> {
        self.models.iter().find(|model| model.id == id)
    }

    /// The model of that id, or the names that come near.
    pub(crate) fn find(&self, id: &str) -> Result<&Model, PullError> {
        self.get(id).ok_or_else(|| {
            let wanted = id.to_lowercase();
            let mut near: Vec<_> = self
                .models
                .iter()
                .map(|model| (strsim::jaro_winkler(&wanted, &model.id), &model.id))
                .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)
                .collect();
            near.sort_by(|a, b| b.0.total_cmp(&a.0));
            let near = near.into_iter().take(SUGGESTIONS_MAX).map(|(_, id)| id.clone()).collect();
            PullError::UnknownModel { id: id.into(), near }
        })
    }
}

/// Whether a text may be a model's id: it becomes part of file names.
pub(crate) fn is_id(text: &str) -> bool {
    let word = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit();
    text.len() <= ID_MAX_CHARS
        && text.starts_with(word)
        && text.chars().all(|char| word(char) || matches!(char, '.' | '_' | '-'))
}

fn check(models: &[Model], origin: &str) -> Result<(), CatalogError> {
    let malformed = |why: String| CatalogError::Malformed { origin: origin.into(), why };
    let mut ids = HashSet::new();
    for model in models {
        let id = &model.id;
        if !is_id(id) {
            return Err(malformed(format!(
                "{id:?} is no model id: a-z, 0-9, `.`, `_`, `-`, at most {ID_MAX_CHARS}"
            )));
        }
        if !ids.insert(id) {
            return Err(malformed(format!("model {id} is defined twice; rename one")));
        }
        if model.sources.is_empty() {
            return Err(malformed(format!("model {id} has no source")));
        }
        for source in &model.sources {
            check_source(model, source).map_err(|why| malformed(format!("model {id}: {why}")))?;
        }
    }
    Ok(())
}

fn check_source(model: &Model, source: &Source) -> Result<(), String> {
    match source {
        Source::Hub { hub, file, revision } => check_hub(hub, file, revision),
        Source::Pypi { pypi } if pypi.is_empty() => Err("a pypi source needs a wheel".into()),
        Source::Pypi { .. } | Source::Folder { .. }
            if model.sha256.is_none() || model.size_bytes.is_none() =>
        {
            Err("a pypi source needs the model's sha256 and size_bytes".into())
        }
        Source::Pypi { .. } | Source::Folder { .. } => Ok(()),
        Source::Url { url } => match Url::parse(url) {
            Ok(url) if matches!(url.scheme(), "https" | "http") => Ok(()),
            _ => Err(format!("{url:?} is not a http or https address")),
        },
    }
}

/// Checks the parts of a hub address: they become parts of a URL.
pub(crate) fn check_hub(hub: &str, file: &str, revision: &str) -> Result<(), String> {
    let segment = |text: &str| {
        !text.is_empty()
            && text != "."
            && text != ".."
            && text.chars().all(|char| !char.is_control() && !char.is_whitespace() && !"?#\\%".contains(char))
    };
    let repository: Vec<_> = hub.split('/').collect();
    if repository.len() != 2 || !repository.iter().all(|part| segment(part)) {
        return Err(format!("{hub:?} is not organisation/repository"));
    }
    if !file.split('/').all(segment) {
        return Err(format!("{file:?} is not a path in a repository"));
    }
    if !segment(revision) || revision.contains('/') {
        return Err(format!("{revision:?} is not a revision"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_catalog_is_sound() {
        let catalog = Catalog::parse(BUILT_IN, "built-in").unwrap();
        assert!(catalog.models().len() >= 14);
        let default = catalog.get(DEFAULT_MODEL).unwrap();
        assert_eq!(default.license, "Apache-2.0");
        assert!(default.terms.is_none() && default.sha256.is_some());
        assert!(matches!(default.sources[..], [Source::Hub { .. }, Source::Pypi { .. }]));
        let open = ["Apache-2.0", "MIT"];
        for model in catalog.models() {
            assert_eq!(model.terms.is_none(), open.contains(&&*model.license), "{}", model.id);
        }
    }

    #[test]
    fn the_users_own_models_are_added() {
        let directory = tempfile::tempdir().unwrap();
        let own = r#"[[models]]
            id = "mine"
            name = "Mine"
            family = "own"
            license = "MIT"
            context_length = 1
            parameters = 1
            quantization = "F16"
            capabilities = ["chat"]
            sources = [{ url = "https://example.com/mine.gguf" }]"#;
        fs::write(directory.path().join(FILE), own).unwrap();
        let catalog = Catalog::load(directory.path()).unwrap();
        assert!(catalog.get("mine").is_some() && catalog.get(DEFAULT_MODEL).is_some());

        for (broken, why) in [
            (own.replace("\"mine\"", "\"qwen3-0.6b\""), "defined twice"),
            (own.replace("\"mine\"", "\"../mine\""), "no model id"),
            (own.replace("https://", "file://"), "not a http"),
            (own.replace("url =", "uri ="), "a source is"),
            (own.replace("{ url = \"https://example.com/mine.gguf\" }", ""), "no source"),
            (own.replace("{ url", "{ hub = \"a/../b\", file"), "not organisation/repository"),
            ("models = 1".into(), "models"),
        ] {
            fs::write(directory.path().join(FILE), &broken).unwrap();
            let error = Catalog::load(directory.path()).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn an_unknown_name_brings_near_ones() {
        let catalog = Catalog::parse(BUILT_IN, "built-in").unwrap();
        let error = catalog.find("Qwen3-0.6").unwrap_err();
        assert!(error.to_string().contains("qwen3-0.6b"), "{error}");
    }
}
