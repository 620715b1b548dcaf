//! A [`Chat`] of another dialect → a chat of this one, and what was lost on the way.
//!
//! Runs before `encode` when the client speaks something else. The rule: what cannot be
//! said is refused if the answer would be wrong without it, and listed otherwise.
//! Conversation in `turns`, a family's own parameters in `parameters`, the rest here.

use std::collections::BTreeSet;

use message::{
    Block, BlockKind, Chat, Dialect, Dropped, Extra, Failure, Operation, OutputFormat, Role, Sampling, Tool,
    ToolChoice, ToolKind, said,
};
use serde_json::{Number, Value, json};

use super::family::Family;
use super::names::tool_name;
use super::parameters;
use super::turns;
use super::wire::At;

/// Fields of other dialects' requests that are about how the reply is written, which is
/// done here whatever the target, or that say what is so anyway: nothing is lost with them.
const FOR_THE_REPLY: [&str; 1] = ["stream_options"];

/// Most characters of a value in `requestMetadata`.
const METADATA_CHARS_MAX: usize = 256;

/// What could not be said.
#[derive(Default)]
pub(super) struct Losses(Vec<Dropped>);

impl Losses {
    /// Notes that what stands at `at` is left out.
    pub(super) fn note(&mut self, at: At<'_>, why: &'static str) {
        self.0.push(Dropped { path: at.to_string(), why });
    }

    /// Notes every field that only its own dialect understands.
    pub(super) fn extra(&mut self, extra: &Extra, at: At<'_>) {
        for name in said(extra) {
            self.note(at.key(name), UNKNOWN);
        }
    }
}

const UNKNOWN: &str = "not known to Converse";

/// The failure of something that must not be left out.
pub(super) fn refuse(at: At<'_>, why: &str) -> Failure {
    Failure::unsupported(format!("{at}: {why}")).with_param(at.to_string())
}

/// Makes `chat` a chat of this dialect, for a model of `family`.
///
/// # Errors
/// [`Unsupported`](message::ErrorKind::Unsupported) naming the field whose loss would
/// make the answer wrong.
pub(super) fn adapt(
    chat: &Chat,
    family: Family,
    operation: Operation,
) -> Result<(Chat, Vec<Dropped>), Failure> {
    chat.leave_home()?;
    let mut losses = Losses::default();
    let mut adapted = Chat::new(Dialect::BedrockConverse);
    turns::adapt(chat, family, &mut adapted, &mut losses)?;
    tools(chat, family, &mut adapted, &mut losses)?;
    output(&chat.output, &mut adapted, &mut losses);
    if operation == Operation::Chat {
        sampling(&chat.sampling, family, &mut adapted, &mut losses)?;
        parameters::add(chat, family, &mut adapted, &mut losses);
        user(chat, &mut adapted, &mut losses);
    }
    request_fields(chat, family, &mut adapted, &mut losses);
    Ok((adapted, losses.0))
}

fn tools(chat: &Chat, family: Family, adapted: &mut Chat, losses: &mut Losses) -> Result<(), Failure> {
    let list = At::Body.key("tools");
    for (index, tool) in chat.tools.iter().enumerate() {
        let at = list.index(index);
        let ToolKind::Function { schema } = &tool.kind else {
            losses.note(at, "a tool that only its own vendor understands");
            continue;
        };
        losses.extra(&tool.extra, at);
        let mut cache = tool.cache.clone();
        turns::fit_marker(&mut cache, family, at, losses);
        adapted.tools.push(Tool {
            name: tool_name(&tool.name).into_owned(),
            description: tool.description.clone().filter(|text| !text.trim().is_empty()),
            kind: ToolKind::Function { schema: Some(object_schema(schema.as_ref(), at)?) },
            // Not strict is how this dialect understands silence.
            strict: tool.strict.filter(|strict| *strict),
            cache,
            extra: Extra::new(),
        });
    }
    let at = At::Body.key("tool_choice");
    match &chat.tool_choice {
        Some(ToolChoice::Named(name)) => {
            let sent = tool_name(name);
            if !adapted.tools.iter().any(|tool| tool.name == sent) {
                return Err(refuse(at, "names a tool that Converse cannot be given"));
            }
            adapted.tool_choice = Some(ToolChoice::Named(sent.into_owned()));
        }
        // No word forbids tools that are there: without them none can be called.
        Some(ToolChoice::None) if called(adapted).is_empty() => adapted.tools.clear(),
        Some(ToolChoice::None) => {
            losses.note(at, "Converse cannot forbid its tools, which were called before")
        }
        Some(choice) if !adapted.tools.is_empty() => adapted.tool_choice = Some(choice.clone()),
        Some(ToolChoice::Any) => losses.note(at, "there is no tool to choose"),
        Some(ToolChoice::Auto) | None => {}
    }
    // It also refuses tool calls in the history of a request that has no tools.
    if adapted.tools.is_empty() && !called(adapted).is_empty() {
        losses.note(at, "Converse wants the tools of earlier calls named again, and they may be called");
        adapted.tools = called(adapted).into_iter().map(bare_tool).collect();
    }
    Ok(())
}

