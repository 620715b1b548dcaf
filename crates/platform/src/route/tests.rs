//! Names that find their target, and names that do not.

use std::sync::Arc;

use message::{BoxService, ErrorKind, Failure, ModelCard, service_fn};

use super::*;

fn target(id: &str) -> Target {
    let service = service_fn(|_| async { Err(Failure::internal("never called")) });
    let card = ModelCard {
        id: id.into(),
        name: id.into(),
        provider: "test".into(),
        created_s: 0,
        context_length: None,
        images: false,
        alias_of: Vec::new(),
    };
    Target { service: BoxService::new(service), card }
}

fn route(models: &[&str], aliases: &[(&str, &str)]) -> Route {
    let mut targets = Targets::default();
    for model in models {
        targets.add(target(model)).unwrap();
    }
    for (alias, to) in aliases {
        targets.alias(alias, to).unwrap();
    }
    Route::new(targets)
}

fn found(route: &Route, name: &str) -> Option<Arc<str>> {
    route.resolve(name).ok().map(|target| Arc::clone(&target.card.id))
}

#[test]
fn every_spelling_finds_its_model() {
    let route = route(
        &["smollm2-135m-instruct", "qwen2.5-7b", "anthropic/claude-sonnet-5", "openai/gpt-6"],
        &[("fast", "smollm2-135m-instruct"), ("anthropic.claude-3-haiku-20240307-v1:0", "fast")],
    );
    for (name, id) in [
        ("smollm2-135m-instruct", "smollm2-135m-instruct"),
        ("local.smollm2-135m-instruct", "smollm2-135m-instruct"),
        ("local/smollm2-135m-instruct", "smollm2-135m-instruct"),
        ("us.local.smollm2-135m-instruct-v1:0", "smollm2-135m-instruct"),
        ("qwen2.5-7b", "qwen2.5-7b"),
        ("fast", "smollm2-135m-instruct"),
        ("global.fast", "smollm2-135m-instruct"),
        ("anthropic.claude-3-haiku-20240307-v1:0", "smollm2-135m-instruct"),
        ("eu.anthropic.claude-3-haiku-20240307-v1:0", "smollm2-135m-instruct"),
        ("claude-sonnet-5", "anthropic/claude-sonnet-5"),
        ("anthropic/claude-sonnet-5", "anthropic/claude-sonnet-5"),
        ("anthropic.claude-sonnet-5", "anthropic/claude-sonnet-5"),
        ("us.anthropic.claude-sonnet-5-v1:0", "anthropic/claude-sonnet-5"),
        (
            "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-sonnet-5-v2:0",
            "anthropic/claude-sonnet-5",
        ),
        (
            "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/fast",
            "smollm2-135m-instruct",
        ),
    ] {
        assert_eq!(found(&route, name).as_deref(), Some(id), "{name}");
    }
}

#[test]
fn exact_wins_over_every_shortened_form() {
    let route = route(&["us.x", "x", "x-v1:0", "local.x"], &[]);
    for name in ["us.x", "x", "x-v1:0", "local.x"] {
        assert_eq!(found(&route, name).as_deref(), Some(name));
    }
    assert_eq!(found(&route, "eu.x-v1:0").as_deref(), Some("x-v1:0"), "as little as possible is taken off");
}

#[test]
fn a_bare_name_of_two_providers_is_nobodys() {
    let route = route(&["a/m", "b/m"], &[]);
    assert_eq!(found(&route, "m"), None);
    let failure = route.resolve("m").unwrap_err();
    assert!(failure.message.contains("a/m") && failure.message.contains("b/m"), "{failure}");
}

#[test]
fn unknown_names_are_answered_with_near_ones() {
    let many: Vec<String> = (0..20).map(|n| format!("zz-{n}")).collect();
    let mut models: Vec<&str> = many.iter().map(String::as_str).collect();
    models.extend(["smollm2-135m-instruct", "smollm2-360m-instruct"]);
    let route = route(&models, &[]);
    let failure = route.resolve("Smollm2-135-instruct").unwrap_err();
    assert_eq!(failure.kind, ErrorKind::NotFound);
    assert_eq!(
        failure.message,
        "model 'Smollm2-135-instruct' not found; did you mean smollm2-135m-instruct, smollm2-360m-instruct?"
    );
    let failure = route.resolve("gpt-4").unwrap_err();
    assert_eq!(failure.message, "model 'gpt-4' not found; list the models to see their names");
}

#[test]
fn few_models_are_listed() {
    let failure = route(&["one", "two"], &[("deux", "two")]).resolve("gpt-4").unwrap_err();
    assert_eq!(failure.message, "model 'gpt-4' not found; available: one, two, deux");
    let failure = route(&[], &[]).resolve("gpt-4").unwrap_err();
    assert!(failure.message.contains("no model is configured"), "{failure}");
}

#[test]
fn an_absurd_name_is_neither_compared_nor_echoed() {
    let failure = route(&["one"], &[]).resolve(&"a.".repeat(1 << 20)).unwrap_err();
    assert_eq!(failure.kind, ErrorKind::NotFound);
    assert!(failure.message.len() < 200);
}

#[test]
fn contradictions_are_refused() {
    let mut targets = Targets::default();
    targets.add(target("a")).unwrap();
    assert_eq!(targets.add(target("a")), Err(RouteError::Taken { name: "a".into() }));
    assert_eq!(targets.alias("a", "a"), Err(RouteError::Taken { name: "a".into() }));
    assert!(matches!(targets.alias("b", "nothing"), Err(RouteError::Dangling { .. })));
    for name in ["", "a b", "a\n", &"x".repeat(3000)] {
        assert!(matches!(targets.add(target(name)), Err(RouteError::Name { .. })));
    }
}

#[test]
fn cards_list_models_then_aliases() {
    let cards = route(&["a"], &[("b", "a"), ("c", "b")]).cards();
    let ids: Vec<_> = cards.iter().map(|card| (&*card.id, card.alias_of.first().map(|of| &**of))).collect();
    assert_eq!(ids, [("a", None), ("b", Some("a")), ("c", Some("a"))]);
}

#[test]
fn a_replaced_table_is_seen_by_every_clone() {
    let route = route(&["a"], &[]);
    let clone = route.clone();
    let mut targets = Targets::default();
    targets.add(target("b")).unwrap();
    route.replace(targets);
    assert_eq!(found(&clone, "a"), None);
    assert_eq!(found(&clone, "b").as_deref(), Some("b"));
}

#[test]
fn an_open_provider_takes_any_model_that_names_it_in_full() {
    let mut targets = Targets::default();
    targets.add(target("openai/gpt-6")).unwrap();
    targets.open("openai", |model| target(&format!("made/{model}")));
    let route = Route::new(targets);
    for (name, id) in [
        ("openai/gpt-6", Some("openai/gpt-6")),
        ("openai/gpt-6-v1", Some("made/gpt-6-v1")),
        ("openai/org/gpt:free", Some("made/org/gpt:free")),
        ("gpt-6", Some("openai/gpt-6")),
        ("openai/", None),
        ("openai/a b", None),
        ("openai.gpt-7", None),
        ("other/gpt-7", None),
    ] {
        assert_eq!(found(&route, name).as_deref(), id, "{name}");
    }
    assert_eq!(found(&route, &format!("openai/{}", "m".repeat(NAME_MAX_BYTES))), None);
    assert_eq!(route.cards().len(), 1, "only what is listed is listed");
}
