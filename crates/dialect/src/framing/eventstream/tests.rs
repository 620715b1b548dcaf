//! Tests of both directions; `fixtures/eventstream.json` was judged by botocore.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

#[derive(serde::Deserialize)]
struct Fixture {
    name: String,
    headers: Vec<(String, String, serde_json::Value)>,
    payload: String,
    hex: String,
}

fn fixtures() -> Vec<Fixture> {
    serde_json::from_str(include_str!("../../../fixtures/eventstream.json")).expect("fixture")
}

fn bytes(hex: &str) -> Vec<u8> {
    hex::decode(hex).expect("hex")
}

fn decode(pieces: &[&[u8]]) -> Result<Vec<Message>, DecodeError> {
    let mut decoder = Decoder::new();
    let mut messages = Vec::new();
    for piece in pieces {
        decoder.push(Bytes::copy_from_slice(piece));
        while let Some(message) = decoder.next()? {
            messages.push(message);
        }
    }
    Ok(messages)
}

/// A damaged prelude checksum would hide every other fault.
fn with_checksums(mut message: Vec<u8>) -> Vec<u8> {
    let crc = crc32fast::hash(&message[..8]);
    message[8..12].copy_from_slice(&crc.to_be_bytes());
    let end = message.len() - 4;
    let crc = crc32fast::hash(&message[..end]);
    message[end..].copy_from_slice(&crc.to_be_bytes());
    message
}

fn value(kind: &str, value: &serde_json::Value) -> HeaderValue {
    let number = value.as_i64().unwrap_or_default();
    let text = value.as_str().unwrap_or_default();
    match kind {
        "true" => HeaderValue::Bool(true),
        "false" => HeaderValue::Bool(false),
        "byte" => HeaderValue::Byte(number as i8),
        "short" => HeaderValue::Short(number as i16),
        "int" => HeaderValue::Int(number as i32),
        "long" => HeaderValue::Long(number),
        "bytes" => HeaderValue::Bytes(bytes(text).into()),
        "string" => HeaderValue::String(text.to_owned().into()),
        "timestamp" => HeaderValue::Timestamp(number),
        "uuid" => HeaderValue::Uuid(bytes(text).try_into().expect("16 bytes")),
        other => panic!("{other}"),
    }
}

