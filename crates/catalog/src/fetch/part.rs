//! A download that is not whole yet: its bytes and what is needed to go on with it.
//!
//! `<name>.part` grows; `<name>.part.json` says which version of the file it is a part
//! of. Both survive Ctrl-C and `kill -9`; what a crash left wrong in the bytes is caught
//! by the hash at the end.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Digest;

/// An unfinished download.
#[derive(Debug)]
pub(crate) struct Part {
    path: PathBuf,
    pub(crate) tag: Tag,
}

/// Which version of which file the bytes are of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Tag {
    /// A strong validator (`ETag`) to send in `If-Range`.
    pub(crate) etag: Option<String>,
    /// The whole file's size.
    pub(crate) total_bytes: Option<u64>,
    /// The whole file's hash, where the source told it.
    pub(crate) sha256: Option<Digest>,
}

impl Part {
    /// The part at `path`, begun or not. A damaged tag means beginning anew.
    pub(crate) fn at(path: PathBuf) -> Self {
        let tag = fs::read(tag_path(&path)).ok().and_then(|json| serde_json::from_slice(&json).ok());
        if tag.is_none() {
            // Bytes of an unknown version are worth nothing.
            let _ = fs::remove_file(&path);
        }
        Self { path, tag: tag.unwrap_or_default() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes here.
    pub(crate) fn len(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |file| file.len())
    }

    /// Opens for appending; with another tag than before, from nothing.
    pub(crate) fn append(&mut self, tag: Tag, offset: u64) -> io::Result<File> {
        let file = OpenOptions::new().append(true).create(true).open(&self.path)?;
        if self.len() != offset {
            file.set_len(offset)?;
        }
        if tag != self.tag || !tag_path(&self.path).exists() {
            let json = serde_json::to_vec(&tag)?;
            fs::write(tag_path(&self.path), json)?;
            self.tag = tag;
        }
        Ok(file)
    }

    /// Throws the bytes away.
    pub(crate) fn discard(&mut self) -> io::Result<()> {
        self.tag = Tag::default();
        for path in [tag_path(&self.path), self.path.clone()] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

fn tag_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".json");
    name.into()
}
