//! AWS event streams: cut in two they are what they are whole, and what is read is
//! written as it was. Checksums are mended first, or nothing else would ever be reached.
#![no_main]

use bytes::Bytes;
use dialect::framing::eventstream::{Decoder, HeaderValue, Message, write_message};
use libfuzzer_sys::fuzz_target;

fn read(pieces: &[&[u8]]) -> (Vec<Message>, Option<String>) {
    let mut decoder = Decoder::new();
    let mut messages = Vec::new();
    for piece in pieces {
        decoder.push(Bytes::copy_from_slice(piece));
        loop {
            match decoder.next() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error.to_string())),
            }
        }
    }
    (messages, None)
}

/// Walks over messages as their lengths say and gives each the checksums it should have.
fn mend(stream: &mut [u8]) {
    let mut rest = stream;
    while rest.len() >= 16 {
        let total = u32::from_be_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
        let prelude = crc32(&rest[..8]);
        rest[8..12].copy_from_slice(&prelude);
        if total < 16 || total > rest.len() {
            return;
        }
        let message = crc32(&rest[..total - 4]);
        rest[total - 4..total].copy_from_slice(&message);
        rest = &mut rest[total..];
    }
}

/// CRC-32 (IEEE), bit by bit: a second opinion on the one under test.
fn crc32(bytes: &[u8]) -> [u8; 4] {
    let sum = bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 * (sum & 1)))
    });
    (!sum).to_be_bytes()
}

fuzz_target!(|input: &[u8]| {
    let Some((&how, stream)) = input.split_first() else { return };
    let mut stream = stream.to_vec();
    if how % 8 != 0 {
        mend(&mut stream);
    }
    let (first, second) = stream.split_at(stream.len() * usize::from(how) / 256);
    let (messages, error) = read(&[&stream]);
    assert_eq!((&messages, &error), (&read(&[first, second]).0, &read(&[first, second]).1));
    let mut at = 0;
    for message in messages {
        let mut headers = Vec::new();
        for (name, value) in &message.headers {
            if let HeaderValue::String(text) = value {
                headers.push((str::from_utf8(name).expect("text"), str::from_utf8(text).expect("text")));
            }
        }
        let length =
            u32::from_be_bytes([stream[at], stream[at + 1], stream[at + 2], stream[at + 3]]) as usize;
        let short = headers.iter().all(|(_, value)| value.len() < 1 << 15);
        if headers.len() == message.headers.len() && short {
            let mut out = Vec::new();
            write_message(&mut out, &headers, &message.payload);
            assert_eq!(out, stream[at..at + length]);
        }
        at += length;
    }
});
