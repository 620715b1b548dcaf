//! Where what was computed of prompts is kept on disk for a model's next worker.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};

use crate::Config;
use crate::config::Sharing;
use crate::scheduler::Disk;

/// What states are made by: those of another version may mean something else.
const MADE_BY: &str = "llama-cpp-sys-2 0.1.161";
/// Raised when the same build computes otherwise than before.
const FORM: u32 = 2;
/// A file is known by so many samples of so many bytes: to read all of it takes as long as
/// to load it.
const SAMPLES: u64 = 64;
const SAMPLE_BYTES: usize = 4096;

/// The disk of a worker for the model at `path`, and its folder; `None`: nothing is kept.
pub(super) fn open(path: &Path, config: &Config) -> Option<(Disk, PathBuf)> {
    let wanted = config.saved_disk_mib > 0 && config.sharing != Sharing::Nobody;
    let folder = config.saved_folder.as_ref().filter(|_| wanted)?;
    let limit = u64::from(config.saved_disk_mib) << 20;
    let opened = fingerprint(path, config).and_then(|name| {
        let all = folder.join(name_of(path));
        let folder = all.join(name);
        let disk = Disk::open(&folder, limit)?;
        forget_others(&all, &folder);
        Ok((disk, folder))
    });
    opened
        .inspect_err(|error| {
            tracing::warn!(%error, folder = %folder.display(), "prompts are not kept on disk");
        })
        .ok()
}

/// A folder's name for the file at `path`, whatever it holds.
fn name_of(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    format!("{stem}-{:08x}", crc32fast::hash(path.as_os_str().as_encoded_bytes()))
}

/// What was computed from an earlier file of this name, or by an earlier build, is of no use.
fn forget_others(all: &Path, ours: &Path) {
    for other in std::fs::read_dir(all).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if other != ours {
            // Files that remain do no harm.
            let _ = std::fs::remove_dir_all(other);
        }
    }
}

/// What tells a model's file from another, and what it computes from what another build does.
pub(super) fn fingerprint(path: &Path, config: &Config) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let about = file.metadata()?;
    let modified = about.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut digest = Sha256::new();
    // Values are of another type, and attention goes another way.
    let exact = config.exact && !crate::backend::gpus(config);
    let parts = exact && config.threads() > 1;
    digest.update(format!("{MADE_BY} {FORM} {exact} {parts} {} {}", about.len(), modified.as_nanos()));
    let mut sample = Vec::with_capacity(SAMPLE_BYTES);
    for at in 0..SAMPLES {
        sample.clear();
        file.seek(SeekFrom::Start(about.len() / SAMPLES * at))?;
        Read::by_ref(&mut file).take(SAMPLE_BYTES as u64).read_to_end(&mut sample)?;
        digest.update(&sample);
    }
    Ok(digest.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_file_is_another_model() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.gguf");
        let config = Config::default();
        let print = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            File::options().write(true).open(&path).unwrap().set_modified(UNIX_EPOCH).unwrap();
            fingerprint(&path, &config).unwrap()
        };
        let (first, mut other) = (vec![1; 100_000], vec![1; 100_000]);
        other[99_000 / SAMPLES as usize * SAMPLES as usize] = 2;
        assert_eq!(print(&first), print(&first));
        assert_ne!(print(&first), print(&first[..99_999]));
        assert_ne!(print(&first), print(&other));
        assert_ne!(
            fingerprint(&path, &config).unwrap(),
            fingerprint(&path, &Config { exact: false, ..config.clone() }).unwrap()
        );
    }

    #[test]
    fn states_are_of_the_version_that_is_built_in() {
        let (name, version) = MADE_BY.split_once(' ').unwrap();
        let pinned = format!("{name} = {{ version = \"={version}\"");
        assert!(include_str!("../../../../Cargo.toml").contains(&pinned), "{pinned}");
    }

    #[test]
    fn nothing_is_kept_unless_asked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.gguf");
        std::fs::write(&path, "GGUF").unwrap();
        let config = |saved_disk_mib, sharing| Config {
            saved_disk_mib,
            sharing,
            saved_folder: Some(folder.path().join("kept")),
            ..Config::default()
        };
        assert!(open(&path, &config(0, Sharing::Key)).is_none());
        assert!(open(&path, &config(1, Sharing::Nobody)).is_none());
        assert!(!folder.path().join("kept").exists());
        let (_, first) = open(&path, &config(1, Sharing::Key)).unwrap();
        assert!(first.is_dir());
        std::fs::write(&path, "GGUF, another one").unwrap();
        let (_, second) = open(&path, &config(1, Sharing::Key)).unwrap();
        assert!(second.is_dir() && !first.exists());
    }
}
