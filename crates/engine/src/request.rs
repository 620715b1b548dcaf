//! From a call to a sequence that can be scheduled: everything that can be refused is
//! refused here, before the model does any work.

use std::sync::Arc;

use message::{Chat, Effort, ErrorKind, Failure, FinishReason, OutputFormat, ToolChoice, ToolKind};
use serde_json::json;

use crate::SamplingDefaults;
use crate::backend::LoadedModel;
use crate::grammar::{Ask, Before, CallSchema, Constraint, Form, Grammars, Rules, Shape};
use crate::outlet::Outlet;
use crate::output::{Begins, Writer};
use crate::sampler::{Sampler, SamplingParams};
use crate::scheduler::{NewSequence, Origin, Origins, ThinkingLimit};
use crate::template::{ChatTemplate, Prompt, Rendered, Shown, begun, wants_thinking};
use crate::tools::{Body, Reader, Syntax, TextParameters, Thought};
use crate::vision::{Picture, Sight, Unseen, is_pseudo};
use crate::vocabulary::{Token, Tokenize, Vocabulary};

/// Most stop strings, and bytes in each: OpenAI allows 4, Converse 4, Anthropic more.
const MAX_STOPS: usize = 64;
const MAX_STOP_BYTES: usize = 1024;
/// Most alternatives reported per token (OpenAI's limit).
const MAX_TOP_LOGPROBS: u8 = 20;

/// What it takes to read requests for one model.
pub(crate) struct Requests {
    pub(crate) model: Arc<LoadedModel>,
    pub(crate) template: ChatTemplate,
    /// Looks at images, if the model sees any.
    pub(crate) sight: Option<Sight>,
    pub(crate) grammars: Grammars,
    pub(crate) defaults: SamplingDefaults,
    /// What there is to know of where calls come from.
    pub(crate) origins: Origins,
    /// Tokens of prompt and answer that one call may use.
    pub(crate) max_call_tokens: usize,
    /// Bytes of the longest token: no text has fewer tokens than its bytes over this.
    pub(crate) longest_piece: usize,
}

impl Requests {
    /// How many tokens a conversation has, if it would be answered.
    pub(crate) fn count(&self, chat: &Chat) -> Result<u64, Failure> {
        check(chat)?;
        let (prompt, _) = self.read(chat, |images| {
            let measure = |sight: &Sight, image: &Shown<'_>, most| sight.measure(&image.given, most);
            self.each(images, measure, Vec::len)
        })?;
        Ok(prompt.tokens.len() as u64)
    }

    /// Makes a sequence of a conversation, whose answer goes out by `events`.
    pub(crate) fn prepare(
        &self,
        chat: &Chat,
        origin: Origin,
        events: Outlet,
    ) -> Result<NewSequence, Failure> {
        check(chat)?;
        let params = SamplingParams::read(&chat.sampling, &self.defaults, self.vocabulary())?;
        let mut pictures = Vec::new();
        let (Prompt { tokens, mut turn_stops }, begins) = self.read(chat, |images| {
            pictures = self.look(images, &events)?;
            Ok(pictures.iter().map(|picture| picture.tokens.clone()).collect())
        })?;
        if chat.sampling.extensions.ignore_eos {
            turn_stops.clear();
        }
        let (max_tokens, at_max) = self.budget(tokens.len(), chat.sampling.max_tokens)?;
        let stops = chat.sampling.stop.iter().chain(&turn_stops).cloned().collect();
        Ok(NewSequence {
            origin,
            sampler: Sampler::new(params, &words(&tokens)),
            tokens,
            pictures,
            max_tokens,
            at_max,
            logprobs: chat.sampling.logprobs.map(usize::from),
            turn_stops,
            one_tool_call: chat.parallel_tool_calls == Some(false),
            rules: self.rules(chat, begins)?,
            thinking: self.thinking_limit(chat, begins, max_tokens),
            writer: self.writer(chat, stops, begins),
            events,
        })
    }

