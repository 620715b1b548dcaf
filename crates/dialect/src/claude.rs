//! Which Claude a model is, by its name: what must be said to make it think has changed
//! between versions, and both doors to them (`anthropic/`, `bedrock/`) have to know.
//!
//! Sources: "Thinking" and "Effort" of Anthropic's documentation and the migration guides
//! of its models; Amazon Bedrock user guide, "Adaptive thinking"; read 2026-11-22.

use message::{Effort, Sampling};
use serde_json::Number;

/// Fewest tokens of thinking that can be asked for.
const BUDGET_MIN: u64 = 1024;

/// One Claude.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claude {
    /// Major and minor version; `None` if the name has none.
    pub(crate) version: Option<(u8, u8)>,
    /// Of a line that takes system turns from early on.
    early_line: bool,
}

impl Claude {
    /// A Claude whose name does not tell which: taken for a new one.
    pub(crate) const UNTOLD: Self = Self { version: None, early_line: false };

    /// The Claude that a name or ARN tells of; `None` if it tells of none.
    pub(crate) fn of(model: &str) -> Option<Self> {
        model.find("claude").map(|place| Self::named(&model[place..]))
    }

    /// `claude-3-7-sonnet-20250219-v1:0`, `claude-opus-4-6-v1`, `claude-sonnet-5`, `claude-v2:1`.
    fn named(id: &str) -> Self {
        let mut numbers = id.split(['-', '.', ':', '@', '/']).filter_map(|word| match word.len() {
            // A date is no version.
            1 | 2 => word.parse::<u8>().ok(),
            _ => None,
        });
        let version = match numbers.next() {
            _ if id.starts_with("claude-v") || id.starts_with("claude-instant") => Some((2, 0)),
            None => None,
            // The `0` of an ending `-v1:0` is the right minor for an id without one.
            Some(major) => Some((major, numbers.next().unwrap_or(0))),
        };
        Self { version, early_line: id.contains("opus") || id.contains("fable") }
    }

    fn at_least(self, major: u8, minor: u8) -> bool {
        self.version.is_none_or(|version| version >= (major, minor))
    }

    /// It thinks as it sees fit, by an effort; before, a budget had to be given.
    pub(crate) fn adapts(self) -> bool {
        self.at_least(4, 6)
    }

    /// It thinks at all.
    pub(crate) fn thinks(self) -> bool {
        self.at_least(3, 7)
    }

    /// It can be given a budget; since Opus 4.7 that is refused.
    pub(crate) fn takes_budget(self) -> bool {
        self.version.is_none_or(|version| version < (4, 7))
    }

    /// Leaves of the sampling what this Claude takes, and tells what it does not and why.
    ///
    /// Since Opus 4.7 none is taken; since Opus 4.1 not a temperature and `top_p` at once; and
    /// while one thinks it is not to be steered. A value that changes nothing is no loss.
    pub(crate) fn settle(
        self,
        thinks: bool,
        sampling: &mut Sampling,
        mut lose: impl FnMut(&'static str, &'static str),
    ) {
        let since = |version| self.version.is_some_and(|this| this >= version);
        let takes_none = since((4, 7));
        let why = if takes_none { "this model takes no such setting" } else { "not taken while it thinks" };
        let value = |number: &Option<Number>| number.as_ref().and_then(Number::as_f64);
        if (takes_none || thinks) && sampling.temperature.take().is_some_and(|one| one.as_f64() != Some(1.0))
        {
            lose("temperature", why);
        }
        if (takes_none || thinks) && sampling.top_k.take().is_some() {
            lose("top_k", why);
        }
        let top_p = value(&sampling.top_p).unwrap_or(1.0);
        if takes_none || top_p >= 1.0 || (thinks && top_p < 0.95) {
            sampling.top_p = None;
            if top_p < 1.0 {
                lose("top_p", why);
            }
        }
        if since((4, 1)) && sampling.top_p.is_some() {
            match value(&sampling.temperature) {
                None => {}
                Some(1.0) => sampling.temperature = None,
                Some(_) => {
                    sampling.top_p = None;
                    lose("top_p", "this model takes a temperature or top_p, not both");
                }
            }
        }
    }

    /// Opus 4.8, Opus 5 and Fable 5, not Sonnet 5: the others refuse the role.
    pub(crate) fn takes_system_turns(self) -> bool {
        self.early_line && self.version.is_some_and(|version| version >= (4, 8))
    }
}

/// Tokens of thinking for an effort, for a Claude that wants them counted.
pub(crate) const fn budget(effort: Option<Effort>) -> u64 {
    match effort {
        Some(Effort::None | Effort::Minimal | Effort::Low) => BUDGET_MIN,
        Some(Effort::High) => 16_384,
        Some(Effort::XHigh | Effort::Max) => 32_768,
        Some(Effort::Medium) | None => 8192,
    }
}

