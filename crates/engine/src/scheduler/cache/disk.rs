//! Evicted blocks as files, one each: what memory has no room for, and what a worker that
//! ends leaves to the next one. In a folder of one model, which nobody else may read: the
//! files hold what was asked.
//!
//! ```text
//! magic 8 │ CRC-32 of all that follows 4 │ length of the head 4, of the file 8 │ head (postcard) │ state
//! ```
//! A file's name is its block's key, which stands for all tokens up to its end. What cannot
//! be read is removed: it is computed again.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::tree::{BLOCK, Block, Key, Root};

/// The form of the files; another number is another form.
const MAGIC: [u8; 8] = *b"OUTKV\x001\n";
/// Bytes before the head.
const FRONT: usize = 24;
/// Longest head: tokens, and the names of a root.
const HEAD_BYTES: usize = 4096;

/// The files of one model's blocks.
#[derive(Debug)]
pub(crate) struct Disk {
    folder: PathBuf,
    limit: u64,
    bytes: u64,
}

/// What is known of a block without its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) parent: Key,
    domain: String,
    adapter: String,
    /// Blocks before it.
    pub(super) depth: u32,
    pub(super) tokens: Block,
    /// Times it was found.
    pub(super) found: u32,
}

/// A file that was found.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: Key,
    pub(super) head: Head,
    pub(super) bytes: u64,
}

impl Head {
    pub(super) fn new(root: &Root, parent: Key, depth: u32, tokens: Block, found: u32) -> Self {
        let (domain, adapter) = (root.domain.to_string(), root.adapter.to_string());
        Self { parent, domain, adapter, depth, tokens, found }
    }

    pub(super) fn root(&self) -> Root {
        Root { domain: Arc::from(&*self.domain), adapter: Arc::from(&*self.adapter) }
    }
}

impl Disk {
    /// The files in `folder`, which is made if it is not there; at most `limit` bytes of them.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub(crate) fn open(folder: &Path, limit: u64) -> io::Result<Self> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)?;
        Ok(Self { folder: folder.to_owned(), limit, bytes: 0 })
    }

    /// Bytes that are too many.
    pub(super) const fn excess(&self) -> u64 {
        self.bytes.saturating_sub(self.limit)
    }

    /// The most bytes there may be.
    pub(super) const fn limit(&self) -> u64 {
        self.limit
    }

    /// All blocks that an earlier worker left, those nearer to the beginning first.
    pub(super) fn entries(&mut self) -> Vec<Entry> {
        let mut entries = Vec::new();
        for path in fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|file| file.path()) {
            match entry(&path) {
                Some(entry) => {
                    self.bytes += entry.bytes;
                    entries.push(entry);
                }
                None => drop(fs::remove_file(&path)),
            }
        }
        entries.sort_by_key(|entry| entry.head.depth);
        entries
    }

    /// Writes a block; its size, if it could.
    pub(super) fn write(&mut self, key: Key, head: &Head, state: &[u8]) -> Option<u64> {
        let head = postcard::to_allocvec(head).ok().filter(|head| head.len() <= HEAD_BYTES)?;
        let bytes = (FRONT + head.len() + state.len()) as u64;
        let length = u32::try_from(head.len()).ok()?.to_le_bytes();
        let lengths = [&length[..], &bytes.to_le_bytes()].concat();
        let crc = checksum(&[&lengths, &head, state]);
        // Under another name until it is whole: a worker may be killed at any time.
        let (path, new) = (self.path(key), self.folder.join(format!("{}.new", std::process::id())));
        let write = || {
            let mut file = fs::File::create(&new)?;
            [&MAGIC[..], &crc, &lengths, &head, state].iter().try_for_each(|part| file.write_all(part))?;
            fs::rename(&new, &path)
        };
        if let Err(error) = write() {
            tracing::debug!(%error, folder = %self.folder.display(), "a prompt could not be kept on disk");
            let _ = fs::remove_file(&new);
            return None;
        }
        self.bytes += bytes;
        Some(bytes)
    }

    /// A block's state, if the file is as it was written.
    pub(super) fn read(&self, key: Key) -> Option<Vec<u8>> {
        let mut file = fs::read(self.path(key)).ok()?;
        let (front, rest) = file.split_at_checked(FRONT)?;
        let sound = front[..8] == MAGIC && front[8..12] == checksum(&[&front[12..], rest]);
        let head = u32::from_le_bytes(front[12..16].try_into().ok()?) as usize;
        if !sound || head > rest.len() {
            tracing::warn!(file = %self.path(key).display(), "a kept prompt is damaged, and computed again");
            return None;
        }
        file.drain(..FRONT + head);
        Some(file)
    }

    /// Removes a block of so many bytes.
    pub(super) fn remove(&mut self, key: Key, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
        // It may be gone already.
        let _ = fs::remove_file(self.path(key));
    }

    fn path(&self, key: Key) -> PathBuf {
        self.folder.join(format!("{key:032x}"))
    }
}

