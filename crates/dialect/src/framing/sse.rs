//! Server-sent events: what Anthropic and OpenAI stream.
//!
//! Incremental parser and writers after the WHATWG HTML standard §9.2 "Server-sent
//! events" (<https://html.spec.whatwg.org/multipage/server-sent-events.html>, read
//! 2026-11-22). The parser takes pieces cut anywhere; an event line that lies whole in
//! one piece is a slice of it, never a copy. `id` and `retry` are for reconnecting
//! browsers and are skipped.

use std::mem;

use bytes::{Bytes, BytesMut};
use memchr::{memchr, memchr2};

/// Most bytes of one event, or of one line of it, in bytes. Bounds what a server that
/// never ends a line can make us hold; the largest honest events carry a base64 image
/// or a whole tool input, a few MiB.
pub const EVENT_BYTES_MAX: usize = 16 << 20;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its name; `None` for the default, `message`.
    pub event: Option<Bytes>,
    /// Its data, lines joined by `\n`.
    pub data: Bytes,
}

impl Event {
    /// Whether it goes by this name.
    pub fn is(&self, name: &str) -> bool {
        self.event.as_deref().unwrap_or(b"message") == name.as_bytes()
    }
}

/// An event larger than the parser's bound. The stream cannot be read on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a server-sent event is larger than {bytes_max} bytes")]
pub struct EventTooLarge {
    /// The bound.
    pub bytes_max: usize,
}

/// Cuts a byte stream into events.
///
/// ```
/// use dialect::framing::sse::Parser;
/// let mut parser = Parser::new();
/// parser.push("event: ping\ndata: {}\n\ndata: [DO".into());
/// assert!(parser.next()?.is_some_and(|event| event.is("ping") && event.data == "{}"));
/// assert_eq!(parser.next()?, None); // more bytes are needed
/// parser.push("NE]\n\n".into());
/// assert!(parser.next()?.is_some_and(|event| event.data == "[DONE]"));
/// # Ok::<(), dialect::framing::sse::EventTooLarge>(())
/// ```
#[derive(Debug)]
pub struct Parser {
    /// Bytes not looked at yet.
    piece: Bytes,
    /// The beginning of a line whose end has not come.
    line: BytesMut,
    /// The event being read.
    event: Option<Bytes>,
    data: Option<Data>,
    /// The last line ended in `\r`: a `\n` right after belongs to it.
    after_return: bool,
    /// No line has been read: a byte order mark may stand here.
    first_line: bool,
    bytes_max: usize,
}

/// An event's data so far.
#[derive(Debug)]
enum Data {
    /// One line, as it lies in its piece.
    One(Bytes),
    /// Several lines, gathered.
    Many(BytesMut),
}

impl Data {
    fn len(&self) -> usize {
        match self {
            Self::One(line) => line.len(),
            Self::Many(lines) => lines.len(),
        }
    }

    fn join(self, line: &[u8]) -> Self {
        let mut lines = match self {
            Self::One(first) => BytesMut::from(&first[..]),
            Self::Many(lines) => lines,
        };
        lines.extend_from_slice(b"\n");
        lines.extend_from_slice(line);
        Self::Many(lines)
    }
}

impl Default for Parser {
    fn default() -> Self {
        Self::new()
    }
}

impl Parser {
    /// A parser at the start of a stream, bounded by [`EVENT_BYTES_MAX`].
    pub fn new() -> Self {
        Self::with_limit(EVENT_BYTES_MAX)
    }

    /// A parser that holds at most `bytes_max` bytes of an event.
    pub fn with_limit(bytes_max: usize) -> Self {
        Self {
            piece: Bytes::new(),
            line: BytesMut::new(),
            event: None,
            data: None,
            after_return: false,
            first_line: true,
            bytes_max,
        }
    }

    /// Gives the parser more bytes. Call [`next`](Self::next) until it has no more events
    /// before the next push: only then nothing is copied.
    pub fn push(&mut self, piece: Bytes) {
        if self.piece.is_empty() {
            self.piece = piece;
        } else {
            self.piece = [mem::take(&mut self.piece), piece].concat().into();
        }
    }

    /// The next whole event; `None` until more bytes come.
    ///
    /// # Errors
    /// [`EventTooLarge`]; the parser is of no use after it.
    #[allow(clippy::should_implement_trait, reason = "an iterator cannot be fed between two items")]
    pub fn next(&mut self) -> Result<Option<Event>, EventTooLarge> {
        while let Some(line) = self.next_line()? {
            if line.is_empty() {
                let event = self.event.take();
                match self.data.take() {
                    Some(Data::One(data)) => return Ok(Some(Event { event, data })),
                    Some(Data::Many(data)) => return Ok(Some(Event { event, data: data.freeze() })),
                    // An event without data is none.
                    None => continue,
                }
            }
            self.field(line)?;
        }
        Ok(None)
    }

