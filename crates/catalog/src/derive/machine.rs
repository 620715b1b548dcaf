//! Whether another quantization of a model runs faster on this machine: what was
//! measured, and the facts it depends on.
//!
//! SmolLM2 135M, llama.cpp as of llama-cpp-sys-2 0.1.161, one AVX-512 core, tokens per
//! second of the prompt and of the answer (2026-11-23):
//!
//! | | Q4_1 | Q5_0 | Q5_1 | Q8_0 |
//! | --- | --- | --- | --- | --- |
//! | prompt | 133 | 202 | 113 | 217 |
//! | answer | 71 | 65 | 61 | 90 |

use std::fs;
use std::thread;

use crate::error::bytes as shown;
use crate::gguf::{Gguf, TensorType};

/// Types that x86 kernels of llama.cpp compute slower than Q8_0, although they are smaller.
const SLOW_ON_X86: [TensorType; 3] = [TensorType::Q4_1, TensorType::Q5_0, TensorType::Q5_1];
/// Most cores for which it pays. One reads 7 GB/s of Q4_1, and would read 13 of Q8_0:
/// with more of them answers wait for memory, and the smaller file is the faster one.
const MAX_CORES: usize = 4;
/// A derived model may take this part of the memory, at most.
const MEMORY_SHARE: u64 = 2;
/// The slow tensors must be this part of all, at least.
const SLOW_SHARE: u64 = 2;

/// What the decision depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Machine {
    /// An x86 whose kernels are vectorised.
    pub(crate) avx2: bool,
    /// Cores this process may use.
    pub(crate) cores: usize,
    /// Memory this process may use, in bytes, where it is known.
    pub(crate) memory_bytes: Option<u64>,
}

impl Machine {
    /// This machine.
    pub(crate) fn here() -> Self {
        #[cfg(target_arch = "x86_64")]
        let avx2 = std::arch::is_x86_feature_detected!("avx2");
        #[cfg(not(target_arch = "x86_64"))]
        let avx2 = false;
        Self {
            avx2,
            cores: thread::available_parallelism().map_or(1, |cores| cores.get()),
            memory_bytes: memory_bytes(),
        }
    }

    /// Whether a derived file of `derived_bytes` bytes would run faster than the model.
    ///
    /// # Errors
    /// Why not, in words.
    pub(crate) fn gains(&self, model: &Gguf, derived_bytes: u64) -> Result<(), String> {
        let bytes_of = |wanted: fn(TensorType) -> bool| -> u64 {
            model.tensors().iter().filter(|tensor| wanted(tensor.kind)).map(|tensor| tensor.bytes).sum()
        };
        if bytes_of(is_slow) < bytes_of(|_| true) / SLOW_SHARE {
            return Err("its quantization runs well on any machine".into());
        }
        if !self.avx2 {
            return Err("its quantization runs well on this processor, as far as is known".into());
        }
        if self.cores > MAX_CORES {
            return Err(format!(
                "with {} cores answers wait for memory, and the smaller file is as fast",
                self.cores
            ));
        }
        match self.memory_bytes {
            Some(memory) if derived_bytes > memory / MEMORY_SHARE => Err(format!(
                "as Q8_0 it would have {}, too much for {} of memory",
                shown(derived_bytes),
                shown(memory)
            )),
            _ => Ok(()),
        }
    }
}

/// Whether a tensor is rewritten because this processor computes it slowly.
pub(super) fn is_slow(kind: TensorType) -> bool {
    SLOW_ON_X86.contains(&kind)
}

/// Bytes of memory for this process: the machine's, or what its group may have; `None`:
/// not known on this system.
pub fn memory_bytes() -> Option<u64> {
    let group =
        fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
    });
    group.into_iter().chain(machine).min()
}
