//! A LoRA adapter: a fine-tuned variant of a model, of which only the difference is kept.
//!
//! It lies beside its model in memory and costs a few per cent of it, so that many variants
//! share one model. Calls of several variants run at once: a step computes those of one
//! adapter after those of another (`backend/pieces.rs`).

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A LoRA adapter of a model, in a GGUF file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Adapter {
    /// The name it is served by.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// How strongly it is applied; 1 is as it was trained.
    pub scale: f32,
}

/// Which of a model's adapters computes a token: its place in the list, from 1; 0 is none.
pub(crate) type AdapterId = u32;

impl Adapter {
    /// With a path that holds wherever its reader stands.
    pub(crate) fn absolute(&self) -> Self {
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        Self { path, ..self.clone() }
    }

    /// What tells what was computed by it from what others compute: a name stays when the
    /// file behind it changes.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn fingerprint(&self) -> io::Result<String> {
        let mut digest = Sha256::new();
        digest.update(self.scale.to_le_bytes());
        read(&self.path, |bytes| digest.update(bytes))?;
        Ok(digest.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

fn read(path: &Path, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let (mut file, mut buffer) = (File::open(path)?, vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            bytes => each(&buffer[..bytes]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_file_or_strength_is_another_adapter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.gguf");
        let print = |bytes: &[u8], scale| {
            std::fs::write(&path, bytes).unwrap();
            Adapter { name: "a".into(), path: path.clone(), scale }.fingerprint().unwrap()
        };
        let large = vec![7; 200_000];
        assert_eq!(print(&large, 1.0), print(&large, 1.0));
        assert_ne!(print(&large, 1.0), print(&large, 0.5));
        assert_ne!(print(&large, 1.0), print(&large[1..], 1.0));
        assert!(Adapter { name: "b".into(), path: "no".into(), scale: 1.0 }.fingerprint().is_err());
    }
}
