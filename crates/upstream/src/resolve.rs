//! A configured table and what is known of its kind → what a connection needs.
//!
//! The configuration wins field by field. A `base_url` of one's own may be written with
//! or without the path that a dialect has below it: people copy either from the docs.

use std::collections::BTreeMap;

use dialect::Quirks;

use crate::auth::Auth;
use crate::known::{Known, Variable};
use crate::provider::{ANY_MODEL, Provider, ProviderError, Speaks};

/// A provider with nothing left open.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// The dialects it speaks, the preferred one first.
    pub dialects: Vec<Place>,
    /// Where it is.
    pub base_url: String,
    /// Its region, where it has one.
    pub region: Option<String>,
    /// How to prove who we are.
    pub auth: Auth,
    /// Headers it asks for, and the configured ones.
    pub headers: BTreeMap<String, String>,
    /// How it differs from the vendor whose dialect it speaks.
    pub quirks: Quirks,
    /// The models to list.
    pub models: Vec<String>,
}

/// A dialect that a provider speaks, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The dialect.
    pub speaks: Speaks,
    /// Where it lies below `base_url`; empty: right there.
    pub path: String,
    /// Beginnings of the names of the models that speak it; empty: all that no other
    /// dialect claims.
    pub model_prefixes: Vec<String>,
}

impl Provider {
    /// What is known of its kind, if anything is.
    ///
    /// # Errors
    /// [`ProviderError::Kind`] for a kind that is not known.
    pub fn known(&self, name: &str) -> Result<Option<&'static Known>, ProviderError> {
        match &self.kind {
            None => Ok(Known::find(name).filter(|_| self.is_inheriting())),
            Some(kind) => Known::find(kind)
                .map(Some)
                .ok_or_else(|| ProviderError::Kind { provider: name.to_owned(), kind: kind.clone() }),
        }
    }

    /// A table that says both where and how is complete: its name is then only a name.
    fn is_inheriting(&self) -> bool {
        self.base_url.is_none() || (self.dialect.is_none() && self.dialects.is_empty())
    }

    /// Fills in what is inherited. Reads variables of the environment, no secrets.
    ///
    /// # Errors
    /// What is missing or unknown.
    pub fn resolve(&self, name: &str) -> Result<Resolved, ProviderError> {
        let known = self.known(name)?;
        let dialects = self.spoken(known);
        if dialects.is_empty() {
            return Err(missing(name, "dialects", "write which it speaks, or the `kind` of provider it is"));
        }
        let paths = if self.paths.is_empty() { known.map(|known| &known.paths) } else { Some(&self.paths) };
        let path = |speaks: &Speaks| paths.and_then(|paths| paths.get(speaks)).cloned().unwrap_or_default();
        let claimed = |speaks: &Speaks| known.and_then(|known| known.model_prefixes.get(speaks));
        let dialects: Vec<Place> = dialects
            .iter()
            .map(|speaks| Place {
                speaks: *speaks,
                path: path(speaks),
                model_prefixes: claimed(speaks).cloned().unwrap_or_default(),
            })
            .collect();
        let region = self.variable(Variable::Region, known);
        let base_url = self.base_url(name, known, region.as_deref(), &dialects)?;
        let mut headers = known.map(|known| known.headers.clone()).unwrap_or_default();
        headers.extend(self.headers.clone());
        let quirks = match (&self.quirks, known) {
            (Some(quirks), _) => quirks.as_slice(),
            (None, Some(known)) => known.quirks.as_slice(),
            (None, None) => &[],
        };
        let models = self.models.as_ref().or(known.map(|known| &known.models)).cloned().unwrap_or_default();
        Ok(Resolved {
            dialects,
            base_url,
            region,
            auth: self.auth.over(known.map(|known| &known.auth)),
            headers,
            quirks: quirks.iter().map(|quirk| quirk.0).collect(),
            models: models.into_iter().filter(|model| model != ANY_MODEL).collect(),
        })
    }

    fn spoken(&self, known: Option<&Known>) -> Vec<Speaks> {
        let mut dialects: Vec<Speaks> = self.dialect.iter().chain(&self.dialects).copied().collect();
        if dialects.is_empty()
            && let Some(known) = known
        {
            dialects.clone_from(&known.dialects);
        }
        let mut seen = Vec::with_capacity(dialects.len());
        dialects.retain(|speaks| {
            !seen.contains(speaks) && {
                seen.push(*speaks);
                true
            }
        });
        dialects
    }

    fn base_url(
        &self,
        name: &str,
        known: Option<&Known>,
        region: Option<&str>,
        dialects: &[Place],
    ) -> Result<String, ProviderError> {
        let inherited = known.and_then(|known| {
            let regional = region.and_then(|region| known.base_urls.get(region));
            regional.or(known.base_url.as_ref())
        });
        let mut url = match (&self.base_url, inherited) {
            (Some(url), _) => {
                let url = url.trim_end_matches('/');
                let paths = dialects.iter().map(|place| place.path.as_str()).filter(|path| !path.is_empty());
                paths.filter_map(|path| url.strip_suffix(path)).next().unwrap_or(url).to_owned()
            }
            (None, Some(url)) => url.clone(),
            (None, None) => {
                return Err(missing(name, "base_url", "write where it is, such as http://127.0.0.1:8000/v1"));
            }
        };
        for variable in Variable::ALL {
            let braces = format!("{{{}}}", variable.name());
            if !url.contains(&braces) {
                continue;
            }
            let Some(value) = self.variable(variable, known) else {
                return Err(missing(name, variable.name(), &advice(variable, known)));
            };
            if !is_plain(&value) {
                let advice = "only letters, digits, `-`, `_` and `.` can stand in a URL's name";
                return Err(missing(name, variable.name(), advice));
            }
            url = url.replace(&braces, &value);
        }
        Ok(url)
    }

    /// Configured, else from the environment, else the data's default.
    fn variable(&self, variable: Variable, known: Option<&Known>) -> Option<String> {
        let configured = match variable {
            Variable::Region => &self.region,
            Variable::Resource => &self.resource,
            Variable::Project => &self.project,
        };
        let source = known.and_then(|known| known.variables.get(&variable));
        configured
            .clone()
            .or_else(|| source?.env.iter().find_map(|name| std::env::var(name).ok()))
            .filter(|value| !value.is_empty())
            .or_else(|| source?.default.clone())
    }
}

