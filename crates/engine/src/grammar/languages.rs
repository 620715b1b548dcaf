//! Clients' grammars: the same texts are allowed as they stand, and inside of JSON.

use super::tests::{allows, ask, grammars};
use super::*;

/// The patch that a coding agent writes, as its maker's grammar has it in essence.
const PATCH: &str = r#"
start: "*** Begin Patch" LF hunk+ "*** End Patch" LF?
hunk: "*** Update File: " filename LF line+
filename: /[^\n]+/
line: ("+" | "-" | " ") /[^\n]*/ LF  // what stays and goes
%import common.LF
"#;

/// A language, texts of it, and texts that are not.
fn languages() -> Vec<(Grammar, Vec<&'static str>, Vec<&'static str>)> {
    let gbnf = |source: &str| Grammar::Gbnf(source.to_owned());
    let lark = |source: &str| Grammar::Lark(source.to_owned());
    vec![
        (Grammar::Regex("[a-c]+é?\"?".into()), vec!["abc", "aé", "b\""], vec!["", "ad", "éa"]),
        (Grammar::Regex("(a|b\\n)*/".into()), vec!["/", "ab\n/"], vec!["b/", "a"]),
        (Grammar::Choice(vec!["a\"b".into(), "ab".into()]), vec!["a\"b", "ab"], vec!["a", "a\"", "abb"]),
        (
            lark(PATCH),
            vec!["*** Begin Patch\n*** Update File: a\\b\n+x \"y\"\n- z\n*** End Patch"],
            vec!["*** Begin Patch\n*** End Patch", "*** Begin Patch\n*** Update File: a\n*x\n*** End Patch"],
        ),
        (lark("start: sum\nsum: INT (\" + \" INT)*\nINT: /\\d+/"), vec!["1", "12 + 3"], vec!["1 +", "+1"]),
        (lark("start: \"x\"i \"\\x41\" \"0\"..\"3\"\n"), vec!["xA0", "XA3"], vec!["xa0", "xA4"]),
        (
            gbnf(
                "root ::= item (\",\" item){0,2} # a list\nitem ::= [a-z\\n]+ |\n  \"\\\"\" [^\"]* \"\\\"\"",
            ),
            vec!["a", "ab,c\n,\"d,e\\\""],
            vec!["", "a,b,c,d", "A", "\"a"],
        ),
        (gbnf("root ::= (\"a\" | \"ab\") \"b\""), vec!["ab", "abb"], vec!["a", "abbb"]),
        (
            gbnf("root::=\"(\" root? \")\" | [\\u00e9-\\u00eb\\]-]"),
            vec!["()", "((é))", "]", "-"],
            vec!["(", "a"],
        ),
    ]
}

#[test]
fn texts_are_of_their_language() {
    for (grammar, are, are_not) in languages() {
        let asked = ask(Syntax::HERMES, Shape::Text(Form::Grammar(&grammar)));
        are.iter().for_each(|text| assert!(allows(asked, text), "{grammar:?}: {text:?}"));
        are_not.iter().for_each(|text| assert!(!allows(asked, text), "{grammar:?}: {text:?}"));
    }
}

#[test]
fn the_input_of_a_tool_is_of_its_language() {
    for (grammar, are, are_not) in languages() {
        let tools = [CallSchema { name: "f", schema: None, input: Some(&grammar) }];
        let asked = ask(Syntax::MISTRAL_ARGS, Shape::Calls { tools: &tools, several: false });
        let call = |text: &str| format!("[TOOL_CALLS]f[ARGS]{{\"input\": {}}}", Value::from(text));
        are.iter().for_each(|text| assert!(allows(asked, &call(text)), "{grammar:?}: {text:?}"));
        are_not.iter().for_each(|text| assert!(!allows(asked, &call(text)), "{grammar:?}: {text:?}"));
    }
}

#[test]
fn what_is_wrong_is_told() {
    for (grammar, said) in [
        (Grammar::Gbnf("a ::= \"b\"".into()), "root"),
        (Grammar::Gbnf("root ::= \"b\"\nx ::= [a".into()), "line 2"),
        (Grammar::Lark("start: x".into()), "x"),
        (Grammar::Regex("a(?=b)".into()), "look"),
        (Grammar::Choice(Vec::new()), "choice"),
        (Grammar::Lark("x".repeat(70_000)), "too large"),
        (Grammar::Lark(format!("start: {}\"a\"{}", "(".repeat(99), ")".repeat(99))), "nest"),
    ] {
        let asked = ask(Syntax::HERMES, Shape::Text(Form::Grammar(&grammar)));
        let failure = grammars().compile(asked).unwrap_err();
        assert_eq!(failure.kind, message::ErrorKind::InvalidRequest);
        assert!(failure.message.contains(said), "{}", failure.message);
    }
}
