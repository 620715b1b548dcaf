//! What `outcrop pull` was asked for.
//!
//! ```text
//! qwen3-0.6b                                          a model of the catalog
//! hf:Qwen/Qwen3-0.6B-GGUF/Qwen3-0.6B-Q8_0.gguf        a file of the hub; hf:org/repo@revision/file
//! https://huggingface.co/org/repo/blob/main/x.gguf    the same, as copied from a browser
//! https://example.com/x.gguf                          any address
//! ./x.gguf                                            a local file, copied
//! ./x                                                 a folder of safetensors, converted
//! ```

use std::path::{Path, PathBuf};

use url::Url;

use crate::catalog::{ID_MAX_CHARS, check_hub, is_id};
use crate::{Catalog, Model, Precision, PullError, Source, Terms};

/// Where the hub is unless `HF_ENDPOINT` says otherwise; its pages' addresses are understood.
const HUB_HOSTS: [&str; 2] = ["huggingface.co", "hf.co"];

/// Something to pull.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// A model of the catalog.
    Model(Box<Model>),
    /// A file by its address.
    File {
        /// The id it will have here, made from its name.
        id: String,
        /// Its address.
        source: Source,
    },
    /// A file of this machine.
    Local {
        /// The id it will have here, made from its name.
        id: String,
        /// Its path.
        path: PathBuf,
    },
    /// A folder of this machine, as model hubs publish them, to be converted.
    Folder {
        /// The id it will have here, made from its name.
        id: String,
        /// Its path.
        path: PathBuf,
        /// How its matrices will be stored.
        precision: Precision,
    },
}

impl Request {
    /// Understands what was typed.
    ///
    /// # Errors
    /// [`PullError::UnknownModel`] or [`PullError::Request`].
    pub fn parse(text: &str, catalog: &Catalog) -> Result<Self, PullError> {
        let wrong = |why: String| PullError::Request { request: text.into(), why };
        if let Some(address) = text.strip_prefix("hf:") {
            return hub(address.trim_start_matches("//")).map_err(wrong);
        }
        if text.starts_with("https://") || text.starts_with("http://") {
            return web(text).map_err(wrong);
        }
        if text.contains("://") {
            return Err(wrong("addresses begin with https://, http:// or hf:".into()));
        }
        let path = Path::new(text);
        if path.is_dir() && (text.contains('/') || text == "." || text == "..") {
            return Self::folder(path, None, Precision::default());
        }
        if text.contains('/') || text.ends_with(".gguf") {
            let id = id_of(&path.file_name().unwrap_or_default().to_string_lossy()).map_err(wrong)?;
            return Ok(Self::Local { id, path: path.to_owned() });
        }
        catalog.find(text).map(|model| Self::Model(Box::new(model.clone())))
    }

    /// A folder as model hubs publish them; without an `id` it is called as the folder is.
    ///
    /// # Errors
    /// [`PullError::Request`].
    pub fn folder(path: &Path, id: Option<&str>, precision: Precision) -> Result<Self, PullError> {
        let wrong = |why: String| PullError::Request { request: path.display().to_string(), why };
        let whole = path.canonicalize().map_err(|error| wrong(error.to_string()))?;
        let name = whole.file_name().unwrap_or_default().to_string_lossy();
        let id = match id {
            Some(id) if is_id(id) => id.to_owned(),
            Some(id) => return Err(wrong(format!("{id:?} is no id: a-z, 0-9, `.`, `_`, `-`"))),
            None => id_of_stem(&name).map_err(wrong)?,
        };
        Ok(Self::Folder { id, path: whole, precision })
    }

    /// The id the model has, or will have, here.
    pub fn id(&self) -> &str {
        match self {
            Self::Model(model) => &model.id,
            Self::File { id, .. } | Self::Local { id, .. } | Self::Folder { id, .. } => id,
        }
    }

    /// Terms to show before the download.
    pub fn terms(&self) -> Option<&Terms> {
        match self {
            Self::Model(model) => model.terms.as_ref(),
            Self::File { .. } | Self::Local { .. } | Self::Folder { .. } => None,
        }
    }
}

/// `org/repo[@revision]/path/of/file`.
fn hub(address: &str) -> Result<Request, String> {
    let mut parts = address.splitn(3, '/');
    let (Some(organisation), Some(repository), Some(file)) = (parts.next(), parts.next(), parts.next())
    else {
        return Err("a hub file is hf:organisation/repository/file".into());
    };
    let (repository, revision) = repository.split_once('@').unwrap_or((repository, "main"));
    hub_file(format!("{organisation}/{repository}"), file, revision)
}

fn hub_file(hub: String, file: &str, revision: &str) -> Result<Request, String> {
    check_hub(&hub, file, revision)?;
    let id = id_of(file.rsplit('/').next().unwrap_or(file))?;
    Ok(Request::File { id, source: Source::Hub { hub, file: file.into(), revision: revision.into() } })
}

