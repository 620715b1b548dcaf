//! What is in the models folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::catalog::is_id;
use crate::error::bytes;
use crate::{Catalog, CatalogError, Digest, Model};

/// Where downloads grow and locks live, in the models folder.
pub(crate) const PARTIAL: &str = ".partial";

/// Where derived models are, in the models folder.
const DERIVED: &str = "derived";

/// A model that is here, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LocalModel {
    /// The name it is called by.
    pub id: String,
    /// The file.
    pub path: PathBuf,
    /// The file's size.
    pub size_bytes: u64,
    /// The file's hash.
    pub sha256: Digest,
    /// The source that delivered it.
    pub source: String,
}

impl LocalModel {
    pub(crate) fn new(id: &str, path: PathBuf, record: Record) -> Self {
        let Record { source, sha256, size_bytes, .. } = record;
        Self { id: id.to_owned(), path, size_bytes, sha256, source }
    }
}

/// What was written down when a model came: `<id>.json` beside the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The source that delivered it.
    pub source: String,
    /// The file's hash.
    pub sha256: Digest,
    /// Whether the hash was known beforehand, by the catalog or the source.
    pub verified: bool,
    /// The file's size.
    pub size_bytes: u64,
    /// Its licence, where known.
    pub license: Option<String>,
    /// The hash of the model it was derived from, here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derived_from: Option<Digest>,
    /// When it was pulled.
    #[serde(with = "time::serde::rfc3339")]
    pub pulled_at: OffsetDateTime,
}

/// One line of `outcrop models`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Listed {
    /// The name it is called by.
    pub id: String,
    /// Its human name; the id where the catalog does not have it.
    pub name: String,
    /// What is here of it.
    pub state: State,
    /// The size of the file that is here, or that will come, where known.
    pub size_bytes: Option<u64>,
    /// Its licence, where known.
    pub license: Option<String>,
    /// The file, where it is ready.
    pub path: Option<PathBuf>,
    /// What was written down when it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<Record>,
    /// The variant of it that was made for this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub derived: Option<LocalModel>,
}

/// What is here of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "status")]
pub enum State {
    /// All of it.
    Ready {
        /// The file's size.
        size_bytes: u64,
    },
    /// A part; the next pull goes on from there.
    Partial {
        /// Bytes here.
        received_bytes: u64,
    },
    /// Nothing.
    Absent,
    /// A file of another size than the one that was pulled. It is not served; pull again.
    Damaged {
        /// The size it came with.
        expected_bytes: u64,
        /// The size it has.
        actual_bytes: u64,
    },
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready { .. } => f.write_str("ready"),
            Self::Partial { received_bytes } => write!(f, "partial ({})", bytes(*received_bytes)),
            Self::Absent => f.write_str("absent"),
            Self::Damaged { .. } => f.write_str("damaged"),
        }
    }
}

/// Every model of the catalog and every model file in the folder, begun or whole, with its state.
///
/// # Errors
/// [`CatalogError::Io`] if the folder is there and cannot be read.
pub fn list(models_dir: &Path, catalog: &Catalog) -> Result<Vec<Listed>, CatalogError> {
    let mut names =
        names(models_dir).map_err(|source| CatalogError::Io { path: models_dir.into(), source })?;
    let partial = partial(models_dir);
    names.extend(partial.keys().cloned());
    let known = catalog.models().iter().map(|model| listed(models_dir, &model.id, Some(model), &partial));
    let own = names.iter().filter(|id| catalog.get(id).is_none());
    Ok(known.chain(own.map(|id| listed(models_dir, id, None, &partial))).collect())
}

