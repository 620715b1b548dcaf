//! A conversation and the commands inside it: pure state, no terminal, no network.

use serde_json::{Value, json};

/// What a typed line means.
#[derive(Debug, PartialEq)]
pub(crate) enum Input {
    /// Nothing.
    Empty,
    /// Something for the model.
    Say(String),
    /// `/help`.
    Help,
    /// `/models`.
    Models,
    /// `/model NAME`.
    Model(String),
    /// `/system TEXT`; without text, the instructions are removed.
    System(Option<String>),
    /// `/clear`.
    Clear,
    /// `/retry`: the last question again.
    Retry,
    /// `/save FILE`.
    Save(String),
    /// `/quit`.
    Quit,
    /// A slash and something else.
    Unknown(String),
}

/// What `/help` prints.
pub(crate) const HELP: &str = "\
/model NAME     talk to another model      /models         list them
/system TEXT    set the instructions       /clear          forget the conversation
/retry          ask the last question again
/save FILE      write the conversation as JSON
/quit           leave (also Ctrl-D)
A line that ends in \\ goes on in the next. Ctrl-C stops an answer.";

impl Input {
    /// Reads a line.
    pub(crate) fn parse(line: &str) -> Self {
        let line = line.trim();
        if line.is_empty() {
            return Self::Empty;
        }
        let Some(command) = line.strip_prefix('/') else { return Self::Say(line.to_owned()) };
        let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let rest = rest.trim();
        match (name, rest) {
            ("help" | "?", _) => Self::Help,
            ("models", _) => Self::Models,
            ("model", name) if !name.is_empty() => Self::Model(name.to_owned()),
            ("system", "") => Self::System(None),
            ("system", text) => Self::System(Some(text.to_owned())),
            ("clear", _) => Self::Clear,
            ("retry", _) => Self::Retry,
            ("save", file) if !file.is_empty() => Self::Save(file.to_owned()),
            ("quit" | "exit" | "bye", _) => Self::Quit,
            _ => Self::Unknown(line.to_owned()),
        }
    }
}

/// A conversation so far.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// The model talked to.
    pub(crate) model: String,
    /// Instructions for it.
    pub(crate) system: Option<String>,
    turns: Vec<(&'static str, String)>,
}

impl Session {
    /// A conversation in which nothing was said yet.
    pub(crate) fn new(model: String, system: Option<String>) -> Self {
        Self { model, system, turns: Vec::new() }
    }

    /// Adds a question.
    pub(crate) fn ask(&mut self, question: String) {
        self.turns.push(("user", question));
    }

    /// Adds the answer, also one that was stopped: the model then sees what it had said.
    /// An empty one is no turn, and takes its question with it.
    pub(crate) fn answered(&mut self, answer: String) {
        if answer.is_empty() {
            self.turns.pop();
        } else {
            self.turns.push(("assistant", answer));
        }
    }

    /// Takes back the last question and its answer, to ask again.
    pub(crate) fn retry(&mut self) -> Option<String> {
        let last = self.turns.iter().rposition(|(role, _)| *role == "user")?;
        let question = self.turns.split_off(last).into_iter().next();
        question.map(|(_, text)| text)
    }

    /// Forgets the turns, keeps model and instructions.
    pub(crate) fn clear(&mut self) {
        self.turns.clear();
    }

    /// The conversation in OpenAI's words.
    pub(crate) fn messages(&self) -> Vec<Value> {
        let system = self.system.iter().map(|text| json!({"role": "system", "content": text}));
        let turns = self.turns.iter().map(|(role, text)| json!({"role": role, "content": text}));
        system.chain(turns).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_understood() {
        assert_eq!(Input::parse("  "), Input::Empty);
        assert_eq!(Input::parse(" hi "), Input::Say("hi".into()));
        assert_eq!(Input::parse("/model  x"), Input::Model("x".into()));
        assert_eq!(Input::parse("/model"), Input::Unknown("/model".into()));
        assert_eq!(Input::parse("/system"), Input::System(None));
        assert_eq!(Input::parse("/nonsense"), Input::Unknown("/nonsense".into()));
        assert_eq!(Input::parse("/quit"), Input::Quit);
    }

    #[test]
    fn a_stopped_answer_stays_and_an_empty_one_leaves_no_trace() {
        let mut session = Session::default();
        session.ask("a".into());
        session.answered("half an ans".into());
        session.ask("b".into());
        session.answered(String::new());
        let roles: Vec<_> =
            session.messages().iter().map(|m| m["role"].as_str().unwrap().to_owned()).collect();
        assert_eq!(roles, ["user", "assistant"]);
    }

    #[test]
    fn retry_takes_back_question_and_answer() {
        let mut session = Session { system: Some("s".into()), ..Session::default() };
        assert_eq!(session.retry(), None);
        session.ask("a".into());
        session.answered("x".into());
        assert_eq!(session.retry().as_deref(), Some("a"));
        assert_eq!(session.messages().len(), 1);
    }
}
