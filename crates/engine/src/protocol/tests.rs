//! Every message crosses whole, cut anywhere; what is none is refused.

use std::io::{self, Read};
use std::time::Duration;

use message::{
    AuthFault, Block, BlockHead, BlockKind, CacheMarker, Chat, Dialect, Embed, EmbedInput, ErrorKind, Event,
    Failure, FinishReason, Message, OutputFormat, Ranked, Reasoning, Rerank, RerankDocument, Retry, Role,
    TokenLogprob, Tool, ToolChoice, ToolKind, TopLogprob, Usage,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Gives bytes in pieces of `at` and then the rest.
struct Cut<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Read for Cut<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = if self.at > 0 { self.at } else { self.bytes.len() };
        let count = most.min(buffer.len()).min(self.bytes.len());
        buffer[..count].copy_from_slice(&self.bytes[..count]);
        self.bytes = &self.bytes[count..];
        self.at = self.at.saturating_sub(count);
        Ok(count)
    }
}

fn framed(message: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::new();
    encode(message, &mut out).unwrap();
    out
}

fn orders() -> Vec<Order> {
    let call = |ask| Order::Call { number: u64::MAX, key: "key_1".into(), priority: 3, adapter: 2, ask };
    vec![
        Order::Open {
            version: VERSION,
            path: "/m.gguf".into(),
            projector: Some("/mmproj-m.gguf".into()),
            name: "m".into(),
            config: "{}".into(),
            adapters: vec![crate::Adapter { name: "a".into(), path: "/a.gguf".into(), scale: 0.5 }],
        },
        call(Ask::Chat("{\"é\": 1}".into())),
        call(Ask::Count(String::new())),
        call(Ask::Embed("[]".into())),
        call(Ask::Rerank("{}".into())),
        call(Ask::Continue { text: "One,".into(), max_tokens: 4 }),
        Order::Read { number: 7, items: 32 },
        Order::Cancel { number: 7 },
        Order::Stop,
    ]
}

#[test]
fn orders_cross_whole_wherever_they_are_cut() {
    let orders = orders();
    let bytes: Vec<u8> = orders.iter().flat_map(framed).collect();
    for at in 0..bytes.len() {
        let mut frames = Frames::new(Cut { bytes: &bytes, at });
        let read: Vec<Order> = std::iter::from_fn(|| frames.next().unwrap()).collect();
        assert_eq!(read, orders, "cut at {at}");
    }
}

#[test]
fn an_end_within_a_frame_is_no_end() {
    let bytes = framed(&Order::Read { number: 300, items: 2 });
    for end in 1..bytes.len() {
        let outcome = Frames::new(&bytes[..end]).next::<Order>();
        assert!(matches!(outcome, Err(FrameError::Socket(_))), "{end}: {outcome:?}");
    }
    assert!(matches!(Frames::new(&[][..]).next::<Order>(), Ok(None)));
}

#[test]
fn frames_without_measure_are_refused_before_they_are_read() {
    let mut frames = Frames::new(io::repeat(0xff));
    assert!(matches!(frames.next::<Order>(), Err(FrameError::TooLong { .. })));
    // One that promises much and gives little takes little.
    let mut bytes = (200u32 << 20).to_le_bytes().to_vec();
    bytes.extend([0; 100]);
    let mut frames = Frames::new(&*bytes);
    assert!(matches!(frames.next::<Order>(), Err(FrameError::Socket(_))));
    let mut two = framed(&Order::Stop);
    two[0] += 1;
    two.push(9);
    assert!(matches!(Frames::new(&*two).next::<Order>(), Err(FrameError::TooMany(1))));
}

