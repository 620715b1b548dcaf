//! Server-sent events: cut in two they are what they are whole, and what is read can be
//! written and read again.
#![no_main]

use bytes::Bytes;
use dialect::framing::sse::{Event, Parser, write_event};
use libfuzzer_sys::fuzz_target;

/// Small, so that the bound is reached, too.
const EVENT_BYTES_MAX: usize = 512;

fn read(pieces: &[&[u8]]) -> Option<Vec<Event>> {
    let mut parser = Parser::with_limit(EVENT_BYTES_MAX);
    let mut events = Vec::new();
    for piece in pieces {
        parser.push(Bytes::copy_from_slice(piece));
        while let Some(event) = parser.next().ok()? {
            events.push(event);
        }
    }
    Some(events)
}

fuzz_target!(|input: &[u8]| {
    let Some((first, second)) = fuzz::cut(input) else { return };
    let whole = read(&[&[first, second].concat()]);
    assert_eq!(whole, read(&[first, second]));
    let bytes: Vec<&[u8]> = first.chunks(1).chain([second]).collect();
    assert_eq!(whole, read(&bytes));
    for Event { event, data } in whole.into_iter().flatten() {
        let name = event.as_deref().map(String::from_utf8_lossy);
        let mut out = Vec::new();
        write_event(&mut out, name.as_deref(), &data);
        let mut parser = Parser::new();
        parser.push(out.into());
        let again = parser.next().expect("small").expect("whole");
        assert_eq!(again.data, data);
        assert_eq!(again.event.as_deref(), name.as_deref().map(str::as_bytes));
        assert!(parser.is_between_events());
    }
});
