//! The data directory: private to its owner, one process at a time while it is set up.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::StoreError;

/// Only the owner may enter, list or change.
const DIRECTORY_MODE: u32 = 0o700;
/// Only the owner may read or write.
const FILE_MODE: u32 = 0o600;

/// Makes the directory, private, if it is not there.
pub(crate) fn create(path: &Path) -> Result<(), StoreError> {
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path).map_err(at(path))
}

/// Holds the directory's lock until dropped: two first starts at once must agree on one
/// master key and apply each migration once.
pub(crate) fn lock(directory: &Path) -> Result<File, StoreError> {
    let path = directory.join("outcrop.lock");
    let file = open_private(&path).map_err(at(&path))?;
    file.lock().map_err(at(&path))?;
    Ok(file)
}

/// Makes an empty private file if there is none, and takes others' access away if there is one.
pub(crate) fn ensure_private_file(path: &Path) -> Result<(), StoreError> {
    let file = open_private(path).map_err(at(path))?;
    if file.metadata().map_err(at(path))?.permissions().mode() & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "file was open to other users; made it private");
        file.set_permissions(Permissions::from_mode(FILE_MODE)).map_err(at(path))?;
    }
    Ok(())
}

/// Writes a whole private file or nothing: temporary name, fsync, rename, fsync of the folder.
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let temporary = path.with_extension("tmp");
    let written = (|| {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        match path.parent() {
            Some(directory) => File::open(directory)?.sync_all(),
            None => Ok(()),
        }
    })();
    written.map_err(at(path))
}

/// Names the path an IO error is about.
pub(crate) fn at(path: &Path) -> impl Fn(io::Error) -> StoreError + '_ {
    move |source| StoreError::Io { path: path.to_owned(), source }
}

fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(path)
}
