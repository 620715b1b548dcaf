//! Names and ids that fit: other dialects allow longer ones than this.
//!
//! A tool's name that does not fit is sent under a shorter one and given back under its
//! own; both directions compute the same, so nothing has to be remembered between them.

use std::borrow::Cow;
use std::collections::HashMap;

use message::Chat;
use sha2::{Digest, Sha256};

/// Longest tool name, tool call id or end user's name that servers of this dialect take,
/// in bytes.
const BYTES_MAX: usize = 64;

/// Hexadecimal digits of a digest at the end of a shortened tool name: enough to keep a
/// thousand tools apart.
const NAME_DIGEST_DIGITS: usize = 10;

/// A tool's name as the dialect allows it: letters, digits, `_` and `-`.
pub(super) fn tool_name(name: &str) -> Cow<'_, str> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if (1..=BYTES_MAX).contains(&name.len()) && name.chars().all(is_allowed) {
        return Cow::Borrowed(name);
    }
    let shown = name.chars().map(|c| if is_allowed(c) { c } else { '_' });
    let shown: String = shown.take(BYTES_MAX - NAME_DIGEST_DIGITS - 1).collect();
    Cow::Owned(format!("{shown}_{}", &digest(name)[..NAME_DIGEST_DIGITS]))
}

/// Sent name → own name, of the tools whose name does not fit.
pub(super) fn renamed(chat: &Chat) -> HashMap<String, String> {
    let tools = chat.tools.iter().filter_map(|tool| match tool_name(&tool.name) {
        Cow::Borrowed(_) => None,
        Cow::Owned(sent) => Some((sent, tool.name.clone())),
    });
    tools.collect()
}

/// A tool call's id; the same for the call and its result.
pub(super) fn tool_id(id: &str) -> Cow<'_, str> {
    if (1..=BYTES_MAX).contains(&id.len()) {
        Cow::Borrowed(id)
    } else {
        Cow::Owned(format!("call_{}", &digest(id)[..32]))
    }
}

/// An end user's name: only its sameness matters to a server.
pub(super) fn user(user: &str) -> Cow<'_, str> {
    if user.len() <= BYTES_MAX { Cow::Borrowed(user) } else { Cow::Owned(digest(user)) }
}

/// 64 hexadecimal digits.
fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_fits_is_left_alone() {
        let longest = "a".repeat(64);
        for name in ["f", "mcp__git-hub__List_2", &longest] {
            assert!(matches!(tool_name(name), Cow::Borrowed(_)), "{name}");
            assert!(matches!(tool_id(name), Cow::Borrowed(_)) && matches!(user(name), Cow::Borrowed(_)));
        }
    }

    #[test]
    fn t6_long_names_stay_readable_and_apart() {
        let long = |last| format!("mcp__{}__{last}", "server".repeat(12));
        let (one, two) = (long("read"), long("write"));
        assert!(tool_name(&one).starts_with("mcp__server"));
        assert_ne!(tool_name(&one), tool_name(&two));
        assert_ne!(tool_name("a.b"), tool_name("a:b"));
    }

    proptest! {
        #[test]
        fn everything_fits_afterwards(name in ".{0,100}") {
            let sent = tool_name(&name);
            prop_assert!((1..=BYTES_MAX).contains(&sent.len()));
            prop_assert!(matches!(tool_name(&sent), Cow::Borrowed(_)), "{} would be renamed again", sent);
            prop_assert!((1..=BYTES_MAX).contains(&tool_id(&name).len()));
            prop_assert!(user(&name).len() <= BYTES_MAX);
        }
    }
}
