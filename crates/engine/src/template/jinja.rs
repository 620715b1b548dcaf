//! The Jinja environment that chat templates expect: transformers' own, on minijinja.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde};
use minijinja::{Environment, Error, ErrorKind, Value};
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};
use time::OffsetDateTime;

/// Instructions one render may take. A turn takes a few hundred in the longest
/// templates; a template that never ends takes all of these in about a second.
const FUEL: u64 = 10_000_000;

const DEFAULT: &str = "default";
const WITH_TOOLS: &str = "tool_use";

/// A model's templates, compiled.
pub(super) struct Jinja {
    environment: Environment<'static>,
    has_tool_variant: bool,
}

impl Jinja {
    /// Compiles a template, and its variant for conversations with tools, if there is one.
    pub(super) fn new(source: &str, with_tools: Option<&str>, bos: &str, eos: &str) -> Result<Self, Error> {
        let mut environment = Environment::new();
        environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", strftime_now);
        environment.add_filter("tojson", to_json);
        environment.add_global("bos_token", bos);
        environment.add_global("eos_token", eos);
        environment.add_template_owned(DEFAULT, plain(source))?;
        if let Some(source) = with_tools {
            environment.add_template_owned(WITH_TOOLS, plain(source))?;
        }
        Ok(Self { environment, has_tool_variant: with_tools.is_some() })
    }

    /// Renders a conversation: `messages`, `tools`, `add_generation_prompt`.
    pub(super) fn render(&self, context: &serde_json::Value) -> Result<String, String> {
        let tools = context.get("tools").is_some_and(|tools| !tools.is_null());
        let name = if tools && self.has_tool_variant { WITH_TOOLS } else { DEFAULT };
        let render = || self.environment.get_template(name)?.render(Value::from(Serde(context)));
        render().map_err(|error: Error| {
            error.detail().map_or_else(|| error.kind().to_string(), ToOwned::to_owned)
        })
    }
}

/// `{% generation %}` marks what transformers trains on; it means nothing here.
fn plain(source: &str) -> String {
    let mut source = source.to_owned();
    for name in ["generation", "endgeneration"] {
        for (open, close) in [("{%", "%}"), ("{%-", "%}"), ("{%", "-%}"), ("{%-", "-%}")] {
            let comment = format!("{}{name}{}", open.replace('%', "#"), close.replace('%', "#"));
            source = source.replace(&format!("{open} {name} {close}"), &comment);
        }
    }
    source
}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

/// The time in `strftime` notation, in UTC: a server's local time means nothing to a caller.
fn strftime_now(format: &str) -> Result<String, Error> {
    let invalid = |error: String| Error::new(ErrorKind::InvalidOperation, error);
    let items =
        time::format_description::parse_strftime_borrowed(format).map_err(|e| invalid(e.to_string()))?;
    OffsetDateTime::now_utc().format(&items).map_err(|e| invalid(e.to_string()))
}

/// `json.dumps(value, ensure_ascii=False, indent=…)`; minijinja's own filter escapes
/// for HTML, which models were not taught.
fn to_json(value: &Value, kwargs: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = kwargs.get("indent")?;
    // Options that transformers passes on and whose defaults are what we do.
    for ignored in ["ensure_ascii", "sort_keys", "separators"] {
        let _ = kwargs.get::<Option<Value>>(ignored)?;
    }
    kwargs.assert_all_used()?;
    Ok(match indent {
        // Deeper than any document is wide.
        Some(indent) => {
            write_json(value, PrettyFormatter::with_indent(" ".repeat(indent.min(64)).as_bytes()))
        }
        None => python_json(value),
    })
}

/// JSON as Python's `json.dumps` writes it: a blank after each comma and colon.
pub(crate) fn python_json(value: &impl Serialize) -> String {
    write_json(value, PythonFormatter)
}

fn write_json(value: &impl Serialize, formatter: impl Formatter) -> String {
    let mut bytes = Vec::new();
    match value.serialize(&mut Serializer::with_formatter(&mut bytes, formatter)) {
        Ok(()) => String::from_utf8(bytes).unwrap_or_default(),
        // Only maps with keys that are no strings; Python refuses those as well.
        Err(_) => String::new(),
    }
}

struct PythonFormatter;

impl Formatter for PythonFormatter {
    fn begin_array_value<W: std::io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: std::io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: std::io::Write + ?Sized>(&mut self, writer: &mut W) -> std::io::Result<()> {
        writer.write_all(b": ")
    }
}
