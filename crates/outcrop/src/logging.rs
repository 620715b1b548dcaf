//! Logs: to standard error, so that standard output stays for what was asked.
//!
//! `OUTCROP_LOG` filters (`info`, `debug`, `platform=debug,engine=warn` …);
//! `OUTCROP_LOG_FORMAT=json` writes one JSON object a line.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging; `default` is the filter when `OUTCROP_LOG` is not set.
pub(crate) fn start(default: &str) {
    let filter = EnvFilter::try_from_env("OUTCROP_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // A log that nobody reads any more is no reason to fail: this would print the
        // failure to the same closed pipe, and panic.
        .log_internal_errors(false);
    let json = std::env::var("OUTCROP_LOG_FORMAT").is_ok_and(|format| format == "json");
    // A second start (tests, chat's own server) keeps the first.
    let _ = if json {
        builder.json().flatten_event(true).try_init().map_err(drop)
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init().map_err(drop)
    };
}
