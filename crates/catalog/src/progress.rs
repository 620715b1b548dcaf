//! What a pull tells whoever watches it.

/// Watches a pull. `()` watches nothing.
pub trait Progress {
    /// Something happened.
    fn step(&mut self, step: Step<'_>);
}

impl Progress for () {
    fn step(&mut self, _: Step<'_>) {}
}

/// Something that happened during a pull.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// A piece of work begins; the one before is over.
    Begin {
        /// What kind.
        action: Action,
        /// On which file.
        name: &'a str,
        /// Bytes done before (a resumed download).
        done_bytes: u64,
        /// Bytes in all, if known.
        total_bytes: Option<u64>,
    },
    /// The work has come this far.
    Advance {
        /// Bytes done in all.
        done_bytes: u64,
    },
    /// Something to say: why a source failed, that another pull is waited for.
    Note(&'a str),
}

/// A kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Bytes come from the source: the network, or the disk a local file is on.
    Download,
    /// What was downloaded before is read again to hash it.
    Verify,
    /// A file is taken out of an archive.
    Extract,
    /// Published weights are written as a model file.
    Convert,
    /// A model is written again in another quantization.
    Derive,
}