    /// Whether the stream stands between two events: after its end, `false` means that
    /// it was cut inside one.
    pub fn is_between_events(&self) -> bool {
        self.piece.is_empty() && self.line.is_empty() && self.event.is_none() && self.data.is_none()
    }

    /// The next whole line, without its end (`\r\n`, `\n` or `\r`).
    fn next_line(&mut self) -> Result<Option<Bytes>, EventTooLarge> {
        if self.after_return && !self.piece.is_empty() {
            self.after_return = false;
            if self.piece.starts_with(b"\n") {
                self.piece = self.piece.slice(1..);
            }
        }
        let Some(end) = memchr2(b'\n', b'\r', &self.piece) else {
            self.check(self.line.len() + self.piece.len())?;
            self.line.extend_from_slice(&self.piece);
            self.piece.clear();
            return Ok(None);
        };
        self.check(self.line.len() + end)?;
        self.after_return = self.piece[end] == b'\r';
        let mut line = self.piece.split_to(end + 1);
        line.truncate(end);
        if !self.line.is_empty() {
            self.line.extend_from_slice(&line);
            line = self.line.split().freeze();
        }
        if mem::take(&mut self.first_line) && line.starts_with(b"\xef\xbb\xbf") {
            line = line.slice(3..);
        }
        Ok(Some(line))
    }

    fn field(&mut self, line: Bytes) -> Result<(), EventTooLarge> {
        let colon = memchr(b':', &line).unwrap_or(line.len());
        let after = line.get(colon + 1..).unwrap_or_default();
        let value_at = line.len() - after.strip_prefix(b" ").unwrap_or(after).len();
        match &line[..colon] {
            b"data" => {
                self.check(line.len())?;
                self.data = Some(match self.data.take() {
                    None => Data::One(line.slice(value_at..)),
                    Some(data) => data.join(&line[value_at..]),
                });
            }
            b"event" => self.event = Some(line.slice(value_at..)).filter(|name| !name.is_empty()),
            // A comment, `id`, `retry`, or a field of the future.
            _ => {}
        }
        Ok(())
    }

    /// Refuses to hold `more` bytes beside those of the event so far.
    fn check(&self, more: usize) -> Result<(), EventTooLarge> {
        let held = self.data.as_ref().map_or(0, Data::len) + self.event.as_ref().map_or(0, Bytes::len);
        if held + more > self.bytes_max { Err(EventTooLarge { bytes_max: self.bytes_max }) } else { Ok(()) }
    }
}

/// Appends one event. Data of several lines is written as several `data` fields; a name
/// must be one line.
pub fn write_event(out: &mut Vec<u8>, name: Option<&str>, data: &[u8]) {
    if let Some(name) = name {
        debug_assert!(!name.contains(['\n', '\r']), "an event name is one line");
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.push(b'\n');
    }
    let mut rest = data;
    while let Some(end) = memchr2(b'\n', b'\r', rest) {
        write_data(out, &rest[..end]);
        let pair = rest[end..].starts_with(b"\r\n");
        rest = &rest[end + 1 + usize::from(pair)..];
    }
    write_data(out, rest);
    out.push(b'\n');
}

/// Appends a comment, which clients skip: keeps a quiet connection open.
pub fn write_comment(out: &mut Vec<u8>, text: &str) {
    debug_assert!(!text.contains(['\n', '\r']), "a comment is one line");
    out.extend_from_slice(b": ");
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\n\n");
}

