//! Images in a conversation: from the bytes that a client sent to rows of numbers that the
//! language model reads in the place of tokens.
//!
//! In the rendered text an image is a [slot](slots); in the prompt it is as many pseudo-tokens
//! as it has rows ([`pseudo`]), so that nothing between here and the backend need know of
//! images: they are counted, cached by content, cut into steps and given way with like any
//! other tokens. The rows lie in the [`Gallery`] while a call needs them, and the backend,
//! which alone computes with them, takes them from there.
//!
//! Bytes are read here, in safe code and within limits ([`decode`]); what becomes of pixels
//! is the projector's business (`backend/projector`), a second model beside the language model.

mod decode;
mod gallery;
mod given;
mod pseudo;
mod sight;
pub(crate) mod slots;

pub(crate) use decode::Pixels;
use decode::decode;
pub(crate) use gallery::{Gallery, Part, Picture};
pub(crate) use given::{Given, MAX_IMAGES};
pub(crate) use pseudo::is_pseudo;
use pseudo::{Digest, digest};
pub(crate) use sight::{Projector, Sight, Unseen};
