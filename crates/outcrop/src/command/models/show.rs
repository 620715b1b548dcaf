//! `outcrop models show`: what a model's file tells of it.

use catalog::{Catalog, Details};

use crate::command::pull::fail;
use crate::config::Home;
use crate::exit::{Exit, Outcome};
use crate::terminal::{count, size};

pub(super) fn run(home: &Home, catalog: &Catalog, model: &str, json: bool) -> Outcome {
    let details = catalog::details(&home.models(), catalog, model).map_err(fail)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&details).map_err(Exit::failed)?);
        return Ok(());
    }
    for (name, value) in lines(&details) {
        println!("{name:<14}{}", value.replace('\n', "\n              "));
    }
    Ok(())
}

/// Names and values, without those that are not known.
fn lines(model: &Details) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    let mut line = |name, value: Option<String>| lines.extend(value.map(|value| (name, value)));
    line("id", model.id.clone());
    line("name", model.name.clone());
    line("architecture", Some(architecture(model)));
    line("parameters", Some(count(model.parameters)));
    line("quantization", Some(quantization(model)));
    line("context", context(model));
    line("memory", memory(model));
    let capabilities: Vec<_> = model.capabilities.iter().map(ToString::to_string).collect();
    line("capabilities", Some(capabilities.join(", ")));
    line(
        "vision",
        model.vision_needs_mmproj.then(|| {
            "in a second file (mmproj), where the model has one; not taken by local models yet".to_owned()
        }),
    );
    line("tokenizer", tokenizer(model));
    line("template", template(model));
    line("licence", model.license.clone());
    line("size", Some(size(model.size_bytes)));
    line("path", Some(model.path.display().to_string()));
    line("sha256", model.sha256.map(|sha256| sha256.to_string()));
    line("source", model.source.clone());
    line("derived from", model.derived_from.as_ref().map(|sha256| format!("the file with sha256 {sha256}")));
    line(
        "run as",
        model.derived.as_ref().map(|derived| {
            format!("{} ({})\n{}", derived.id, size(derived.size_bytes), derived.path.display())
        }),
    );
    lines
}

fn architecture(model: &Details) -> String {
    let layers = model.layers.map(|layers| format!(", {layers} layers"));
    format!("{}{}", model.architecture, layers.unwrap_or_default())
}

fn quantization(model: &Details) -> String {
    let all: u64 = model.quantization.iter().map(|stored| stored.bytes).sum();
    let share = |bytes: u64| (bytes as f64 / all.max(1) as f64 * 100.0).round();
    let mix = model
        .quantization
        .iter()
        .map(|stored| format!("{} {}% ({} tensors)", stored.kind, share(stored.bytes), stored.tensors));
    mix.collect::<Vec<_>>().join(", ")
}

fn context(model: &Details) -> Option<String> {
    let mut text = format!("{} tokens", model.context_length?);
    if let Some(scaling) = &model.rope_scaling {
        text += &format!(", stretched by {}", scaling.kind);
        if let Some(factor) = scaling.factor {
            text += &format!(" ×{factor}");
        }
        if let Some(original) = scaling.original_context_length {
            text += &format!(" from {original}");
        }
    }
    Some(text)
}

fn memory(model: &Details) -> Option<String> {
    let memory = model.memory.as_ref()?;
    let mut text = format!("{} for 1,000 tokens of context", size(memory.bytes_per_1000_tokens));
    if Some(memory.layers) != model.layers {
        text += &format!(", kept by {} layers", memory.layers);
    }
    if let Some(window) = &memory.sliding_window {
        let layers = window.layers.map_or("some".to_owned(), |layers| layers.to_string());
        text += &format!("; {layers} layers look back {} tokens only", window.tokens);
    }
    Some(text)
}

fn tokenizer(model: &Details) -> Option<String> {
    let tokenizer = model.tokenizer.as_ref()?;
    let mut text = tokenizer.model.clone();
    if let Some(pre) = &tokenizer.pre {
        text += &format!(" ({pre})");
    }
    if let Some(tokens) = tokenizer.tokens {
        text += &format!(", {} tokens", tokens);
    }
    Some(text)
}

fn template(model: &Details) -> Option<String> {
    let template = model.chat_template.as_ref()?;
    let more = template.lines.saturating_sub(template.head.len());
    let mut text = template.head.join("\n");
    if more > 0 {
        text += &format!("\n… {more} more lines");
    }
    Some(text)
}
