//! How a line's fields are written: ` name=value`, text in quotes.
//!
//! In place of tracing-subscriber's own writer, which goes through `fmt` for each name, sign
//! and value: every call leaves a line with some twenty fields, and that was a fifth of
//! what forwarding a small request cost.

use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

/// Writes fields.
pub(super) struct Fields;

impl<'writer> FormatFields<'writer> for Fields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut line = Line(String::with_capacity(LINE_BYTES));
        fields.record(&mut line);
        writer.write_str(&line.0)
    }
}

/// Room for the line of a usual call.
const LINE_BYTES: usize = 512;

struct Line(String);

impl Line {
    /// Ready for a field's value. What happened, in words, stands for itself.
    fn begin(&mut self, field: &Field) -> &mut String {
        if !self.0.is_empty() {
            self.0.push(' ');
        }
        if field.name() != "message" {
            self.0.push_str(field.name());
            self.0.push('=');
        }
        &mut self.0
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a string fails only if the value itself refuses to be shown.
        let _ = write!(Harmless(self.begin(field)), "{value:?}");
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let line = self.begin(field);
        if field.name() == "message" {
            let _ = Harmless(line).write_str(value);
        } else if value.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
            line.push('"');
            line.push_str(value);
            line.push('"');
        } else {
            let _ = write!(line, "{value:?}");
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.begin(field).push_str(itoa::Buffer::new().format(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.begin(field).push_str(itoa::Buffer::new().format(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.begin(field).push_str(if value { "true" } else { "false" });
    }
}

/// Whether a byte of text stands in quotes as it is. Without branches, for vectors.
const fn is_plain(byte: u8) -> bool {
    (byte >= b' ') & (byte <= b'~') & (byte != b'"') & (byte != b'\\')
}

/// What others said may hold line ends, which would forge a line, and terminals' commands.
struct Harmless<'a>(&'a mut String);

impl Write for Harmless<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if !text.chars().any(char::is_control) {
            self.0.push_str(text);
            return Ok(());
        }
        for c in text.chars() {
            if c.is_control() {
                self.0.extend(c.escape_debug());
            } else {
                self.0.push(c);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Page {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    fn written(tell: impl FnOnce()) -> String {
        let page = Page::default();
        let builder = tracing_subscriber::fmt().with_writer(page.clone()).fmt_fields(Fields);
        let subscriber = builder.without_time().with_target(false).with_ansi(false).finish();
        tracing::subscriber::with_default(subscriber, tell);
        String::from_utf8(std::mem::take(&mut page.0.lock().unwrap())).unwrap()
    }

    #[test]
    fn every_kind_of_field() {
        let none: Option<u64> = None;
        let line = written(|| {
            tracing::info!(
                id = "a b",
                none,
                count = 3u64,
                below = -3,
                share = 0.5,
                yes = true,
                shown = %"plain",
                debug = ?Some(1),
                "call {}",
                1
            );
        });
        assert_eq!(
            line,
            " INFO call 1 id=\"a b\" count=3 below=-3 share=0.5 yes=true shown=plain debug=Some(1)\n"
        );
    }

    #[test]
    fn nothing_said_forges_a_line_or_commands_a_terminal() {
        let evil = "a\n INFO call\x1b[2J \"é\\";
        let line = written(|| tracing::warn!(text = evil, shown = %evil, debug = ?evil, "{evil}"));
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        assert!(line.ends_with('\n') && !line.contains('\x1b'), "{line}");
        assert!(line.contains(r#"text="a\n INFO call\u{1b}[2J \"é\\""#), "{line}");
    }
}
