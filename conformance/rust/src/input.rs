//! The JSON of a Converse request, as boto3 takes it, in the types of the SDK: as much of
//! it as `conformance/clients/converse.py` writes.

use std::collections::HashMap;

use aws_sdk_bedrockruntime::types::{
    AnyToolChoice, AutoToolChoice, ContentBlock, ConversationRole, ConverseTokensRequest, CountTokensInput,
    ImageBlock, ImageFormat, ImageSource, InferenceConfiguration, InvokeModelTokensRequest, Message,
    SpecificToolChoice, SystemContentBlock, Tool, ToolChoice, ToolConfiguration, ToolInputSchema,
    ToolResultBlock, ToolResultContentBlock, ToolSpecification, ToolUseBlock,
};
use aws_smithy_types::{Document, Number, base64};
use serde_json::Value;

/// A string; the tests' own lines are trusted to be as agreed.
pub fn text(value: &Value) -> String {
    value.as_str().expect("the driver's protocol says a string").to_owned()
}

/// `{"$bytes": base64}`.
pub fn bytes(value: &Value) -> Vec<u8> {
    base64::decode(text(&value["$bytes"])).expect("the driver's protocol says base64")
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub fn messages(input: &Value) -> Vec<Message> {
    let message = |turn: &Value| {
        Message::builder()
            .role(ConversationRole::from(text(&turn["role"]).as_str()))
            .set_content(Some(list(&turn["content"]).map(block).collect()))
            .build()
            .expect("role and content are set")
    };
    list(&input["messages"]).map(message).collect()
}

fn block(block: &Value) -> ContentBlock {
    if let Some(text) = block["text"].as_str() {
        return ContentBlock::Text(text.to_owned());
    }
    if let Some(image) = block.get("image") {
        let image = ImageBlock::builder()
            .format(ImageFormat::from(text(&image["format"]).as_str()))
            .source(ImageSource::Bytes(bytes(&image["source"]["bytes"]).into()));
        return ContentBlock::Image(image.build().expect("format is set"));
    }
    if let Some(r#use) = block.get("toolUse") {
        let block = ToolUseBlock::builder()
            .tool_use_id(text(&r#use["toolUseId"]))
            .name(text(&r#use["name"]))
            .input(document(&r#use["input"]));
        return ContentBlock::ToolUse(block.build().expect("all is set"));
    }
    let result = &block["toolResult"];
    let content = list(&result["content"]).map(|part| ToolResultContentBlock::Text(text(&part["text"])));
    let block = ToolResultBlock::builder()
        .tool_use_id(text(&result["toolUseId"]))
        .set_content(Some(content.collect()));
    ContentBlock::ToolResult(block.build().expect("id and content are set"))
}

pub fn system(input: &Value) -> Option<Vec<SystemContentBlock>> {
    let blocks = input.get("system")?;
    Some(list(blocks).map(|block| SystemContentBlock::Text(text(&block["text"]))).collect())
}

pub fn inference_config(input: &Value) -> Option<InferenceConfiguration> {
    let wanted = input.get("inferenceConfig")?;
    let config = InferenceConfiguration::builder()
        .set_max_tokens(wanted["maxTokens"].as_i64().and_then(|tokens| tokens.try_into().ok()))
        .set_temperature(wanted["temperature"].as_f64().map(|temperature| temperature as f32))
        .set_stop_sequences(wanted.get("stopSequences").map(|stops| list(stops).map(text).collect()));
    Some(config.build())
}

pub fn tool_config(input: &Value) -> Option<ToolConfiguration> {
    let wanted = input.get("toolConfig")?;
    let choice = &wanted["toolChoice"];
    let choice = if choice.get("auto").is_some() {
        ToolChoice::Auto(AutoToolChoice::builder().build())
    } else if choice.get("any").is_some() {
        ToolChoice::Any(AnyToolChoice::builder().build())
    } else {
        let named = SpecificToolChoice::builder().name(text(&choice["tool"]["name"]));
        ToolChoice::Tool(named.build().expect("name is set"))
    };
    let tools = list(&wanted["tools"]).map(|tool| {
        let spec = &tool["toolSpec"];
        let spec = ToolSpecification::builder()
            .name(text(&spec["name"]))
            .description(text(&spec["description"]))
            .input_schema(ToolInputSchema::Json(document(&spec["inputSchema"]["json"])));
        Tool::ToolSpec(spec.build().expect("name and schema are set"))
    });
    let config = ToolConfiguration::builder().set_tools(Some(tools.collect())).tool_choice(choice);
    Some(config.build().expect("tools are set"))
}

/// What is to be counted.
pub fn counted(input: &Value) -> CountTokensInput {
    if let Some(invoke) = input.get("invokeModel") {
        let request = InvokeModelTokensRequest::builder().body(bytes(&invoke["body"]).into());
        return CountTokensInput::InvokeModel(request.build().expect("body is set"));
    }
    let converse = &input["converse"];
    let request = ConverseTokensRequest::builder()
        .set_messages(Some(messages(converse)))
        .set_system(system(converse))
        .set_tool_config(tool_config(converse));
    CountTokensInput::Converse(request.build())
}

fn document(value: &Value) -> Document {
    match value {
        Value::Null => Document::Null,
        Value::Bool(value) => Document::Bool(*value),
        Value::String(value) => Document::String(value.clone()),
        Value::Array(items) => Document::Array(items.iter().map(document).collect()),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), document(value)));
            Document::Object(fields.collect::<HashMap<_, _>>())
        }
        Value::Number(number) => Document::Number(match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Number::PosInt(number),
            (None, Some(number)) => Number::NegInt(number),
            (None, None) => Number::Float(number.as_f64().unwrap_or(f64::NAN)),
        }),
    }
}