fn is_plain(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn missing(provider: &str, field: &'static str, advice: &str) -> ProviderError {
    ProviderError::Missing { provider: provider.to_owned(), field, advice: advice.to_owned() }
}

fn advice(variable: Variable, known: Option<&Known>) -> String {
    let Some(source) = known.and_then(|known| known.variables.get(&variable)) else {
        return format!("write `{} = \"…\"`, which base_url asks for", variable.name());
    };
    let or_set = match source.env.first() {
        Some(env) => format!(", or set {env}"),
        None => String::new(),
    };
    format!("write `{} = \"…\"`{or_set} ({})", variable.name(), source.about)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(name: &str, toml: &str) -> Result<Resolved, String> {
        let provider: Provider = toml::from_str(toml).unwrap();
        provider.resolve(name).map_err(|error| error.to_string())
    }

    fn place(speaks: Speaks, path: &str) -> Place {
        Place { speaks, path: path.to_owned(), model_prefixes: Vec::new() }
    }

    #[test]
    fn an_empty_table_inherits_all() {
        let openai = resolve("openai", "").unwrap();
        assert_eq!(openai.base_url, "https://api.openai.com");
        assert_eq!(openai.dialects[0], place(Speaks::OpenAiChat, "/v1"));
        assert_eq!(openai.auth.env, ["OPENAI_API_KEY"]);
    }

    #[test]
    fn a_kind_lends_its_data_to_any_name() {
        let lab = resolve("lab", "kind = 'vllm'\nbase_url = 'http://gpu:8000'").unwrap();
        assert_eq!(lab.base_url, "http://gpu:8000");
        assert!(lab.quirks.has(dialect::Quirk::SamplingExtensions));
        assert!(resolve("lab", "kind = 'no-such'").unwrap_err().contains("providers list"));
    }

    #[test]
    fn a_base_url_may_be_written_with_or_without_the_dialects_path() {
        for url in ["http://gpu:8000/v1", "http://gpu:8000/v1/", "http://gpu:8000", "http://gpu:8000/"] {
            let vllm = resolve("vllm", &format!("base_url = '{url}'")).unwrap();
            assert_eq!(vllm.base_url, "http://gpu:8000", "{url}");
        }
    }

    #[test]
    fn a_complete_table_is_its_own_whatever_its_name() {
        let own = resolve("openai", "dialect = 'openai-chat'\nbase_url = 'http://h/v1'").unwrap();
        assert_eq!(own.base_url, "http://h/v1");
        assert_eq!(own.dialects, [place(Speaks::OpenAiChat, "")]);
        assert_eq!(own.auth, Auth::default());
    }

    #[test]
    fn every_field_can_be_overridden() {
        let azure = resolve(
            "azure-openai",
            "resource = 'acme'\ndialects = ['openai-responses']\nquirks = ['no-user']\nmodels = ['*', 'm']\n\
             headers = { x-a = 'b' }\nauth = { scheme = 'bearer', value = 'k' }",
        )
        .unwrap();
        assert_eq!(azure.base_url, "https://acme.openai.azure.com/openai");
        assert_eq!(azure.dialects, [place(Speaks::OpenAiResponses, "/v1")]);
        assert!(azure.quirks.has(dialect::Quirk::NoUser));
        assert_eq!(azure.models, ["m"]);
        assert!(azure.auth.env.is_empty(), "another source replaces the inherited one");
    }

    #[test]
    fn what_is_missing_is_named_with_what_to_do() {
        assert!(resolve("lab", "").unwrap_err().contains("dialects is missing"));
        assert!(resolve("lab", "dialect = 'anthropic'").unwrap_err().contains("base_url is missing"));
        let resource = resolve("azure-openai", "").unwrap_err();
        assert!(resource.contains("resource is missing") && resource.contains("resource = "), "{resource}");
        let odd = resolve("azure-openai", "resource = 'evil.example/?'").unwrap_err();
        assert!(odd.contains("letters"), "{odd}");
    }

    #[test]
    fn regions_choose_the_host() {
        let vertex = |region: &str| {
            resolve("vertex", &format!("project = 'p'\nregion = '{region}'")).unwrap().base_url
        };
        assert_eq!(
            vertex("europe-west4"),
            "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4"
        );
        assert_eq!(vertex("global"), "https://aiplatform.googleapis.com/v1/projects/p/locations/global");
        let bedrock = resolve("bedrock", "region = 'eu-west-1'").unwrap();
        assert_eq!(bedrock.base_url, "https://bedrock-runtime.eu-west-1.amazonaws.com");
    }
}
