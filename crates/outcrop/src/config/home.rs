//! The data folder: models, keys, certificates.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::exit::Exit;

/// `$OUTCROP_HOME`, or `$XDG_DATA_HOME/outcrop`, or `~/.local/share/outcrop`.
#[derive(Debug, Clone)]
pub(crate) struct Home(PathBuf);

impl Home {
    /// Finds the folder and makes it, readable by its owner only.
    pub(crate) fn open() -> Result<Self, Exit> {
        let path = catalog::data_dir().map_err(Exit::usage)?;
        let fail = |error| Exit::failed(format!("cannot use the data folder {}: {error}", path.display()));
        if !path.is_dir() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(fail)?;
        }
        // Keys lie here: a folder made by hand with open permissions is closed.
        let mode = fs::metadata(&path).map_err(fail)?.permissions().mode();
        if mode & 0o077 != 0 {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).map_err(fail)?;
        }
        Ok(Self(path))
    }

    /// The folder itself.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Where models lie.
    pub(crate) fn models(&self) -> PathBuf {
        catalog::models_dir(&self.0)
    }

    /// Where the certificate authority and certificates lie.
    pub(crate) fn tls(&self) -> PathBuf {
        self.0.join("tls")
    }
}
