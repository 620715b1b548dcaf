//! The model's own chat template: a conversation becomes the text the model was taught
//! to continue.
//!
//! Templates are Jinja, stored in the GGUF (`tokenizer.chat_template`), written for
//! Hugging Face transformers' environment (trim_blocks, lstrip_blocks, Python's string
//! methods, `raise_exception`, `strftime_now`, `tojson` as Python's `json.dumps`;
//! transformers' `chat_template_utils.py`, read 2026-11-22). They come from strangers:
//! each render has a limit of work, and what users say can never become a control
//! token (`guard`).

mod guard;
mod jinja;
mod probe;
mod turns;

use message::{Chat, Effort, ErrorKind, Failure};
use serde_json::{Value, json};

use crate::LoadError;
use crate::output::Begins;
use crate::tools::{Syntax, Thought};
use crate::vision::slots::{self, Piece};
use crate::vocabulary::{Token, Tokenize, Vocabulary};
use guard::Guard;
use jinja::Jinja;
pub(crate) use jinja::python_json;
pub(crate) use turns::Shown;
use turns::Turns;

/// For base models, which have no template: a plain transcript, which any text model
/// can continue. The answer ends where the next `User:` would begin.
const TRANSCRIPT: &str = "{% for message in messages %}\
    {% if message.role == 'system' %}{{ message.content }}\n\n\
    {% elif message.role == 'assistant' %}Assistant: {{ message.content }}\n\
    {% else %}User: {{ message.content }}\n{% endif %}\
    {% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}";

/// Strings that end a turn in a plain transcript.
const TRANSCRIPT_STOPS: [&str; 2] = ["\nUser:", "\nAssistant:"];

/// What a template can show; found by trying (`probe`).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Traits {
    /// It shows a system prompt; otherwise the system prompt opens the first user turn.
    pub(crate) system: bool,
    /// It shows tools, calls and results, in this notation; otherwise they are told in words.
    pub(crate) tools: Option<Syntax>,
    /// It shows calls of earlier turns; otherwise they are written into the turn's words.
    pub(crate) calls: bool,
    /// It wants a call's arguments as JSON text, not as an object.
    pub(crate) arguments_as_text: bool,
    /// It knows of thinking between these marks.
    pub(crate) thought: Option<Thought>,
    /// It insists on call ids of nine letters and digits (Mistral).
    pub(crate) short_ids: bool,
    /// It reads contents as lists of typed parts, and not as text (SmolVLM).
    pub(crate) typed: bool,
    /// The model sees images. Not the template's to say: an image is a slot in the words.
    pub(crate) images: bool,
}

/// Writes conversations the way one model was taught.
pub(crate) struct ChatTemplate {
    jinja: Jinja,
    traits: Traits,
    guard: Guard,
    own: bool,
}

/// A conversation as its template writes it.
#[derive(Debug)]
pub(crate) struct Rendered<'a> {
    /// With slots for the images.
    pub(crate) text: String,
    /// The images, by the numbers of their slots.
    pub(crate) images: Vec<Shown<'a>>,
}

/// A conversation in tokens, and what it takes to read the answer.
#[derive(Debug)]
pub(crate) struct Prompt {
    pub(crate) tokens: Vec<Token>,
    /// Strings that end the turn in this form of prompt.
    pub(crate) turn_stops: Vec<String>,
}

impl ChatTemplate {
    /// Reads a model's template (`None`: a base model) and finds out what it can show.
    pub(crate) fn new(
        source: Option<&str>,
        with_tools: Option<&str>,
        vocabulary: &Vocabulary,
    ) -> Result<Self, LoadError> {
        let jinja = Jinja::new(source.unwrap_or(TRANSCRIPT), with_tools, &vocabulary.bos, &vocabulary.eos)
            .map_err(|error| LoadError::Template(format!("{error:#}")))?;
        let thought = source.and_then(Thought::of);
        let traits = Traits { thought, ..probe::probe(&jinja) };
        Ok(Self { jinja, traits, guard: Guard::new(vocabulary), own: source.is_some() })
    }

    /// The same for a model that sees images, or does not.
    pub(crate) fn seeing(mut self, images: bool) -> Self {
        self.traits.images = images;
        self
    }

    /// What it can show.
    pub(crate) fn traits(&self) -> &Traits {
        &self.traits
    }

    /// How the model writes tool calls.
    pub(crate) fn syntax(&self) -> Syntax {
        match self.traits.thought {
            Some(Thought::HARMONY) => Syntax::HARMONY,
            _ => self.traits.tools.unwrap_or(Syntax::HERMES),
        }
    }

