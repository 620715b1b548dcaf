//! Names and ids that fit: other dialects allow longer ones, and other characters.
//!
//! What does not fit is sent under another name, the same always under the same, and tool
//! calls are given back under their own: both directions compute it, so nothing has to be
//! remembered between them. Source: `ToolName`, `ToolUseId` and `DocumentBlock` of the
//! bedrock-runtime service model, botocore 1.44.5 (read 2026-11-22).

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use message::Chat;
use sha2::{Digest as _, Sha256};

/// Longest tool name and tool use id, in characters (all of them ASCII).
const NAME_CHARS_MAX: usize = 64;
/// Digits of a digest at the end of a rewritten name: enough to keep a thousand apart.
const DIGEST_DIGITS: usize = 10;
/// The same at the end of a rewritten id, of which a conversation may have many.
const ID_DIGEST_DIGITS: usize = 16;
/// Longest name of a document, in characters.
const DOCUMENT_CHARS_MAX: usize = 200;

/// A tool's name of letters, digits, `_` and `-`.
pub(super) fn tool_name(name: &str) -> Cow<'_, str> {
    fit(name, DIGEST_DIGITS, |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

/// A tool use's id: as names, and `.` and `:`.
pub(super) fn tool_use_id(id: &str) -> Cow<'_, str> {
    fit(id, ID_DIGEST_DIGITS, |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-'))
}

fn fit(name: &str, digest_digits: usize, allowed: fn(char) -> bool) -> Cow<'_, str> {
    if !name.is_empty() && name.len() <= NAME_CHARS_MAX && name.chars().all(allowed) {
        return Cow::Borrowed(name);
    }
    let shown = name.chars().map(|c| if allowed(c) { c } else { '_' });
    let shown: String = shown.take(NAME_CHARS_MAX - digest_digits - 1).collect();
    let digest = hex::encode(Sha256::digest(name));
    Cow::Owned(format!("{shown}-{}", &digest[..digest_digits]))
}

/// Sent name → own name, of the tools whose name does not fit.
pub(super) fn renamed(chat: &Chat) -> HashMap<String, String> {
    let tools = chat.tools.iter().filter_map(|tool| match tool_name(&tool.name) {
        Cow::Borrowed(_) => None,
        Cow::Owned(sent) => Some((sent, tool.name.clone())),
    });
    tools.collect()
}

/// A document's name: letters, digits, single spaces, `-`, `(`, `)`, `[`, `]`, and no name twice.
pub(super) fn document_name(name: Option<&str>, taken: &mut HashSet<String>) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '(' | ')' | '[' | ']');
    let spaced: String = name.unwrap_or_default().chars().map(|c| if allowed(c) { c } else { ' ' }).collect();
    let spaced = spaced.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    let base = if spaced.is_empty() { "document" } else { &spaced };
    for number in 1.. {
        let ending = if number == 1 { String::new() } else { format!(" {number}") };
        let kept: String = base.chars().take(DOCUMENT_CHARS_MAX - ending.len()).collect();
        let candidate = kept.trim_end().to_owned() + &ending;
        if taken.insert(candidate.clone()) {
            return candidate;
        }
    }
    unreachable!("there are more numbers than documents")
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
        }
        assert!(matches!(tool_use_id("toolu_01.a:b-c"), Cow::Borrowed(_)));
    }

    #[test]
    fn t6_long_names_stay_readable_and_apart() {
        let long = |last| format!("mcp__{}__{last}", "server".repeat(12));
        assert!(tool_name(&long("read")).starts_with("mcp__server"));
        assert_ne!(tool_name(&long("read")), tool_name(&long("write")));
        assert_ne!(tool_name("a.b"), tool_name("a:b"));
    }

    #[test]
    fn documents_have_names_of_their_own() {
        let mut taken = HashSet::new();
        let mut name = |name: Option<&str>| document_name(name, &mut taken);
        assert_eq!(name(Some("Q3 report_final.pdf")), "Q3 report final pdf");
        assert_eq!(name(Some("Q3  report final.pdf")), "Q3 report final pdf 2");
        assert_eq!(name(None), "document");
        assert_eq!(name(Some("日本語")), "document 2");
        assert_eq!(name(Some(&"x".repeat(300))).len(), 200);
        assert_eq!(name(Some(&"x".repeat(300))).len(), 200);
    }

    proptest! {
        #[test]
        fn everything_fits_afterwards(name in ".{0,100}") {
            for sent in [tool_name(&name), tool_use_id(&name)] {
                prop_assert!((1..=NAME_CHARS_MAX).contains(&sent.len()));
            }
            prop_assert!(matches!(tool_name(&tool_name(&name)), Cow::Borrowed(_)));
            prop_assert!(matches!(tool_use_id(&tool_use_id(&name)), Cow::Borrowed(_)));
        }
    }
}
