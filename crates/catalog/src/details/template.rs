//! What a chat template shows at a glance. What it really does is found by the engine,
//! which runs it.

use serde::Serialize;

/// Lines of a template shown to people.
const HEAD_LINES: usize = 3;
/// Longest line shown, in characters.
const LINE_CHARS: usize = 100;

/// A chat template, at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Template {
    /// Its first lines, cut where they are long.
    pub head: Vec<String>,
    /// How many lines it has.
    pub lines: usize,
    /// It takes tools.
    pub tools: bool,
    /// It knows of thinking.
    pub thinks: bool,
}

impl Template {
    pub(super) fn of(text: &str) -> Self {
        const THINKING: [&str; 4] = ["<think>", "enable_thinking", "reasoning_content", "reasoning_effort"];
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        Self {
            head: lines.take(HEAD_LINES).map(cut).collect(),
            lines: text.lines().count(),
            tools: text.contains("tools") || text.contains("tool_calls"),
            thinks: THINKING.iter().any(|word| text.contains(word)),
        }
    }
}

/// A line that a terminal may show: short, and without control characters.
fn cut(line: &str) -> String {
    let mut chars = line.chars().map(|char| if char.is_control() { ' ' } else { char });
    let mut cut: String = chars.by_ref().take(LINE_CHARS).collect();
    if chars.next().is_some() {
        cut.push('…');
    }
    cut
}
