//! `docs/providers.md` is written from the data; a test fails when it says otherwise.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fmt::Write;
use std::path::Path;

use dialect::Quirk;
use upstream::{Known, Scheme};

const HEAD: &str = "\
# Providers

Written from `providers/*/provider.toml` by the test `providers_are_documented`; do not edit.

A provider runs models; Outcrop sends calls to it. Each below is known: its table in `outcrop.toml` inherits \
from it, field by field, and needs nothing that its environment variables already say.

```toml
[providers.openai]                  # OPENAI_API_KEY is set: this is enough

[providers.west]                    # another name: say whose data it inherits
kind = \"bedrock\"
region = \"us-west-2\"

[providers.lab]                     # anything else that speaks a known dialect
dialects = [\"openai-chat\"]
base_url = \"http://gpu.internal:8000/v1\"
auth = { command = [\"vault\", \"read\", \"-field=key\", \"secret/lab\"] }
```

A model is called as `provider/model`. Without `models` in the table any model of the provider can be called; \
with it only those listed (add `\"*\"` for the others, too). A call goes out in the client's own dialect where \
the provider speaks it, and is then forwarded as it came; else in the first of the list that can be asked for it. \
A server too old for one of its dialects is told by `dialects = [...]`.

`outcrop providers list` shows them with what the environment has; `outcrop providers test NAME` tries one.

| name | what | dialects | where | credential |
| --- | --- | --- | --- | --- |
";

const AUTH: &str = "
## Credentials

`auth` takes a `scheme` and at most one source. Secrets are never logged or shown in errors.

| source | what |
| --- | --- |
| `env` | an environment variable, or several of which the first that is set counts |
| `file` | a file's content; read again when it changes |
| `command` | what a program prints, run without a shell, for at most 30 s; bare and kept 5 min, or JSON `{\"secret\": \"…\", \"expires_in\": SECONDS}` and renewed before it expires |
| `value` | the secret itself |

| scheme | what is sent |
| --- | --- |
| `bearer` | `authorization: Bearer …` |
| `x-api-key`, `api-key`, `x-goog-api-key` | that header |
| `header` | the header named in `header` |
| `aws` | the secret as bearer where there is one (a Bedrock API key); else Signature Version 4 with credentials of the standard AWS chain: environment, profile (`profile`, or `AWS_PROFILE`), SSO cache, web identity, ECS and EKS, EC2. `service` names the signed service |
| `google` | an access token: of the service account or user in `file` or `GOOGLE_APPLICATION_CREDENTIALS`, of `gcloud auth application-default login`, or of the machine (metadata server) |
| `none` | nothing |

`ca_file` names a certificate authority to trust besides the system's.

## Quirks

Ways in which a server differs from the vendor whose dialect it speaks. A body is changed only if it says \
something a quirk is about; what is lost by it is named in `x-outcrop-dropped`.

| quirk | what is done | where |
| --- | --- | --- |
";

#[test]
fn providers_are_documented() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/providers.md");
    let document = document();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &document).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == document,
        "docs/providers.md does not say what providers/ does; run: \
         UPDATE_DOCS=1 cargo nextest run --release --workspace -E 'test(providers_are_documented)'"
    );
}

fn document() -> String {
    let mut text = HEAD.to_owned();
    for known in Known::all() {
        let dialects: Vec<&str> = known.dialects.iter().map(|speaks| speaks.name()).collect();
        let place = known.base_url.as_ref().map_or_else(|| "`base_url`".to_owned(), |url| format!("`{url}`"));
        writeln!(
            text,
            "| `{}` | [{}]({}) | {} | {place} | {} |",
            known.name,
            known.title,
            known.docs,
            dialects.join(", "),
            credential(known)
        )
        .unwrap();
    }
    let variables =
        Known::all().iter().flat_map(|known| known.variables.iter().map(move |pair| (known, pair)));
    text.push_str(
        "\n| setting | of | what | from the environment | otherwise |\n| --- | --- | --- | --- | --- |\n",
    );
    for (known, (variable, source)) in variables {
        let env = source.env.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let default = source.default.as_ref().map_or_else(String::new, |default| format!("`{default}`"));
        let name = variable.name();
        writeln!(text, "| `{name}` | `{}` | {} | {env} | {default} |", known.name, source.about).unwrap();
    }
    text.push_str(AUTH);
    for quirk in Quirk::ALL {
        let has = |known: &&Known| known.quirks.iter().any(|name| name.0 == quirk);
        let places: Vec<String> =
            Known::all().iter().filter(has).map(|known| format!("`{}`", known.name)).collect();
        writeln!(text, "| `{}` | {} | {} |", quirk.name(), quirk.about(), places.join(", ")).unwrap();
    }
    text
}

fn credential(known: &Known) -> String {
    let env: Vec<String> = known.auth.env.iter().map(|name| format!("`{name}`")).collect();
    let optional = if known.auth.optional { " (optional)" } else { "" };
    match (known.auth.scheme, env.is_empty()) {
        (Some(Scheme::Aws), true) => "AWS chain".to_owned(),
        (Some(Scheme::Aws), false) => format!("{}, or AWS chain", env.join(", ")),
        (Some(Scheme::Google), _) => "Google default credentials".to_owned(),
        (_, true) => "`auth`, if it asks for one".to_owned(),
        _ => format!("{}{optional}", env.join(", ")),
    }
}
