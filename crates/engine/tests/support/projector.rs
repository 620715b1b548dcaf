//! A projector for SmolLM2-135M, small enough to be written when a test wants one: a vision
//! transformer of two layers with numbers by chance, always the same. It shows an image as
//! 36 rows that mean nothing to the model, and differ as the images do.

use std::path::{Path, PathBuf};

/// Rows that an image has: 6 by 6 patches.
#[allow(dead_code, reason = "each test binary uses its own part")]
pub const ROWS: u64 = 36;

const SIDE: usize = 48;
const PATCH: usize = 8;
const WIDTH: usize = 32;
const HIDDEN: usize = 64;
const LAYERS: usize = 2;
/// Of SmolLM2-135M.
const MODEL_WIDTH: usize = 576;

/// Writes the file and tells where it is.
pub fn projector(folder: &Path) -> PathBuf {
    write(folder, MODEL_WIDTH)
}

/// The same for a model of another width.
pub fn write(folder: &Path, model_width: usize) -> PathBuf {
    let mut gguf = Gguf::default();
    gguf.text("general.architecture", "clip");
    gguf.text("clip.projector_type", "janus_pro");
    gguf.flag("clip.has_vision_encoder", true);
    gguf.flag("clip.use_gelu", true);
    let counts = [
        ("image_size", SIDE),
        ("patch_size", PATCH),
        ("embedding_length", WIDTH),
        ("feed_forward_length", HIDDEN),
        ("block_count", LAYERS),
        ("projection_dim", model_width),
        ("attention.head_count", 4),
    ];
    for (key, count) in counts {
        gguf.count(&format!("clip.vision.{key}"), count as u32);
    }
    gguf.numbers("clip.vision.attention.layer_norm_epsilon", &[1e-6]);
    gguf.numbers("clip.vision.image_mean", &[0.5; 3]);
    gguf.numbers("clip.vision.image_std", &[0.5; 3]);

    gguf.tensor("v.patch_embd.weight", &[PATCH, PATCH, 3, WIDTH], 0.3);
    gguf.tensor("v.patch_embd.bias", &[WIDTH], 0.1);
    gguf.tensor("v.position_embd.weight", &[WIDTH, (SIDE / PATCH) * (SIDE / PATCH)], 0.5);
    for layer in 0..LAYERS {
        let mut matrix = |name: &str, from: usize, to: usize| {
            let scale = (3.0 / from as f32).sqrt();
            gguf.tensor(&format!("v.blk.{layer}.{name}.weight"), &[from, to], scale);
            gguf.tensor(&format!("v.blk.{layer}.{name}.bias"), &[to], 0.05);
        };
        ["attn_q", "attn_k", "attn_v", "attn_out"].iter().for_each(|name| matrix(name, WIDTH, WIDTH));
        matrix("ffn_up", WIDTH, HIDDEN);
        matrix("ffn_down", HIDDEN, WIDTH);
        for norm in ["ln1", "ln2"] {
            gguf.ones(&format!("v.blk.{layer}.{norm}.weight"), WIDTH);
            gguf.tensor(&format!("v.blk.{layer}.{norm}.bias"), &[WIDTH], 0.05);
        }
    }
    gguf.ones("v.post_ln.weight", WIDTH);
    gguf.tensor("v.post_ln.bias", &[WIDTH], 0.05);
    gguf.tensor("mm.0.weight", &[WIDTH, HIDDEN], 0.3);
    gguf.tensor("mm.0.bias", &[HIDDEN], 0.05);
    gguf.tensor("mm.1.weight", &[HIDDEN, model_width], 0.06);
    gguf.tensor("mm.1.bias", &[model_width], 0.02);
    let path = folder.join(format!("mmproj-{model_width}.gguf"));
    std::fs::write(&path, gguf.bytes()).unwrap();
    path
}

/// A GGUF file of 32-bit floats.
#[derive(Default)]
struct Gguf {
    about: Vec<u8>,
    keys: u64,
    heads: Vec<u8>,
    tensors: u64,
    data: Vec<u8>,
    /// Numbers drawn so far.
    drawn: u64,
}

impl Gguf {
    const COUNT: u32 = 4;
    const NUMBER: u32 = 6;
    const FLAG: u32 = 7;
    const TEXT: u32 = 8;
    const LIST: u32 = 9;

    fn key(&mut self, key: &str, kind: u32) {
        self.keys += 1;
        name(&mut self.about, key);
        self.about.extend(kind.to_le_bytes());
    }

    fn text(&mut self, key: &str, text: &str) {
        self.key(key, Self::TEXT);
        name(&mut self.about, text);
    }

    fn flag(&mut self, key: &str, flag: bool) {
        self.key(key, Self::FLAG);
        self.about.push(flag.into());
    }

    fn count(&mut self, key: &str, count: u32) {
        self.key(key, Self::COUNT);
        self.about.extend(count.to_le_bytes());
    }

    /// One number, or a list of them.
    fn numbers(&mut self, key: &str, numbers: &[f32]) {
        if numbers.len() > 1 {
            self.key(key, Self::LIST);
            self.about.extend(Self::NUMBER.to_le_bytes());
            self.about.extend((numbers.len() as u64).to_le_bytes());
        } else {
            self.key(key, Self::NUMBER);
        }
        self.about.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    }

    fn ones(&mut self, key: &str, count: usize) {
        self.values(key, &[count], |_| 1.0);
    }

    /// Numbers from `-scale` to `scale`.
    fn tensor(&mut self, key: &str, shape: &[usize], scale: f32) {
        let mut drawn = self.drawn;
        self.values(key, shape, |_| {
            drawn += 1;
            // SplitMix64, of which the upper 24 bits are a float's worth.
            let mut bits = drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((bits >> 40) as f32 / (1 << 23) as f32 - 1.0) * scale
        });
        self.drawn = drawn;
    }

    fn values(&mut self, key: &str, shape: &[usize], value: impl FnMut(usize) -> f32) {
        const FLOATS: u32 = 0;
        self.tensors += 1;
        name(&mut self.heads, key);
        self.heads.extend((shape.len() as u32).to_le_bytes());
        self.heads.extend(shape.iter().flat_map(|side| (*side as u64).to_le_bytes()));
        self.heads.extend(FLOATS.to_le_bytes());
        self.heads.extend((self.data.len() as u64).to_le_bytes());
        let values = (0..shape.iter().product()).map(value);
        self.data.extend(values.flat_map(f32::to_le_bytes));
        pad(&mut self.data);
    }

    fn bytes(self) -> Vec<u8> {
        let mut all = b"GGUF".to_vec();
        all.extend(3u32.to_le_bytes());
        all.extend(self.tensors.to_le_bytes());
        all.extend(self.keys.to_le_bytes());
        all.extend(self.about);
        all.extend(self.heads);
        pad(&mut all);
        all.extend(self.data);
        all
    }
}

fn name(to: &mut Vec<u8>, text: &str) {
    to.extend((text.len() as u64).to_le_bytes());
    to.extend(text.as_bytes());
}

/// To where the next tensor may begin.
fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(32), 0);
}
