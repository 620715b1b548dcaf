//! Answers of several notations, cut at every place.

use proptest::prelude::*;

use super::*;
use crate::tools::Reader;

/// What a client would gather: texts, and calls as (name, arguments, whole).
#[derive(Debug, Default, PartialEq, Eq, Clone)]
struct Gathered {
    text: String,
    thinking: String,
    calls: Vec<(String, String, bool)>,
}

fn gather<'a>(syntax: Syntax, pieces: impl IntoIterator<Item = &'a str>) -> Gathered {
    let mut texts = TextParameters::default();
    let properties = serde_json::json!({ "city": { "type": "string" }, "days": { "type": "integer" } });
    texts.add("weather", Some(&serde_json::json!({ "properties": properties })));
    let mut parser = Reader::new(syntax, texts);
    let mut parts = Vec::new();
    for piece in pieces {
        parser.push(piece, &mut parts);
    }
    parser.finish(&mut parts);
    let mut gathered = Gathered::default();
    for part in parts {
        match part {
            Part::Text { text, .. } => gathered.text.push_str(&text),
            Part::Thinking(text) => gathered.thinking.push_str(&text),
            Part::Begin { name } => gathered.calls.push((name, String::new(), false)),
            Part::Input(input) => gathered.calls.last_mut().unwrap().1.push_str(&input),
            Part::End { whole } => gathered.calls.last_mut().unwrap().2 = whole,
        }
    }
    gathered
}

/// The same, and checks that no way of cutting changes it.
fn parse(syntax: Syntax, answer: &str) -> Gathered {
    let whole = gather(syntax, [answer]);
    let boundaries = (0..=answer.len()).filter(|&at| answer.is_char_boundary(at));
    for at in boundaries {
        let (left, right) = answer.split_at(at);
        assert_eq!(gather(syntax, [left, right]), whole, "cut at {at} of {answer:?}");
    }
    let characters: Vec<String> = answer.chars().map(String::from).collect();
    assert_eq!(gather(syntax, characters.iter().map(String::as_str)), whole, "{answer:?} by characters");
    whole
}

fn call(name: &str, input: &str) -> (String, String, bool) {
    (name.to_owned(), input.to_owned(), true)
}

#[test]
fn hermes() {
    let answer = "I look.\n\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Zürich }\\\"\", \"days\": [1, 2]}}\n</tool_call>";
    let parsed = parse(Syntax::HERMES, answer);
    assert_eq!(parsed.text, "I look.");
    assert_eq!(parsed.calls, [call("weather", "{\"city\": \"Zürich }\\\"\", \"days\": [1, 2]}")]);
}

#[test]
fn several_calls_and_text_after() {
    let one = "<tool_call>{\"name\":\"a\",\"arguments\":{}}</tool_call>";
    let parsed = parse(Syntax::HERMES, &format!("{one}\n{one} done"));
    assert_eq!(parsed.calls, [call("a", "{}"), call("a", "{}")]);
    assert_eq!(parsed.text, " done");
}

#[test]
fn mistral_and_llama() {
    let parsed = parse(
        Syntax::MISTRAL,
        "[TOOL_CALLS] [{\"name\": \"a\", \"arguments\": {\"x\": 1}}, {\"name\": \"b\", \"arguments\": {}}]",
    );
    assert_eq!(parsed.calls, [call("a", "{\"x\": 1}"), call("b", "{}")]);
    assert_eq!(parsed.text, "");
    let parsed = parse(Syntax::LLAMA3, "\n{\"name\": \"a\", \"parameters\": {\"x\": 1}}; {\"name\": \"b\"}");
    assert_eq!(parsed.calls, [call("a", "{\"x\": 1}"), call("b", "{}")]);
}

#[test]
fn llama_with_its_python_tag() {
    let parsed = parse(Syntax::LLAMA3, "<|python_tag|>{\"name\": \"a\", \"parameters\": {\"x\": 1}}");
    assert_eq!(parsed.calls, [call("a", "{\"x\": 1}")]);
}

#[test]
fn mistral_since_version_eleven() {
    let parsed = parse(
        Syntax::MISTRAL_ARGS,
        "Ok.[TOOL_CALLS]a[ARGS]{\"x\": [{}]}[TOOL_CALLS]b[CALL_ID]123456789[ARGS]{}",
    );
    assert_eq!(parsed.text, "Ok.");
    assert_eq!(parsed.calls, [call("a", "{\"x\": [{}]}"), call("b", "{}")]);
}

#[test]
fn granite_and_phi() {
    let list = "[{\"name\": \"a\", \"arguments\": {\"x\": 1}}, {\"name\": \"b\", \"arguments\": {}}]";
    let both = [call("a", "{\"x\": 1}"), call("b", "{}")];
    assert_eq!(parse(Syntax::GRANITE, &format!("<|tool_call|>{list}")).calls, both);
    let parsed = parse(Syntax::PHI4, &format!("<|tool_call|>{list}<|/tool_call|>"));
    assert_eq!((parsed.calls.as_slice(), parsed.text.as_str()), (both.as_slice(), ""));
}

