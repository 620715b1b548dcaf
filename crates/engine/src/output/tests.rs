//! The writer, fed pieces, and the events it makes.

use message::{Block, BlockKind, Completion};

use super::*;
use crate::tools::{Syntax, TextParameters, Thought};

fn logprob(token: &str) -> Option<TokenLogprob> {
    Some(TokenLogprob { token: token.as_bytes().to_vec(), logprob: -1.0, top: Vec::new() })
}

/// Feeds pieces, and gathers what a client would see.
fn gather(mut writer: Writer, pieces: &[&[u8]]) -> (Completion, Option<String>) {
    let mut events = Vec::new();
    let mut stopped = None;
    for piece in pieces {
        stopped = writer.push(piece, logprob(&String::from_utf8_lossy(piece)), &mut events);
        if stopped.is_some() {
            break;
        }
    }
    if stopped.is_none() {
        stopped = writer.finish(&mut events);
    } else {
        writer.close(&mut events);
    }
    let mut completion = Completion::default();
    events.into_iter().for_each(|event| completion.push(event));
    (completion, stopped)
}

fn words(completion: &Completion) -> Vec<String> {
    completion.logprobs.iter().map(|logprob| String::from_utf8_lossy(&logprob.token).into_owned()).collect()
}

#[test]
fn text_is_one_block_with_its_logprobs() {
    let writer = Writer::new(Vec::new(), None);
    let (completion, stopped) = gather(writer, &[b"Hel", b"lo", b"\xC3", b"\xA9"]);
    assert_eq!(completion.content, [Block::text("Helloé")]);
    assert_eq!(completion.logprobs.len(), 4);
    assert_eq!(stopped, None);
}

#[test]
fn logprobs_stay_with_their_text_around_a_stop() {
    let stops = vec!["\nB".to_owned()];
    let (completion, stopped) = gather(Writer::new(stops, None), &[b"a", b"b\n", b"B", b"c"]);
    assert_eq!(stopped.as_deref(), Some("\nB"));
    assert_eq!(completion.content, [Block::text("ab")]);
    assert_eq!(words(&completion), ["a", "b\n"], "a token that begins in the text belongs to it");
}

#[test]
fn held_back_text_brings_its_logprobs_when_it_comes() {
    let stops = vec!["xyz".to_owned()];
    let mut writer = Writer::new(stops, None);
    let mut events = Vec::new();
    writer.push(b"x", logprob("x"), &mut events);
    assert!(events.is_empty(), "may be a stop string");
    writer.push(b"yy", logprob("yy"), &mut events);
    let Some(Event::Delta { delta: Delta::Text { text, logprobs }, .. }) = events.last() else {
        panic!("text expected: {events:?}");
    };
    assert_eq!((text.as_str(), logprobs.len()), ("xyy", 2));
}

#[test]
fn nothing_written_is_no_block() {
    let (completion, _) = gather(Writer::new(Vec::new(), None), &[]);
    assert!(completion.content.is_empty());
}

#[test]
fn a_tool_call_after_text_is_its_own_block() {
    let answer = "Let me see.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": 1}}\n</tool_call>";
    // Split at every byte: what a client gathers must not depend on the tokens.
    let pieces: Vec<&[u8]> = answer.as_bytes().chunks(1).collect();
    let writer =
        Writer::new(vec!["\n".to_owned()], Some(Reader::new(Syntax::HERMES, TextParameters::default())));
    let (completion, stopped) = gather(writer, &pieces);
    assert_eq!(stopped, None, "the line break before the call is no text");
    assert_eq!(completion.content[0], Block::text("Let me see."));
    let BlockKind::ToolUse { name, input, .. } = &completion.content[1].kind else {
        panic!("tool use expected: {completion:?}");
    };
    assert_eq!((name.as_str(), input.as_str()), ("f", "{\"x\": 1}"));
}

#[test]
fn thinking_is_its_own_block_and_has_no_logprobs() {
    let answer =
        "<think>\nLook END\n</think>\n\nIt is <tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>";
    let pieces: Vec<&[u8]> = answer.as_bytes().chunks(1).collect();
    let reader = Reader::new(Syntax::HERMES, TextParameters::default());
    let writer =
        Writer::new(vec!["END".to_owned()], Some(reader)).with_thinking(Thought::THINK, Begins::Free);
    let (completion, stopped) = gather(writer, &pieces);
    assert_eq!(stopped, None, "stop strings are of the answer");
    let kinds: Vec<BlockKind> = completion.content.iter().map(|block| block.kind.clone()).collect();
    assert!(
        matches!(&kinds[..], [BlockKind::Thinking { text, .. }, BlockKind::Text(said), BlockKind::ToolUse { .. }]
            if text == "Look END" && said == "It is"),
        "{kinds:?}"
    );
    assert_eq!(words(&completion).concat(), "It is");
}

#[test]
fn channels_become_blocks() {
    let answer = "<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>final<|message|>Yes é";
    let pieces: Vec<&[u8]> = answer.as_bytes().chunks(1).collect();
    let writer = Writer::new(Vec::new(), Some(Reader::new(Syntax::HARMONY, TextParameters::default())));
    let (completion, _) = gather(writer, &pieces);
    assert_eq!(completion.content.len(), 2, "{completion:?}");
    assert_eq!(completion.content[1], Block::text("Yes é"));
}
