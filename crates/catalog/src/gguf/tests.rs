//! Files that are whole, and every way in which they are not.

use proptest::prelude::*;

use super::*;

/// A model of two tensors, for tests that need one; `extra` makes it another.
pub(crate) fn model(extra: &str) -> Vec<u8> {
    let settings = [
        ("general.architecture", Value::from("llama")),
        ("general.name", extra.into()),
        ("llama.block_count", 1.into()),
        ("llama.rope.freq_base", 1e4.into()),
        ("tokenizer.ggml.tokens", ["a", "b", ""][..].into()),
        ("tokenizer.ggml.token_type", [1, 1, -3][..].into()),
        ("tokenizer.ggml.add_bos_token", true.into()),
    ];
    file(
        &settings,
        &[("token_embd.weight", &[32, 3], TensorType::Q4_1), ("norm.weight", &[5], TensorType::F32)],
    )
}

/// A file of settings and tensors, whose bytes count up.
pub(crate) fn file(settings: &[(&str, Value)], tensors: &[(&str, &[u64], TensorType)]) -> Vec<u8> {
    let planned: Vec<_> = tensors
        .iter()
        .map(|(name, shape, kind)| Planned { name: (*name).into(), shape: shape.to_vec(), kind: *kind })
        .collect();
    let head = Head::new(settings, &planned).unwrap();
    let mut file = Vec::new();
    head.write(&mut file).unwrap();
    for tensor in &planned {
        let bytes = tensor.bytes().unwrap();
        file.extend((0..bytes).map(|byte| byte as u8));
        pad(bytes, &mut file).unwrap();
    }
    assert_eq!(file.len() as u64, head.file_bytes());
    file
}

fn read(file: &[u8]) -> Result<Gguf, String> {
    Gguf::read(file, file.len() as u64)
}

#[test]
fn what_was_written_is_read() {
    let file = model("tiny");
    let gguf = read(&file).unwrap();
    assert_eq!(gguf.get("general.name").unwrap().as_str(), Some("tiny"));
    assert_eq!(gguf.get("llama.block_count").unwrap().as_u64(), Some(1));
    assert_eq!(gguf.get("llama.rope.freq_base").unwrap().as_f64(), Some(1e4));
    assert_eq!(gguf.get("tokenizer.ggml.add_bos_token").unwrap().as_bool(), Some(true));
    let tokens = gguf.get("tokenizer.ggml.tokens").unwrap();
    assert_eq!((tokens.len(), tokens.as_str()), (Some(3), None));
    assert_eq!(tokens.texts().unwrap().collect::<Vec<_>>(), [&b"a"[..], b"b", b""]);
    let types = gguf.get("tokenizer.ggml.token_type").unwrap();
    assert_eq!((types.len(), types.as_u64s()), (Some(3), None), "one is negative");
    let [matrix, vector] = gguf.tensors() else { panic!() };
    assert_eq!((matrix.kind, matrix.elements(), matrix.bytes), (TensorType::Q4_1, 96, 60));
    assert_eq!((vector.start, vector.bytes, vector.shape.as_slice()), (matrix.start + 64, 20, &[5][..]));
    assert_eq!(file[vector.start as usize..][..20], (0..20).collect::<Vec<u8>>());
}

#[test]
fn settings_are_copied_byte_by_byte() {
    let file = model("tiny");
    let gguf = read(&file).unwrap();
    let planned: Vec<_> = gguf
        .tensors()
        .iter()
        .map(|info| Planned { name: info.name.clone(), shape: info.shape.clone(), kind: info.kind })
        .collect();
    let mut again = Vec::new();
    Head::new(gguf.settings(), &planned).unwrap().write(&mut again).unwrap();
    assert!(file.starts_with(&again));
}

