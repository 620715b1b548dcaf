//! Forwarded replies: the same bytes, and what was seen in them.

use message::{ErrorKind, FinishReason, Operation, Usage};
use proptest::prelude::*;

use super::super::decode::decoder;
use super::*;

fn forward(pieces: &[&[u8]]) -> (Vec<Event>, Result<(), Failure>) {
    read(decoder(&asking(Operation::Chat, true), true), pieces)
}

#[test]
fn every_cut_forwards_the_same_bytes_and_sees_the_same() {
    for (name, text) in STREAMS {
        // The line ends that servers in use send, and the one that nobody does.
        for ends in ["\n", "\r\n", "\r"] {
            let bytes = text.replace('\n', ends).into_bytes();
            let (events, result) = forward(&[&bytes]);
            let whole = forwarded(&events);
            let expect_same = |pieces: &[&[u8]], how: &str| {
                let (events, again) = forward(pieces);
                let (out, seen) = forwarded(&events);
                if name == "late_error" {
                    // A line end cut in two before the error: its second half says nothing.
                    assert_eq!(out.trim_ascii_end(), whole.0.trim_ascii_end(), "{name} {how}");
                } else {
                    assert_eq!(out, bytes, "{name} {how}");
                }
                assert_eq!((&seen, &again), (&whole.1, &result), "{name} {how}");
            };
            match name {
                "late_error" => {
                    assert_eq!(result.as_ref().expect_err("an error").kind, ErrorKind::Overloaded)
                }
                _ => assert_eq!(result, Ok(()), "{name}"),
            }
            for at in 0..=bytes.len() {
                let (head, tail) = bytes.split_at(at);
                expect_same(&[head, tail], &format!("cut at {at}"));
            }
            expect_same(&bytes.chunks(1).collect::<Vec<_>>(), "byte by byte");
        }
    }
}

#[test]
fn what_counts_is_seen() {
    let (_, seen) = forwarded(&forward(&[stream("thinking_tools").as_bytes()]).0);
    let usage = Usage {
        input_tokens: 3,
        cache_read_tokens: 1000,
        cache_write_5m_tokens: 20,
        cache_write_1h_tokens: 30,
        output_tokens: 49,
        reasoning_tokens: 40,
    };
    assert_eq!((seen.usage, seen.finish), (Some(usage), Some(FinishReason::ToolUse)));
    let (_, seen) = forwarded(&forward(&[stream("refusal").as_bytes()]).0);
    assert_eq!(seen.finish, Some(FinishReason::Refusal));
}

#[test]
fn s14_frames_end_between_events_and_a_cut_is_a_failure() {
    let bytes = stream("text").as_bytes();
    let last = stream("text").rfind("event: message_stop").expect("is there");
    for at in 0..bytes.len() {
        let (events, result) = forward(&[&bytes[..at]]);
        let (out, _) = forwarded(&events);
        match result {
            Ok(()) => assert!(at > last, "cut at {at}"),
            Err(failure) => {
                assert_eq!(failure.kind, ErrorKind::Upstream, "cut at {at}");
                assert!(out.is_empty() || out.ends_with(b"\n\n"), "cut at {at}");
            }
        }
    }
}

