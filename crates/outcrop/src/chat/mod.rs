//! `outcrop chat`: a conversation in the terminal, over the same HTTP face as everybody.
//!
//! `session` holds what was said, `client` talks to a server, `screen` reads lines and
//! prints answers; `command/chat.rs` joins them (and starts a server in this process
//! when none is running).

pub(crate) mod client;
pub(crate) mod screen;
pub(crate) mod session;
