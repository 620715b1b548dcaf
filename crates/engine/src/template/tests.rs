//! Golden prompts.
