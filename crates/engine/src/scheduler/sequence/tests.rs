//! One call, answered by a model that wants to say certain words: what it may say of
//! them, and what becomes of them.

use std::sync::Arc;

use message::{BlockKind, Completion};
use serde_json::{Value, json};

use super::*;
use crate::grammar::{Ask, Before, CallSchema, Form, Grammars, Shape};
use crate::outlet::Inlet;
use crate::output::Begins;
use crate::sampler::SamplingParams;
use crate::scheduler::Root;
use crate::tools::{Reader, Syntax, TextParameters, Thought};

const END: Token = 256;

/// A token for every byte, and one that ends the turn.
fn vocabulary() -> Arc<Vocabulary> {
    let mut vocabulary = Vocabulary::default();
    vocabulary.primary_eos = END;
    (0..=255u8).for_each(|byte| vocabulary.push(&[byte], false));
    vocabulary.push(b"", true);
    vocabulary.control.push((END, "<|end|>".to_owned()));
    Arc::new(vocabulary)
}

fn sequence(writer: Writer) -> (NewSequence, Inlet) {
    let (events, items) = Outlet::pair(4096);
    let root = Root { domain: "".into(), adapter: "".into() };
    let origin = Origin { principal: "somebody".into(), root, adapter: 0, batch: false, deadline: None };
    let new = NewSequence {
        pictures: Vec::new(),
        origin,
        tokens: vec![0],
        max_tokens: 2000,
        at_max: FinishReason::MaxTokens,
        logprobs: None,
        turn_stops: Vec::new(),
        one_tool_call: false,
        sampler: Sampler::new(SamplingParams::default(), &[0]),
        rules: Rules::Free,
        thinking: None,
        writer,
        events,
    };
    (new, items)
}

/// The answer of a model that wants to say `words`, and, where it may not, would rather
/// close quotes and brackets than go on.
fn answer(new: NewSequence, mut items: Inlet, words: &str) -> Completion {
    let vocabulary = vocabulary();
    let mut sequence = Sequence::new(new, 0);
    let mut scratch = Scratch::default();
    let mut said = 0;
    while !sequence.over() {
        let mut logits = vec![0.0; 257];
        logits[usize::from(b'}')] = 2.0;
        logits[usize::from(b'"')] = 1.0;
        logits[usize::from(b']')] = 1.0;
        let wanted = words.as_bytes().get(said).map_or(END as usize, |&byte| usize::from(byte));
        logits[wanted] = 9.0;
        sequence.advance(std::iter::once(&logits[..]), &vocabulary, &mut scratch);
        said += usize::from(sequence.tokens().last() == Some(&(wanted as Token)));
    }
    let mut completion = Completion::default();
    while let Some(item) = items.try_recv() {
        item.unwrap().into_iter().for_each(|event| completion.push(event));
    }
    completion
}

fn tools_writer(syntax: Syntax) -> Writer {
    Writer::new(Vec::new(), Some(Reader::new(syntax, TextParameters::default())))
}

fn rest_of_calls(syntax: Syntax) -> Rules {
    let schema = json!({ "type": "object", "properties": { "n": { "type": "boolean" } }, "required": ["n"] });
    let tools = [CallSchema { name: "f", schema: Some(&schema), input: None }];
    let shape = Shape::RestOfCalls { tools: &tools, several: true };
    let ask = Ask { shape, syntax, before: Before::Nothing };
    let call = Grammars::new(vocabulary()).compile(ask).unwrap();
    Rules::Calls { call, last: syntax == Syntax::HARMONY }
}

fn calls(completion: &Completion) -> Vec<(String, Value)> {
    let calls = completion.content.iter().filter_map(|block| match &block.kind {
        BlockKind::ToolUse { name, input, .. } => Some((name.clone(), serde_json::from_str(input).unwrap())),
        _ => None,
    });
    calls.collect()
}

fn text(completion: &Completion) -> String {
    completion.content.iter().filter_map(message::Block::as_text).collect()
}

fn thinking(completion: &Completion) -> String {
    let thoughts = completion.content.iter().filter_map(|block| match &block.kind {
        BlockKind::Thinking { text, .. } => Some(text.as_str()),
        _ => None,
    });
    thoughts.collect()
}