/// The effort for a budget, for a Claude that takes none: the least that has as much.
pub(crate) fn effort(tokens: u64) -> Effort {
    let efforts = [Effort::Low, Effort::Medium, Effort::High];
    efforts.into_iter().find(|effort| tokens <= budget(Some(*effort))).unwrap_or(Effort::XHigh)
}

/// Why a budget is not sent.
pub(crate) const MEASURES_ITSELF: &str = "this model takes an effort instead, and was sent one";

/// The budget that leaves room for an answer: the limit counts the thinking, and is the
/// caller's to raise. Where it is too low for both, thinking gets half of it; `None` where
/// that is too little to think.
pub(crate) fn fitting(budget: u64, limit: u64) -> Option<u64> {
    let budget = if limit > budget { budget } else { limit / 2 };
    (budget >= BUDGET_MIN).then_some(budget)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claude_is_sent_the_sampling_it_takes() {
        let settled = |model: &str, thinks, temperature: Option<f64>, top_p: Option<f64>| {
            let number = |value: Option<f64>| value.and_then(Number::from_f64);
            let (temperature, top_p) = (number(temperature), number(top_p));
            let mut sampling = Sampling { temperature, top_p, top_k: Some(9), ..Sampling::default() };
            let mut lost = Vec::new();
            let claude = Claude::of(model).expect("a Claude");
            claude.settle(thinks, &mut sampling, |name, _| lost.push(name));
            let left = |number: Option<Number>| number.map_or("-".to_owned(), |number| number.to_string());
            let top_k = left(sampling.top_k.map(Number::from));
            format!("{} {} {top_k} {lost:?}", left(sampling.temperature), left(sampling.top_p))
        };
        for (model, thinks, temperature, top_p, told) in [
            ("claude-sonnet-4-0", false, Some(0.5), Some(0.5), "0.5 0.5 9 []"),
            ("claude-sonnet-4-5", false, Some(0.5), Some(0.5), "0.5 - 9 [\"top_p\"]"),
            ("claude-sonnet-4-5", false, Some(1.0), Some(0.5), "- 0.5 9 []"),
            ("claude-sonnet-4-5", false, Some(0.5), Some(1.0), "0.5 - 9 []"),
            (
                "claude-sonnet-4-5",
                true,
                Some(0.5),
                Some(0.5),
                "- - - [\"temperature\", \"top_k\", \"top_p\"]",
            ),
            ("claude-sonnet-4-5", true, Some(1.0), Some(0.96), "- 0.96 - [\"top_k\"]"),
            ("claude-opus-4-7", false, Some(1.0), Some(1.0), "- - - [\"top_k\"]"),
            ("claude-opus-5", false, Some(0.0), Some(0.9), "- - - [\"temperature\", \"top_k\", \"top_p\"]"),
            ("claude-of-my-own", false, Some(0.5), Some(0.5), "0.5 0.5 9 []"),
        ] {
            assert_eq!(settled(model, thinks, temperature, top_p), told, "{model} {thinks}");
        }
    }

    #[test]
    fn claudes_are_told_apart_by_their_version() {
        for (model, version) in [
            ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", Some((3, 7))),
            ("anthropic.claude-3-haiku-20240307-v1:0", Some((3, 0))),
            ("anthropic.claude-sonnet-4-20250514-v1:0", Some((4, 0))),
            ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", Some((4, 5))),
            ("claude-haiku-4-5@20251001", Some((4, 5))),
            ("anthropic.claude-opus-4-6-v1", Some((4, 6))),
            ("claude-opus-5-5", Some((5, 5))),
            ("anthropic.claude-sonnet-5", Some((5, 0))),
            ("anthropic.claude-v2:1", Some((2, 0))),
            ("anthropic.claude-instant-v1", Some((2, 0))),
            ("my-claude", None),
            (
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-opus-4-1-20250805-v1:0",
                Some((4, 1)),
            ),
        ] {
            let claude = Claude::of(model).unwrap_or_else(|| panic!("{model} is a Claude"));
            assert_eq!(claude.version, version, "{model}");
        }
        assert_eq!(Claude::of("qwen3"), None);
    }

    #[test]
    fn a_budget_leaves_room_for_the_answer() {
        assert_eq!(fitting(2000, 8000), Some(2000));
        assert_eq!(fitting(8192, 4096), Some(2048));
        assert_eq!(fitting(8192, 1000), None);
        assert_eq!(fitting(1000, 8000), None);
        let efforts = [500, 2000, 16_000, 100_000].map(effort);
        assert_eq!(efforts, [Effort::Low, Effort::Medium, Effort::High, Effort::XHigh]);
    }
}