    /// The conversation as text, control tokens written out and users' imitations of
    /// them marked, with slots for its images.
    pub(crate) fn render<'a>(&'a self, chat: &'a Chat) -> Result<Rendered<'a>, Failure> {
        let turns = Turns::read(chat, &self.traits, &self.guard)?;
        let rendered = self.jinja.render(&turns.context()).or_else(|first| {
            // Many templates raise on turns they were not taught: a system prompt,
            // two turns of one role. The same words in a plainer form often pass.
            self.jinja.render(&turns.plainer().context()).map_err(|_| first)
        });
        let mut text = rendered.map_err(|error| {
            Failure::new(
                ErrorKind::InvalidRequest,
                format!("messages: the model's chat template refuses this conversation: {error}"),
            )
            .with_param("messages")
        })?;
        if let Some(thought) = self.thought().filter(|thought| *thought != Thought::HARMONY)
            && wants_thinking(chat) == Some(false)
            && text.trim_end().ends_with(thought.open)
        {
            // A model that always thinks finds its thinking done.
            text.push_str(thought.close);
            text.push_str("\n\n");
        }
        if let Some(opening) = turns.continued() {
            // The answer goes on where the client's last turn ends.
            match text.rfind(opening) {
                Some(at) => text.truncate(at + opening.len()),
                None => text.push_str(opening),
            }
        }
        let images = turns.into_images();
        all_shown(&text, images.len())?;
        Ok(Rendered { text, images })
    }

    /// How the model shows its thinking, if it thinks.
    pub(crate) fn thought(&self) -> Option<Thought> {
        self.traits.thought
    }

    /// Whether an answer to this prompt may begin with thinking.
    pub(crate) fn begins(&self, text: &str) -> Option<(Thought, Begins)> {
        let thought = self.thought()?;
        let text = text.trim_end();
        if thought == Thought::HARMONY {
            Some((thought, Begins::Free))
        } else if text.ends_with(thought.open) {
            Some((thought, Begins::Thinking))
        } else {
            (!text.ends_with(thought.close)).then_some((thought, Begins::Free))
        }
    }

    /// The tokens of rendered text, and in its slots those of the images.
    pub(crate) fn tokenize(
        &self,
        text: &str,
        images: &[Vec<Token>],
        tokenizer: &dyn Tokenize,
        vocabulary: &Vocabulary,
    ) -> Prompt {
        let mut tokens = Vec::new();
        for piece in slots::pieces(text) {
            match piece {
                Piece::Text(text) => tokens.extend(self.guard.tokenize(text, tokenizer)),
                Piece::Image(number) => {
                    tokens.extend(images.get(number).into_iter().flatten());
                }
            }
        }
        let tokens = begun(tokens, vocabulary);
        let turn_stops = if self.own { Vec::new() } else { TRANSCRIPT_STOPS.map(String::from).to_vec() };
        Prompt { tokens, turn_stops }
    }
}

/// Refuses what a template made of a conversation if an image is not in it, or twice.
fn all_shown(text: &str, images: usize) -> Result<(), Failure> {
    let mut times = vec![0; images];
    for piece in slots::pieces(text) {
        if let Piece::Image(number) = piece
            && let Some(times) = times.get_mut(number)
        {
            *times += 1;
        }
    }
    if times.iter().all(|&times| times == 1) {
        return Ok(());
    }
    let message = "messages: the model's chat template does not show every image of this conversation once; \
                   move the images to the last user turn";
    Err(Failure::new(ErrorKind::InvalidRequest, message).with_param("messages"))
}

/// Tokens that begin as the vocabulary says prompts must.
pub(crate) fn begun(mut tokens: Vec<Token>, vocabulary: &Vocabulary) -> Vec<Token> {
    if let Some(start) = vocabulary.prompt_start
        && tokens.first() != Some(&start)
    {
        tokens.insert(0, start);
    }
    tokens
}

/// Whether the client asked for thinking, or for none; `None`: it left that to the model.
pub(crate) fn wants_thinking(chat: &Chat) -> Option<bool> {
    let reasoning = chat.reasoning.as_ref()?;
    let effort = reasoning.effort.map(|effort| effort != Effort::None);
    let budget = reasoning.budget_tokens.map(|tokens| tokens > 0);
    reasoning.enabled.or(effort).or(budget)
}

/// Writes a turn's content as a list of one part.
fn typed_content(turn: &mut Value) {
    let content = turn["content"].take();
    turn["content"] = json!([{ "type": "text", "text": content }]);
}

/// A tool as templates know it.
fn tool_value(tool: &Value) -> Value {
    json!({ "type": "function", "function": tool })
}

#[cfg(test)]
mod tests;
