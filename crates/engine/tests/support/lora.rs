//! LoRA adapters for the default model, made of a seed: files as fine-tuning leaves them.

use std::path::{Path, PathBuf};

/// Numbers per token in SmolLM2-135M, and its layers.
const WIDTH: usize = 576;
const LAYERS: usize = 30;
const RANK: usize = 8;
/// Where the file's tensors begin, and each of them.
const ALIGNMENT: usize = 32;

/// Writes an adapter of the query and attention output matrices; `strength` is the size of
/// its numbers, 0 an adapter that changes nothing.
pub fn write(folder: &Path, name: &str, seed: u64, strength: f32) -> PathBuf {
    write_for("llama", WIDTH, folder, name, seed, strength)
}

/// The same for any architecture and width.
pub fn write_for(
    architecture: &str,
    width: usize,
    folder: &Path,
    name: &str,
    seed: u64,
    strength: f32,
) -> PathBuf {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut tensors = Vec::new();
    for layer in 0..LAYERS {
        for matrix in ["attn_q", "attn_output"] {
            let mut numbers =
                |size: f32| (0..width * RANK).map(|_| (random.f32() - 0.5) * size).collect::<Vec<f32>>();
            let name = format!("blk.{layer}.{matrix}.weight");
            tensors.push((format!("{name}.lora_a"), [width, RANK], numbers(0.1)));
            tensors.push((format!("{name}.lora_b"), [RANK, width], numbers(strength)));
        }
    }
    let mut file = Vec::from(*b"GGUF");
    file.extend(3u32.to_le_bytes());
    file.extend((tensors.len() as u64).to_le_bytes());
    file.extend(4u64.to_le_bytes());
    for (key, value) in
        [("general.type", "adapter"), ("general.architecture", architecture), ("adapter.type", "lora")]
    {
        text(&mut file, key);
        file.extend(8u32.to_le_bytes());
        text(&mut file, value);
    }
    text(&mut file, "adapter.lora.alpha");
    file.extend(6u32.to_le_bytes());
    file.extend((RANK as f32).to_le_bytes());
    let mut offset = 0u64;
    for (name, shape, numbers) in &tensors {
        text(&mut file, name);
        file.extend(2u32.to_le_bytes());
        shape.iter().for_each(|&size| file.extend((size as u64).to_le_bytes()));
        file.extend(0u32.to_le_bytes());
        file.extend(offset.to_le_bytes());
        offset += ((numbers.len() * 4).next_multiple_of(ALIGNMENT)) as u64;
    }
    for (_, _, numbers) in &tensors {
        file.resize(file.len().next_multiple_of(ALIGNMENT), 0);
        numbers.iter().for_each(|number| file.extend(number.to_le_bytes()));
    }
    let path = folder.join(name);
    std::fs::write(&path, file).unwrap();
    path
}

fn text(file: &mut Vec<u8>, text: &str) {
    file.extend((text.len() as u64).to_le_bytes());
    file.extend(text.as_bytes());
}
