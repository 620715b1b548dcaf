//! A [`Chat`] of another dialect → a chat of this one, and what was lost on the way.
//!
//! Runs before `encode` when the client speaks something else. The rule: what cannot be
//! said is refused if the answer would be wrong without it, and listed otherwise.
//! Conversation in `turns`, settings here.

use message::{
    Chat, Dialect, Dropped, Extra, Failure, Operation, OutputFormat, Reasoning, SPELLING, Sampling, Tool,
    ToolChoice, ToolKind, said,
};
use serde_json::{Number, Value, json};

use super::fields::Path;
use super::turns;
use crate::claude::{self, Claude};

/// Output tokens asked for when the client set no limit: the API demands one. Every
/// Claude model since 3.5 can produce this many.
pub(super) const MAX_TOKENS_DEFAULT: u64 = 8192;

/// Fields of other dialects' requests that are about how the reply is written, which is
/// done here whatever the target: nothing is lost with them.
const FOR_THE_REPLY: [&str; 1] = ["stream_options"];

/// What could not be said.
#[derive(Default)]
pub(super) struct Losses(Vec<Dropped>);

impl Losses {
    /// Notes that what stands at `at` is left out.
    pub(super) fn note(&mut self, at: &Path<'_>, why: &'static str) {
        self.0.push(Dropped { path: at.to_string(), why });
    }

    /// Notes every field that only its own dialect understands.
    pub(super) fn extra(&mut self, extra: &Extra, at: &Path<'_>) {
        for name in said(extra) {
            self.note(&Path::Key(at, name), "not known to Anthropic");
        }
    }
}

/// The failure of something that must not be left out.
pub(super) fn refuse(at: &Path<'_>, why: &str) -> Failure {
    Failure::unsupported(format!("{at}: {why}")).with_param(at.to_string())
}

/// Makes `chat` a chat of this dialect.
///
/// # Errors
/// [`Unsupported`](message::ErrorKind::Unsupported) naming the field whose loss would
/// make the answer wrong.
pub(super) fn adapt(chat: &Chat, operation: Operation, model: &str) -> Result<(Chat, Vec<Dropped>), Failure> {
    chat.leave_home()?;
    let mut losses = Losses::default();
    let mut adapted = Chat::new(Dialect::Anthropic);
    (adapted.system, adapted.messages) = turns::adapt(chat, &mut losses)?;
    adapted.tools = tools(&chat.tools, &mut losses)?;
    choice(chat, &mut adapted, &mut losses)?;
    reasoning(chat, model, &mut adapted, &mut losses);
    if operation == Operation::Chat {
        adapted.sampling = sampling(&chat.sampling, &mut losses)?;
        if let Some(claude) = Claude::of(model) {
            let thinks = adapted.reasoning.as_ref().is_some_and(|reasoning| reasoning.shown.is_some());
            let lose = |name, why| losses.note(&Path::Key(&Path::Root, name), why);
            claude.settle(thinks, &mut adapted.sampling, lose);
        }
        if adapted.sampling.max_tokens.is_none() {
            let thinking = adapted.reasoning.as_ref().and_then(|reasoning| reasoning.budget_tokens);
            adapted.sampling.max_tokens = Some(MAX_TOKENS_DEFAULT.saturating_add(thinking.unwrap_or(0)));
        }
        adapted.user.clone_from(&chat.user);
    }
    adapted.output = output(&chat.output, &mut losses);
    for name in said(&chat.extra) {
        match name {
            // Bedrock's clients put the beta header into the body.
            "anthropic_beta" => {
                adapted.extra.insert(name.to_owned(), chat.extra[name].clone());
            }
            _ if FOR_THE_REPLY.contains(&name) => {}
            _ => losses.note(&Path::Key(&Path::Root, name), "not known to Anthropic"),
        }
    }
    Ok((adapted, losses.0))
}

