//! Another quantization of a model that is here, made on this machine because it runs
//! faster on it.
//!
//! ```text
//! models/<id>.gguf, <id>.json                    what was pulled; stays as it is
//! models/derived/<id>.q8_0.gguf, <id>.q8_0.json  what was made of it, with its hash
//! ```
//!
//! A derived file is used ([`crate::fastest`]) as long as the one it was made of is the
//! one that is here. It is as good as that one: eight bits hold what was rounded to five.
//! (SmolLM2, 40 prompts: its next-token distributions lie 0.014 nats from exact arithmetic
//! over the Q4_1 weights, those of the Q4_1 kernels 0.010, and those of Q4_0 made of them,
//! which would be faster still, 0.71.)

mod machine;
mod rewrite;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::catalog::is_id;
use crate::fetch::{disk_error, room};
use crate::gguf::Gguf;
use crate::local;
use crate::place::{Output, Place, Provenance};
use crate::{Action, Digest, LocalModel, Progress, PullError, Record, Settings, State, Step, Unconverted};

use machine::Machine;
use rewrite::Rewrite;

pub use machine::memory_bytes;
pub(crate) use rewrite::DERIVED_FROM;

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Whatever runs fastest here, which may be the model as it is.
    Fastest,
    /// Q8_0, even where nothing is known to be gained.
    Q8_0,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Derived {
    /// The file was made.
    Made(LocalModel),
    /// The file was here already.
    Here(LocalModel),
    /// There is nothing to gain: why, in words.
    Needless(String),
}

/// Makes the variant of a model that runs fastest on this machine. Blocks; safe when
/// several do it at once, and while the model is served.
///
/// # Errors
/// [`PullError`]; the model itself is not touched, and still served.
pub fn derive(
    models_dir: &Path,
    id: &str,
    wish: Wish,
    settings: &Settings,
    progress: &mut dyn Progress,
) -> Result<Derived, PullError> {
    derive_on(Machine::here(), models_dir, id, wish, settings, progress)
}

/// Removes what was derived from a model. `false`: there was nothing.
///
/// # Errors
/// [`PullError::Io`]; the model itself is not touched.
pub fn underive(models_dir: &Path, id: &str, progress: &mut dyn Progress) -> Result<bool, PullError> {
    present(models_dir, id)?;
    let _lock = Place::open(models_dir, id)?.lock(progress)?;
    let (folder, variant) = local::variant(models_dir, id);
    let mut removed = false;
    // The model first: a record alone is nothing, a model without one would be in the way.
    for path in [local::file(&folder, &variant), local::record_path(&folder, &variant)] {
        match fs::remove_file(&path) {
            Ok(()) => removed = true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(PullError::Io { path, source }),
        }
    }
    Ok(removed)
}

fn derive_on(
    machine: Machine,
    models_dir: &Path,
    id: &str,
    wish: Wish,
    settings: &Settings,
    progress: &mut dyn Progress,
) -> Result<Derived, PullError> {
    present(models_dir, id)?;
    // The model's own lock: nobody pulls another in its place meanwhile.
    let _lock = Place::open(models_dir, id)?.lock(progress)?;
    let record = present(models_dir, id)?;
    let path = local::file(models_dir, id);
    if let Some(derived) = local::derived(models_dir, id) {
        return Ok(Derived::Here(derived));
    }
    let not = |why: String| PullError::NotAModel { path: path.clone(), why };
    let model = Gguf::open(&path).map_err(not)?;
    let sha256 = match &record {
        Some(record) => record.sha256,
        None => hash(&path, id, model.file_bytes, progress)?,
    };
    let rewrite = Rewrite::plan(&model, wish, sha256).map_err(not)?;
    if rewrite.changes() == 0 {
        return Ok(Derived::Needless("none of its tensors would change".into()));
    }
    if wish == Wish::Fastest
        && let Err(why) = machine.gains(&model, rewrite.file_bytes())
    {
        return Ok(Derived::Needless(why));
    }

    let (folder, variant) = local::variant(models_dir, id);
    let place = Place::open(&folder, &variant)?;
    let (mut staged, file) = place.stage()?;
    let made = (|| {
        let total_bytes = rewrite.file_bytes();
        room(settings, &staged.path, total_bytes)?;
        progress.step(Step::Begin {
            action: Action::Derive,
            name: id,
            done_bytes: 0,
            total_bytes: Some(total_bytes),
        });
        let source = File::open(&path).map_err(|source| PullError::Io { path: path.clone(), source })?;
        let mut output = Output::new(file, progress);
        rewrite.write(&source, &mut output).map_err(|unconverted| match unconverted {
            Unconverted::Files(why) => not(why),
            Unconverted::Disk(error) => disk_error(settings, &staged.path, error),
        })?;
        staged.sha256 = output.finish().1;
        let license = record.as_ref().and_then(|record| record.license.as_deref());
        let source = format!("{id}, rewritten as Q8_0");
        let provenance = Provenance { source: &source, license, derived_from: Some(sha256) };
        place.install(staged, &provenance).map_err(|trouble| trouble.of_file(&path))
    })();
    if made.is_err() {
        place.clear();
    }
    made.map(Derived::Made)
}

/// The record of a model that is here whole, if it has one.
fn present(models_dir: &Path, id: &str) -> Result<Option<Record>, PullError> {
    if !is_id(id) {
        let why = "it is no id of a model in the models folder (`outcrop models` lists them)".into();
        return Err(PullError::Request { request: id.into(), why });
    }
    let record = local::record(models_dir, id);
    match local::state(models_dir, id, record.as_ref()) {
        State::Ready { .. } => Ok(record),
        _ => Err(PullError::Absent { id: id.into() }),
    }
}

/// The hash of a file that was put there by hand.
fn hash(path: &Path, id: &str, bytes: u64, progress: &mut dyn Progress) -> Result<Digest, PullError> {
    let io = |source| PullError::Io { path: PathBuf::from(path), source };
    progress.step(Step::Begin { action: Action::Verify, name: id, done_bytes: 0, total_bytes: Some(bytes) });
    let mut hasher = Sha256::new();
    io::copy(&mut File::open(path).map_err(io)?, &mut hasher).map_err(io)?;
    Ok(Digest::of(hasher))
}

#[cfg(test)]
mod tests;
