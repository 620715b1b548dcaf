//! Frames: a length of four bytes, little endian, and so many bytes of `postcard`, whose
//! first says what kind of message it is.

use std::io::{self, Read};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest frame: a request of the largest body that any front door takes, and the
/// vectors of one call (2,048 inputs of 16,384 numbers are half of it).
const MAX_FRAME_BYTES: usize = 256 << 20;
/// Room kept between frames; a step's items are far smaller.
const KEPT_BYTES: usize = 1 << 20;
const LENGTH_BYTES: usize = 4;

/// Why a frame could not be written or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    /// It is longer than frames may be.
    #[error("a frame of {bytes} bytes is over the limit of {MAX_FRAME_BYTES}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Its bytes are no message.
    #[error("a frame cannot be read: {0}")]
    Garbage(#[from] postcard::Error),
    /// Its bytes are a message and something more.
    #[error("a frame has {0} bytes too many")]
    TooMany(usize),
    /// The socket failed, or ended within a frame.
    #[error(transparent)]
    Socket(#[from] io::Error),
}

/// Appends a message's frame to `out`; what was there stays, also if it fails.
pub(crate) fn encode(message: &impl Serialize, out: &mut Vec<u8>) -> Result<(), FrameError> {
    let start = out.len();
    out.extend([0; LENGTH_BYTES]);
    // Gives back the very vector it was lent, or loses it: messages that cannot be
    // serialised do not exist, only lengths beyond memory.
    *out = postcard::to_extend(message, std::mem::take(out))?;
    let bytes = out.len() - start - LENGTH_BYTES;
    let length = u32::try_from(bytes).ok().filter(|_| bytes <= MAX_FRAME_BYTES);
    let Some(length) = length else {
        out.truncate(start);
        return Err(FrameError::TooLong { bytes });
    };
    out[start..start + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

/// Reads frames.
#[derive(Debug)]
pub(crate) struct Frames<R> {
    source: R,
    payload: Vec<u8>,
}

impl<R: Read> Frames<R> {
    /// Reads from `source`, which should be buffered.
    pub(crate) fn new(source: R) -> Self {
        Self { source, payload: Vec::new() }
    }

    /// The next message; `None`: the source ended, between two frames.
    pub(crate) fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, FrameError> {
        let Some(length) = self.length()? else { return Ok(None) };
        if length > MAX_FRAME_BYTES {
            return Err(FrameError::TooLong { bytes: length });
        }
        self.payload.clear();
        self.payload.shrink_to(KEPT_BYTES);
        // Grows as bytes come: a length alone takes no memory.
        let read = (&mut self.source).take(length as u64).read_to_end(&mut self.payload)?;
        if read < length {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        match postcard::take_from_bytes(&self.payload)? {
            (message, []) => Ok(Some(message)),
            (_, rest) => Err(FrameError::TooMany(rest.len())),
        }
    }

    fn length(&mut self) -> io::Result<Option<usize>> {
        let mut length = [0; LENGTH_BYTES];
        let mut have = 0;
        while have < LENGTH_BYTES {
            match self.source.read(&mut length[have..]) {
                Ok(0) if have == 0 => return Ok(None),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(more) => have += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some(u32::from_le_bytes(length) as usize))
    }
}
