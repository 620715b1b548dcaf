//! A model's place in the models folder: its lock, its parts, its final name.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use crate::fetch::{Part, Trouble};
use crate::local::{self, PARTIAL};
use crate::{Digest, LocalModel, Progress, PullError, Record, Request, SourceError, State, Step, gguf};

/// Where one model goes.
pub(crate) struct Place {
    models_dir: PathBuf,
    id: String,
}

/// Where a file comes from, for its record.
pub(crate) struct Provenance<'a> {
    pub(crate) source: &'a str,
    pub(crate) license: Option<&'a str>,
    /// The hash of the model that it was made of.
    pub(crate) derived_from: Option<Digest>,
}

/// A whole file that has no final name yet.
pub(crate) struct Staged {
    pub(crate) path: PathBuf,
    pub(crate) sha256: Digest,
    /// The hash was known beforehand.
    pub(crate) verified: bool,
}

impl Place {
    /// Makes the folders if need be.
    pub(crate) fn open(models_dir: &Path, id: &str) -> Result<Self, PullError> {
        let partial = models_dir.join(PARTIAL);
        fs::create_dir_all(&partial).map_err(|source| PullError::Io { path: partial, source })?;
        Ok(Self { models_dir: models_dir.into(), id: id.into() })
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.models_dir
    }

    /// Waits until nobody else pulls the same model. The lock goes with the file, or with
    /// the process.
    pub(crate) fn lock(&self, progress: &mut dyn Progress) -> Result<File, PullError> {
        let path = self.partial("lock");
        let io = |source| PullError::Io { path: path.clone(), source };
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                progress.step(Step::Note("another pull of this model is under way; waiting for it"));
                file.lock().map_err(io)?;
            }
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        Ok(file)
    }

    /// The model, if what is asked for is here.
    pub(crate) fn present(&self, request: &Request) -> Result<Option<LocalModel>, PullError> {
        let record = local::record(&self.models_dir, &self.id);
        let path = local::file(&self.models_dir, &self.id);
        let record = match (local::state(&self.models_dir, &self.id, record.as_ref()), record) {
            (State::Ready { .. }, Some(record)) => record,
            (State::Ready { .. }, None) => {
                return Err(PullError::Taken { path, from: "a file put there by hand".into() });
            }
            _ => return Ok(None),
        };
        let same = match request {
            Request::Model(model) => model.sha256.map_or_else(
                || model.sources.iter().any(|source| source.to_string() == record.source),
                |sha256| sha256 == record.sha256,
            ),
            Request::File { source, .. } => source.to_string() == record.source,
            // Converted again: the folder may hold other weights by now.
            Request::Folder { path, .. } if path.display().to_string() == record.source => return Ok(None),
            Request::Folder { .. } => false,
            Request::Local { path, .. } => {
                path.canonicalize().is_ok_and(|path| path.display().to_string() == record.source)
            }
        };
        if !same {
            return Err(PullError::Taken { path, from: record.source });
        }
        Ok(Some(LocalModel::new(&self.id, path, record)))
    }

    /// The unfinished download of a source, told apart by `key`.
    pub(crate) fn part(&self, key: &str) -> Part {
        let key = Digest::of(Sha256::new_with_prefix(key)).to_string();
        Part::at(self.partial(&format!("{}.part", &key[..16])))
    }

    /// A new empty file to fill.
    pub(crate) fn stage(&self) -> Result<(Staged, File), PullError> {
        let path = self.partial("stage");
        let file = File::create(&path).map_err(|source| PullError::Io { path: path.clone(), source })?;
        Ok((Staged { path, sha256: Digest::of(Sha256::new()), verified: false }, file))
    }

    /// Gives a whole file its final name, if it is a model.
    pub(crate) fn install(&self, staged: Staged, provenance: &Provenance<'_>) -> Result<LocalModel, Trouble> {
        if let Err(why) = gguf::check(&staged.path) {
            let _ = fs::remove_file(&staged.path);
            return Err(SourceError::NotAModel(why).into());
        }
        let path = local::file(&self.models_dir, &self.id);
        let record = self
            .rename(&staged, &path, provenance)
            .map_err(|source| PullError::Io { path: path.clone(), source })?;
        Ok(LocalModel::new(&self.id, path, record))
    }

    /// Removes what is left of other sources' downloads. The lock file stays: removing it
    /// under another's wait would make two locks.
    pub(crate) fn clear(&self) {
        let prefix = format!("{}.", self.id);
        for entry in fs::read_dir(self.models_dir.join(PARTIAL)).into_iter().flatten().filter_map(Result::ok)
        {
            let name = entry.file_name();
            let rest = name.to_str().and_then(|name| name.strip_prefix(&prefix));
            if rest.is_some_and(|rest| rest == "stage" || is_part(rest)) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// The record first: were it the other way round, a crash between the two would leave
    /// a model without its history.
    fn rename(&self, staged: &Staged, path: &Path, provenance: &Provenance<'_>) -> io::Result<Record> {
        let record = Record {
            source: provenance.source.into(),
            sha256: staged.sha256,
            verified: staged.verified,
            size_bytes: fs::metadata(&staged.path)?.len(),
            license: provenance.license.map(Into::into),
            derived_from: provenance.derived_from,
            pulled_at: OffsetDateTime::now_utc().replace_nanosecond(0).unwrap_or(OffsetDateTime::UNIX_EPOCH),
        };
        let temporary = self.partial("json");
        let mut file = File::create(&temporary)?;
        file.write_all(&serde_json::to_vec_pretty(&record)?)?;
        file.sync_all()?;
        File::open(&staged.path)?.sync_all()?;
        fs::rename(&temporary, local::record_path(&self.models_dir, &self.id))?;
        fs::rename(&staged.path, path)?;
        File::open(&self.models_dir)?.sync_all()?;
        Ok(record)
    }

    fn partial(&self, suffix: &str) -> PathBuf {
        self.models_dir.join(PARTIAL).join(format!("{}.{suffix}", self.id))
    }
}

/// `<16 hex digits>.part`, with or without `.json`. Another model's id may begin with
/// ours and a dot, so the rest is looked at closely.
fn is_part(rest: &str) -> bool {
    let key = rest.strip_suffix(".json").unwrap_or(rest).strip_suffix(".part");
    key.is_some_and(|key| key.len() == 16 && key.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// A file as it grows: written, hashed, counted, and watched.
pub(crate) struct Output<'a> {
    file: BufWriter<File>,
    hasher: Sha256,
    done_bytes: u64,
    progress: &'a mut dyn Progress,
}

impl<'a> Output<'a> {
    pub(crate) fn new(file: File, progress: &'a mut dyn Progress) -> Self {
        const BUFFER_BYTES: usize = 1 << 20;
        let file = BufWriter::with_capacity(BUFFER_BYTES, file);
        Self { file, hasher: Sha256::new(), done_bytes: 0, progress }
    }

    /// Bytes written, and their hash. What is still in the buffer must have been flushed.
    pub(crate) fn finish(self) -> (u64, Digest) {
        (self.done_bytes, Digest::of(self.hasher))
    }
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.done_bytes += bytes.len() as u64;
        self.progress.step(Step::Advance { done_bytes: self.done_bytes });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
