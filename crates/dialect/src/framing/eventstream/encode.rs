//! Messages → bytes. Headers are strings: Bedrock sends no other kind.

use super::{CRC_BYTES, PRELUDE_BYTES};

/// Longest header value, in bytes: its length is a signed 16-bit number in some readers.
const HEADER_VALUE_BYTES_MAX: usize = i16::MAX as usize;
/// The type byte of a string header.
const STRING: u8 = 7;

/// Appends an event: `event_type` is the member of the stream's union (`messageStart`),
/// `payload` its JSON.
pub fn write_event(out: &mut Vec<u8>, event_type: &str, payload: &[u8]) {
    let headers =
        [(":event-type", event_type), (":content-type", "application/json"), (":message-type", "event")];
    write_message(out, &headers, payload);
}

/// Appends a modelled exception, which ends the stream: `exception_type` is the union's
/// member, camelCase (`throttlingException`; SDKs do not know it otherwise), `payload`
/// its JSON.
pub fn write_exception(out: &mut Vec<u8>, exception_type: &str, payload: &[u8]) {
    let headers = [
        (":exception-type", exception_type),
        (":content-type", "application/json"),
        (":message-type", "exception"),
    ];
    write_message(out, &headers, payload);
}

/// Appends an error that the stream's union does not model, which ends the stream.
pub fn write_error(out: &mut Vec<u8>, code: &str, message: &str) {
    write_message(
        out,
        &[(":error-code", code), (":error-message", message), (":message-type", "error")],
        b"",
    );
}

/// Appends a message. A header value beyond 32,767 bytes is cut at a character; the
/// caller keeps payloads under the 16 MiB that readers take (one event is a token, or a
/// tool's input that came in over a bound of its own).
pub fn write_message(out: &mut Vec<u8>, headers: &[(&str, &str)], payload: &[u8]) {
    let start = out.len();
    out.extend_from_slice(&[0; PRELUDE_BYTES]);
    for (name, value) in headers {
        write_header(out, name, value);
    }
    let headers_length = out.len() - start - PRELUDE_BYTES;
    out.extend_from_slice(payload);
    let total_length = out.len() - start + CRC_BYTES;
    debug_assert!(total_length <= super::MESSAGE_BYTES_MAX, "readers refuse larger messages");

    out[start..start + 4].copy_from_slice(&length(total_length));
    out[start + 4..start + 8].copy_from_slice(&length(headers_length));
    let prelude_crc = crc32fast::hash(&out[start..start + 8]);
    out[start + 8..start + PRELUDE_BYTES].copy_from_slice(&prelude_crc.to_be_bytes());
    let message_crc = crc32fast::hash(&out[start..]);
    out.extend_from_slice(&message_crc.to_be_bytes());
}

fn write_header(out: &mut Vec<u8>, name: &str, value: &str) {
    let name = &name.as_bytes()[..name.len().min(usize::from(u8::MAX))];
    let value = &value.as_bytes()[..value.floor_char_boundary(HEADER_VALUE_BYTES_MAX)];
    out.push(name.len() as u8);
    out.extend_from_slice(name);
    out.push(STRING);
    out.extend_from_slice(&(value.len() as u16).to_be_bytes());
    out.extend_from_slice(value);
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes()
}
