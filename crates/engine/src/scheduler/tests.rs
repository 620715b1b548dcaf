//! Scripted backend.