/// A head by hand: counts, and what follows them.
fn by_hand(tensors: u64, settings: u64, rest: &[&[u8]]) -> Vec<u8> {
    let counts = [tensors.to_le_bytes(), settings.to_le_bytes()].concat();
    [b"GGUF\x03\0\0\0", &counts[..], &rest.concat()].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

#[test]
fn nonsense_is_told_in_words() {
    let (huge, key, name) = (u64::MAX.to_le_bytes(), text("k"), text("t"));
    let number = |number: u32| number.to_le_bytes();
    let long = |number: u64| number.to_le_bytes();
    let tensor = |kind: u32, shape: &[u64], at: u64| {
        let sides: Vec<u8> = shape.iter().flat_map(|side| side.to_le_bytes()).collect();
        [&name[..], &number(shape.len() as u32), &sides, &number(kind), &long(at)].concat()
    };
    let aligned = |alignment: u32| {
        [&text("general.alignment")[..], &number(4), &number(alignment), &tensor(0, &[1], 0), &[0; 64]]
            .concat()
    };
    for (file, why) in [
        (b"".to_vec(), "cut short"),
        (b"PK\x03\x04 a zip file, not a model".to_vec(), "does not begin"),
        (b" <!doctype html><html></html>".to_vec(), "web page"),
        (b"GGUF\x01\0\0\0".to_vec(), "version 1"),
        (b"GGUF\x09\0\0\0".to_vec(), "version 9"),
        (b"GGUF\0\0\0\x03".to_vec(), "big-endian"),
        (by_hand(0, 0, &[]), "no tensors"),
        (by_hand(u64::MAX, 0, &[]), "no model has"),
        (by_hand(1, u64::MAX, &[]), "no model has"),
        (by_hand(1, 1, &[&huge]), "a setting's name has 18446744073709551615 bytes"),
        (by_hand(1, 1, &[&long(60_000), b"short"]), "cut short"),
        (by_hand(1, 1, &[&long(1), b"\xff", &number(0), b"1"]), "no UTF-8"),
        (by_hand(1, 1, &[&text(""), &number(0), b"1"]), "no name"),
        (by_hand(1, 2, &[&key, &number(0), b"1", &key, &number(0), b"1"]), "another's"),
        (by_hand(1, 1, &[&key, &number(13)]), "type 13"),
        (by_hand(1, 1, &[&key, &number(8), &huge]), "cut short"),
        (by_hand(1, 1, &[&key, &number(9), &number(8), &huge]), "cut short"),
        (by_hand(1, 1, &[&key, &number(9), &number(4), &huge]), "longer than any file"),
        (by_hand(1, 1, &[&key, &number(9), &number(4), &long(1 << 40)]), "cut short"),
        (by_hand(1, 1, &[&key, &number(9), &number(9), &long(1)]), "list of lists"),
        (by_hand(1, 1, &[&key, &number(9), &number(99), &long(1)]), "type 99"),
        (by_hand(1, 1, &[&aligned(0)]), "power of two"),
        (by_hand(1, 1, &[&aligned(24)]), "power of two"),
        (by_hand(1, 1, &[&aligned(1 << 30)]), "power of two"),
        (by_hand(1, 0, &[&text(&"t".repeat(64))]), "64 bytes"),
        (by_hand(1, 0, &[&name, &number(5)]), "5 sides"),
        (by_hand(1, 0, &[&tensor(4, &[1], 0)]), "type 4 is not known"),
        (by_hand(1, 0, &[&tensor(0, &[u64::MAX, 2], 0)]), "cannot be"),
        (by_hand(1, 0, &[&tensor(0, &[1 << 62], 0)]), "cannot be"),
        (by_hand(1, 0, &[&tensor(0, &[0], 0)]), "cannot be"),
        (by_hand(1, 0, &[&tensor(3, &[33], 0)]), "cannot be"),
        (by_hand(1, 0, &[&tensor(3, &[8, 4], 0)]), "cannot be"),
        (by_hand(1, 0, &[&tensor(0, &[1 << 40], 0)]), "cut short"),
        (by_hand(1, 0, &[&tensor(0, &[1], u64::MAX), &[0; 64]]), "does not begin where"),
        (by_hand(1, 0, &[&tensor(0, &[1], 32), &[0; 64]]), "does not begin where"),
        (by_hand(2, 0, &[&tensor(0, &[1], 0), &tensor(0, &[1], 32), &[0; 64]]), "two tensors"),
    ] {
        let error = read(&file).unwrap_err();
        assert!(error.contains(why), "{why}: {error}");
    }
    assert!(read(&by_hand(1, 1, &[&aligned(64)])).is_ok());
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let file = model("tiny");
    // Behind the last tensor there is only filling.
    let whole = file.len() - 12;
    assert!(read(&file[..whole]).is_ok());
    for length in 0..whole {
        let error = read(&file[..length]).unwrap_err();
        assert!(error.contains("cut short"), "{length}: {error}");
    }
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_refused() {
    let file = model("tiny");
    for length in 0..400 {
        assert!(Gguf::read(&file[..length], file.len() as u64).is_err());
    }
}

proptest! {
    /// Whatever a few changed bytes make of a file: an error, or tensors that lie in it.
    #[test]
    fn changed_bytes_never_lead_out_of_the_file(
        changes in prop::collection::vec((0_usize..600, any::<u8>()), 1..8),
    ) {
        let mut file = model("tiny");
        let length = file.len();
        changes.into_iter().for_each(|(at, byte)| file[at % length] = byte);
        if let Ok(gguf) = read(&file) {
            for tensor in gguf.tensors() {
                prop_assert!(tensor.start + tensor.bytes <= file.len() as u64);
            }
            for (_, value) in gguf.settings() {
                // None of these may panic, whatever the value is.
                let _ = (value.as_u64(), value.as_f64(), value.as_bool(), value.as_str(), value.as_u64s());
                let _ = value.texts().map(Iterator::count);
            }
        }
    }

    #[test]
    fn garbage_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(read(&[b"GGUF\x03\0\0\0", &bytes[..]].concat()).is_err());
    }
}
