//! Tests of the scanner; `serde_json` is the second opinion.

use message::Failure;
use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::*;

fn reason(body: &str) -> Reason {
    validate(body.as_bytes()).expect_err(body).reason
}

/// `serde_json` skipping a value checks the same grammar, but neither depth nor UTF-8.
fn serde_agrees(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok() && serde_json::from_slice::<IgnoredAny>(body).is_ok()
}

#[test]
fn accepts_what_the_grammar_allows() {
    for body in [
        "0",
        "-0",
        "-0.0e-0",
        "10",
        "1.5E+300",
        "1e999",
        "\"\"",
        "\"\u{7f}é\u{1F980}\"",
        r#""\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00\ud800""#,
        "true",
        "false",
        "null",
        "[]",
        "{}",
        " \t\r\n[ ] \n",
        "[[],{},[{}],{\"\":[]}]",
        r#"{"a":{"b":[1,2,{"c":null}]},"a":2}"#,
    ] {
        assert_eq!(validate(body.as_bytes()), Ok(()), "{body}");
        assert!(serde_agrees(body.as_bytes()), "{body}");
    }
}

#[test]
fn refuses_the_rest_and_says_why() {
    use Reason::*;
    for (body, expected) in [
        ("", Empty),
        (" \n", Empty),
        ("{", UnexpectedEnd),
        ("[1,", UnexpectedEnd),
        ("[1", UnexpectedEnd),
        ("\"abc", UnexpectedEnd),
        ("\"abc\\", UnexpectedEnd),
        ("\"\\u12", UnexpectedEnd),
        ("tru", UnexpectedEnd),
        ("-", UnexpectedEnd),
        ("1.", UnexpectedEnd),
        ("1e+", UnexpectedEnd),
        ("{\"a\"", UnexpectedEnd),
        ("{\"a\":", UnexpectedEnd),
        ("\u{feff}{}", ExpectedValue),
        ("nil", ExpectedValue),
        ("[,]", ExpectedValue),
        ("[1,]", ExpectedValue),
        ("{\"a\":}", ExpectedValue),
        ("NaN", ExpectedValue),
        ("'a'", ExpectedValue),
        ("+1", ExpectedValue),
        (".5", ExpectedValue),
        ("{a:1}", ExpectedKey),
        ("{\"a\":1,}", ExpectedKey),
        ("{\"a\" 1}", ExpectedColon),
        ("{\"a\":1 \"b\"}", ExpectedCommaOrBrace),
        ("{\"a\":1]", ExpectedCommaOrBrace),
        ("[1 2]", ExpectedCommaOrBracket),
        ("[1}", ExpectedCommaOrBracket),
        ("01", InvalidNumber),
        ("-01", InvalidNumber),
        ("1.e5 ", InvalidNumber),
        ("--1", InvalidNumber),
        ("1e ", InvalidNumber),
        ("\"\\x\"", InvalidEscape),
        ("\"\\u12g4\"", InvalidEscape),
        ("\"\\U0041\"", InvalidEscape),
        ("\"a\nb\"", ControlCharacter),
        ("\"a\0b\"", ControlCharacter),
        ("{} {}", TrailingCharacters),
        ("1x", TrailingCharacters),
        ("truex", TrailingCharacters),
        ("1.5.5", TrailingCharacters),
    ] {
        assert_eq!(reason(body), expected, "{body}");
        assert!(!serde_agrees(body.as_bytes()), "{body}");
    }
}

#[test]
fn refuses_broken_text() {
    for body in [&b"\"\xff\""[..], b"\"\xc0\x80\"", b"\"\xed\xa0\x80\"", b"\"\xf0\x9f\x98", b"{}\xff"] {
        let error = validate(body).expect_err("not UTF-8");
        assert_eq!(error.reason, Reason::InvalidUtf8);
        assert_eq!(error.offset, std::str::from_utf8(body).expect_err("not UTF-8").valid_up_to());
    }
}

#[test]
fn depth_is_limited_exactly_where_serde_json_stops() {
    let nested = |open: &str, inner: &str, close: &str, depth: usize| {
        [open.repeat(depth), inner.to_owned(), close.repeat(depth)].concat()
    };
    for (open, inner, close) in [("[", "", "]"), ("{\"a\":", "1", "}"), ("[{\"a\":", "[]", "}]")] {
        let levels = if open.len() > 5 { DEPTH_MAX / 2 } else { DEPTH_MAX };
        let deepest = nested(open, inner, close, levels);
        assert_eq!(validate(deepest.as_bytes()), Ok(()));
        serde_json::from_str::<serde_json::Value>(&deepest).expect("decodes as well");
        let deeper = nested(open, inner, close, levels + 1);
        assert_eq!(reason(&deeper), Reason::TooDeep);
        serde_json::from_str::<serde_json::Value>(&deeper).expect_err("serde_json refuses it, too");
    }
    // Siblings do not add up.
    assert_eq!(validate(format!("[{}[]]", "[[]],".repeat(1000)).as_bytes()), Ok(()));
    // Nor does a member scan count differently.
    let inside = |depth| format!("{{\"a\":{}}}", nested("[", "", "]", depth));
    members(inside(DEPTH_MAX - 1).as_bytes(), ["a"]).expect("as deep as allowed");
    let error = members(inside(DEPTH_MAX).as_bytes(), ["a"]).expect_err("one too many");
    assert_eq!(error.reason, Reason::TooDeep);
}