fn web(address: &str) -> Result<Request, String> {
    let url = Url::parse(address).map_err(|error| error.to_string())?;
    let segments: Vec<_> = url.path_segments().map(Iterator::collect).unwrap_or_default();
    if url.host_str().is_some_and(|host| HUB_HOSTS.contains(&host))
        && let [organisation, repository, "resolve" | "blob", revision, file @ ..] = segments.as_slice()
        && !file.is_empty()
    {
        return hub_file(format!("{organisation}/{repository}"), &file.join("/"), revision);
    }
    let id = id_of(segments.last().copied().unwrap_or_default())?;
    Ok(Request::File { id, source: Source::Url { url: url.into() } })
}

/// A file's name as an id: lower case, `.gguf` off, anything odd a dash.
fn id_of(file: &str) -> Result<String, String> {
    let stem = file.strip_suffix(".gguf").or_else(|| file.strip_suffix(".GGUF"));
    let Some(stem) = stem else { return Err("the name of a model file ends in .gguf".into()) };
    if is_split(stem) {
        return Err(
            "this is one piece of a split model; join the pieces with `llama-gguf-split --merge` first"
                .into(),
        );
    }
    id_of_stem(stem)
}

fn id_of_stem(stem: &str) -> Result<String, String> {
    let id: String = stem
        .to_ascii_lowercase()
        .chars()
        .map(|char| if char.is_ascii_alphanumeric() || matches!(char, '.' | '_') { char } else { '-' })
        .collect();
    let id = id.trim_matches(['-', '.', '_']);
    if id.is_empty() || id.len() > ID_MAX_CHARS {
        return Err(format!("its name must have 1 to {ID_MAX_CHARS} letters or digits"));
    }
    Ok(id.into())
}

/// `…-00001-of-00003`.
fn is_split(stem: &str) -> bool {
    let number = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    stem.rsplit_once("-of-").is_some_and(|(front, count)| {
        number(count) && front.rsplit_once('-').is_some_and(|(_, index)| number(index))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Request, PullError> {
        Request::parse(text, &Catalog::load(Path::new("/nonexistent")).unwrap())
    }

    fn hub(hub: &str, file: &str, revision: &str, id: &str) -> Request {
        let source = Source::Hub { hub: hub.into(), file: file.into(), revision: revision.into() };
        Request::File { id: id.into(), source }
    }

    #[test]
    fn every_form_is_understood() {
        assert_eq!(parse("qwen3-0.6b").unwrap().id(), "qwen3-0.6b");
        let expected = hub("Qwen/Qwen3-0.6B-GGUF", "Qwen3-0.6B-Q8_0.gguf", "main", "qwen3-0.6b-q8_0");
        assert_eq!(parse("hf:Qwen/Qwen3-0.6B-GGUF/Qwen3-0.6B-Q8_0.gguf").unwrap(), expected);
        assert_eq!(parse("hf://Qwen/Qwen3-0.6B-GGUF/Qwen3-0.6B-Q8_0.gguf").unwrap(), expected);
        let page = "https://huggingface.co/Qwen/Qwen3-0.6B-GGUF/blob/main/Qwen3-0.6B-Q8_0.gguf?download=true";
        assert_eq!(parse(page).unwrap(), expected);
        assert_eq!(parse("hf:a/b@v1/q4/x.gguf").unwrap(), hub("a/b", "q4/x.gguf", "v1", "x"));
        let url = "https://example.com/models/My%20Model.gguf";
        assert_eq!(
            parse(url).unwrap(),
            Request::File { id: "my-20model".into(), source: Source::Url { url: url.into() } }
        );
        assert_eq!(
            parse("./a/Mine (1).gguf").unwrap(),
            Request::Local { id: "mine--1".into(), path: "./a/Mine (1).gguf".into() }
        );
    }

    #[test]
    fn what_cannot_be_pulled_says_why() {
        for (text, why) in [
            ("nope", "no model nope"),
            ("", "no model"),
            ("hf:a/b", "hf:organisation/repository/file"),
            ("hf:a/../x.gguf", "organisation/repository"),
            ("hf:a/b/../../x.gguf", "not a path"),
            ("hf:a/b/x?.gguf", "not a path"),
            ("hf:a/b/x.safetensors", "ends in .gguf"),
            ("hf:a/b/x-00001-of-00003.gguf", "split"),
            ("ftp://a/x.gguf", "begin with"),
            ("https://", "cannot be used"),
            ("https://example.com/", "ends in .gguf"),
            ("dir/", "ends in .gguf"),
            ("/etc/passwd", "ends in .gguf"),
            ("---.gguf", "letters or digits"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