fn tools(tools: &[Tool], losses: &mut Losses) -> Result<Vec<Tool>, Failure> {
    let list = Path::Key(&Path::Root, "tools");
    let mut adapted = Vec::with_capacity(tools.len());
    for (index, tool) in tools.iter().enumerate() {
        let at = Path::Index(&list, index);
        let ToolKind::Function { schema } = &tool.kind else {
            losses.note(&at, "a tool that only its own vendor understands");
            continue;
        };
        losses.extra(&tool.extra, &at);
        let kind = ToolKind::Function { schema: Some(object_schema(schema.as_ref(), &at)?) };
        // Not strict is how this dialect understands silence.
        let strict = tool.strict.filter(|strict| *strict);
        adapted.push(Tool { kind, strict, extra: Extra::new(), ..tool.clone() });
    }
    Ok(adapted)
}

/// A schema of type object: the only one taken here, where others allow none at all.
fn object_schema(schema: Option<&Value>, at: &Path<'_>) -> Result<Value, Failure> {
    match schema {
        None | Some(Value::Null) => Ok(json!({"type": "object", "properties": {}})),
        Some(Value::Object(map)) => {
            let mut map = map.clone();
            map.entry("type").or_insert_with(|| "object".into());
            Ok(Value::Object(map))
        }
        Some(_) => Err(refuse(at, "its parameters must be a JSON Schema object")),
    }
}

fn choice(chat: &Chat, adapted: &mut Chat, losses: &mut Losses) -> Result<(), Failure> {
    let at = Path::Key(&Path::Root, "tool_choice");
    if let Some(ToolChoice::Named(name)) = &chat.tool_choice
        && !adapted.tools.iter().any(|tool| tool.name == *name)
    {
        return Err(refuse(&at, "names a tool that Anthropic cannot be given"));
    }
    if adapted.tools.is_empty() {
        if chat.tool_choice == Some(ToolChoice::Any) {
            losses.note(&at, "there is no tool to choose");
        }
        return Ok(());
    }
    adapted.tool_choice.clone_from(&chat.tool_choice);
    if chat.parallel_tool_calls == Some(false) && chat.tool_choice != Some(ToolChoice::None) {
        adapted.tool_choice.get_or_insert(ToolChoice::Auto);
        adapted.parallel_tool_calls = Some(false);
    }
    Ok(())
}

fn sampling(sampling: &Sampling, losses: &mut Losses) -> Result<Sampling, Failure> {
    let at = |name| Path::Key(&Path::Root, name);
    if sampling.logprobs.is_some() {
        return Err(refuse(&at("logprobs"), "Anthropic gives no log-probabilities; leave it out"));
    }
    for (name, given) in [
        ("min_p", sampling.min_p.is_some()),
        ("presence_penalty", penalises(sampling.presence_penalty.as_ref(), 0.0)),
        ("frequency_penalty", penalises(sampling.frequency_penalty.as_ref(), 0.0)),
        ("repetition_penalty", penalises(sampling.repetition_penalty.as_ref(), 1.0)),
        ("seed", sampling.seed.is_some()),
    ] {
        if given {
            losses.note(&at(name), "not known to Anthropic");
        }
    }
    let temperature = sampling.temperature.as_ref().map(|temperature| {
        if temperature.as_f64().is_some_and(|value| value > 1.0) {
            losses.note(&at("temperature"), "1 was sent, Anthropic's highest");
            return Number::from(1);
        }
        temperature.clone()
    });
    let (stop, blank): (Vec<_>, Vec<_>) =
        sampling.stop.iter().cloned().partition(|text| !text.trim().is_empty());
    if !blank.is_empty() {
        losses.note(&at("stop"), "Anthropic takes no stop sequence of white space alone");
    }
    Ok(Sampling {
        max_tokens: sampling.max_tokens,
        temperature,
        top_p: sampling.top_p.clone(),
        top_k: sampling.top_k,
        stop,
        ..Sampling::default()
    })
}

