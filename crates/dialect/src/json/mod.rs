//! JSON without building a tree: check a body once, find what matters, change one value.
//!
//! Every body passes [`members`] (or [`validate`]) once, at the door: after it the bytes
//! are known to be JSON of bounded depth, and the spans of the few members that the
//! gateway needs are known. A same-dialect target then gets the body as [`splice`]d
//! slices; everybody else decodes it into typed structs with [`decode`], whose errors
//! name the field at fault.

mod decode;
mod error;
pub(crate) mod fields;
mod scan;
mod splice;
mod strings;
mod write;

pub use decode::{decode, decode_value, member};
pub use error::{Reason, ScanError};
pub use scan::{DEPTH_MAX, members, validate};
pub use splice::splice;
pub(crate) use write::{bytes, write};
