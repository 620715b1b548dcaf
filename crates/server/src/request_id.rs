//! Request ids: random UUIDs (version 4), made without a system call. They must be
//! unique, not secret.

use message::RequestId;

/// A new id, as `xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx`.
pub(crate) fn new() -> RequestId {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    const VERSION_4: u128 = 0x4 << 76;
    const VARIANT: u128 = 0b10 << 62;
    let random = fastrand::u128(..) & !(0xf << 76) & !(0b11 << 62) | VERSION_4 | VARIANT;

    let mut text = [b'-'; 36];
    let mut digits = random.to_be_bytes().into_iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    for (place, slot) in text.iter_mut().enumerate() {
        if !matches!(place, 8 | 13 | 18 | 23) {
            *slot = HEX[usize::from(digits.next().unwrap_or_default())];
        }
    }
    RequestId::new(std::str::from_utf8(&text).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_uuids_of_version_4() {
        for _ in 0..1_000 {
            let id = new();
            let parts: Vec<&str> = id.as_str().split('-').collect();
            assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
            assert!(parts[2].starts_with('4'), "{id}");
            assert!(parts[3].starts_with(['8', '9', 'a', 'b']), "{id}");
        }
    }

    #[test]
    fn ids_differ_across_threads() {
        let threads: Vec<_> =
            (0..8).map(|_| std::thread::spawn(|| (0..1_000).map(|_| new()).collect::<Vec<_>>())).collect();
        let all: HashSet<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(all.len(), 8_000);
    }
}
