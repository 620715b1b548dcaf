//! When a model is in memory, and how much of it that takes: what the owner of a server
//! says of each model, beside how it is run ([`Config`]).

use std::time::Duration;

use serde::Deserialize;

use crate::Config;

/// What a worker takes beside weights, context and saved prompts: its program, tables of
/// the vocabulary, buffers of a step. Measured: 64 MiB for SmolLM2 135M, 42 for MiniLM
/// (2026-11-23); larger models take more, which is seen once they are loaded.
const BESIDE_BYTES: u64 = 64 << 20;

/// When a model is in memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Residence {
    /// When it is loaded first.
    pub load: Load,
    /// Seconds without a call after which it is unloaded; `None`: it stays until its
    /// memory is needed for another one. 0: as soon as nobody asks it anything.
    pub keep_alive_s: Option<u64>,
    /// Once loaded, it stays.
    pub pinned: bool,
}

/// When a model is loaded first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Load {
    /// When the server starts, if there is room for it beside those before it; so the
    /// first call is as fast as the second, and what cannot be loaded is told at once.
    #[default]
    Start,
    /// With the first call.
    Demand,
}

/// What is known of a model's need for memory before it is loaded, from its file's head.
/// All zero: nothing is known, and it is counted once it is loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Footprint {
    /// The file's size: its weights, which are in memory whole.
    pub file_bytes: u64,
    /// What a thousand tokens of context take; 0: it keeps none (an embedding model).
    pub bytes_per_1000_tokens: u64,
}

impl Residence {
    /// How long it stays without a call.
    pub(crate) fn keep_alive(&self) -> Option<Duration> {
        self.keep_alive_s.filter(|_| !self.pinned).map(Duration::from_secs)
    }
}

impl Footprint {
    /// The bytes that a worker will take, as far as can be told before there is one.
    pub(crate) fn estimate(&self, config: &Config) -> u64 {
        self.known(config) + BESIDE_BYTES + self.saved(config)
    }

    /// The bytes that a worker takes of which `resident` were seen right after loading.
    /// Pages of a mapped file leave when memory is short, and a GPU's memory is not seen
    /// at all: so it is never less than what is known. Saved prompts come later.
    pub(crate) fn measured(&self, config: &Config, resident: u64) -> u64 {
        self.known(config).max(resident) + self.saved(config)
    }

    /// Weights and context: the cells of the KV cache are made at once, for all calls.
    fn known(&self, config: &Config) -> u64 {
        let tokens = u64::from(config.context_tokens) + u64::from(config.spare_tokens());
        let context = self.bytes_per_1000_tokens.saturating_mul(tokens) / 1000;
        self.file_bytes.saturating_add(context)
    }

    /// Prompts that had to make room in the KV cache, which embedding models have not.
    fn saved(&self, config: &Config) -> u64 {
        if self.bytes_per_1000_tokens == 0 { 0 } else { u64::from(config.saved_mib) << 20 }
    }
}

/// The bytes of memory that process `pid` has now; `None` where that cannot be seen.
#[cfg(target_os = "linux")]
pub(crate) fn resident(pid: u32) -> Option<u64> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// The bytes of memory that process `pid` has now; `None` where that cannot be seen.
#[cfg(not(target_os = "linux"))]
pub(crate) fn resident(_pid: u32) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_need_is_weights_context_saved_prompts_and_the_rest() {
        let config = Config { context_tokens: 2000, saved_mib: 1, ..Config::default() };
        let chats = Footprint { file_bytes: 500, bytes_per_1000_tokens: 10 };
        assert_eq!(chats.estimate(&config), 500 + 22 + (1 << 20) + BESIDE_BYTES);
        assert_eq!(chats.measured(&config, 900), 900 + (1 << 20));
        assert_eq!(chats.measured(&config, 100), 522 + (1 << 20), "never less than is known");
        let embeds = Footprint { file_bytes: 500, ..Footprint::default() };
        assert_eq!(embeds.estimate(&config), 500 + BESIDE_BYTES);
    }

    #[test]
    fn what_is_pinned_is_kept_alive() {
        let residence = Residence { keep_alive_s: Some(5), ..Residence::default() };
        assert_eq!(residence.keep_alive(), Some(Duration::from_secs(5)));
        assert_eq!(Residence { pinned: true, ..residence }.keep_alive(), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_takes_memory() {
        assert!(resident(std::process::id()).unwrap() > 1 << 20);
        assert_eq!(resident(u32::MAX), None);
    }
}
