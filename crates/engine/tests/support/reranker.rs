//! A cross-encoder to test on: the encoder of the default embedding model, with a made
//! pooler and classifier on top, since no package carries a trained one. The same numbers
//! are in `bench/rerank/head.py`, where the reference implementation is asked.

use std::path::{Path, PathBuf};

use super::model::embedding_model_path;

/// Numbers in a vector of the encoder.
const WIDE: u32 = 384;
/// A GGUF tensor of single precision.
const F32: u32 = 0;
/// llama.cpp's `LLAMA_POOLING_TYPE_RANK`.
const RANK: u32 = 4;

/// Writes the model into a folder, with a classifier of so many labels.
pub fn reranker(folder: &Path, labels: u32) -> PathBuf {
    let file = std::fs::read(embedding_model_path()).unwrap();
    let path = folder.join("reranker.gguf");
    std::fs::write(&path, with_head(&file, labels)).unwrap();
    path
}

/// Numbers between -scale/2 and scale/2, by Knuth's multiplicative hash.
fn numbers(start: u32, count: u32, scale: f64) -> Vec<f32> {
    let number = |n: u32| f64::from(n.wrapping_mul(2_654_435_761) >> 8) / f64::from(1 << 24) - 0.5;
    (start..start + count).map(|n| (number(n) * scale) as f32).collect()
}

/// The file's own tensors, and four more; its pooling is changed.
fn with_head(file: &[u8], labels: u32) -> Vec<u8> {
    let head: [(&str, &[u32], Vec<f32>); 4] = [
        ("cls.weight", &[WIDE, WIDE], numbers(1, WIDE * WIDE, 0.3)),
        ("cls.bias", &[WIDE], vec![0.0; WIDE as usize]),
        ("cls.output.weight", &[WIDE, labels], numbers(1_000_000, WIDE * labels, 1.5)),
        ("cls.output.bias", &[labels], vec![3.75; labels as usize]),
    ];
    let mut reader = Reader { file, at: 8 };
    let (tensors, settings) = (reader.number(8), reader.number(8));
    for _ in 0..settings {
        reader.text();
        reader.value();
    }
    let infos = reader.at;
    for _ in 0..tensors {
        reader.text();
        let sides = reader.number(4) as usize;
        reader.at += sides * 8 + 4 + 8;
    }
    let data = reader.at.next_multiple_of(32);
    let labels: Vec<String> = (0..labels).map(|label| format!("LABEL_{label}")).collect();

    let mut made = file[..8].to_vec();
    made.extend((tensors + head.len() as u64).to_le_bytes());
    made.extend((settings + 1).to_le_bytes());
    let from = made.len();
    made.extend(&file[from..infos]);
    let pooling = b"bert.pooling_type";
    let place = made.windows(pooling.len()).position(|bytes| bytes == pooling).unwrap() + pooling.len() + 4;
    made[place..place + 4].copy_from_slice(&RANK.to_le_bytes());
    text(&mut made, "bert.classifier.output_labels");
    made.extend([9_u32, 8].map(u32::to_le_bytes).concat());
    made.extend((labels.len() as u64).to_le_bytes());
    labels.iter().for_each(|label| text(&mut made, label));
    made.extend(&file[infos..reader.at]);
    let mut offset = (file.len() - data).next_multiple_of(32);
    for (name, sides, numbers) in &head {
        text(&mut made, name);
        made.extend((sides.len() as u32).to_le_bytes());
        sides.iter().for_each(|side| made.extend(u64::from(*side).to_le_bytes()));
        made.extend(F32.to_le_bytes());
        made.extend((offset as u64).to_le_bytes());
        offset = (offset + numbers.len() * 4).next_multiple_of(32);
    }
    made.resize(made.len().next_multiple_of(32), 0);
    made.extend(&file[data..]);
    for (.., numbers) in &head {
        made.resize(made.len().next_multiple_of(32), 0);
        numbers.iter().for_each(|number| made.extend(number.to_le_bytes()));
    }
    made.resize(made.len().next_multiple_of(32), 0);
    made
}

fn text(file: &mut Vec<u8>, text: &str) {
    file.extend((text.len() as u64).to_le_bytes());
    file.extend(text.as_bytes());
}

/// Steps through the head of a GGUF file.
struct Reader<'f> {
    file: &'f [u8],
    at: usize,
}

impl Reader<'_> {
    fn number(&mut self, bytes: usize) -> u64 {
        let mut number = [0; 8];
        number[..bytes].copy_from_slice(&self.file[self.at..self.at + bytes]);
        self.at += bytes;
        u64::from_le_bytes(number)
    }

    fn text(&mut self) {
        let bytes = self.number(8);
        self.at += bytes as usize;
    }

    fn value(&mut self) {
        let kind = self.number(4);
        self.of_kind(kind);
    }

    fn of_kind(&mut self, kind: u64) {
        match kind {
            8 => self.text(),
            9 => {
                let (kind, count) = (self.number(4), self.number(8));
                (0..count).for_each(|_| self.of_kind(kind));
            }
            0 | 1 | 7 => self.at += 1,
            2 | 3 => self.at += 2,
            4..=6 => self.at += 4,
            _ => self.at += 8,
        }
    }
}
