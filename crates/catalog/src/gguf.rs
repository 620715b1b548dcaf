//! Is this a GGUF file? The first bytes tell.
//!
//! Layout: magic `GGUF`, u32 version, u64 tensor count, u64 metadata count, little
//! endian (ggml GGUF specification, version 3, read 2026-11-22).

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The versions llama.cpp reads.
const VERSIONS: std::ops::RangeInclusive<u32> = 2..=3;

/// Checks a file's head.
///
/// # Errors
/// What it is instead, in words.
pub(crate) fn check(path: &Path) -> Result<(), String> {
    let mut head = [0; 24];
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut head))
        .map_err(|error| format!("its head cannot be read: {error}"))?;
    check_head(&head)
}

fn check_head(head: &[u8; 24]) -> Result<(), String> {
    if !head.starts_with(b"GGUF") {
        let page = head.trim_ascii_start().starts_with(b"<");
        return Err(if page { "it is a web page".into() } else { "it does not begin with GGUF".into() });
    }
    let version = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    if !VERSIONS.contains(&version) {
        let swapped = VERSIONS.contains(&version.swap_bytes());
        return Err(if swapped {
            "it is big-endian; this machine needs a little-endian file".into()
        } else {
            format!("it is GGUF version {version}; versions 2 and 3 are read")
        });
    }
    if head[8..16] == [0; 8] {
        return Err("it holds no tensors (a vocabulary or a split's head)".into());
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A head that passes, for tests that need a "model".
    pub(crate) fn head() -> [u8; 24] {
        let mut head = [0; 24];
        head[..4].copy_from_slice(b"GGUF");
        head[4] = 3;
        head[8] = 1;
        head
    }

    #[test]
    fn only_the_real_thing_passes() {
        assert_eq!(check_head(&head()), Ok(()));
        let changed = |place: usize, byte: u8| {
            let mut head = head();
            head[place] = byte;
            check_head(&head).unwrap_err()
        };
        assert!(changed(0, b'X').contains("does not begin"));
        assert!(changed(4, 1).contains("version 1"));
        assert!(changed(4, 9).contains("version 9"));
        assert!(changed(8, 0).contains("no tensors"));
        let mut big = head();
        big[4..8].copy_from_slice(&3_u32.to_be_bytes());
        assert!(check_head(&big).unwrap_err().contains("big-endian"));
        let mut page = [b' '; 24];
        page[1..16].copy_from_slice(b"<!doctype html>");
        assert!(check_head(&page).unwrap_err().contains("web page"));
    }

    #[test]
    fn an_empty_file_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(check(file.path()).is_err());
    }
}