/// The file of a model: by its id in the folder, or by its path. `None` if it is not
/// there whole.
pub fn find(models_dir: &Path, id_or_path: &str) -> Option<PathBuf> {
    if is_id(id_or_path) {
        let state = state(models_dir, id_or_path, record(models_dir, id_or_path).as_ref());
        if matches!(state, State::Ready { .. }) {
            return Some(file(models_dir, id_or_path));
        }
    }
    let path = Path::new(id_or_path);
    (path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf")) && path.is_file())
        .then(|| path.to_owned())
}

/// The file that runs fastest here: the one that was derived from the model, if there is
/// one and it was made of the file that is here; else what [`find`] finds.
pub fn fastest(models_dir: &Path, id_or_path: &str) -> Option<PathBuf> {
    let found = find(models_dir, id_or_path)?;
    let derived = (found == file(models_dir, id_or_path)).then(|| derived(models_dir, id_or_path)).flatten();
    Some(derived.map_or(found, |derived| derived.path))
}

/// What was derived from a model, if it was made of the file that is here.
pub(crate) fn derived(models_dir: &Path, id: &str) -> Option<LocalModel> {
    let (folder, variant) = variant(models_dir, id);
    let made = record(&folder, &variant)?;
    let path = file(&folder, &variant);
    let current = match record(models_dir, id) {
        Some(record) => made.derived_from == Some(record.sha256),
        // Put there by hand, and perhaps replaced by hand.
        None => modified(&path)? >= modified(&file(models_dir, id))?,
    };
    let whole = matches!(state(&folder, &variant, Some(&made)), State::Ready { .. });
    (current && whole).then(|| LocalModel::new(&variant, path, made))
}

/// The folder of derived models, and the name in it of what is derived from `id`.
pub(crate) fn variant(models_dir: &Path, id: &str) -> (PathBuf, String) {
    (models_dir.join(DERIVED), format!("{id}.q8_0"))
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

/// Where a model's file is, or will be.
pub(crate) fn file(models_dir: &Path, id: &str) -> PathBuf {
    models_dir.join(format!("{id}.gguf"))
}

/// Where a model's record is, or will be.
pub(crate) fn record_path(models_dir: &Path, id: &str) -> PathBuf {
    models_dir.join(format!("{id}.json"))
}

/// A model's record. A damaged one is none.
pub(crate) fn record(models_dir: &Path, id: &str) -> Option<Record> {
    serde_json::from_slice(&fs::read(record_path(models_dir, id)).ok()?).ok()
}

/// What is here under the model's final name.
pub(crate) fn state(models_dir: &Path, id: &str, record: Option<&Record>) -> State {
    let Ok(metadata) = fs::metadata(file(models_dir, id)) else { return State::Absent };
    let actual_bytes = metadata.len();
    match record {
        Some(record) if record.size_bytes != actual_bytes => {
            State::Damaged { expected_bytes: record.size_bytes, actual_bytes }
        }
        _ => State::Ready { size_bytes: actual_bytes },
    }
}

fn listed(models_dir: &Path, id: &str, model: Option<&Model>, partial: &BTreeMap<String, u64>) -> Listed {
    let record = record(models_dir, id);
    let state = match (state(models_dir, id, record.as_ref()), partial.get(id)) {
        (State::Absent, Some(received_bytes)) => State::Partial { received_bytes: *received_bytes },
        (state, _) => state,
    };
    let path = matches!(state, State::Ready { .. }).then(|| file(models_dir, id));
    let record = record.filter(|_| path.is_some());
    let size_bytes = match state {
        State::Ready { size_bytes } => Some(size_bytes),
        _ => model.and_then(|model| model.size_bytes),
    };
    let license = model.map(|model| model.license.clone());
    let license = license.or_else(|| record.as_ref().and_then(|record| record.license.clone()));
    let name = model.map_or(id, |model| &model.name).to_owned();
    let derived = path.as_ref().and_then(|_| derived(models_dir, id));
    Listed { id: id.to_owned(), name, state, size_bytes, license, path, record, derived }
}

/// Ids of the model files in the folder.
fn names(models_dir: &Path) -> io::Result<BTreeSet<String>> {
    let entries = match fs::read_dir(models_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        entries => entries?,
    };
    let mut names = BTreeSet::new();
    for entry in entries {
        if let Some(id) = entry?.file_name().to_str().and_then(|name| name.strip_suffix(".gguf"))
            && is_id(id)
            // A projector is a part of the model that it is named after.
            && !id.starts_with("mmproj-")
        {
            names.insert(id.to_owned());
        }
    }
    Ok(names)
}

/// Bytes of unfinished downloads by id: `<id>.<16 hex digits>.part`.
fn partial(models_dir: &Path) -> BTreeMap<String, u64> {
    let mut partial = BTreeMap::new();
    for entry in fs::read_dir(models_dir.join(PARTIAL)).into_iter().flatten().filter_map(Result::ok) {
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.strip_suffix(".part")?.rsplit_once('.'));
        if let (Some((id, _key)), Ok(metadata)) = (id, entry.metadata())
            && is_id(id)
            && metadata.len() > 0
        {
            *partial.entry(id.to_owned()).or_insert(0) += metadata.len();
        }
    }
    partial
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, bytes: usize) {
        fs::create_dir_all(folder.join(PARTIAL)).unwrap();
        fs::write(folder.join(name), vec![0; bytes]).unwrap();
    }

    fn recorded(folder: &Path, id: &str, size_bytes: u64) {
        let record = Record {
            source: "test".into(),
            sha256: "00".repeat(32).parse().unwrap(),
            verified: true,
            size_bytes,
            license: None,
            derived_from: None,
            pulled_at: OffsetDateTime::UNIX_EPOCH,
        };
        fs::write(record_path(folder, id), serde_json::to_vec(&record).unwrap()).unwrap();
    }

    #[test]
    fn every_state_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write(folder, "smollm3-3b.gguf", 5);
        recorded(folder, "smollm3-3b", 5);
        write(folder, "qwen3-4b.gguf", 4);
        recorded(folder, "qwen3-4b", 5);
        write(folder, "mine.gguf", 3);
        write(folder, ".partial/qwen3-0.6b.0123456789abcdef.part", 2);
        write(folder, ".partial/qwen3-0.6b.lock", 0);
        write(folder, "note.txt", 1);

        let listed = list(folder, &Catalog::load(folder).unwrap()).unwrap();
        let state = |id: &str| listed.iter().find(|line| line.id == id).unwrap().state;
        assert_eq!(state("smollm3-3b"), State::Ready { size_bytes: 5 });
        assert_eq!(state("qwen3-4b"), State::Damaged { expected_bytes: 5, actual_bytes: 4 });
        assert_eq!(state("mine"), State::Ready { size_bytes: 3 });
        assert_eq!(state("qwen3-0.6b"), State::Partial { received_bytes: 2 });
        assert_eq!(state("qwen3-1.7b"), State::Absent);
        assert!(listed.iter().all(|line| line.id != "note"));

        assert_eq!(find(folder, "smollm3-3b"), Some(folder.join("smollm3-3b.gguf")));
        assert_eq!(find(folder, "qwen3-4b"), None, "damaged");
        assert_eq!(find(folder, "qwen3-0.6b"), None, "partial");
        assert_eq!(find(folder, "../mine"), None);
        let path = folder.join("mine.gguf");
        assert_eq!(find(folder, path.to_str().unwrap()), Some(path));
        assert_eq!(find(folder, folder.join("note.txt").to_str().unwrap()), None);
    }

    #[test]
    fn no_folder_is_an_empty_one() {
        let nowhere = Path::new("/nonexistent/models");
        let listed = list(nowhere, &Catalog::load(nowhere).unwrap()).unwrap();
        assert!(listed.iter().all(|line| line.state == State::Absent));
    }
}