#[test]
fn the_known_vector() {
    let mut out = Vec::new();
    write_event(&mut out, "contentBlockDelta", br#"{"contentBlockIndex":0,"delta":{"text":"hi"}}"#);
    insta::assert_snapshot!(hex::encode(out), @"0000009400000057b4ab9aee0b3a6576656e742d74797065070011636f6e74656e74426c6f636b44656c74610d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d747970650700056576656e747b22636f6e74656e74426c6f636b496e646578223a302c2264656c7461223a7b2274657874223a226869227d7dde556953");
}

#[test]
fn reads_what_botocore_reads() {
    for Fixture { name, headers, payload, hex } in fixtures() {
        let messages = decode(&[&bytes(&hex)]).expect(&name);
        let headers: Vec<_> =
            headers.iter().map(|(key, kind, json)| (Bytes::from(key.clone()), value(kind, json))).collect();
        assert_eq!(messages, [Message { headers, payload: payload.into() }], "{name}");
    }
}

#[test]
fn writes_what_botocore_reads() {
    for Fixture { name, headers, payload, hex } in fixtures() {
        if headers.iter().any(|(_, kind, _)| kind != "string") {
            continue;
        }
        let texts: Vec<_> = headers.iter().map(|(_, _, text)| text.as_str().expect("a string")).collect();
        let mut out = Vec::new();
        match texts[..] {
            [event, _, "event"] => write_event(&mut out, event, payload.as_bytes()),
            [exception, _, "exception"] => write_exception(&mut out, exception, payload.as_bytes()),
            [code, message, "error"] => write_error(&mut out, code, message),
            _ => write_message(&mut out, &[], payload.as_bytes()),
        }
        assert_eq!(hex::encode(out), hex, "{name}");
    }
}

#[test]
fn reads_the_same_however_it_is_cut() {
    let stream: Vec<u8> = fixtures().iter().flat_map(|fixture| bytes(&fixture.hex)).collect();
    let whole = decode(&[&stream]).expect("valid");
    assert_eq!(whole.len(), fixtures().len());
    for cut in 0..=stream.len() {
        let (first, second) = stream.split_at(cut);
        assert_eq!(decode(&[first, second]).as_ref(), Ok(&whole), "cut at {cut}");
    }
    let single: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(decode(&single), Ok(whole));
}

#[test]
fn a_whole_message_is_not_copied() {
    let piece = Bytes::from(bytes(&fixtures()[0].hex));
    let mut decoder = Decoder::new();
    decoder.push(piece.clone());
    let message = decoder.next().expect("valid").expect("whole");
    assert_eq!(message.payload.as_ptr(), piece[piece.len() - 4 - message.payload.len()..].as_ptr());
    assert_eq!(message.message_type(), Some("event"));
    assert_eq!(message.event_type(), Some("contentBlockDelta"));
    assert_eq!(message.exception_type(), None);
    assert!(decoder.is_between_messages());
}

#[test]
fn a_cut_stream_is_noticed() {
    let whole = bytes(&fixtures()[0].hex);
    for cut in 1..whole.len() {
        let mut decoder = Decoder::new();
        decoder.push(Bytes::copy_from_slice(&whole[..cut]));
        assert_eq!(decoder.next(), Ok(None));
        assert!(!decoder.is_between_messages());
    }
}

#[test]
fn every_damaged_bit_is_found() {
    let whole = bytes(&fixtures()[0].hex);
    for bit in 0..whole.len() * 8 {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let error = decode(&[&damaged]).expect_err("damaged");
        let expected = if bit < 96 { DecodeError::PreludeChecksum } else { DecodeError::MessageChecksum };
        assert_eq!(error, expected, "bit {bit}");
    }
}

#[test]
fn lies_about_lengths_hold_no_memory() {
    let claim = |total: u32, headers: u32| {
        let prelude = [total.to_be_bytes(), headers.to_be_bytes()].concat();
        let crc = crc32fast::hash(&prelude).to_be_bytes();
        decode(&[&prelude, &crc])
    };
    for total in [0, 1, 15, MESSAGE_BYTES_MAX as u32 + 1, u32::MAX] {
        assert_eq!(claim(total, 0), Err(DecodeError::MessageLength(total)));
    }
    for (total, headers) in [(16, 1), (100, 85), (1 << 20, HEADERS_BYTES_MAX as u32 + 1), (100, u32::MAX)] {
        assert_eq!(claim(total, headers), Err(DecodeError::HeadersLength(headers)));
    }
    assert_eq!(claim(MESSAGE_BYTES_MAX as u32, HEADERS_BYTES_MAX as u32), Ok(vec![]));
}

#[test]
fn bad_headers_are_refused() {
    let message = |block: &[u8]| {
        let mut out = vec![0; 12];
        out.extend_from_slice(block);
        out.extend_from_slice(&[0; 4]);
        let total = out.len() as u32;
        out[..4].copy_from_slice(&total.to_be_bytes());
        out[4..8].copy_from_slice(&(block.len() as u32).to_be_bytes());
        decode(&[&with_checksums(out)])
    };
    assert_eq!(message(&[]).map(|messages| messages.len()), Ok(1));
    for cut in [
        &b"\x05ab"[..],
        b"\x01",
        b"\x01a",
        b"\x01a\x07",
        b"\x01a\x07\x00\x05ab",
        b"\x01a\x05\x00",
        b"\x01a\x09\x00",
    ] {
        assert_eq!(message(cut), Err(DecodeError::HeaderCut), "{cut:?}");
    }
    assert_eq!(message(b"\x01a\x0a"), Err(DecodeError::HeaderType(10)));
    assert_eq!(message(b"\x01a\x00\x01a\x01"), Err(DecodeError::HeaderTwice));
    for text in [&b"\x01\xff\x00"[..], b"\x01a\x07\x00\x01\xff"] {
        assert!(matches!(message(text), Err(DecodeError::HeaderText(_))), "{text:?}");
    }
}

#[test]
fn an_endless_error_message_is_cut_at_a_character() {
    let mut out = Vec::new();
    write_error(&mut out, "InternalFailure", &"é".repeat(40_000));
    let messages = decode(&[&out]).expect("valid");
    assert_eq!(messages[0].header(":error-message").map(str::len), Some(32_766));
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        messages in prop::collection::vec((".{1,20}", prop::collection::vec(any::<u8>(), 0..200)), 0..5),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut out = Vec::new();
        for (event, payload) in &messages {
            write_event(&mut out, event, payload);
        }
        let (first, second) = out.split_at(cut.index(out.len() + 1));
        let read = decode(&[first, second]).expect("valid");
        prop_assert_eq!(read.len(), messages.len());
        for (message, (event, payload)) in read.iter().zip(&messages) {
            prop_assert_eq!(message.event_type(), Some(event.as_str()));
            prop_assert_eq!(&message.payload[..], &payload[..]);
        }
    }

    #[test]
    fn garbage_never_panics(mut garbage in prop::collection::vec(any::<u8>(), 16..200), honest: bool) {
        if honest {
            let total = garbage.len() as u32;
            garbage[..4].copy_from_slice(&total.to_be_bytes());
            garbage[4..7].fill(0);
            garbage = with_checksums(garbage);
        }
        let _ = decode(&[&garbage]);
    }
}