#[test]
fn a_failure_crosses_with_all_that_matters() {
    let inner = io::Error::other("disk");
    let failure = Failure::invalid_field("messages.0", "is odd")
        .with_retry(Retry::After(Duration::from_millis(1500)))
        .with_cause(inner);
    let failed: Failed = round(&Failed::from(failure.clone()));
    let back = Failure::from(failed);
    assert_eq!(back, failure);
    assert_eq!(back.cause.unwrap().to_string(), "disk");
    let kind = ErrorKind::Unauthenticated(AuthFault::ClockSkew);
    let bare = Failure::new(kind, "m");
    let back = Failure::from(round(&Failed::from(bare.clone())));
    assert!(back == bare && back.cause.is_none());
}

fn round<T: Serialize + serde::de::DeserializeOwned>(message: &T) -> T {
    Frames::new(&*framed(message)).next().unwrap().unwrap()
}

/// A conversation with something of everything, and a JSON value in every place that
/// holds one.
fn chat(value: &Value, number: &serde_json::Number) -> Chat {
    let mut chat = Chat::new(Dialect::BedrockConverse);
    let mut block = Block::text("é\u{0}\"");
    block.cache = Some(CacheMarker { ttl: Some("5m".into()) });
    block.extra.insert("z".into(), value.clone());
    block.extra.insert("a".into(), value.clone());
    let opaque = Block::new(BlockKind::Opaque { dialect: Dialect::OpenAiChat, value: value.clone() });
    let result = BlockKind::ToolResult {
        id: "1".into(),
        content: vec![block.clone(), opaque],
        plain: true,
        is_error: Some(false),
    };
    let content = vec![block, Block::new(result)];
    let mut extra = message::Extra::new();
    extra.insert("y".into(), value.clone());
    extra.insert("b".into(), value.clone());
    chat.messages = vec![Message { role: Role::Developer, content, plain: false, extra }];
    for schema in [None, Some(Value::Null), Some(value.clone())] {
        let kind = ToolKind::Function { schema };
        let extra = message::Extra::new();
        let (description, strict) = (Some(String::new()), None);
        chat.tools.push(Tool { name: "t".into(), description, kind, strict, cache: None, extra });
    }
    chat.tool_choice = Some(ToolChoice::Named("t".into()));
    chat.sampling.temperature = Some(number.clone());
    chat.sampling.seed = Some(i64::MIN);
    chat.output =
        OutputFormat::JsonSchema { name: None, description: None, schema: value.clone(), strict: Some(true) };
    chat.reasoning = Some(Reasoning { budget_tokens: Some(u64::MAX), ..Reasoning::default() });
    chat
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number().prop_map(Value::Number),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((".*", inner), 0..4).prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

fn number() -> impl Strategy<Value = serde_json::Number> {
    prop_oneof![
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_filter_map("finite", serde_json::Number::from_f64),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    use message::Delta;
    let reason = prop_oneof![
        Just(FinishReason::EndTurn),
        Just(FinishReason::MalformedToolUse),
        ".*".prop_map(FinishReason::Other)
    ];
    let bytes = || prop::collection::vec(any::<u8>(), 0..6);
    let top = (bytes(), -100f32..0.0).prop_map(|(token, logprob)| TopLogprob { token, logprob });
    let logprob = (bytes(), -100f32..0.0, prop::collection::vec(top, 0..3))
        .prop_map(|(token, logprob, top)| TokenLogprob { token, logprob, top });
    let head = prop_oneof![
        Just(BlockHead::Text),
        Just(BlockHead::Thinking),
        (".*", ".*").prop_map(|(id, name)| BlockHead::ToolUse { id, name })
    ];
    let delta = prop_oneof![
        (".*", prop::collection::vec(logprob, 0..3))
            .prop_map(|(text, logprobs)| Delta::Text { text, logprobs }),
        ".*".prop_map(Delta::Thinking),
        ".*".prop_map(Delta::ToolInput)
    ];
    let counted = |input_tokens, reasoning_tokens| {
        Event::Usage(Usage { input_tokens, reasoning_tokens, ..Usage::default() })
    };
    prop_oneof![
        prop::option::of(".*").prop_map(|id| Event::Start { id }),
        (any::<u32>(), head).prop_map(|(index, block)| Event::BlockStart { index, block }),
        (any::<u32>(), delta).prop_map(|(index, delta)| Event::Delta { index, delta }),
        any::<u32>().prop_map(|index| Event::BlockStop { index }),
        prop::collection::vec(-1f32..1.0, 0..9).prop_map(Event::Embedding),
        prop::collection::vec((any::<u32>(), 0f64..1.0), 0..9).prop_map(|ranked| {
            Event::Ranking(ranked.into_iter().map(|(index, score)| Ranked { index, score }).collect())
        }),
        (any::<u64>(), any::<u64>()).prop_map(move |(input, thought)| counted(input, thought)),
        (reason, prop::option::of(".*"))
            .prop_map(|(reason, stop_sequence)| Event::Finish { reason, stop_sequence }),
    ]
}

proptest! {
    #[test]
    fn what_a_client_asks_crosses_whole(value in json(), number in number()) {
        let chat = chat(&value, &number);
        let text = serde_json::to_string(&chat).unwrap();
        let back: Chat = serde_json::from_str(&text).unwrap();
        // Its order, too, which equality of objects does not tell.
        prop_assert_eq!(serde_json::to_string(&back).unwrap(), text);
        prop_assert_eq!(back, chat);
        let mut embed = Embed::new(Dialect::Cohere, vec![EmbedInput::Text("a".into()), EmbedInput::Tokens(vec![1])]);
        embed.extra.insert("x".into(), value.clone());
        let back: Embed = serde_json::from_str(&serde_json::to_string(&embed).unwrap()).unwrap();
        prop_assert_eq!(back, embed);
        let documents = vec![RerankDocument::Text("a".into()), RerankDocument::Json(value)];
        let rerank = Rerank { top_n: Some(1), ..Rerank::new(Dialect::Cohere, "q", documents) };
        let back: Rerank = serde_json::from_str(&serde_json::to_string(&rerank).unwrap()).unwrap();
        prop_assert_eq!(back, rerank);
    }

    #[test]
    fn what_a_model_says_crosses_whole(events in prop::collection::vec(event(), 0..8), number: u64) {
        let told = vec![(number, Told::Said(Said::all(events.clone()).unwrap())), (0, Told::Gone)];
        let figures = Figures { busy: number, decoded: 3, ..Figures::default() };
        let Report::Items { told, figures: back } = round(&Report::Items { told, figures }) else {
            return Err(TestCaseError::fail("another report"));
        };
        prop_assert_eq!(back, figures);
        let [(n, Told::Said(said)), (0, Told::Gone)] = &told[..] else {
            return Err(TestCaseError::fail("another item"));
        };
        prop_assert_eq!(*n, number);
        prop_assert_eq!(said.iter().cloned().map(Event::from).collect::<Vec<_>>(), events);
    }

    #[test]
    fn garbage_is_refused_without_harm(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let length = u32::try_from(bytes.len()).unwrap();
        bytes.splice(0..0, length.to_le_bytes());
        let _ = Frames::new(&*bytes).next::<Order>();
        let _ = Frames::new(&*bytes).next::<Report>();
        // And a good frame with one byte changed.
        let mut frame = framed(&orders()[1]);
        if let Some(&at) = bytes.get(5) {
            let at = usize::from(at) % frame.len();
            frame[at] ^= bytes[4] | 1;
        }
        let _ = Frames::new(&*frame).next::<Order>();
    }
}

#[test]
fn what_the_engine_never_says_does_not_cross() {
    let refusal = Event::BlockStart { index: 0, block: BlockHead::Refusal };
    assert_eq!(Said::all(vec![refusal]).unwrap_err().kind, ErrorKind::Internal);
}

#[test]
fn a_deep_schema_crosses_as_deep_as_the_door_lets_it_in() {
    let deep = (0..127).fold(json!(1), |inner, _| json!([inner]));
    let text = serde_json::to_string(&chat(&deep, &1.into())).unwrap();
    assert_eq!(crate::worker::read_json::<Chat>(&text).unwrap().tools.len(), 3);
}
