//! Logs: to standard error, so that standard output stays for what was asked.
//!
//! `OUTCROP_LOG` filters (`info`, `debug`, `platform=debug,engine=warn` …);
//! `OUTCROP_LOG_FORMAT=json` writes one JSON object a line.

mod fields;
mod writer;

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;

use fields::Fields;
use writer::Writer;

/// The variable that filters.
const FILTER: &str = "OUTCROP_LOG";

/// What filters where the variable does not.
static DEFAULT: OnceLock<String> = OnceLock::new();

/// The variable and its value that make a process started from here log as this one does.
/// `None`: it inherits it.
pub(crate) fn inherited() -> Option<(&'static str, &'static str)> {
    DEFAULT.get().map(|filter| (FILTER, filter.as_str()))
}

/// Logging, for as long as this lives; dropped, it has the last lines written.
#[must_use]
pub(crate) struct Logging(Option<Writer>);

impl Drop for Logging {
    fn drop(&mut self) {
        if let Some(writer) = &self.0 {
            writer.close();
        }
    }
}

/// Starts logging; `default` is the filter when `OUTCROP_LOG` is not set.
pub(crate) fn start(default: &str) -> Logging {
    // No thread can be had: the command will say so itself, soon.
    let Ok(writer) = Writer::start(std::io::stderr()) else { return Logging(None) };
    let said = EnvFilter::try_from_env(FILTER);
    if said.is_err() {
        // A second start keeps the first.
        let _ = DEFAULT.set(default.to_owned());
    }
    let filter = said.unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer.clone())
        // It would print to the same standard error.
        .log_internal_errors(false);
    let json = std::env::var("OUTCROP_LOG_FORMAT").is_ok_and(|format| format == "json");
    // A second start (tests, chat's own server) keeps the first.
    let _ = if json {
        builder.json().flatten_event(true).try_init().map_err(drop)
    } else {
        let builder = builder.fmt_fields(Fields).with_ansi(std::io::stderr().is_terminal());
        builder.with_target(false).try_init().map_err(drop)
    };
    Logging(Some(writer))
}