fn checksum(parts: &[&[u8]]) -> [u8; 4] {
    let mut crc = crc32fast::Hasher::new();
    parts.iter().for_each(|part| crc.update(part));
    crc.finalize().to_le_bytes()
}

/// What a file's head tells; the state is checked when it is read.
fn entry(path: &Path) -> Option<Entry> {
    let key = Key::from_str_radix(path.file_name()?.to_str()?, 16).ok()?;
    let mut file = fs::File::open(path).ok()?;
    let bytes = file.metadata().ok()?.len();
    let mut front = [0; FRONT];
    file.read_exact(&mut front).ok()?;
    let length = u32::from_le_bytes(front[12..16].try_into().ok()?) as usize;
    if front[..8] != MAGIC || front[16..] != bytes.to_le_bytes() || length > HEAD_BYTES {
        return None;
    }
    let mut head = vec![0; length];
    file.read_exact(&mut head).ok()?;
    Some(Entry { key, head: postcard::from_bytes(&head).ok()?, bytes })
}

const _: () = assert!(BLOCK * 5 + 64 < HEAD_BYTES, "a head holds its tokens");

#[cfg(test)]
mod tests {
    use super::*;

    fn head(depth: u32) -> Head {
        let root = Root { domain: "me".into(), adapter: "".into() };
        Head::new(&root, 7, depth, [depth; BLOCK], 3)
    }

    #[test]
    fn what_is_written_is_found_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut disk = Disk::open(&folder.path().join("a/b"), 1000).unwrap();
        let bytes = disk.write(2, &head(1), &[5; 100]).unwrap();
        disk.write(1, &head(0), &[4; 9]).unwrap();
        let mut next = Disk::open(&folder.path().join("a/b"), 1000).unwrap();
        let entries = next.entries();
        assert_eq!(entries.iter().map(|entry| entry.key).collect::<Vec<_>>(), [1, 2]);
        assert_eq!((&entries[1].head, entries[1].bytes), (&head(1), bytes));
        assert_eq!(next.read(2).unwrap(), [5; 100]);
        assert_eq!(next.bytes, disk.bytes);
        next.remove(2, bytes);
        assert!(next.read(2).is_none());
    }

    #[test]
    fn what_is_damaged_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let mut disk = Disk::open(folder.path(), 1000).unwrap();
        disk.write(1, &head(0), &[4; 9]).unwrap();
        let path = disk.path(1);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut broken = whole.clone();
            broken[at] ^= 1;
            fs::write(&path, &broken).unwrap();
            assert!(disk.read(1).is_none(), "byte {at}");
            fs::write(&path, &whole[..at]).unwrap();
            assert!(disk.read(1).is_none(), "cut at {at}");
        }
        fs::write(folder.path().join("12.new"), "half").unwrap();
        assert!(disk.entries().is_empty());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "and it is removed");
    }
}
