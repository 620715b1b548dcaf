//! Golden prompts: what well-known families' templates make of one conversation. The
//! fixtures are short templates in the families' notations, written for these tests.

use message::{
    Block, BlockKind, Chat, Dialect, Effort, Extra, Message, Reasoning, Role, Tool, ToolKind, ToolOrigin,
};
use serde_json::json;

use super::*;

/// SmolLM2's, as its GGUF has it.
const SMOLLM2: &str = "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
/// Llama 3's headers, tools as JSON with "parameters".
const LLAMA3: &str = include_str!("fixtures/llama3.jinja");
/// Qwen's ChatML with Hermes tools.
const QWEN: &str = include_str!("fixtures/qwen.jinja");
/// Gemma's turns: no system role, and roles must alternate.
const GEMMA: &str = include_str!("fixtures/gemma.jinja");
/// Mistral's brackets: nine-character ids, roles must alternate.
const MISTRAL: &str = include_str!("fixtures/mistral.jinja");
/// gpt-oss: messages on channels, `reasoning_effort`, `thinking` in turns that call.
const HARMONY: &str = include_str!("fixtures/harmony.jinja");
/// DeepSeek: arguments as text, and thinking that the prompt always opens.
const DEEPSEEK: &str = include_str!("fixtures/deepseek.jinja");
/// Granite: tells how calls are written, and writes none; thinks when told to.
const GRANITE: &str = include_str!("fixtures/granite.jinja");
/// Gemma 4: its own notation of calls, and thinking that the prompt closes.
const GEMMA4: &str = include_str!("fixtures/gemma4.jinja");

fn template(source: Option<&str>) -> ChatTemplate {
    let mut vocabulary = Vocabulary::default();
    vocabulary.bos = "<s>".to_owned();
    vocabulary.eos = "</s>".to_owned();
    vocabulary.control = vec![(0, "<|im_start|>".to_owned()), (1, "<|im_end|>".to_owned())];
    ChatTemplate::new(source, None, &vocabulary).unwrap()
}

fn turn(role: Role, content: Vec<Block>) -> Message {
    Message { role, content, plain: false, extra: Extra::new() }
}

fn plain() -> Chat {
    let mut chat = Chat::new(Dialect::Anthropic);
    chat.system = vec![Block::text("Be brief.")];
    chat.messages = vec![
        Message::text(Role::User, "Hi"),
        Message::text(Role::Assistant, "Hello!"),
        turn(Role::User, vec![Block::text("How"), Block::text("are you?")]),
    ];
    chat
}

fn with_tools() -> Chat {
    let mut chat = Chat::new(Dialect::Anthropic);
    chat.tools = vec![Tool {
        name: "add".into(),
        description: Some("Adds <b>.".into()),
        kind: ToolKind::Function {
            schema: Some(json!({ "type": "object", "properties": { "a": { "type": "integer" } } })),
        },
        strict: None,
        cache: None,
        extra: Extra::new(),
    }];
    let call = BlockKind::ToolUse {
        id: "call_1".into(),
        name: "add".into(),
        input: "{\"a\":1}".into(),
        origin: ToolOrigin::Client,
    };
    let result = BlockKind::ToolResult {
        id: "call_1".into(),
        content: vec![Block::text("2")],
        plain: false,
        is_error: None,
    };
    chat.messages = vec![
        Message::text(Role::User, "Add."),
        turn(Role::Assistant, vec![Block::new(call)]),
        turn(Role::User, vec![Block::new(result), Block::text("And?")]),
    ];
    chat
}

fn rendered(source: &str, chat: &Chat) -> String {
    template(Some(source)).render(chat).unwrap().text
}