    /// A conversation in tokens, and how the answer may begin, if the model thinks.
    /// `see` tells what tokens its images are.
    fn read(
        &self,
        chat: &Chat,
        see: impl FnOnce(&[Shown<'_>]) -> Result<Vec<Vec<Token>>, Failure>,
    ) -> Result<(Prompt, Option<(Thought, Begins)>), Failure> {
        if chat.raw {
            let text = bare_prompt(chat)?;
            self.check_bytes(&text, chat)?;
            // The client has written the control tokens out.
            let tokens = begun(self.model.tokenize(&text, true), self.vocabulary());
            return Ok((Prompt { tokens, turn_stops: Vec::new() }, None));
        }
        let Rendered { text, images } = self.template.render(chat)?;
        self.check_bytes(&text, chat)?;
        let begins = self.template.begins(&text);
        let unwanted = wants_thinking(chat) == Some(false)
            && begins.is_some_and(|(thought, _)| thought != Thought::HARMONY);
        let images = if images.is_empty() { Vec::new() } else { see(&images)? };
        Ok((self.prompt(&text, &images), begins.filter(|_| !unwanted)))
    }

    /// Looks at the images of a call whose answer goes out by `events`.
    fn look(&self, images: &[Shown<'_>], events: &Outlet) -> Result<Vec<Arc<Picture>>, Failure> {
        if let Some(sight) = &self.sight {
            sight.wait_for_room(&|| events.abandoned());
        }
        let look = |sight: &Sight, image: &Shown<'_>, most| match events.abandoned() {
            // Nobody hears it.
            true => Err(Unseen::Image("the client is gone".to_owned())),
            false => sight.look(&image.given, most),
        };
        self.each(images, look, |picture| picture.tokens.len())
    }

    /// Sees each of some images, for no more tokens than a call may have.
    fn each<T>(
        &self,
        images: &[Shown<'_>],
        see: impl Fn(&Sight, &Shown<'_>, usize) -> Result<T, Unseen>,
        length: impl Fn(&T) -> usize,
    ) -> Result<Vec<T>, Failure> {
        // The template was told whether the model sees; so this never lacks.
        let sight = self.sight.as_ref().ok_or_else(|| Failure::unsupported("this model sees no images"))?;
        let (mut seen, mut tokens) = (Vec::new(), 0);
        for image in images {
            let most = self.max_call_tokens.saturating_sub(tokens);
            let one = see(sight, image, most).map_err(|unseen| match unseen {
                Unseen::Image(why) => {
                    let message = format!("{}: {why}", image.path);
                    Failure::new(ErrorKind::InvalidRequest, message).with_param(image.path.clone())
                }
                Unseen::Long(rows) => self.overflow(&format!("at least {}", tokens + rows), None),
            })?;
            tokens += length(&one);
            seen.push(one);
        }
        Ok(seen)
    }

    fn writer(&self, chat: &Chat, stops: Vec<String>, begins: Option<(Thought, Begins)>) -> Writer {
        let syntax = self.template.syntax();
        let calls = !chat.tools.is_empty() && chat.tool_choice != Some(ToolChoice::None);
        let reads = !chat.raw && (calls || syntax == Syntax::HARMONY);
        let mut texts = TextParameters::default();
        for tool in &chat.tools {
            if let ToolKind::Function { schema } = &tool.kind {
                texts.add(&tool.name, schema.as_ref());
            }
        }
        let writer = Writer::new(stops, reads.then(|| Reader::new(syntax, texts)));
        match begins {
            Some((thought, begins)) if thought != Thought::HARMONY => writer.with_thinking(thought, begins),
            _ => writer,
        }
    }

    /// The bound on thinking, kept by writing the mark that ends it.
    fn thinking_limit(
        &self,
        chat: &Chat,
        begins: Option<(Thought, Begins)>,
        max_tokens: usize,
    ) -> Option<ThinkingLimit> {
        let tokens = most_thinking(chat, max_tokens)?;
        let (thought, _) = begins?;
        let close = match thought {
            Thought::HARMONY => thought.close.to_owned(),
            _ => format!("\n{}\n\n", thought.close),
        };
        Some(ThinkingLimit { tokens, close: self.model.tokenize(&close, true) })
    }

    /// A sequence that greedily continues bare text, without template or stop.
    pub(crate) fn continuation(
        &self,
        text: &str,
        max_tokens: u64,
        origin: Origin,
        events: Outlet,
    ) -> Result<NewSequence, Failure> {
        let Prompt { tokens, .. } = self.prompt(text, &[]);
        let (max_tokens, at_max) = self.budget(tokens.len(), Some(max_tokens))?;
        Ok(NewSequence {
            origin,
            sampler: Sampler::new(SamplingParams::default(), &tokens),
            tokens,
            pictures: Vec::new(),
            max_tokens,
            at_max,
            logprobs: None,
            turn_stops: Vec::new(),
            one_tool_call: false,
            rules: Rules::Free,
            thinking: None,
            writer: Writer::new(Vec::new(), None),
            events,
        })
    }

    /// What the answer must be, if it is not free.
    fn rules(&self, chat: &Chat, begins: Option<(Thought, Begins)>) -> Result<Rules, Failure> {
        let any_object = json!({ "type": "object" });
        let text = match &chat.output {
            OutputFormat::Text => None,
            OutputFormat::JsonObject => Some(Form::Json(&any_object)),
            OutputFormat::JsonSchema { schema, .. } => Some(Form::Json(schema)),
            OutputFormat::Grammar(grammar) => Some(Form::Grammar(grammar)),
        };
        let tools = callable(chat)?;
        let several = chat.parallel_tool_calls != Some(false);
        let shape = match (&chat.tool_choice, text) {
            (Some(ToolChoice::Named(_)), _) => Shape::Calls { tools: &tools, several: false },
            // Of one tool, forced: clients that ask for an object this way (the AI SDK over
            // Converse) read one call, and a small model would not stop at it.
            (Some(ToolChoice::Any), _) => Shape::Calls { tools: &tools, several: several && tools.len() > 1 },
            (None | Some(ToolChoice::Auto), Some(text)) if !tools.is_empty() => {
                Shape::TextOrCalls { text, tools: &tools, several }
            }
            (_, Some(text)) => Shape::Text(text),
            (None | Some(ToolChoice::Auto), None) if !tools.is_empty() => {
                return self.rules_of_free_calls(&tools, several);
            }
            (_, None) => return Ok(Rules::Free),
        };
        let before = match begins {
            None => Before::Nothing,
            Some((thought, Begins::Free)) => Before::MayThink(thought),
            Some((thought, Begins::Thinking)) => Before::Thinks(thought),
        };
        let ask = Ask { shape, syntax: self.template.syntax(), before };
        self.grammars.compile(ask).map(Rules::Whole)
    }

    /// Calls that the model may make or not. A schema that cannot be followed does not
    /// keep the others from being: its arguments are any object.
    fn rules_of_free_calls(&self, tools: &[CallSchema<'_>], several: bool) -> Result<Rules, Failure> {
        let syntax = self.template.syntax();
        let compile = |tools: &[CallSchema<'_>]| -> Result<Constraint, Failure> {
            let shape = Shape::RestOfCalls { tools, several };
            self.grammars.compile(Ask { shape, syntax, before: Before::Nothing })
        };
        let call = compile(tools).or_else(|_| {
            let loosened: Vec<CallSchema<'_>> = tools
                .iter()
                .map(|tool| match compile(std::slice::from_ref(tool)) {
                    Ok(_) => *tool,
                    Err(_) => CallSchema { schema: None, input: None, ..*tool },
                })
                .collect();
            compile(&loosened)
        })?;
        Ok(Rules::Calls { call, last: matches!(syntax.body, Body::Harmony) })
    }

    fn prompt(&self, text: &str, images: &[Vec<Token>]) -> Prompt {
        self.template.tokenize(text, images, &*self.model, self.vocabulary())
    }

    fn vocabulary(&self) -> &Vocabulary {
        self.model.vocabulary()
    }

    /// Refuses text so long that it must overflow, before it is cut into tokens:
    /// a hostile 100 MB would take many seconds.
    fn check_bytes(&self, text: &str, chat: &Chat) -> Result<(), Failure> {
        let at_least = text.len() / self.longest_piece;
        if at_least <= self.max_call_tokens {
            return Ok(());
        }
        Err(self.overflow(&format!("at least {at_least}"), chat.sampling.max_tokens))
    }

    /// How many tokens may be generated, and what reaching that means.
    fn budget(&self, prompt: usize, asked: Option<u64>) -> Result<(usize, FinishReason), Failure> {
        let room = self.max_call_tokens.saturating_sub(prompt);
        match asked {
            Some(0) => Err(Failure::invalid_field("max_tokens", "must be at least 1")),
            Some(asked) if asked <= room as u64 => Ok((asked as usize, FinishReason::MaxTokens)),
            None if room > 0 => Ok((room, FinishReason::ContextWindow)),
            _ => Err(self.overflow(&prompt.to_string(), asked)),
        }
    }

    fn overflow(&self, prompt: &str, max_tokens: Option<u64>) -> Failure {
        let answer = max_tokens.map_or(String::new(), |max| format!(" and max_tokens {max}"));
        Failure::new(
            ErrorKind::ContextOverflow,
            format!(
                "the prompt's {prompt} tokens{answer} exceed the context of {} tokens; \
                 shorten the conversation or lower max_tokens",
                self.max_call_tokens
            ),
        )
    }
}

/// Most tokens of thinking: the client's own number, or a share of all it may get. An
/// answer of a given form keeps a quarter in any case, to be whole.
fn most_thinking(chat: &Chat, max_tokens: usize) -> Option<u64> {
    let max_tokens = max_tokens as u64;
    let asked = chat.reasoning.as_ref().and_then(|reasoning| match reasoning.budget_tokens {
        Some(budget) => Some(budget),
        None => reasoning.effort.and_then(thinking_percent).map(|percent| max_tokens * percent / 100),
    });
    let formed = chat.output != OutputFormat::Text
        || matches!(chat.tool_choice, Some(ToolChoice::Any | ToolChoice::Named(_)));
    let room = formed.then_some(max_tokens * 3 / 4);
    match (asked, room) {
        (Some(asked), Some(room)) => Some(asked.min(room)),
        (asked, room) => asked.or(room),
    }
}

/// An effort as a share of `max_tokens`, in percent; the greatest has no bound.
const fn thinking_percent(effort: Effort) -> Option<u64> {
    match effort {
        Effort::None => Some(0),
        Effort::Minimal => Some(10),
        Effort::Low => Some(20),
        Effort::Medium => Some(50),
        Effort::High => Some(80),
        Effort::XHigh => Some(95),
        Effort::Max => None,
    }
}

/// The tools the answer may call.
fn callable(chat: &Chat) -> Result<Vec<CallSchema<'_>>, Failure> {
    let named = match &chat.tool_choice {
        Some(ToolChoice::Named(name)) => Some(name),
        _ => None,
    };
    let tools = chat.tools.iter().filter(|tool| named.is_none_or(|name| *name == tool.name));
    let tools: Vec<CallSchema<'_>> = tools
        .filter_map(|tool| match &tool.kind {
            ToolKind::Function { schema } => {
                let input = chat.tool_inputs.iter().find(|(name, _)| *name == tool.name);
                let input = input.map(|(_, grammar)| grammar);
                Some(CallSchema { name: &tool.name, schema: schema.as_ref(), input })
            }
            ToolKind::Opaque(_) => None,
        })
        .collect();
    match &chat.tool_choice {
        Some(ToolChoice::Named(name)) if tools.is_empty() => {
            Err(Failure::invalid_field("tool_choice", format_args!("there is no tool named '{name}'")))
        }
        Some(ToolChoice::Any) if tools.is_empty() => {
            Err(Failure::invalid_field("tool_choice", "a tool must be called, but no tools are given"))
        }
        _ => Ok(tools),
    }
}

/// The tokens that are words: what penalties and repetition look at.
fn words(tokens: &[Token]) -> Vec<Token> {
    tokens.iter().copied().filter(|token| !is_pseudo(*token)).collect()
}

/// The text of a bare prompt.
fn bare_prompt(chat: &Chat) -> Result<String, Failure> {
    let blocks = chat.messages.iter().flat_map(|message| &message.content);
    let texts: Option<Vec<&str>> = blocks.map(message::Block::as_text).collect();
    match texts {
        Some(texts) => Ok(texts.concat()),
        None => Err(Failure::unsupported("prompt: only text can be continued").with_param("prompt")),
    }
}

/// Refuses what this engine cannot do.
fn check(chat: &Chat) -> Result<(), Failure> {
    chat.leave_home_with_choices()?;
    let stops = &chat.sampling.stop;
    if stops.len() > MAX_STOPS || stops.iter().any(|stop| stop.len() > MAX_STOP_BYTES) {
        return Err(Failure::invalid_field(
            "stop",
            format_args!("at most {MAX_STOPS} stop strings of {MAX_STOP_BYTES} bytes each"),
        ));
    }
    if chat.sampling.logprobs.is_some_and(|count| count > MAX_TOP_LOGPROBS) {
        return Err(Failure::invalid_field("top_logprobs", format_args!("at most {MAX_TOP_LOGPROBS}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use message::{Dialect, Reasoning};

    use super::*;

    fn most(effort: Option<Effort>, budget_tokens: Option<u64>, output: OutputFormat) -> Option<u64> {
        let mut chat = Chat::new(Dialect::OpenAiChat);
        chat.reasoning = Some(Reasoning { effort, budget_tokens, ..Reasoning::default() });
        chat.output = output;
        most_thinking(&chat, 1000)
    }

    #[test]
    fn an_effort_is_a_share_of_the_answer() {
        let efforts =
            [Effort::Minimal, Effort::Low, Effort::Medium, Effort::High, Effort::XHigh, Effort::Max];
        let limits = efforts.map(|effort| most(Some(effort), None, OutputFormat::Text));
        assert_eq!(limits, [Some(100), Some(200), Some(500), Some(800), Some(950), None]);
        assert_eq!(
            most(Some(Effort::High), Some(64), OutputFormat::Text),
            Some(64),
            "a number is more exact"
        );
        assert_eq!(most(None, None, OutputFormat::Text), None);
    }

    #[test]
    fn an_answer_with_a_form_has_room_left_for_it() {
        assert_eq!(most(None, None, OutputFormat::JsonObject), Some(750));
        assert_eq!(most(Some(Effort::Max), Some(5000), OutputFormat::JsonObject), Some(750));
        assert_eq!(most(Some(Effort::Low), None, OutputFormat::JsonObject), Some(200));
    }
}
