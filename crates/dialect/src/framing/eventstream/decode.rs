//! Bytes, cut anywhere → messages. Trusts nothing: lengths are checked, under their
//! checksum, before a byte is held for them.

use std::mem;
use std::str::Utf8Error;

use bytes::{Buf, Bytes, BytesMut};

use super::{CRC_BYTES, PRELUDE_BYTES};

/// Largest message taken, in bytes: as botocore takes. Bedrock's own stay under 2 MiB.
pub const MESSAGE_BYTES_MAX: usize = 24 << 20;
/// Largest headers of a message taken, in bytes: as botocore takes.
pub const HEADERS_BYTES_MAX: usize = 128 << 10;

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The headers, in order; no name stands twice.
    pub headers: Vec<(Bytes, HeaderValue)>,
    /// The payload.
    pub payload: Bytes,
}

/// A header's value.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum HeaderValue {
    Bool(bool),
    Byte(i8),
    Short(i16),
    Int(i32),
    Long(i64),
    Bytes(Bytes),
    /// Valid UTF-8.
    String(Bytes),
    /// Milliseconds since 1970.
    Timestamp(i64),
    Uuid([u8; 16]),
}

impl Message {
    /// A string header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|(key, value)| match value {
            HeaderValue::String(text) if key == name => std::str::from_utf8(text).ok(),
            _ => None,
        })
    }

    /// `event`, `exception` or `error`.
    pub fn message_type(&self) -> Option<&str> {
        self.header(":message-type")
    }

    /// Which member of the stream's union an event is.
    pub fn event_type(&self) -> Option<&str> {
        self.header(":event-type")
    }

    /// Which exception an exception is.
    pub fn exception_type(&self) -> Option<&str> {
        self.header(":exception-type")
    }
}

/// Why bytes are not an event stream. It cannot be read on: where the next message
/// begins is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum DecodeError {
    #[error("the event stream's prelude has a wrong checksum; is this an event stream?")]
    PreludeChecksum,
    #[error("an event-stream message has a wrong checksum; it was damaged on its way")]
    MessageChecksum,
    #[error("an event-stream message claims {0} bytes; between 16 and {MESSAGE_BYTES_MAX} are possible")]
    MessageLength(u32),
    #[error("an event-stream message claims {0} bytes of headers, more than it has or than is allowed")]
    HeadersLength(u32),
    #[error("an event-stream header is cut short")]
    HeaderCut,
    #[error("an event-stream header has the unknown type {0}")]
    HeaderType(u8),
    #[error("an event-stream header is not UTF-8")]
    HeaderText(#[from] Utf8Error),
    #[error("an event-stream header stands twice")]
    HeaderTwice,
}

/// Cuts a byte stream into messages. A message that lies whole in one piece is sliced,
/// not copied.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Bytes not looked at yet.
    piece: Bytes,
    /// The beginning of a message whose end has not come; if so, `piece` is empty.
    held: BytesMut,
}

impl Decoder {
    /// A decoder at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the decoder more bytes. Call [`next`](Self::next) until it has no more
    /// messages before the next push: only then nothing is copied.
    pub fn push(&mut self, piece: Bytes) {
        if self.piece.is_empty() {
            self.piece = piece;
        } else {
            self.piece = [mem::take(&mut self.piece), piece].concat().into();
        }
    }

    /// The next whole message; `None` until more bytes come.
    ///
    /// # Errors
    /// [`DecodeError`]; the decoder is of no use after it.
    #[allow(clippy::should_implement_trait, reason = "an iterator cannot be fed between two items")]
    pub fn next(&mut self) -> Result<Option<Message>, DecodeError> {
        Ok(self.next_with_bytes()?.map(|(_, message)| message))
    }

