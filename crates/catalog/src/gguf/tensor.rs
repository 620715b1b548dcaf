//! The types of tensors, and a tensor's line in a file's table.

use std::fmt;

/// Declares [`TensorType`] and the table of its sizes.
macro_rules! tensor_types {
    ($($variant:ident = $id:literal, $name:literal, $elements:literal elements in $bytes:literal bytes;)*) => {
        /// How a tensor's numbers are stored. Numbers, names and blocks are ggml's
        /// (`ggml.h`, `ggml-common.h`; read 2026-11-23).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[allow(non_camel_case_types, reason = "the names by which they are known")]
        pub(crate) enum TensorType {
            $(#[doc = $name] $variant = $id,)*
        }

        impl TensorType {
            /// The type of that number.
            pub(crate) const fn of(id: u32) -> Option<Self> {
                match id {
                    $($id => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Its usual name.
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Numbers in a block, and bytes of one.
            pub(crate) const fn block(self) -> (u64, u64) {
                match self {
                    $(Self::$variant => ($elements, $bytes),)*
                }
            }
        }
    };
}

tensor_types! {
    F32 = 0, "F32", 1 elements in 4 bytes;
    F16 = 1, "F16", 1 elements in 2 bytes;
    Q4_0 = 2, "Q4_0", 32 elements in 18 bytes;
    Q4_1 = 3, "Q4_1", 32 elements in 20 bytes;
    Q5_0 = 6, "Q5_0", 32 elements in 22 bytes;
    Q5_1 = 7, "Q5_1", 32 elements in 24 bytes;
    Q8_0 = 8, "Q8_0", 32 elements in 34 bytes;
    Q8_1 = 9, "Q8_1", 32 elements in 36 bytes;
    Q2_K = 10, "Q2_K", 256 elements in 84 bytes;
    Q3_K = 11, "Q3_K", 256 elements in 110 bytes;
    Q4_K = 12, "Q4_K", 256 elements in 144 bytes;
    Q5_K = 13, "Q5_K", 256 elements in 176 bytes;
    Q6_K = 14, "Q6_K", 256 elements in 210 bytes;
    Q8_K = 15, "Q8_K", 256 elements in 292 bytes;
    IQ2_XXS = 16, "IQ2_XXS", 256 elements in 66 bytes;
    IQ2_XS = 17, "IQ2_XS", 256 elements in 74 bytes;
    IQ3_XXS = 18, "IQ3_XXS", 256 elements in 98 bytes;
    IQ1_S = 19, "IQ1_S", 256 elements in 50 bytes;
    IQ4_NL = 20, "IQ4_NL", 32 elements in 18 bytes;
    IQ3_S = 21, "IQ3_S", 256 elements in 110 bytes;
    IQ2_S = 22, "IQ2_S", 256 elements in 82 bytes;
    IQ4_XS = 23, "IQ4_XS", 256 elements in 136 bytes;
    I8 = 24, "I8", 1 elements in 1 bytes;
    I16 = 25, "I16", 1 elements in 2 bytes;
    I32 = 26, "I32", 1 elements in 4 bytes;
    I64 = 27, "I64", 1 elements in 8 bytes;
    F64 = 28, "F64", 1 elements in 8 bytes;
    IQ1_M = 29, "IQ1_M", 256 elements in 56 bytes;
    BF16 = 30, "BF16", 1 elements in 2 bytes;
    TQ1_0 = 34, "TQ1_0", 256 elements in 54 bytes;
    TQ2_0 = 35, "TQ2_0", 256 elements in 66 bytes;
    MXFP4 = 39, "MXFP4", 32 elements in 17 bytes;
    NVFP4 = 40, "NVFP4", 64 elements in 36 bytes;
    Q1_0 = 41, "Q1_0", 128 elements in 18 bytes;
    Q2_0 = 42, "Q2_0", 64 elements in 18 bytes;
}

impl TensorType {
    /// Bytes of so many numbers; `None` if they are no whole number of blocks, or too many.
    pub(crate) fn bytes(self, elements: u64) -> Option<u64> {
        let (in_block, block_bytes) = self.block();
        elements.is_multiple_of(in_block).then(|| elements / in_block)?.checked_mul(block_bytes)
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A tensor's line in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TensorInfo {
    /// Its name.
    pub(crate) name: String,
    /// Its lengths, fastest first, as GGUF has them.
    pub(crate) shape: Vec<u64>,
    /// How its numbers are stored.
    pub(crate) kind: TensorType,
    /// Where it begins in the file, in bytes.
    pub(crate) start: u64,
    /// Its size, in bytes.
    pub(crate) bytes: u64,
}

impl TensorInfo {
    /// How many numbers it has.
    pub(crate) fn elements(&self) -> u64 {
        let (in_block, block_bytes) = self.kind.block();
        self.bytes / block_bytes * in_block
    }
}
