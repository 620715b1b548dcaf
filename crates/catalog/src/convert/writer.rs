//! Writes a GGUF file (ggml's GGUF specification, version 3, read 2026-11-22): settings,
//! a table of tensors, and their numbers, each from a multiple of 32 bytes on.

use std::io::{self, Write};

use super::half::half;

/// Where tensors may begin, in bytes: the format's default.
const ALIGNMENT: usize = 32;
const VERSION: u32 = 3;

/// A setting's value.
pub(super) enum Setting<'a> {
    U32(u32),
    F32(f32),
    Bool(bool),
    Text(&'a str),
    Texts(Vec<String>),
    I32s(Vec<i32>),
}

/// A tensor to be written: its name here, its lengths (fastest last), its single-precision
/// numbers, and whether half precision is enough.
pub(super) struct Tensor<'a> {
    pub(super) name: String,
    pub(super) shape: Vec<u64>,
    pub(super) numbers: &'a [u8],
    pub(super) half: bool,
}

impl Tensor<'_> {
    fn bytes(&self) -> usize {
        if self.half { self.numbers.len() / 2 } else { self.numbers.len() }
    }
}

/// Writes the whole file.
pub(super) fn write(
    settings: &[(&str, Setting<'_>)],
    tensors: &[Tensor<'_>],
    mut out: impl Write,
) -> io::Result<()> {
    let head = head(settings, tensors);
    out.write_all(&head)?;
    pad(head.len(), &mut out)?;
    for tensor in tensors {
        if tensor.half {
            let numbers = tensor.numbers.as_chunks::<4>().0.iter();
            let halves: Vec<u8> =
                numbers.flat_map(|number| half(f32::from_le_bytes(*number)).to_le_bytes()).collect();
            out.write_all(&halves)?;
        } else {
            out.write_all(tensor.numbers)?;
        }
        pad(tensor.bytes(), &mut out)?;
    }
    out.flush()
}

fn head(settings: &[(&str, Setting<'_>)], tensors: &[Tensor<'_>]) -> Vec<u8> {
    let mut head = b"GGUF".to_vec();
    head.extend(VERSION.to_le_bytes());
    head.extend((tensors.len() as u64).to_le_bytes());
    head.extend((settings.len() as u64).to_le_bytes());
    for (key, setting) in settings {
        text(key, &mut head);
        self::setting(setting, &mut head);
    }
    let mut offset = 0_u64;
    for tensor in tensors {
        const F32: u32 = 0;
        const F16: u32 = 1;
        text(&tensor.name, &mut head);
        head.extend((tensor.shape.len() as u32).to_le_bytes());
        // The fastest first.
        tensor.shape.iter().rev().for_each(|length| head.extend(length.to_le_bytes()));
        head.extend(if tensor.half { F16 } else { F32 }.to_le_bytes());
        head.extend(offset.to_le_bytes());
        offset += tensor.bytes().next_multiple_of(ALIGNMENT) as u64;
    }
    head
}

fn setting(setting: &Setting<'_>, head: &mut Vec<u8>) {
    // The format's numbers for its types.
    const U32: u32 = 4;
    const I32: u32 = 5;
    const F32: u32 = 6;
    const BOOL: u32 = 7;
    const TEXT: u32 = 8;
    const LIST: u32 = 9;
    match setting {
        Setting::U32(value) => {
            head.extend(U32.to_le_bytes());
            head.extend(value.to_le_bytes());
        }
        Setting::F32(value) => {
            head.extend(F32.to_le_bytes());
            head.extend(value.to_le_bytes());
        }
        Setting::Bool(value) => {
            head.extend(BOOL.to_le_bytes());
            head.push(u8::from(*value));
        }
        Setting::Text(value) => {
            head.extend(TEXT.to_le_bytes());
            text(value, head);
        }
        Setting::Texts(values) => {
            head.extend(LIST.to_le_bytes());
            head.extend(TEXT.to_le_bytes());
            head.extend((values.len() as u64).to_le_bytes());
            values.iter().for_each(|value| text(value, head));
        }
        Setting::I32s(values) => {
            head.extend(LIST.to_le_bytes());
            head.extend(I32.to_le_bytes());
            head.extend((values.len() as u64).to_le_bytes());
            values.iter().for_each(|value| head.extend(value.to_le_bytes()));
        }
    }
}

fn text(text: &str, head: &mut Vec<u8>) {
    head.extend((text.len() as u64).to_le_bytes());
    head.extend(text.as_bytes());
}

fn pad(length: usize, out: &mut impl Write) -> io::Result<()> {
    let zeros = [0; ALIGNMENT];
    out.write_all(&zeros[..length.next_multiple_of(ALIGNMENT) - length])
}
