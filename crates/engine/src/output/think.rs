//! Tells a model's thinking, between its marks, from what it says.

use crate::tools::Thought;

/// What stands before the answer of a thinking model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begins {
    /// The prompt has opened the thinking.
    Thinking,
    /// The model may open it.
    Free,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before anything but blanks.
    Start,
    /// In the thinking; nothing but blanks so far.
    Opened,
    /// In the thinking.
    Inside,
    /// Behind it, in the blanks before the answer.
    Closed,
    /// In the answer.
    Answer,
}

/// A piece of an answer, told apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Split {
    pub(super) thinking: String,
    /// Bytes before `text` that are not part of the answer: thinking, marks, blanks.
    pub(super) skipped: usize,
    pub(super) text: String,
}

/// Tells them apart.
#[derive(Debug)]
pub(super) struct Thinker {
    marks: Thought,
    at: At,
    /// What may be the beginning of a mark, or blanks before one.
    held: String,
}

impl Thinker {
    pub(super) fn new(marks: Thought, begins: Begins) -> Self {
        let at = match begins {
            Begins::Thinking => At::Opened,
            Begins::Free => At::Start,
        };
        Self { marks, at, held: String::new() }
    }

    /// In the thinking.
    pub(super) fn thinking(&self) -> bool {
        match self.at {
            At::Opened | At::Inside => true,
            At::Start => !self.held.trim_start().is_empty(),
            At::Closed | At::Answer => false,
        }
    }

    /// Takes in a piece.
    pub(super) fn push(&mut self, piece: &str) -> Split {
        let mut split = Split::default();
        self.held.push_str(piece);
        loop {
            let at = self.at;
            match at {
                At::Start => self.start(&mut split),
                At::Opened => {
                    let blank = self.held.len() - self.held.trim_start().len();
                    split.skipped += self.drop_held(blank);
                    if !self.held.is_empty() {
                        self.at = At::Inside;
                    }
                }
                At::Inside => self.inside(&mut split),
                At::Closed => {
                    let blank = self.held.len() - self.held.trim_start().len();
                    split.skipped += self.drop_held(blank);
                    if !self.held.is_empty() {
                        self.at = At::Answer;
                    }
                }
                At::Answer => split.text.push_str(&std::mem::take(&mut self.held)),
            }
            if self.at == at {
                return split;
            }
        }
    }

    /// The answer is over: what was held back, it was no mark.
    pub(super) fn finish(&mut self) -> Split {
        let held = std::mem::take(&mut self.held);
        match self.at {
            At::Start | At::Answer => Split { text: held, ..Split::default() },
            _ => Split { thinking: held.trim_end().to_owned(), skipped: held.len(), text: String::new() },
        }
    }

    fn start(&mut self, split: &mut Split) {
        let said = self.held.trim_start();
        if said.starts_with(self.marks.open) {
            let mark = self.held.len() - said.len() + self.marks.open.len();
            split.skipped += self.drop_held(mark);
            self.at = At::Opened;
        } else if !self.marks.open.starts_with(said) {
            self.at = At::Answer;
        }
    }

    fn inside(&mut self, split: &mut Split) {
        if let Some(at) = self.held.find(self.marks.close) {
            split.thinking.push_str(self.held[..at].trim_end());
            split.skipped += self.drop_held(at + self.marks.close.len());
            self.at = At::Closed;
            return;
        }
        let close = self.marks.close;
        let from = self.held.len().saturating_sub(close.len());
        let partial = (from..self.held.len())
            .find(|&at| self.held.get(at..).is_some_and(|rest| close.starts_with(rest)))
            .unwrap_or(self.held.len());
        let safe = self.held[..partial].trim_end().len();
        split.thinking.push_str(&self.held[..safe]);
        split.skipped += self.drop_held(safe);
    }

    fn drop_held(&mut self, bytes: usize) -> usize {
        self.held.drain(..bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(begins: Begins, pieces: &[&str]) -> (String, String, usize) {
        let mut thinker = Thinker::new(Thought::THINK, begins);
        let (mut thinking, mut text, mut skipped) = (String::new(), String::new(), 0);
        let mut splits: Vec<Split> = pieces.iter().map(|piece| thinker.push(piece)).collect();
        splits.push(thinker.finish());
        for split in splits {
            assert!(text.is_empty() || split.skipped == 0, "nothing is skipped within the answer");
            thinking.push_str(&split.thinking);
            text.push_str(&split.text);
            skipped += split.skipped;
        }
        (thinking, text, skipped)
    }

    /// The same for every way of cutting it.
    fn told(begins: Begins, answer: &str) -> (String, String) {
        let (thinking, text, skipped) = run(begins, &[answer]);
        assert_eq!(skipped + text.len(), answer.len());
        for at in (0..answer.len()).filter(|&at| answer.is_char_boundary(at)) {
            let (left, right) = answer.split_at(at);
            assert_eq!(run(begins, &[left, right]), (thinking.clone(), text.clone(), skipped), "at {at}");
        }
        (thinking, text)
    }

    fn owned(thinking: &str, text: &str) -> (String, String) {
        (thinking.to_owned(), text.to_owned())
    }

    #[test]
    fn thinking_is_told_from_the_answer() {
        let answer = "<think>\nHm, <b> or é?\n</think>\n\nYes. <think>";
        assert_eq!(told(Begins::Free, answer), owned("Hm, <b> or é?", "Yes. <think>"));
        assert_eq!(told(Begins::Thinking, "Hm\n</think>Yes"), owned("Hm", "Yes"));
        assert_eq!(told(Begins::Free, "<think>\n\n</think>\n\nYes"), owned("", "Yes"));
    }

    #[test]
    fn an_answer_without_thinking_is_left_alone() {
        for answer in ["Yes", " \n<thin air>", "  ", "a</think>b", ""] {
            assert_eq!(told(Begins::Free, answer), owned("", answer));
        }
    }

    #[test]
    fn thinking_cut_short_is_still_thinking() {
        assert_eq!(told(Begins::Thinking, "Hm </thi"), owned("Hm </thi", ""));
        assert_eq!(told(Begins::Free, "<think>a \n b"), owned("a \n b", ""));
    }
}