#[test]
fn smollm2() {
    let text = rendered(SMOLLM2, &plain());
    insta::assert_snapshot!(text, @"
    <|im_start|>system
    Be brief.<|im_end|>
    <|im_start|>user
    Hi<|im_end|>
    <|im_start|>assistant
    Hello!<|im_end|>
    <|im_start|>user
    How
    are you?<|im_end|>
    <|im_start|>assistant
    ");
    let mut bare = plain();
    bare.system.clear();
    assert!(
        rendered(SMOLLM2, &bare)
            .starts_with("<|im_start|>system\nYou are a helpful AI assistant named SmolLM")
    );
}

#[test]
fn smollm2_is_told_of_tools_in_words() {
    let template = template(Some(SMOLLM2));
    assert_eq!(template.traits().tools, None);
    let text = template.render(&with_tools()).unwrap().text;
    assert!(text.contains("<tools>\n{\"type\": \"function\", \"function\": {\"name\": \"add\", \"description\": \"Adds <b>.\""), "{text}");
    assert!(text.contains("<|im_start|>assistant\n<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1}}\n</tool_call><|im_end|>"), "{text}");
    assert!(text.contains("<|im_start|>user\n<tool_response>\n2\n</tool_response>"), "{text}");
}

#[test]
fn llama3() {
    let template = template(Some(LLAMA3));
    assert_eq!(template.traits().tools, Some(Syntax::LLAMA3));
    assert_eq!(
        template.render(&plain()).unwrap().text,
        "<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>\
         <|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>\
         <|start_header_id|>assistant<|end_header_id|>\n\nHello!<|eot_id|>\
         <|start_header_id|>user<|end_header_id|>\n\nHow\nare you?<|eot_id|>\
         <|start_header_id|>assistant<|end_header_id|>\n\n"
    );
    let text = template.render(&with_tools()).unwrap().text;
    assert!(text.contains("{\"name\": \"add\", \"parameters\": {\"a\": 1}}<|eot_id|>"), "{text}");
    assert!(text.contains("<|start_header_id|>ipython<|end_header_id|>\n\n2<|eot_id|>"), "{text}");
}

#[test]
fn qwen() {
    let template = template(Some(QWEN));
    assert_eq!(template.traits().tools, Some(Syntax::HERMES));
    let text = template.render(&with_tools()).unwrap().text;
    assert!(text.contains("\"description\": \"Adds <b>.\""), "JSON as Python writes it: {text}");
    assert!(
        text.contains("<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1}}\n</tool_call>"),
        "{text}"
    );
    assert!(text.contains("<tool_response>\n2\n</tool_response>"), "{text}");
}

#[test]
fn gemma_has_no_system_turn() {
    let template = template(Some(GEMMA));
    assert!(!template.traits().system);
    assert_eq!(
        template.render(&plain()).unwrap().text,
        "<s><start_of_turn>user\nBe brief.\n\nHi<end_of_turn>\n<start_of_turn>model\nHello!<end_of_turn>\n\
         <start_of_turn>user\nHow\nare you?<end_of_turn>\n<start_of_turn>model\n"
    );
}

#[test]
fn two_turns_of_one_role_become_one_where_the_template_insists() {
    let mut chat = plain();
    chat.messages.push(Message::text(Role::User, "Well?"));
    let text = rendered(GEMMA, &chat);
    assert!(text.contains("How\nare you?\n\nWell?<end_of_turn>"), "{text}");
}

#[test]
fn mistral_wants_ids_of_nine() {
    let template = template(Some(MISTRAL));
    assert_eq!(template.traits().tools, Some(Syntax::MISTRAL));
    assert!(template.traits().short_ids);
    let text = template.render(&with_tools()).unwrap().text;
    assert!(
        text.contains("[TOOL_CALLS] [{\"name\": \"add\", \"arguments\": {\"a\": 1}, \"id\": \""),
        "{text}"
    );
}

/// A conversation in which the model thought before it called.
fn thoughtful() -> Chat {
    let mut chat = with_tools();
    let thinking = BlockKind::Thinking { text: "Sum.".into(), signature: None };
    chat.messages[1].content.insert(0, Block::new(thinking));
    chat
}

fn reasoning(enabled: bool) -> Option<Reasoning> {
    Some(Reasoning { enabled: Some(enabled), ..Reasoning::default() })
}

#[test]
fn harmony() {
    let template = template(Some(HARMONY));
    assert_eq!(template.syntax(), Syntax::HARMONY);
    let mut chat = thoughtful();
    let text = template.render(&chat).unwrap().text;
    let call = "<|start|>assistant<|channel|>analysis<|message|>Sum.<|end|><|start|>assistant to=functions.add\
                <|channel|>commentary json<|message|>{\"a\": 1}<|call|><|start|>functions.add to=assistant";
    assert!(text.contains(call), "{text}");
    assert_eq!(template.begins(&text), Some((Thought::HARMONY, Begins::Free)));
    chat.reasoning = Some(Reasoning { effort: Some(Effort::Max), ..Reasoning::default() });
    assert!(template.render(&chat).unwrap().text.contains("Reasoning: high"));
    chat.reasoning = reasoning(false);
    assert!(template.render(&chat).unwrap().text.contains("Reasoning: low"), "the least it can");
}

#[test]
fn deepseek_always_thinks_unless_it_finds_its_thinking_done() {
    let template = template(Some(DEEPSEEK));
    assert_eq!(template.traits().tools, Some(Syntax::DEEPSEEK));
    assert!(template.traits().arguments_as_text);
    let mut chat = thoughtful();
    let text = template.render(&chat).unwrap().text;
    assert!(text.contains("<｜tool▁sep｜>add\n```json\n{\"a\": 1}\n```<｜tool▁call▁end｜>"), "{text}");
    assert_eq!(template.begins(&text), Some((Thought::THINK, Begins::Thinking)));
    chat.reasoning = reasoning(false);
    let text = template.render(&chat).unwrap().text;
    assert!(text.ends_with("<think>\n</think>\n\n"), "{text}");
    assert_eq!(template.begins(&text), None);
}

#[test]
fn granite_is_shown_its_calls_in_words() {
    let template = template(Some(GRANITE));
    assert_eq!((template.traits().tools, template.traits().calls), (Some(Syntax::GRANITE), false));
    let mut chat = thoughtful();
    let text = template.render(&chat).unwrap().text;
    assert!(
        text.contains("<|end_of_role|><|tool_call|>[{\"name\": \"add\", \"arguments\": {\"a\": 1}}]<"),
        "{text}"
    );
    assert!(!text.contains("between <think>"));
    chat.reasoning = reasoning(true);
    let text = template.render(&chat).unwrap().text;
    assert!(text.contains("between <think></think>"), "{text}");
    assert_eq!(template.begins(&text), Some((Thought::THINK, Begins::Free)));
}

#[test]
fn gemma_of_four_generations() {
    let template = template(Some(GEMMA4));
    assert_eq!(template.traits().tools, Some(Syntax::GEMMA4));
    let mut chat = thoughtful();
    let text = template.render(&chat).unwrap().text;
    assert!(text.contains("<|tool_call>call:add{a:1}<tool_call|>"), "{text}");
    assert_eq!(template.begins(&text), None, "the prompt closes the thinking");
    chat.reasoning = reasoning(true);
    let text = template.render(&chat).unwrap().text;
    assert!(template.begins(&text).is_some_and(|(_, begins)| begins == Begins::Free), "{text}");
}

#[test]
fn words_beside_a_result_become_part_of_it_where_turns_must_alternate() {
    let insists = "{% if message.role == 'user' and loop.index0 > 0 and messages[loop.index0 - 1].role == 'tool' %}\
                   {{ raise_exception('roles must alternate') }}{% endif %}";
    let source = MISTRAL.replacen(
        "{%- for message in loop_messages %}",
        &format!("{{%- for message in loop_messages %}}{insists}"),
        1,
    );
    let text = rendered(&source.replace("messages[loop.index0", "loop_messages[loop.index0"), &with_tools());
    assert!(text.contains("2\n\nAnd?"), "{text}");
}

#[test]
fn a_base_model_gets_a_transcript() {
    let text = template(None).render(&plain()).unwrap().text;
    assert_eq!(text, "Be brief.\n\nUser: Hi\nAssistant: Hello!\nUser: How\nare you?\nAssistant:");
}

#[test]
fn the_client_may_begin_the_answer() {
    let mut chat = plain();
    chat.messages.push(Message::text(Role::Assistant, "I am "));
    assert!(rendered(SMOLLM2, &chat).ends_with("<|im_start|>assistant\nI am"));
}

#[test]
fn endless_templates_and_nonsense_are_refused() {
    let template =
        template(Some("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}"));
    let failure = template.render(&plain()).unwrap_err();
    assert_eq!(failure.kind, ErrorKind::InvalidRequest);
    let vocabulary = Vocabulary::default();
    assert!(ChatTemplate::new(Some("{% if %}"), None, &vocabulary).is_err());
    let failure = self::template(Some("{{ raise_exception('no!') }}")).render(&plain()).unwrap_err();
    assert!(failure.message.ends_with("no!"), "{}", failure.message);
}

#[test]
fn python_writes_json_with_blanks() {
    assert_eq!(python_json(&json!({ "a": [1, "é<"], "b": {} })), "{\"a\": [1, \"é<\"], \"b\": {}}");
}

#[test]
fn the_date_is_told() {
    let text = rendered("{{ strftime_now('%Y-%m-%d') }}", &plain());
    assert_eq!(text.len(), 10, "{text}");
}

/// A turn's content is a list of parts, and nothing else.
const PARTS: &str = "{% for message in messages %}<|im_start|>{{ message.role }}: \
    {% for part in message.content %}{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}\
    <|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant:{% endif %}";

#[test]
fn contents_are_lists_where_the_template_wants_them() {
    let template = template(Some(PARTS));
    assert!(template.traits().typed && template.traits().system);
    assert_eq!(
        template.render(&plain()).unwrap().text,
        "<|im_start|>system: Be brief.<|im_end|><|im_start|>user: Hi<|im_end|>\
         <|im_start|>assistant: Hello!<|im_end|><|im_start|>user: How\nare you?<|im_end|><|im_start|>assistant:"
    );
    let words = [SMOLLM2, LLAMA3, QWEN, GEMMA, MISTRAL, HARMONY, DEEPSEEK, GRANITE, GEMMA4];
    assert!(words.iter().all(|source| !self::template(Some(source)).traits().typed));
}

/// The first of the numbers that stand for images' rows.
const ROW: Token = 1 << 31;

fn image() -> Block {
    let source = message::MediaSource::Base64("aGk=".into());
    Block::new(BlockKind::Image(message::Media { media_type: Some("image/png".into()), name: None, source }))
}

/// Two images of users, and one that a tool gave.
fn with_images() -> Chat {
    let mut chat = with_tools();
    chat.messages[0].content.push(image());
    if let BlockKind::ToolResult { content, .. } = &mut chat.messages[2].content[0].kind {
        content.push(image());
    }
    chat.messages[2].content.push(image());
    chat
}

/// One token per character.
struct Characters;

impl Tokenize for Characters {
    fn tokenize(&self, text: &str, _: bool) -> Vec<Token> {
        text.chars().map(Token::from).collect()
    }
}

#[test]
fn images_stand_where_the_client_put_them() {
    for source in [QWEN, SMOLLM2, PARTS, MISTRAL, LLAMA3] {
        let template = template(Some(source)).seeing(true);
        let chat = with_images();
        let Rendered { text, images } = template.render(&chat).unwrap();
        let paths: Vec<&str> = images.iter().map(|image| &*image.path).collect();
        let expected = ["messages.0.content.1", "messages.2.content.0.content.1", "messages.2.content.2"];
        assert_eq!(paths, expected);
        let rows = [vec![ROW], vec![ROW + 1, ROW + 7], vec![ROW + 9]];
        let tokens = template.tokenize(&text, &rows, &Characters, &Vocabulary::default()).tokens;
        let seen: Vec<Token> = tokens.iter().copied().filter(|token| *token >= ROW).collect();
        assert_eq!(seen, rows.concat(), "each once, in their order: {source}");
        let words: String = tokens.iter().filter_map(|token| char::from_u32(*token)).collect();
        assert!(words.contains("Add.\n") && !words.contains('\u{FDD1}'), "{words}");
    }
}

#[test]
fn an_image_that_the_template_leaves_out_is_an_error() {
    let last = "{{ messages[-1].content }}<|im_end|>";
    let failure = template(Some(last)).seeing(true).render(&with_images()).unwrap_err();
    assert!(failure.message.contains("does not show every image"), "{failure:?}");
}

#[test]
fn a_users_imitation_of_a_slot_is_none() {
    let mut chat = with_images();
    chat.messages[0].content.push(Block::text(slots::slot(1)));
    let template = template(Some(QWEN)).seeing(true);
    assert_eq!(template.render(&chat).unwrap().images.len(), 3);
}

#[test]
fn a_model_that_does_not_see_says_so() {
    let failure = template(Some(QWEN)).render(&with_images()).unwrap_err();
    assert!(failure.message.contains("messages.0.content.1: this model takes text only, not images"));
}
