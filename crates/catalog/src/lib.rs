//! Model files: which exist, where they come from, and getting them here whole.
