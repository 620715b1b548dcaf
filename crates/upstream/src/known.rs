//! Providers as data: `providers/NAME/provider.toml`, embedded in the binary.
//!
//! Each says what a vendor documents of its service: where it is, which dialects it
//! speaks, in which variable people keep its key, how it differs from the vendor whose
//! dialect it speaks. A `[providers.NAME]` table inherits from it. Adding a provider that
//! speaks a known dialect is adding a file, and its line here.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;

use crate::auth::Auth;
use crate::provider::{QuirkName, Speaks};

macro_rules! data {
    ($($name:literal),* $(,)?) => {
        /// Name and text of every provider.
        const DATA: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../../providers/", $name, "/provider.toml")))),*];
    };
}

data![
    "anthropic",
    "anthropic-compatible",
    "azure-openai",
    "bedrock",
    "cohere",
    "deepseek",
    "fireworks",
    "gemini",
    "groq",
    "llama-cpp",
    "lm-studio",
    "mistral",
    "nvidia-nim",
    "ollama",
    "openai",
    "openai-compatible",
    "openrouter",
    "perplexity",
    "sagemaker",
    "sglang",
    "tgi",
    "together",
    "vertex",
    "vllm",
    "xai",
];

/// What is known of a provider.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// The name in configuration and in `provider/model`.
    #[serde(skip)]
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// Where its interface is documented.
    pub docs: String,
    /// The dialects it speaks, the preferred one first.
    pub dialects: Vec<Speaks>,
    /// Where it is; none where every installation has its own.
    #[serde(default)]
    pub base_url: Option<String>,
    /// Where it is in regions that are no part of `base_url`'s pattern.
    #[serde(default)]
    pub base_urls: BTreeMap<String, String>,
    /// Where a dialect lies below the base URL.
    #[serde(default)]
    pub paths: BTreeMap<Speaks, String>,
    /// Beginnings of the names of the models that speak a dialect, where not all do.
    #[serde(default)]
    pub model_prefixes: BTreeMap<Speaks, Vec<String>>,
    /// What stands in braces in `base_url`.
    #[serde(default)]
    pub variables: BTreeMap<Variable, VariableSource>,
    /// How to prove who we are.
    #[serde(default)]
    pub auth: Auth,
    /// Headers it asks for.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// How it differs from the vendor whose dialect it speaks.
    #[serde(default)]
    pub quirks: Vec<QuirkName>,
    /// Models worth listing; any other can be called, too.
    #[serde(default)]
    pub models: Vec<String>,
    /// Where each of these facts was read.
    pub sources: BTreeMap<String, String>,
}

/// What may stand in braces in a base URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variable {
    /// A region of the vendor's.
    Region,
    /// A deployment.
    Resource,
    /// A project.
    Project,
}

impl Variable {
    pub(crate) const ALL: [Self; 3] = [Self::Region, Self::Resource, Self::Project];

    /// The name of the setting, and in braces.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Region => "region",
            Self::Resource => "resource",
            Self::Project => "project",
        }
    }
}

/// Where a variable's value comes from when the configuration does not say.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VariableSource {
    /// What it is.
    pub about: String,
    /// Environment variables the vendor documents; the first that is set counts.
    #[serde(default)]
    pub env: Vec<String>,
    /// Otherwise.
    #[serde(default)]
    pub default: Option<String>,
}

impl Known {
    /// Every provider, by name.
    pub fn all() -> &'static [Self] {
        static ALL: OnceLock<Vec<Known>> = OnceLock::new();
        ALL.get_or_init(|| DATA.iter().map(|(name, text)| read(name, text)).collect())
    }

    /// The provider of a name.
    pub fn find(name: &str) -> Option<&'static Self> {
        Self::all().iter().find(|known| known.name == name)
    }
}

fn read(name: &str, text: &str) -> Known {
    let known: Known = toml::from_str(text).expect("embedded data, read by a test");
    Known { name: name.to_owned(), ..known }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Provider, Scheme, Transport};

    /// A file that is not embedded would be silently without effect.
    #[test]
    fn every_file_is_embedded() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../providers");
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
            .filter(|name| !name.contains('.'))
            .collect();
        names.sort();
        let embedded: Vec<&str> = DATA.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, embedded);
    }

    #[test]
    fn every_fact_is_well_formed_and_has_a_source() {
        for known in Known::all() {
            let name = &known.name;
            assert!(!known.title.is_empty() && known.docs.starts_with("https://"), "{name}");
            assert!(!known.dialects.is_empty(), "{name}");
            let sourced = |field: &str| {
                let source = known.sources.get(field).unwrap_or_else(|| panic!("{name}: sources.{field}"));
                let read = source.contains("read 2026-") || source.starts_with("https://");
                assert!(read, "{name}: sources.{field} is a document, or says what was read when");
            };
            sourced("dialects");
            if known.base_url.is_some() {
                sourced("base_url");
            }
            if known.auth != Auth::default() {
                sourced("auth");
            }
            if !known.quirks.is_empty() {
                sourced("quirks");
            }
            if !known.models.is_empty() {
                sourced("models");
            }
            for speaks in known.paths.keys() {
                assert!(known.dialects.contains(speaks), "{name}: paths.{}", speaks.name());
            }
            for path in known.paths.values() {
                assert!(path.starts_with('/') && !path.ends_with('/'), "{name}: {path}");
            }
            for url in known.base_url.iter().chain(known.base_urls.values()) {
                assert!(!url.ends_with('/'), "{name}: {url}");
                for variable in Variable::ALL {
                    let braces = format!("{{{}}}", variable.name());
                    let known_variable = known.variables.contains_key(&variable);
                    assert!(!url.contains(&braces) || known_variable, "{name}: {braces}");
                }
            }
            let mut quirks: Vec<&str> = known.quirks.iter().map(|quirk| quirk.0.name()).collect();
            quirks.dedup();
            assert_eq!(quirks.len(), known.quirks.len(), "{name}: a quirk stands twice");
        }
    }

    /// An empty table and the vendor's usual variable are enough.
    #[test]
    fn an_empty_table_is_enough() {
        for known in Known::all() {
            let mut provider = Provider::default();
            if known.base_url.is_none() {
                provider.base_url = Some("http://127.0.0.1:1/v1".to_owned());
            }
            for variable in known.variables.keys() {
                match variable {
                    Variable::Region => provider.region = Some("eu-west-1".to_owned()),
                    Variable::Resource => provider.resource = Some("acme".to_owned()),
                    Variable::Project => provider.project = Some("p-1".to_owned()),
                }
            }
            // Stands for the variable: tests must not change the environment.
            if !matches!(known.auth.scheme, Some(Scheme::Aws | Scheme::Google)) {
                provider.auth.value = Some(crate::auth::Plain::new("k"));
            }
            match Transport::open(&known.name, &provider) {
                Ok(_) => {}
                // Its dialect is data before it is code.
                Err(crate::ProviderError::Dialect { .. }) => {}
                Err(error) => panic!("{}: {error}", known.name),
            }
        }
    }
}