/// Whether a penalty is given that is not its neutral value.
fn penalises(penalty: Option<&Number>, neutral: f64) -> bool {
    penalty.is_some_and(|penalty| penalty.as_f64() != Some(neutral))
}

fn output(output: &OutputFormat, losses: &mut Losses) -> OutputFormat {
    let at = Path::Key(&Path::Root, "response_format");
    match output {
        OutputFormat::Text | OutputFormat::Grammar(_) => OutputFormat::Text,
        OutputFormat::JsonObject => {
            losses.note(&at, "Anthropic has no JSON mode without a schema; the prompt must ask for JSON");
            OutputFormat::Text
        }
        // The name is a label that others demand; without it nothing changes.
        OutputFormat::JsonSchema { schema, description, strict, .. } => {
            if description.is_some() {
                losses.note(&Path::Key(&at, "description"), "not known to Anthropic");
            }
            if *strict == Some(false) {
                losses.note(&Path::Key(&at, "strict"), "Anthropic always holds to the schema");
            }
            OutputFormat::JsonSchema { name: None, description: None, schema: schema.clone(), strict: None }
        }
    }
}

/// How to think, in the words that this Claude takes: an effort, or leave to think as it
/// sees fit (`adaptive`), or a budget for the older ones. A forced tool call excludes it.
///
/// Who reads thoughts must say so (`display`): since Claude Opus 4.7 they are left empty
/// unasked. It is said to every model: those that think take the word, and `summarized` is
/// what the earlier ones do anyway. Only a client that does not want to see them is heard.
/// Source: `thinking_config_adaptive_param.py` and `thinking_config_enabled_param.py` of
/// `anthropic` 2.12.0; "Controlling thinking display" of Anthropic's documentation; read 2026-11-22.
fn reasoning(chat: &Chat, model: &str, adapted: &mut Chat, losses: &mut Losses) {
    let Some(asked_for) = chat.reasoning.as_ref() else { return };
    let &Reasoning { effort, budget_tokens, shown, .. } = asked_for;
    if asked_for.off() {
        adapted.reasoning = Some(Reasoning { enabled: Some(false), ..Reasoning::default() });
        return;
    }
    let known = Claude::of(model);
    let claude = known.unwrap_or(Claude::UNTOLD);
    // Where nothing was said but that it may think, only a model that is known to decide
    // for itself is asked to.
    let wanted = asked_for.wanted();
    let asked = wanted || known.is_some_and(|claude| claude.version.is_some() && claude.adapts());
    let at = Path::Key(&Path::Root, "reasoning");
    if !claude.thinks() && wanted {
        losses.note(&at, "this model does not think");
    }
    if !claude.thinks() || !asked {
        return;
    }
    let mut reasoning = Reasoning { effort: effort.filter(|_| claude.adapts()), ..Reasoning::default() };
    let forced = matches!(adapted.tool_choice, Some(ToolChoice::Any | ToolChoice::Named(_)));
    if !forced {
        reasoning.shown = Some(shown.unwrap_or(true));
        let budget = match budget_tokens {
            Some(tokens) if !claude.takes_budget() => {
                let thinking = Path::Key(&Path::Root, "thinking");
                losses.note(&Path::Key(&thinking, "budget_tokens"), claude::MEASURES_ITSELF);
                reasoning.effort = effort.or(Some(claude::effort(tokens)));
                None
            }
            None if !claude.adapts() => Some(claude::budget(effort)),
            budget => budget,
        };
        match budget {
            None => {
                adapted.extra.insert(SPELLING.to_owned(), json!({"thinking": "adaptive"}));
            }
            Some(budget) => match claude::fitting(budget, chat.sampling.max_tokens.unwrap_or(u64::MAX)) {
                Some(budget) => {
                    reasoning.enabled = Some(true);
                    reasoning.budget_tokens = Some(budget);
                }
                None => {
                    reasoning.shown = None;
                    losses.note(&at, "less than the 1024 tokens that thinking takes at least");
                }
            },
        }
    }
    adapted.reasoning = Some(reasoning);
}