    /// The next whole message, and the bytes it is made of, to be forwarded as they are.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn next_with_bytes(&mut self) -> Result<Option<(Bytes, Message)>, DecodeError> {
        if self.held.is_empty() {
            if let Some(lengths) = Lengths::read(&self.piece)?
                && self.piece.len() >= lengths.total
            {
                let bytes = self.piece.split_to(lengths.total);
                return parse(bytes.clone(), lengths).map(|message| Some((bytes, message)));
            }
            self.held.extend_from_slice(&mem::take(&mut self.piece));
            return Ok(None);
        }
        self.hold(PRELUDE_BYTES);
        let Some(lengths) = Lengths::read(&self.held)? else { return Ok(None) };
        self.hold(lengths.total);
        if self.held.len() < lengths.total {
            return Ok(None);
        }
        let bytes = self.held.split().freeze();
        parse(bytes.clone(), lengths).map(|message| Some((bytes, message)))
    }

    /// Whether the stream stands between two messages: after its end, `false` means that
    /// it was cut inside one.
    pub fn is_between_messages(&self) -> bool {
        self.piece.is_empty() && self.held.is_empty()
    }

    /// Moves bytes from the piece until `wanted` are held.
    fn hold(&mut self, wanted: usize) {
        let missing = wanted.saturating_sub(self.held.len()).min(self.piece.len());
        self.held.extend_from_slice(&self.piece.split_to(missing));
    }
}

#[derive(Clone, Copy)]
struct Lengths {
    total: usize,
    headers: usize,
}

impl Lengths {
    /// Reads and checks the prelude; `None` if it is not all there.
    fn read(bytes: &[u8]) -> Result<Option<Self>, DecodeError> {
        let Some(mut prelude) = bytes.get(..PRELUDE_BYTES) else { return Ok(None) };
        let checksum = crc32fast::hash(&prelude[..8]);
        let (total, headers) = (prelude.get_u32(), prelude.get_u32());
        if prelude.get_u32() != checksum {
            return Err(DecodeError::PreludeChecksum);
        }
        let lengths = Self { total: total as usize, headers: headers as usize };
        if !(PRELUDE_BYTES + CRC_BYTES..=MESSAGE_BYTES_MAX).contains(&lengths.total) {
            return Err(DecodeError::MessageLength(total));
        }
        if lengths.headers > HEADERS_BYTES_MAX.min(lengths.total - PRELUDE_BYTES - CRC_BYTES) {
            return Err(DecodeError::HeadersLength(headers));
        }
        Ok(Some(lengths))
    }
}

/// Takes a whole message apart.
fn parse(mut message: Bytes, lengths: Lengths) -> Result<Message, DecodeError> {
    let mut checksum = message.split_off(lengths.total - CRC_BYTES);
    if checksum.get_u32() != crc32fast::hash(&message) {
        return Err(DecodeError::MessageChecksum);
    }
    message.advance(PRELUDE_BYTES);
    let mut block = message.split_to(lengths.headers);
    let mut headers: Vec<(Bytes, HeaderValue)> = Vec::new();
    while !block.is_empty() {
        let header = read_header(&mut block)?;
        if headers.iter().any(|(name, _)| *name == header.0) {
            return Err(DecodeError::HeaderTwice);
        }
        headers.push(header);
    }
    Ok(Message { headers, payload: message })
}

fn read_header(block: &mut Bytes) -> Result<(Bytes, HeaderValue), DecodeError> {
    let name_length = take(block, 1)?[0];
    let name = take(block, usize::from(name_length))?;
    std::str::from_utf8(&name)?;
    let value = match take(block, 1)?[0] {
        0 => HeaderValue::Bool(true),
        1 => HeaderValue::Bool(false),
        2 => HeaderValue::Byte(take(block, 1)?.get_i8()),
        3 => HeaderValue::Short(take(block, 2)?.get_i16()),
        4 => HeaderValue::Int(take(block, 4)?.get_i32()),
        5 => HeaderValue::Long(take(block, 8)?.get_i64()),
        6 => HeaderValue::Bytes(take_counted(block)?),
        7 => {
            let text = take_counted(block)?;
            std::str::from_utf8(&text)?;
            HeaderValue::String(text)
        }
        8 => HeaderValue::Timestamp(take(block, 8)?.get_i64()),
        9 => {
            let mut uuid = [0; 16];
            take(block, 16)?.copy_to_slice(&mut uuid);
            HeaderValue::Uuid(uuid)
        }
        other => return Err(DecodeError::HeaderType(other)),
    };
    Ok((name, value))
}

fn take_counted(block: &mut Bytes) -> Result<Bytes, DecodeError> {
    let length = take(block, 2)?.get_u16();
    take(block, usize::from(length))
}

fn take(block: &mut Bytes, length: usize) -> Result<Bytes, DecodeError> {
    if block.len() < length { Err(DecodeError::HeaderCut) } else { Ok(block.split_to(length)) }
}