#[test]
fn a_megabyte_of_brackets_is_refused_at_once() {
    let error = validate(&vec![b'['; 1 << 20]).expect_err("too deep");
    assert_eq!((error.offset, error.reason), (DEPTH_MAX, Reason::TooDeep));
}

#[test]
fn finds_members() {
    let body = br#" { "messages" : [{"model":"inner"}] , "model" : "a\"b" ,"stream":true,"n":-1.5e3 } "#;
    let found = members(body, ["model", "stream", "n", "messages", "seed"]).expect("valid");
    let text = found.map(|span| span.map(|span| std::str::from_utf8(&body[span]).expect("UTF-8")));
    assert_eq!(text, [Some(r#""a\"b""#), Some("true"), Some("-1.5e3"), Some(r#"[{"model":"inner"}]"#), None]);
    assert_eq!(members(b"{}", ["a"]), Ok([None]));
    assert_eq!(members(b"{\"a\":1}", []), Ok([]));
}

#[test]
fn an_escaped_key_counts() {
    let body = br#"{"mod\u0065l":"x"}"#;
    assert_eq!(members(body, ["model"]), Ok([Some(14..17)]));
    let body = br#"{"\u006d\u006f\u0064\u0065\u006c":1}"#;
    assert_eq!(members(body, ["model"]), Ok([Some(34..35)]));
    // A lone surrogate or an endless key is some other key.
    let long = format!("{{\"{}\":1,\"\\ud800\":2}}", "\\u006d".repeat(100_000));
    assert_eq!(members(long.as_bytes(), ["m"]), Ok([None]));
}

#[test]
fn a_wanted_member_may_stand_once() {
    let error = members(br#"{"model":1,"mod\u0065l":2}"#, ["model"]).expect_err("twice");
    assert_eq!((error.offset, &error.reason), (11, &Reason::Duplicate("model".into())));
    let failure = Failure::from(error);
    assert_eq!(failure.param.as_deref(), Some("model"));
    assert_eq!(members(br#"{"other":1,"other":2}"#, ["model"]), Ok([None]));
}

#[test]
fn only_an_object_has_members() {
    for body in ["[]", "1", "\"a\"", "null"] {
        let error = members(body.as_bytes(), ["model"]).expect_err("no object");
        assert_eq!(error.reason, Reason::ExpectedObject);
    }
    assert_eq!(members(b"", ["a"]).expect_err("empty").reason, Reason::Empty);
    assert_eq!(members(b"{}x", ["a"]).expect_err("more").reason, Reason::TrailingCharacters);
    assert_eq!(members(b"{\"a\":1", ["a"]).expect_err("cut").reason, Reason::UnexpectedEnd);
}

#[test]
fn the_message_says_where() {
    let error = validate(b"{\n  \"a\": 1,\n  \"b\": nope\n}").expect_err("no value");
    insta::assert_snapshot!(error, @"invalid JSON at byte 19 (line 3, column 8): expected a value");
}

fn document() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".{0,80}".prop_map(Into::into),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::vec((".{0,8}", inner), 0..6)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn agrees_with_serde_json_on_documents(value in document(), pretty: bool) {
        let text = if pretty { format!("{value:#}") } else { value.to_string() };
        prop_assert_eq!(validate(text.as_bytes()), Ok(()));
    }

    #[test]
    fn agrees_with_serde_json_on_damaged_documents(
        value in document(),
        at in any::<prop::sample::Index>(),
        byte: u8,
        cut: bool,
    ) {
        let mut body = value.to_string().into_bytes();
        let at = at.index(body.len());
        if cut { body.truncate(at) } else { body[at] = byte }
        prop_assert_eq!(validate(&body).is_ok(), serde_agrees(&body), "{:?}", body);
    }

    #[test]
    fn finds_what_serde_json_finds(value in document()) {
        let body = serde_json::json!({ "before": value, "model": value, "after": value }).to_string();
        let [model] = members(body.as_bytes(), ["model"]).expect("valid");
        let found: serde_json::Value =
            serde_json::from_str(&body[model.expect("is there")]).expect("is a value");
        prop_assert_eq!(found.to_string(), value.to_string());
    }
}
