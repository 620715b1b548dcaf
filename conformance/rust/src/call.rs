//! One call: the client it is made with, the operation, and the error it may end in.

use std::fmt::Debug;
use std::time::{Duration, SystemTime};

use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::config::http::{HttpRequest, HttpResponse};
use aws_sdk_bedrockruntime::config::retry::RetryConfig;
use aws_sdk_bedrockruntime::config::timeout::TimeoutConfig;
use aws_sdk_bedrockruntime::config::{BehaviorVersion, Config, Credentials, Region, Token};
use aws_sdk_bedrockruntime::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_bedrockruntime::operation::RequestId;
use aws_sdk_bedrockruntime::types::ResponseStream;
use aws_smithy_async::time::TimeSource;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

use crate::input::{self, text};
use crate::output;

/// The SDK's user gives up after this long, not the SDK.
const OPERATION_SECONDS: u64 = 120;

/// Runs `task` and returns its output, or its error in the tests' words.
pub async fn run(task: &Value, on_event: impl FnMut(Value)) -> Result<Value, Value> {
    let client = client(&task["client"]);
    let input = &task["input"];
    match text(&task["command"]).as_str() {
        "Converse" => converse(&client, input, task.get("body")).await,
        "ConverseStream" => converse_stream(&client, input, on_event).await,
        "InvokeModel" => invoke(&client, input).await,
        "InvokeModelWithResponseStream" => invoke_stream(&client, input, on_event).await,
        "CountTokens" => count(&client, input).await,
        "ApplyGuardrail" => guardrail(&client).await,
        other => Err(json!({"message": format!("no command {other}"), "isServiceException": false})),
    }
}

fn client(wanted: &Value) -> Client {
    let timeouts = TimeoutConfig::builder().operation_timeout(Duration::from_secs(OPERATION_SECONDS));
    let mut config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(text(&wanted["endpoint"]))
        .region(Region::new(text(&wanted["region"])))
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts.build())
        .time_source(SkewedClock(wanted["clockSkewMs"].as_i64().unwrap_or(0)))
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    if let Some(token) = wanted["token"].as_str() {
        config = config.bearer_token(Token::new(token, None));
    } else if wanted["anonymous"] == true {
        config = config.allow_no_auth();
    } else {
        let pair = &wanted["credentials"];
        let (id, secret) = (text(&pair["accessKeyId"]), text(&pair["secretAccessKey"]));
        config = config.credentials_provider(Credentials::new(id, secret, None, None, "tests"));
    }
    Client::from_conf(config.build())
}

/// The machine's clock as the SDK sees it, off by so many milliseconds.
#[derive(Debug)]
struct SkewedClock(i64);

impl TimeSource for SkewedClock {
    fn now(&self) -> SystemTime {
        let skew = Duration::from_millis(self.0.unsigned_abs());
        let now = SystemTime::now();
        if self.0 < 0 { now - skew } else { now + skew }
    }
}

async fn converse(client: &Client, input: &Value, body: Option<&Value>) -> Result<Value, Value> {
    let request = client
        .converse()
        .model_id(text(&input["modelId"]))
        .set_messages(Some(input::messages(input)))
        .set_system(input::system(input))
        .set_inference_config(input::inference_config(input))
        .set_tool_config(input::tool_config(input));
    let sent = match body.map(input::bytes) {
        // Before it is signed: the signature is of what is sent.
        Some(body) => request.customize().mutate_request(move |request| replace(request, &body)).send().await,
        None => request.send().await,
    };
    let reply = sent.map_err(problem)?;
    Ok(output::converse(&reply, reply.request_id()))
}

fn replace(request: &mut HttpRequest, body: &[u8]) {
    request.headers_mut().insert("content-length", body.len().to_string());
    *request.body_mut() = SdkBody::from(body);
}

async fn converse_stream(
    client: &Client,
    input: &Value,
    mut on_event: impl FnMut(Value),
) -> Result<Value, Value> {
    let request = client
        .converse_stream()
        .model_id(text(&input["modelId"]))
        .set_messages(Some(input::messages(input)))
        .set_system(input::system(input))
        .set_inference_config(input::inference_config(input))
        .set_tool_config(input::tool_config(input));
    let mut reply = request.send().await.map_err(problem)?;
    while let Some(event) = reply.stream.recv().await.map_err(broken_stream)? {
        on_event(output::event(&event));
    }
    Ok(output::metadata(reply.request_id()))
}

async fn invoke(client: &Client, input: &Value) -> Result<Value, Value> {
    let body = input::bytes(&input["body"]).into();
    let reply =
        client.invoke_model().model_id(text(&input["modelId"])).body(body).send().await.map_err(problem)?;
    let found = json!({"contentType": reply.content_type(), "body": output::bytes(reply.body().as_ref())});
    Ok(output::with_metadata(found, reply.request_id()))
}

async fn invoke_stream(
    client: &Client,
    input: &Value,
    mut on_event: impl FnMut(Value),
) -> Result<Value, Value> {
    let body = input::bytes(&input["body"]).into();
    let request = client.invoke_model_with_response_stream().model_id(text(&input["modelId"])).body(body);
    let mut reply = request.send().await.map_err(problem)?;
    while let Some(event) = reply.body.recv().await.map_err(broken_stream)? {
        if let ResponseStream::Chunk(part) = event {
            let bytes = part.bytes().map(|blob| output::bytes(blob.as_ref()));
            on_event(json!({"chunk": {"bytes": bytes}}));
        }
    }
    Ok(output::metadata(reply.request_id()))
}

async fn count(client: &Client, input: &Value) -> Result<Value, Value> {
    let request =
        client.count_tokens().model_id(text(&input["modelId"])).input(input::counted(&input["input"]));
    let reply = request.send().await.map_err(problem)?;
    Ok(json!({"inputTokens": reply.input_tokens()}))
}

async fn guardrail(client: &Client) -> Result<Value, Value> {
    let request = client.apply_guardrail().guardrail_identifier("g").guardrail_version("1");
    let request = request.source("INPUT".into()).set_content(Some(Vec::new()));
    request.send().await.map(|_| json!({})).map_err(problem)
}

/// What the SDK's user finds in an error that came instead of a reply.
fn problem<E: ProvideErrorMetadata + Debug>(error: SdkError<E, HttpResponse>) -> Value {
    let response = error.raw_response();
    let status = response.map(|response| response.status().as_u16());
    let request_id = response.and_then(|response| response.headers().get("x-amzn-requestid"));
    let mut told = describe(&error);
    told["status"] = json!(status);
    told["requestId"] = json!(request_id);
    told
}

/// The same, amid a stream.
fn broken_stream<E: ProvideErrorMetadata + Debug, R: Debug>(error: SdkError<E, R>) -> Value {
    describe(&error)
}

fn describe<E: ProvideErrorMetadata + Debug, R: Debug>(error: &SdkError<E, R>) -> Value {
    let Some(service) = error.as_service_error() else {
        return json!({"message": format!("{error:?}"), "isServiceException": false});
    };
    // The name of the error enum's variant, which is what its users match on.
    let variant = format!("{service:?}");
    let variant = variant.split('(').next().unwrap_or_default();
    json!({
        "class": variant,
        "name": service.code(),
        "message": service.message().unwrap_or_default(),
        "isServiceException": true,
    })
}
