//! What `outcrop serve` prints: the root key once, and lines to copy.

use std::io::Write;
use std::net::SocketAddr;

use platform::keys::CreatedKey;
use server::Listeners;

use crate::command::keys::exports;

/// Where this server is and what it serves.
pub(super) struct Welcome {
    http: SocketAddr,
    https: Option<SocketAddr>,
    models: Vec<String>,
}

impl Welcome {
    pub(super) fn new(listeners: &Listeners, models: Vec<String>) -> Self {
        Self { http: listeners.address(), https: listeners.tls_address(), models }
    }

    /// The root key: paste the lines into the shell that calls.
    pub(super) fn root_key(&self, key: &CreatedKey) {
        let shown = show(&format!(
            "# The root key. It is shown this once; `outcrop keys create` makes others.\n{}\n",
            exports(key)
        ));
        if let Err(error) = shown {
            tracing::warn!(%error, "the root key could not be shown; `outcrop keys create` makes another");
        }
    }

    /// Everything is loaded.
    pub(super) fn ready(&self) {
        let model = self.models.first().map_or("MODEL", String::as_str);
        let url = format!("http://{}", self.http);
        let https = self.https.map(|address| format!(" and https://{address} (see `outcrop trust`)"));
        let https = https.unwrap_or_default();
        let ready = format!("{}\nready: {} on {url}{https}", snippets(&url, model), self.models.join(", "));
        if let Err(error) = show(&ready) {
            tracing::debug!(%error, "nobody reads standard output");
        }
    }
}

/// Prints, and bears that nobody reads it: a server outlives the terminal it was started in.
fn show(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Three ways in, each one paste long.
fn snippets(url: &str, model: &str) -> String {
    format!(
        r#"# Try it (with the key's three exports set; pip install boto3 anthropic openai):
curl -s {url}/v1/chat/completions -H "Authorization: Bearer $OUTCROP_API_KEY" -d '{{"model":"{model}","messages":[{{"role":"user","content":"Hello!"}}]}}'
python3 -c 'import boto3; print(boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url="{url}").converse(modelId="{model}", messages=[{{"role":"user","content":[{{"text":"Hello!"}}]}}])["output"]["message"]["content"][0]["text"])'
python3 -c 'import os, anthropic; print(anthropic.Anthropic(base_url="{url}", api_key=os.environ["OUTCROP_API_KEY"]).messages.create(model="{model}", max_tokens=100, messages=[{{"role":"user","content":"Hello!"}}]).content[0].text)'
python3 -c 'import os, openai; print(openai.OpenAI(base_url="{url}/v1", api_key=os.environ["OUTCROP_API_KEY"]).chat.completions.create(model="{model}", messages=[{{"role":"user","content":"Hello!"}}]).choices[0].message.content)'
"#
    )
}