#[test]
fn deepseek() {
    let one = |name: &str| {
        format!(
            "<｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}\n```json\n{{\"x\": \"`\"}}\n```<｜tool▁call▁end｜>"
        )
    };
    let answer = format!("Ok\n\n<｜tool▁calls▁begin｜>{}\n{}<｜tool▁calls▁end｜> done", one("a"), one("b"));
    let parsed = parse(Syntax::DEEPSEEK, &answer);
    assert_eq!(parsed.calls, [call("a", "{\"x\": \"`\"}"), call("b", "{\"x\": \"`\"}")]);
    assert_eq!(parsed.text, "Ok done");
    let one = |name: &str| format!("<｜tool▁call▁begin｜>{name}<｜tool▁sep｜>{{}}<｜tool▁call▁end｜>");
    let answer = format!("<｜tool▁calls▁begin｜>{}{}<｜tool▁calls▁end｜>", one("a"), one("b"));
    assert_eq!(parse(Syntax::DEEPSEEK_V31, &answer).calls, [call("a", "{}"), call("b", "{}")]);
}

#[test]
fn gemma() {
    let answer = "Well.\n<|tool_call>call:a{\"x\": 1}<tool_call|><|tool_call>call:b{}<tool_call|>";
    let parsed = parse(Syntax::GEMMA4, answer);
    assert_eq!(parsed.calls, [call("a", "{\"x\": 1}"), call("b", "{}")]);
    assert_eq!(parsed.text, "Well.");
    let answer = "<start_function_call>call:a{}<end_function_call>";
    assert_eq!(parse(Syntax::FUNCTION_GEMMA, answer).calls, [call("a", "{}")]);
}

#[test]
fn qwen3_coder() {
    let answer = "I look.\n<tool_call>\n<function=weather>\n<parameter=city>\nZürich \"</b>\n</parameter>\n\
                  <parameter=days>\n3\n</parameter>\n<parameter=more>\nTrue\n</parameter>\n</function>\n</tool_call>";
    let parsed = parse(Syntax::QWEN3_CODER, answer);
    assert_eq!(parsed.text, "I look.");
    let input = "{\"city\": \"Zürich \\\"</b>\", \"days\": 3, \"more\": true}";
    assert_eq!(parsed.calls, [call("weather", input)]);
    let bare = "<tool_call>\n<function=weather>\n</function>\n</tool_call>";
    assert_eq!(parse(Syntax::QWEN3_CODER, bare).calls, [call("weather", "{}")]);
    let cut = parse(Syntax::QWEN3_CODER, "<tool_call><function=weather><parameter=city>Bern");
    assert_eq!(cut.calls, [("weather".to_owned(), "{\"city\": \"Bern".to_owned(), false)]);
}

#[test]
fn harmony() {
    let answer = "<|channel|>analysis<|message|>Need <weather>.<|end|><|start|>assistant<|channel|>commentary\
                  <|message|>I look.<|end|><|start|>assistant<|channel|>commentary to=functions.weather \
                  <|constrain|>json<|message|>{\"city\": \"<|\"}<|call|>";
    let parsed = parse(Syntax::HARMONY, answer);
    assert_eq!((parsed.thinking.as_str(), parsed.text.as_str()), ("Need <weather>.", "I look."));
    assert_eq!(parsed.calls, [call("weather", "{\"city\": \"<|\"}")]);
    let answer = "<|channel|>analysis<|message|>Hm<|end|><|start|>assistant to=functions.a<|channel|>commentary json<|message|> {}";
    assert_eq!(parse(Syntax::HARMONY, answer).calls, [call("a", "{}")]);
    let answer = "<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>final<|message|>Yes <|";
    let parsed = parse(Syntax::HARMONY, answer);
    assert_eq!((parsed.thinking.as_str(), parsed.text.as_str()), ("Hm", "Yes <|"));
    let cut = parse(Syntax::HARMONY, "<|channel|>commentary to=functions.a<|message|>{\"x\":");
    assert_eq!(cut.calls, [("a".to_owned(), "{\"x\":".to_owned(), false)]);
    assert_eq!(parse(Syntax::HARMONY, "no format").text, "no format");
}

#[test]
fn marks_without_calls_stay_text() {
    for (syntax, answer) in [
        (Syntax::MISTRAL_ARGS, "[TOOL_CALLS][ARGS]{}"),
        (Syntax::GEMMA4, "<|tool_call>{}"),
        (Syntax::QWEN3_CODER, "<tool_call>{\"name\": \"a\"}> <function>"),
        (Syntax::DEEPSEEK, "<｜tool▁calls▁begin｜>{}"),
        (Syntax::GRANITE, "<|tool_call|>[1]"),
    ] {
        let parsed = parse(syntax, answer);
        assert_eq!((parsed.text.as_str(), parsed.calls.len()), (answer, 0), "{answer}");
    }
}

