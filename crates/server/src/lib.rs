//! HTTP: one port, every dialect. The only crate that knows HTTP servers.
