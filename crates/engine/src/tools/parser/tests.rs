//! Answers of several notations, cut at every place.

use proptest::prelude::*;

use super::*;

/// What a client would gather: texts, and calls as (name, arguments, whole).
#[derive(Debug, Default, PartialEq, Eq, Clone)]
struct Gathered {
    text: String,
    calls: Vec<(String, String, bool)>,
}

fn gather<'a>(syntax: Syntax, pieces: impl IntoIterator<Item = &'a str>) -> Gathered {
    let mut parser = Parser::new(syntax);
    let mut parts = Vec::new();
    for piece in pieces {
        parser.push(piece, &mut parts);
    }
    parser.finish(&mut parts);
    let mut gathered = Gathered::default();
    for part in parts {
        match part {
            Part::Text { text, .. } => gathered.text.push_str(&text),
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
    let mut parser = Parser::new(Syntax::HERMES);
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