#[test]
fn arguments_before_the_name_and_as_text() {
    let parsed = parse(Syntax::HERMES, "<tool_call>{\"arguments\": {\"x\": 1}, \"name\": \"a\"}</tool_call>");
    assert_eq!(parsed.calls, [call("a", "{\"x\": 1}")]);
    let parsed =
        parse(Syntax::HERMES, "<tool_call>{\"name\": \"a\", \"arguments\": \"{\\\"x\\\": 1}\"}</tool_call>");
    assert_eq!(parsed.calls, [call("a", "{\"x\": 1}")]);
}

#[test]
fn what_is_no_call_stays_text() {
    for answer in [
        "a < b and <tool is no mark",
        "<tool_call>no JSON",
        "<tool_call>{\"x\": 1}",
        "trailing blanks  \n",
        "<tool_call",
    ] {
        let parsed = parse(Syntax::HERMES, answer);
        assert_eq!((parsed.text.as_str(), parsed.calls.len()), (answer, 0), "{answer}");
    }
    let json = "{\"answer\": 42}";
    assert_eq!(parse(Syntax::LLAMA3, json).text, json);
    assert_eq!(parse(Syntax::LLAMA3, "Hello {\"name\": \"a\"}").text, "Hello {\"name\": \"a\"}");
}

#[test]
fn a_call_cut_short_is_not_whole() {
    let parsed = parse(Syntax::HERMES, "<tool_call>{\"name\": \"a\", \"arguments\": {\"x\": \"yy");
    assert_eq!(parsed.calls, [("a".to_owned(), "{\"x\": \"yy".to_owned(), false)]);
}

#[test]
fn arguments_come_as_they_are_written() {
    let mut parser = Reader::new(Syntax::HERMES, TextParameters::default());
    let mut parts = Vec::new();
    parser.push("<tool_call>{\"name\": \"a\", \"arguments\": {\"x\": \"on", &mut parts);
    assert_eq!(parts, [Part::Begin { name: "a".into() }, Part::Input("{\"x\": \"on".into())]);
    parts.clear();
    parser.push("e\"}", &mut parts);
    assert_eq!(parts, [Part::Input("e\"}".into())]);
}

#[test]
fn nesting_without_end_is_broken_not_fatal() {
    let answer = format!("<tool_call>{{\"name\": \"a\", \"arguments\": {}", "[".repeat(100_000));
    let parsed = gather(Syntax::HERMES, [answer.as_str()]);
    assert!(!parsed.calls[0].2);
}

proptest! {
    /// Whatever a model writes, no notation's reader falls over it or loses its place.
    #[test]
    fn garbage_is_read_the_same_in_any_pieces(
        words in prop::collection::vec(prop::sample::select(vec![
            "<tool_call>", "</tool_call>", "{", "}", "\"name\"", ": ", "\"a\"", "[TOOL_CALLS]", "[ARGS]", "<|tool_call|>",
            "<|tool_call>", "call:", "<tool_call|>", "<function=f>", "<parameter=city>", "</parameter>", "</function>",
            "<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>", "```", "\n", "é",
            "<|channel|>", "analysis", "final", "to=functions.", "<|message|>", "<|end|>", "<|call|>", " ",
        ]), 0..12),
        which in 0usize..11,
    ) {
        let all = [Syntax::HERMES, Syntax::MISTRAL, Syntax::MISTRAL_ARGS, Syntax::LLAMA3, Syntax::GRANITE, Syntax::PHI4,
            Syntax::GEMMA4, Syntax::DEEPSEEK, Syntax::DEEPSEEK_V31, Syntax::QWEN3_CODER, Syntax::HARMONY];
        parse(all[which], &words.concat());
    }

    #[test]
    fn text_without_marks_comes_through_whole(answer in "[ <>a-c_/\\n{}é]{0,40}") {
        let parsed = parse(Syntax::HERMES, &answer);
        prop_assert_eq!(parsed.text, answer);
    }

    #[test]
    fn any_arguments_come_through_as_written(value in "[ -~é🦀]{0,30}", cut in 1usize..7) {
        let input = serde_json::json!({ "value": value, "more": [1, {"x": null}] }).to_string();
        let answer = format!("<tool_call>\n{{\"name\": \"f\", \"arguments\": {input}}}\n</tool_call>");
        let characters: Vec<char> = answer.chars().collect();
        let pieces: Vec<String> = characters.chunks(cut).map(|chunk| chunk.iter().collect()).collect();
        let parsed = gather(Syntax::HERMES, pieces.iter().map(String::as_str));
        prop_assert_eq!(parsed.calls, [call("f", &input)]);
    }
}
