//! Model files: which exist, where they come from, and getting them here whole.
//!
//! * [`Catalog`]: the models known by name (data: `models.toml`, and the user's own);
//! * [`Request`]: what `outcrop pull` was asked for: an id, a hub file, a URL, a path;
//! * [`pull`]: source after source until one delivers, resumed, verified, put in place
//!   by one rename: a file under its final name is whole;
//! * [`derive`]: a model that is here, written again as it runs fastest on this machine;
//! * [`list`], [`find`], [`fastest`], [`details`]: what is here.
//!
//! Everything blocks: callers on an async runtime use a blocking thread.
//!
//! Layout of the models folder: `<id>.gguf` with its record `<id>.json` beside it, and
//! `.partial/`, where downloads grow and locks live; `derived/` is laid out the same.

mod catalog;
mod convert;
mod derive;
mod details;
mod digest;
mod error;
mod fetch;
mod gguf;
mod home;
mod local;
mod model;
mod pip;
mod place;
mod progress;
mod pull;
mod quantize;
mod request;
mod settings;

pub(crate) use convert::Unconverted;

pub use catalog::{Catalog, DEFAULT_MODEL};
pub use convert::Precision;
pub use derive::{Derived, Wish, derive, memory_bytes, underive};
pub use details::{Details, Memory, RopeScaling, SlidingWindow, Stored, Template, Tokenizer, details};
pub use digest::Digest;
pub use error::{CatalogError, PullError, PullErrorKind, SourceError};
pub use home::{data_dir, models_dir};
pub use local::{Listed, LocalModel, Record, State, fastest, find, list};
pub use model::{Capability, Model, Source, Terms, WheelMember};
pub use pip::PipSettings;
pub use progress::{Action, Progress, Step};
pub use pull::pull;
pub use request::Request;
pub use settings::Settings;