/// The names of the tools that were called before.
fn called(adapted: &Chat) -> BTreeSet<String> {
    adapted
        .messages
        .iter()
        .flat_map(|message| &message.content)
        .filter_map(|block| match &block.kind {
            BlockKind::ToolUse { name, .. } => Some(name.clone()),
            _ => None,
        })
        .collect()
}

fn bare_tool(name: String) -> Tool {
    let schema = Some(json!({"type": "object", "properties": {}}));
    let kind = ToolKind::Function { schema };
    Tool { name, description: None, kind, strict: None, cache: None, extra: Extra::new() }
}

/// A schema of type object: the only one taken here, where others allow none at all.
fn object_schema(schema: Option<&Value>, at: At<'_>) -> Result<Value, Failure> {
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

fn sampling(
    sampling: &Sampling,
    family: Family,
    adapted: &mut Chat,
    losses: &mut Losses,
) -> Result<(), Failure> {
    let at = |name| At::Key(&At::Body, name);
    if sampling.logprobs.is_some() {
        return Err(refuse(at("logprobs"), "Converse gives no log-probabilities; leave it out"));
    }
    let temperature = sampling.temperature.as_ref().map(|temperature| {
        if temperature.as_f64().is_some_and(|value| value > 1.0) {
            losses.note(at("temperature"), "1 was sent, Converse's highest");
            return Number::from(1);
        }
        temperature.clone()
    });
    let kept = |text: &&String| match family {
        Family::Claude(_) => !text.trim().is_empty(),
        _ => !text.is_empty(),
    };
    let stop: Vec<String> = sampling.stop.iter().filter(kept).cloned().collect();
    if stop.len() < sampling.stop.len() {
        losses.note(at("stop"), "the model takes no stop sequence of white space alone");
    }
    adapted.sampling = Sampling {
        max_tokens: sampling.max_tokens,
        temperature,
        top_p: sampling.top_p.clone(),
        stop,
        ..Sampling::default()
    };
    Ok(())
}

fn output(output: &OutputFormat, adapted: &mut Chat, losses: &mut Losses) {
    let at = At::Body.key("response_format");
    match output {
        OutputFormat::Text | OutputFormat::Grammar(_) => {}
        OutputFormat::JsonObject => {
            losses.note(at, "Converse has no JSON mode without a schema; the prompt must ask for JSON");
        }
        OutputFormat::JsonSchema { strict, .. } => {
            if *strict == Some(false) {
                losses.note(at.key("strict"), "Converse always holds to the schema");
            }
            adapted.output = output.clone();
        }
    }
}

/// The end user's name goes into the invocation log, if it has the characters for it.
fn user(chat: &Chat, adapted: &mut Chat, losses: &mut Losses) {
    let Some(user) = &chat.user else { return };
    let allowed = |c: char| c.is_ascii_alphanumeric() || " :_@$#=/+,-.".contains(c);
    if user.chars().all(allowed) && user.len() <= METADATA_CHARS_MAX {
        adapted.extra.insert("requestMetadata".to_owned(), json!({ "user": user }));
    } else {
        losses
            .note(At::Body.key("user"), "it has characters, or more, than Bedrock's request metadata takes");
    }
}

/// Fields of the request that only its own dialect knows: a few have a word here.
fn request_fields(chat: &Chat, family: Family, adapted: &mut Chat, losses: &mut Losses) {
    for name in said(&chat.extra) {
        match (name, &chat.extra[name]) {
            ("service_tier", Value::String(tier)) => match tier.as_str() {
                "auto" => {}
                "default" | "flex" | "priority" => {
                    adapted.extra.insert("serviceTier".to_owned(), json!({ "type": tier }));
                }
                _ => losses.note(At::Body.key(name), UNKNOWN),
            },
            // Anthropic's "cache what can be": here a cache point must say where.
            ("cache_control", control) => {
                let ttl = control.get("ttl").and_then(Value::as_str).map(str::to_owned);
                let last = adapted.messages.iter_mut().rev().find(|turn| turn.role == Role::User);
                if let Some(block) = last.and_then(|turn| turn.content.last_mut()) {
                    let mut marker = Some(message::CacheMarker { ttl });
                    turns::fit_marker(&mut marker, family, At::Body.key(name), losses);
                    block.cache = block.cache.take().or(marker);
                }
            }
            _ if FOR_THE_REPLY.contains(&name) => {}
            _ => losses.note(At::Body.key(name), UNKNOWN),
        }
    }
}

/// Whether a block holds anything at all.
pub(super) fn is_blank(block: &Block) -> bool {
    block.as_text().is_some_and(|text| text.trim().is_empty())
}
