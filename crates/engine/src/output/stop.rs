//! Watches text for the strings that end an answer. Text that may yet turn out to be
//! the beginning of one is held back, so that no part of a stop string is ever shown.

/// What became of a piece of text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Watched {
    /// This much can be shown; no stop string so far.
    Text(String),
    /// This much came before a stop string.
    Stopped {
        /// What can be shown.
        text: String,
        /// The stop string found.
        stop: String,
    },
}

/// Finds the earliest stop string in text that comes in pieces.
#[derive(Debug, Default)]
pub(super) struct StopMatcher {
    stops: Vec<String>,
    held: String,
}

impl StopMatcher {
    /// Watches for `stops`; empty ones never match.
    pub(super) fn new(stops: Vec<String>) -> Self {
        let stops = stops.into_iter().filter(|stop| !stop.is_empty()).collect();
        Self { stops, held: String::new() }
    }

    /// Takes in text.
    pub(super) fn push(&mut self, text: String) -> Watched {
        if self.stops.is_empty() {
            return Watched::Text(text);
        }
        // Most tokens neither end nor begin a stop string.
        let mut text = if self.held.is_empty() { text } else { std::mem::take(&mut self.held) + &text };
        // The first to be complete, of those the longest: so it does not matter in which
        // pieces the text came.
        let found = self.stops.iter().filter_map(|stop| Some((text.find(stop.as_str())?, stop)));
        if let Some((at, stop)) = found.min_by_key(|(at, stop)| (at + stop.len(), *at)) {
            let stop = stop.clone();
            text.truncate(at);
            return Watched::Stopped { text, stop };
        }
        self.held = text.split_off(self.safe_length(&text));
        Watched::Text(text)
    }

    /// How many bytes of text are held back.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// Lets go of what was held back: no stop string can come any more.
    pub(super) fn flush(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// How much of `text` cannot be part of a stop string to come.
    fn safe_length(&self, text: &str) -> usize {
        let longest = self.stops.iter().map(|stop| stop.len() - 1).max().unwrap_or(0);
        let mut from = text.len().saturating_sub(longest);
        while from < text.len() {
            let suffix = text.get(from..);
            if suffix.is_some_and(|suffix| self.stops.iter().any(|stop| stop.starts_with(suffix))) {
                return from;
            }
            from += 1;
        }
        text.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(stops: &[&str], pieces: &[&str]) -> (String, Option<String>) {
        let mut matcher = StopMatcher::new(stops.iter().map(ToString::to_string).collect());
        let mut shown = String::new();
        for piece in pieces {
            match matcher.push((*piece).to_owned()) {
                Watched::Text(text) => shown.push_str(&text),
                Watched::Stopped { text, stop } => return (shown + &text, Some(stop)),
            }
        }
        (shown + &matcher.flush(), None)
    }

    #[test]
    fn found_across_pieces_and_never_shown() {
        assert_eq!(run(&["END"], &["one E", "N", "D two"]), ("one ".into(), Some("END".into())));
        assert_eq!(run(&["END"], &["one E", "N", "E"]), ("one ENE".into(), None));
    }

    #[test]
    fn the_first_to_be_complete_wins_then_the_longest() {
        assert_eq!(run(&["b", "ab"], &["xxab"]), ("xx".into(), Some("ab".into())));
        for pieces in [&["abc"][..], &["a", "b", "c"]] {
            assert_eq!(run(&["ab", "abc"], pieces), (String::new(), Some("ab".into())));
            assert_eq!(run(&["abc", "ab"], pieces), (String::new(), Some("ab".into())));
            assert_eq!(run(&["abcd", "bc"], pieces), ("a".into(), Some("bc".into())));
        }
    }

    #[test]
    fn empty_stops_do_nothing() {
        assert_eq!(run(&[""], &["a", "b"]), ("ab".into(), None));
    }

    /// By definition: character by character, until one is complete.
    fn plain(stops: &[&str], text: &str) -> (String, Option<String>) {
        for end in text.char_indices().map(|(at, c)| at + c.len_utf8()) {
            let said = &text[..end];
            let complete = stops.iter().filter(|stop| said.ends_with(**stop));
            if let Some(stop) = complete.max_by_key(|stop| stop.len()) {
                return (said[..end - stop.len()].to_owned(), Some((*stop).to_owned()));
            }
        }
        (text.to_owned(), None)
    }

    proptest! {
        /// Whatever the pieces, what is shown is the text before the first stop string
        /// that is complete, and at no time part of it.
        #[test]
        fn pieces_do_not_matter(
            text in "[abé漢]{0,30}", stops in prop::collection::vec("[abé漢]{1,4}", 0..4),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let mut places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            let cuts: Vec<usize> = cuts.iter().map(|cut| *cut.get(&places)).collect();
            places.retain(|place| *place == 0 || *place == text.len() || cuts.contains(place));
            let pieces: Vec<&str> = places.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            let stops: Vec<&str> = stops.iter().map(String::as_str).collect();
            prop_assert_eq!(run(&stops, &pieces), plain(&stops, &text));
        }
    }
}