#[test]
fn a_call_once_begun_is_held_to_its_schema_in_every_notation() {
    for (syntax, mark) in [
        (Syntax::HERMES, "<tool_call>"),
        (Syntax::MISTRAL, "[TOOL_CALLS]"),
        (Syntax::MISTRAL_ARGS, "[TOOL_CALLS]"),
        (Syntax::GRANITE, "<|tool_call|>"),
        (Syntax::PHI4, "<|tool_call|>"),
        (Syntax::GEMMA4, "<|tool_call>"),
        (Syntax::DEEPSEEK, "<｜tool▁calls▁begin｜>"),
        (Syntax::DEEPSEEK_V31, "<｜tool▁calls▁begin｜>"),
        (Syntax::HARMONY, "<|channel|>final<|message|>I look.<|end|><|start|>assistant to=functions."),
    ] {
        let (mut new, items) = sequence(tools_writer(syntax));
        new.rules = rest_of_calls(syntax);
        let before = if syntax == Syntax::HARMONY { "" } else { "I look." };
        let answer = answer(new, items, &format!("{before}{mark}nonsense {{\"g\": <, é"));
        assert_eq!(calls(&answer), [("f".to_owned(), json!({ "n": false }))], "{mark}: {answer:?}");
        assert!(text(&answer).starts_with("I look."), "{answer:?}");
        assert_eq!(answer.finish, Some(FinishReason::ToolUse), "{answer:?}");
    }
}

#[test]
fn a_lone_call_is_held_to_its_schema_and_other_json_is_not() {
    let (mut new, items) = sequence(tools_writer(Syntax::LLAMA3));
    new.rules = rest_of_calls(Syntax::LLAMA3);
    let called = answer(new, items, "{\"name\": \"g\", \"parameters\": {\"q\": 1");
    assert_eq!(calls(&called), [("f".to_owned(), json!({ "n": false }))], "{called:?}");
    let (mut new, items) = sequence(tools_writer(Syntax::LLAMA3));
    new.rules = rest_of_calls(Syntax::LLAMA3);
    let free = answer(new, items, "{\"answer\": 42}");
    assert_eq!((text(&free).as_str(), free.finish), ("{\"answer\": 42}", Some(FinishReason::EndTurn)));
}

#[test]
fn words_stay_free_around_calls_and_several_keep_their_order() {
    let (mut new, items) = sequence(tools_writer(Syntax::HERMES));
    new.rules = rest_of_calls(Syntax::HERMES);
    let one = |n| format!("<tool_call>\n{{\"name\": \"f\", \"arguments\": {{\"n\": {n}}}}}\n</tool_call>");
    let answer = answer(new, items, &format!("a {{\"b\"}} {}\n{} c", one(true), one(false)));
    let expected = [json!({ "n": true }), json!({ "n": false })].map(|input| ("f".to_owned(), input));
    assert_eq!(calls(&answer), expected);
    assert_eq!(text(&answer), "a {\"b\"} c");
}

#[test]
fn one_call_is_enough_where_the_client_wants_no_more() {
    let (mut new, items) = sequence(tools_writer(Syntax::HERMES));
    new.rules = rest_of_calls(Syntax::HERMES);
    new.one_tool_call = true;
    let one = "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"n\": true}}\n</tool_call>";
    let answer = answer(new, items, &format!("{one}{one}"));
    assert_eq!((calls(&answer).len(), answer.finish), (1, Some(FinishReason::ToolUse)));
}

#[test]
fn thinking_is_counted_apart_and_ends_at_its_limit() {
    let writer = || Writer::new(Vec::new(), None).with_thinking(Thought::THINK, Begins::Free);
    let (new, items) = sequence(writer());
    let free = answer(new, items, "<think>12345</think>Yes");
    assert_eq!((thinking(&free).as_str(), text(&free).as_str()), ("12345", "Yes"));
    let spent = ("<think>12345</think>".len() as u64, "Yes".len() as u64 + 1);
    assert_eq!((free.usage.reasoning_tokens, free.usage.output_tokens), spent);

    let (mut new, items) = sequence(writer());
    let close: Vec<Token> = "\n</think>\n\n".bytes().map(Token::from).collect();
    new.thinking = Some(ThinkingLimit { tokens: 10, close });
    let limited = answer(new, items, "<think>1234567890");
    assert_eq!(thinking(&limited), "123");
    assert_eq!(text(&limited), "4567890", "it goes on where it was, and now it is said");
}

#[test]
fn the_limit_on_thinking_and_the_form_of_the_answer_go_together() {
    let schema = json!({ "enum": [true] });
    let before = Before::Thinks(Thought::THINK);
    let ask = Ask { shape: Shape::Text(Form::Json(&schema)), syntax: Syntax::HERMES, before };
    let writer = Writer::new(Vec::new(), None).with_thinking(Thought::THINK, Begins::Thinking);
    let (mut new, items) = sequence(writer);
    new.rules = Rules::Whole(Grammars::new(vocabulary()).compile(ask).unwrap());
    let close = "\n</think>\n\n".bytes().map(Token::from).collect();
    new.thinking = Some(ThinkingLimit { tokens: 5, close });
    let answer = answer(new, items, "abcdefgh");
    assert_eq!((thinking(&answer).as_str(), text(&answer).as_str()), ("abcde", "true"));
}