fn write_data(out: &mut Vec<u8>, line: &[u8]) {
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(line);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(pieces: &[&[u8]]) -> Vec<(Option<String>, String)> {
        let mut parser = Parser::new();
        let mut events = Vec::new();
        let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).expect("UTF-8");
        for piece in pieces {
            parser.push(Bytes::copy_from_slice(piece));
            while let Some(event) = parser.next().expect("small") {
                events.push((event.event.map(text), text(event.data)));
            }
        }
        events
    }

    fn event(name: &str, data: &str) -> (Option<String>, String) {
        (Some(name).filter(|name| !name.is_empty()).map(str::to_owned), data.to_owned())
    }

    #[test]
    fn reads_what_the_standard_says() {
        for (stream, events) in [
            ("data: a\n\n", vec![event("", "a")]),
            ("data:a\n\ndata:  b\n\n", vec![event("", "a"), event("", " b")]),
            ("event: x\ndata: a\n\ndata: b\n\n", vec![event("x", "a"), event("", "b")]),
            ("data: YHOO\ndata: +2\ndata: 10\n\n", vec![event("", "YHOO\n+2\n10")]),
            ("data\n\ndata\ndata\n\ndata:", vec![event("", ""), event("", "\n")]),
            (": comment\n\n:\n\ndata: a\n: inside\n\n", vec![event("", "a")]),
            ("event: lost\n\ndata: a\n\n", vec![event("", "a")]),
            ("event: x\nevent: y\ndata: a\n\n", vec![event("y", "a")]),
            ("event: x\nevent\ndata: a\n\n", vec![event("", "a")]),
            ("id: 1\nretry: 5\nfuture: 1\nDATA: no\n data: no\ndata: a\n\n", vec![event("", "a")]),
            ("data: a\r\n\r\ndata: b\r\rdata: c\n\r\n", vec![event("", "a"), event("", "b"), event("", "c")]),
            ("data: a\rdata: b\r\ndata: c\n\r", vec![event("", "a\nb\nc")]),
            ("\u{feff}data: a\n\n\u{feff}data: b\n\n", vec![event("", "a")]),
            ("data: a:b: c\n\n", vec![event("", "a:b: c")]),
            ("data: cut\n", vec![]),
            ("data: cut", vec![]),
            ("\n\n\n", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(parse(&[stream.as_bytes()]), events, "{stream:?}");
            for cut in 0..=stream.len() {
                let (first, second) = stream.as_bytes().split_at(cut);
                assert_eq!(parse(&[first, second]), events, "{stream:?} cut at {cut}");
            }
            let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
            assert_eq!(parse(&bytes), events, "{stream:?} byte by byte");
        }
    }

    #[test]
    fn a_whole_line_is_not_copied() {
        let piece = Bytes::from_static(b"event: delta\ndata: {\"text\":\"hi\"}\n\n");
        let mut parser = Parser::new();
        parser.push(piece.clone());
        let event = parser.next().expect("small").expect("whole");
        assert!(event.is("delta"));
        assert_eq!(event.data.as_ptr(), piece[19..].as_ptr());
        assert!(parser.is_between_events());
    }

    #[test]
    fn knows_when_it_was_cut() {
        for (stream, between) in
            [("", true), ("data: a\n\n", true), ("data: a\n", false), ("event: x\n", false), ("d", false)]
        {
            let mut parser = Parser::new();
            parser.push(stream.into());
            while parser.next().expect("small").is_some() {}
            assert_eq!(parser.is_between_events(), between, "{stream:?}");
        }
    }

    #[test]
    fn an_endless_event_is_refused() {
        let endless: [&[u8]; 4] = [b"data: aaaaaaaa\n", b":aaaaaaaaaa", b"event:aaaaaaa", b"data\n"];
        for piece in endless {
            let mut parser = Parser::with_limit(64);
            let error = (0..100).find_map(|_| {
                parser.push(Bytes::copy_from_slice(piece));
                parser.next().err()
            });
            assert_eq!(error, Some(EventTooLarge { bytes_max: 64 }), "{piece:?}");
        }
        let mut parser = Parser::with_limit(8);
        parser.push("data: 123456789\n\n".into());
        assert!(parser.next().is_err());
    }

    #[test]
    fn pushing_before_reading_on_loses_nothing() {
        let mut parser = Parser::new();
        parser.push("data: a\n\nda".into());
        parser.push("ta: b\n\n".into());
        assert_eq!(parser.next().expect("small").expect("whole").data, "a");
        assert_eq!(parser.next().expect("small").expect("whole").data, "b");
    }

    #[test]
    fn writes_events() {
        let mut out = Vec::new();
        write_event(&mut out, Some("ping"), b"{}");
        write_event(&mut out, None, b"a\nb\r\nc\r");
        write_comment(&mut out, "still here");
        let expected = "event: ping\ndata: {}\n\ndata: a\ndata: b\ndata: c\ndata: \n\n: still here\n\n";
        assert_eq!(String::from_utf8(out).expect("UTF-8"), expected);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            events in prop::collection::vec(("[a-z_.]{0,12}", "[^\r]{0,60}"), 0..6),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        ) {
            let mut out = Vec::new();
            for (name, data) in &events {
                write_event(&mut out, Some(name.as_str()).filter(|name| !name.is_empty()), data.as_bytes());
            }
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(out.len() + 1)).collect();
            places.extend([0, out.len()]);
            places.sort_unstable();
            let pieces: Vec<&[u8]> = places.windows(2).map(|pair| &out[pair[0]..pair[1]]).collect();
            let expected: Vec<_> = events.iter().map(|(name, data)| event(name, data)).collect();
            prop_assert_eq!(parse(&pieces), expected);
        }

        #[test]
        fn garbage_reads_the_same_however_it_is_cut(
            stream in "[dat: \r\n\u{feff}x]{0,60}",
            cut in any::<prop::sample::Index>(),
        ) {
            let (first, second) = stream.as_bytes().split_at(cut.index(stream.len() + 1));
            prop_assert_eq!(parse(&[first, second]), parse(&[stream.as_bytes()]));
        }
    }
}
