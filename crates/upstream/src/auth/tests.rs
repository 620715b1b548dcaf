//! Schemes and sources as a provider's table writes them.

use super::*;

fn value(text: &str) -> Auth {
    Auth { value: Some(Plain::new(text)), ..Auth::default() }
}

fn fixed(auth: &Auth, speaks: Speaks) -> (String, HeaderValue) {
    match auth.open(speaks, None) {
        Ok(Authenticator::Fixed((name, value))) => (name.to_string(), value),
        other => panic!("{other:?}"),
    }
}

fn error(auth: &Auth) -> String {
    auth.open(Speaks::Anthropic, None).expect_err("cannot be used")
}

#[test]
fn each_dialect_has_its_habit() {
    for (speaks, name, sent) in [
        (Speaks::Anthropic, "x-api-key", "s3cret"),
        (Speaks::OpenAiChat, "authorization", "Bearer s3cret"),
        (Speaks::OpenAiResponses, "authorization", "Bearer s3cret"),
        (Speaks::Gemini, "x-goog-api-key", "s3cret"),
        (Speaks::Cohere, "authorization", "Bearer s3cret"),
        (Speaks::Bedrock, "authorization", "Bearer s3cret"),
    ] {
        let (found, value) = fixed(&value(" s3cret\n"), speaks);
        assert_eq!((found.as_str(), value.to_str().unwrap()), (name, sent));
        assert!(value.is_sensitive());
    }
}

#[test]
fn a_scheme_overrides_the_habit() {
    for (scheme, name) in [
        (Scheme::Bearer, "authorization"),
        (Scheme::ApiKey, "api-key"),
        (Scheme::XGoogApiKey, "x-goog-api-key"),
    ] {
        let auth = Auth { scheme: Some(scheme), ..value("k") };
        assert_eq!(fixed(&auth, Speaks::Anthropic).0, name);
    }
    let own = Auth { scheme: Some(Scheme::Header), header: Some("X-Team-Key".into()), ..value("k") };
    assert_eq!(fixed(&own, Speaks::OpenAiChat), ("x-team-key".to_owned(), HeaderValue::from_static("k")));
    let none = Auth { scheme: Some(Scheme::None), ..value("k") };
    assert!(matches!(none.open(Speaks::Anthropic, None), Ok(Authenticator::Nothing)));
}

#[test]
fn nothing_configured_sends_nothing() {
    assert!(matches!(Auth::default().open(Speaks::OpenAiChat, None), Ok(Authenticator::Nothing)));
    let optional = Auth { env: vec!["OUTCROP_TEST_UNSET".into()], optional: true, ..Auth::default() };
    assert!(matches!(optional.open(Speaks::OpenAiChat, None), Ok(Authenticator::Nothing)));
}

#[test]
fn aws_without_a_key_signs_and_with_one_does_not() {
    let chain = Auth { env: vec!["OUTCROP_TEST_UNSET".into()], scheme: Some(Scheme::Aws), ..Auth::default() };
    assert!(matches!(chain.open(Speaks::Bedrock, Some("eu-west-1")), Ok(Authenticator::Aws(_))));
    assert!(chain.open(Speaks::Bedrock, None).unwrap_err().contains("region"));
    let key = Auth { scheme: Some(Scheme::Aws), ..value("ABSKexample") };
    assert_eq!(fixed(&key, Speaks::Bedrock).1, "Bearer ABSKexample");
}

#[test]
fn a_file_is_looked_at_before_the_first_call() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let auth = Auth { file: Some(path.clone()), ..Auth::default() };
    assert!(error(&auth).contains("cannot read"));
    std::fs::write(&path, "from-file\n").unwrap();
    assert!(matches!(auth.open(Speaks::Anthropic, None), Ok(Authenticator::Changing(..))));
}

#[test]
fn faults_are_told_without_the_secret() {
    assert!(error(&Auth { env: vec!["X".into()], ..value("hidden") }).contains("only one"));
    let odd = error(&value("hid\u{1}den"));
    assert!(odd.contains("characters") && !odd.contains("den"), "{odd}");
    assert!(error(&value("  ")).contains("empty"));
    let unset = Auth { env: vec!["OUTCROP_TEST_UNSET".into()], ..Auth::default() };
    assert!(error(&unset).contains("OUTCROP_TEST_UNSET"));
    let two = Auth { env: vec!["OUTCROP_TEST_UNSET".into(), "OUTCROP_TEST_TOO".into()], ..Auth::default() };
    assert!(error(&two).contains("none of") && error(&two).contains("OUTCROP_TEST_TOO"));
    assert!(error(&Auth { scheme: Some(Scheme::Bearer), ..Auth::default() }).contains("no secret"));
    assert!(error(&Auth { scheme: Some(Scheme::Header), ..value("k") }).contains("`header`"));
    assert!(error(&Auth { command: Some(Vec::new()), ..Auth::default() }).contains("empty"));
    assert_eq!(format!("{:?}", value("hidden")).find("hidden"), None);
}

#[test]
fn a_source_of_ones_own_replaces_the_inherited_one() {
    let inherited =
        Auth { scheme: Some(Scheme::ApiKey), env: vec!["A".into()], optional: true, ..Auth::default() };
    let own = value("k").over(Some(&inherited));
    assert_eq!((own.scheme, own.env.len(), own.optional), (Some(Scheme::ApiKey), 0, false));
    let same = Auth::default().over(Some(&inherited));
    assert_eq!(same, inherited);
}