/// Claude Code sends no thinking back to a model of another name than it asked for.
#[test]
fn r1_the_reply_names_the_model_that_was_asked_for() {
    let asking = |stream: bool| {
        let body = format!(
            r#"{{"model":"house","max_tokens":1,"stream":{stream},"messages":[{{"role":"user","content":"hi"}}]}}"#
        );
        call(Operation::Chat, &body)
    };
    let named = |text: &str| text.replacen(r#""model":"claude""#, r#""model":"house""#, 1).into_bytes();
    for (name, text) in STREAMS {
        if name == "late_error" {
            continue;
        }
        for at in 0..=text.len() {
            let (head, tail) = text.as_bytes().split_at(at);
            let (events, result) = read(decoder(&asking(true), true), &[head, tail]);
            assert_eq!((forwarded(&events).0, result), (named(text), Ok(())), "{name} cut at {at}");
        }
    }
    // What is no name is not ours to put right.
    let odd = stream("text").replacen(r#""model":"claude""#, r#""model":{}"#, 1);
    let (events, _) = read(decoder(&asking(true), true), &[odd.as_bytes()]);
    assert_eq!(forwarded(&events).0, odd.as_bytes());
    let (events, _) = read(decoder(&asking(false), true), &[WHOLE.as_bytes()]);
    let expected = WHOLE.replacen(r#""model": "claude""#, r#""model": "house""#, 1);
    assert_eq!(forwarded(&events).0, named(&expected));
}

#[test]
fn both_halves_of_a_blank_line_are_forwarded_however_it_is_cut() {
    let (whole, _) = forward(&[b"\r\n:"]);
    let (cut, _) = forward(&[b"\r", b"\n:"]);
    assert_eq!(forwarded(&whole).0, b"\r\n");
    assert_eq!(forwarded(&cut).0, b"\r\n");
}

#[test]
fn a_last_event_without_its_blank_line_counts() {
    let bytes = stream("text").trim_end();
    let (events, result) = forward(&[bytes.as_bytes()]);
    assert_eq!((forwarded(&events).0.as_slice(), result), (bytes.as_bytes(), Ok(())));
    let (_, result) = forward(&[stream("late_error").trim_end().as_bytes()]);
    assert_eq!(result.expect_err("the error").kind, ErrorKind::Overloaded);
}

#[test]
fn an_error_is_reported_and_not_forwarded() {
    let (events, result) = forward(&[stream("late_error").as_bytes()]);
    let (out, _) = forwarded(&events);
    let error = stream("late_error").find("event: error").expect("is there");
    assert_eq!(out, stream("late_error").as_bytes()[..error]);
    let failure = result.expect_err("the error");
    assert_eq!((failure.kind, failure.message.as_str()), (ErrorKind::Overloaded, "Overloaded"));
}

#[test]
fn words_inside_a_text_are_only_words() {
    let text =
        stream("text").replace("Grüß", r##"\n\nevent: error\ndata: {\"usage\":1}\n\nevent: message_stop"##);
    let (events, result) = forward(&[text.as_bytes()]);
    assert_eq!((forwarded(&events).0, result), (text.clone().into_bytes(), Ok(())));
}

#[test]
fn an_endless_event_is_refused() {
    let mut decoder = decoder(&asking(Operation::Chat, true), true);
    let piece = Bytes::from(vec![b'x'; 1 << 20]);
    let refused = (0..64).find_map(|_| decoder.feed(piece.clone(), &mut Vec::new()).err());
    assert_eq!(refused.expect("refused").kind, ErrorKind::Upstream);
}

const WHOLE: &str = include_str!("../../../fixtures/anthropic/replies/tools.json");
const COUNT: &str = include_str!("../../../fixtures/anthropic/replies/count.json");

#[test]
fn a_whole_reply_is_forwarded_and_read() {
    let call = asking(Operation::Chat, false);
    for at in 0..=WHOLE.len() {
        let (head, tail) = WHOLE.as_bytes().split_at(at);
        let (events, result) = read(decoder(&call, true), &[head, tail]);
        let (bytes, seen) = forwarded(&events);
        assert_eq!((bytes.as_slice(), result), (WHOLE.as_bytes(), Ok(())));
        assert_eq!(seen.finish, Some(FinishReason::ToolUse));
        // The `usage` inside a tool's input is not the reply's.
        assert_eq!(seen.usage.expect("usage").input_tokens, 3);
    }
}

#[test]
fn a_token_count_is_forwarded_and_read() {
    let (events, result) = read(decoder(&asking(Operation::CountTokens, false), true), &[COUNT.as_bytes()]);
    assert_eq!(result, Ok(()));
    assert_eq!(forwarded(&events).1.usage, Some(Usage { input_tokens: 2095, ..Usage::default() }));
}

#[test]
fn a_cut_whole_reply_is_a_failure() {
    let (_, result) = read(decoder(&asking(Operation::Chat, false), true), &[&WHOLE.as_bytes()[..80]]);
    assert_eq!(result.expect_err("cut").kind, ErrorKind::Upstream);
}

proptest! {
    /// Damaged streams: read and forwarded alike in two pieces and whole, and never a panic.
    #[test]
    fn damage_is_the_same_however_it_is_cut(
        which in 0..STREAMS.len(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        place in any::<prop::sample::Index>(),
    ) {
        let mut bytes = STREAMS[which].1.as_bytes().to_vec();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        // Another name would be put right, as it should.
        prop_assume!(memchr::memmem::find(&bytes, br#""model":"claude""#).is_some());
        let (first, second) = bytes.split_at(place.index(bytes.len()));
        let call = asking(Operation::Chat, true);
        let whole = read(decoder(&call, false), &[&bytes]);
        prop_assert_eq!(&read(decoder(&call, false), &[first, second]), &whole);
        let (events, result) = forward(&[&bytes]);
        let (out, seen) = forwarded(&events);
        prop_assert!(bytes.starts_with(&out));
        prop_assert!(result.is_err() || out == bytes);
        let (events, again) = forward(&[first, second]);
        prop_assert_eq!((forwarded(&events).1, again), (seen, result));
    }
}
