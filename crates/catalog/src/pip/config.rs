//! pip's settings, as far as they say where packages come from.
//!
//! Environment over files; among files `PIP_CONFIG_FILE` over the virtual environment's
//! over the user's over the machine's; in a file `[download]` over `[global]` (pip
//! documentation, Configuration, read 2026-11-22). `trusted-host` is not honoured: it
//! would turn certificate checks off.

use std::collections::HashMap;
use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::fetch::shown;

/// The index used unless the settings name another.
const INDEX_URL: &str = "https://pypi.org/simple";

/// Where packages come from. Addresses may hold credentials: shown without.
#[derive(Clone, Default)]
pub struct PipSettings {
    /// `index-url`; `None`: the public one.
    pub index_url: Option<String>,
    /// `extra-index-url`.
    pub extra_index_urls: Vec<String>,
    /// `find-links`: folders, or pages with links.
    pub find_links: Vec<String>,
    /// `no-index`: only `find-links`.
    pub no_index: bool,
    /// `cert`: a PEM file to trust.
    pub cert: Option<PathBuf>,
    /// `proxy`.
    pub proxy: Option<String>,
}

impl PipSettings {
    /// Reads the environment and the configuration files.
    pub fn from_env() -> Self {
        let variable = |name: &str| env::var(name).ok().filter(|value| !value.trim().is_empty());
        let mut options = HashMap::new();
        for path in files(variable) {
            if let Ok(text) = fs::read_to_string(&path) {
                read_file(&text, &mut options);
            }
        }
        for name in ["index-url", "extra-index-url", "find-links", "no-index", "cert", "proxy"] {
            let key = format!("PIP_{}", name.replace('-', "_").to_uppercase());
            if let Some(value) = variable(&key) {
                options.insert(name.into(), value);
            }
        }
        Self::from_options(&options)
    }

    /// Index addresses in the order to ask them.
    pub(crate) fn indexes(&self) -> impl Iterator<Item = &str> {
        let first = self.index_url.as_deref().unwrap_or(INDEX_URL);
        let all = std::iter::once(first).chain(self.extra_index_urls.iter().map(String::as_str));
        all.filter(|_| !self.no_index)
    }

    fn from_options(options: &HashMap<String, String>) -> Self {
        let one = |name: &str| options.get(name).map(|value| value.trim().to_owned());
        let many = |name: &str| -> Vec<String> {
            options
                .get(name)
                .map(|value| value.split_whitespace().map(Into::into).collect())
                .unwrap_or_default()
        };
        let yes = ["1", "true", "yes", "on", "y", "t"];
        Self {
            index_url: one("index-url"),
            extra_index_urls: many("extra-index-url"),
            find_links: many("find-links"),
            no_index: one("no-index").is_some_and(|value| yes.contains(&&*value.to_lowercase())),
            cert: one("cert").map(PathBuf::from),
            proxy: one("proxy"),
        }
    }
}

impl fmt::Debug for PipSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |urls: &[String]| urls.iter().map(|url| shown(url)).collect::<Vec<_>>();
        f.debug_struct("PipSettings")
            .field("index_url", &self.index_url.as_deref().map(crate::fetch::shown))
            .field("extra_index_urls", &shown(&self.extra_index_urls))
            .field("find_links", &shown(&self.find_links))
            .field("no_index", &self.no_index)
            .field("cert", &self.cert)
            .finish_non_exhaustive()
    }
}

/// Configuration files, weakest first.
fn files(variable: impl Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    let named = variable("PIP_CONFIG_FILE");
    // pip's own way to say "read no file".
    if named.as_deref() == Some("/dev/null") {
        return Vec::new();
    }
    let mut files = vec![PathBuf::from("/etc/pip.conf")];
    let machine = variable("XDG_CONFIG_DIRS").unwrap_or_else(|| "/etc/xdg".into());
    files.extend(machine.split(':').rev().map(|folder| Path::new(folder).join("pip/pip.conf")));
    if let Some(home) = variable("HOME").map(PathBuf::from) {
        files.push(home.join(".pip/pip.conf"));
        let config = variable("XDG_CONFIG_HOME").map_or_else(|| home.join(".config"), PathBuf::from);
        files.push(config.join("pip/pip.conf"));
    }
    files.extend(variable("VIRTUAL_ENV").map(|folder| Path::new(&folder).join("pip.conf")));
    files.extend(named.map(PathBuf::from));
    files
}

/// Reads an INI file's `[global]` and `[download]` options over `options`.
fn read_file(text: &str, options: &mut HashMap<String, String>) {
    let mut sections: [HashMap<String, String>; 2] = Default::default();
    let mut section = None;
    let mut last: Option<String> = None;
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = ["global", "download"].iter().position(|known| *known == name.trim());
            last = None;
            continue;
        }
        let Some(values) = section.map(|index: usize| &mut sections[index]) else { continue };
        if line.starts_with([' ', '\t'])
            && let Some(value) = last.as_ref().and_then(|name| values.get_mut(name))
        {
            value.push(' ');
            value.push_str(trimmed);
        } else if let Some((name, value)) = trimmed.split_once(['=', ':']) {
            let name = name.trim().to_lowercase().replace('_', "-");
            values.insert(name.clone(), value.trim().into());
            last = Some(name);
        }
    }
    sections.into_iter().for_each(|values| options.extend(values));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> PipSettings {
        let mut options = HashMap::new();
        read_file(text, &mut options);
        PipSettings::from_options(&options)
    }

    #[test]
    fn an_ini_file_is_read_as_pip_reads_it() {
        let settings = read(
            "# a comment\n[global]\nindex_url = https://a/simple\nextra-index-url =\n  https://b/simple\n  \
             https://c/simple\n[install]\nindex-url = https://wrong/\n[download]\nindex-url: https://d/simple\n\
             no-index = false\ncert = /etc/ca.pem\n",
        );
        assert_eq!(
            settings.indexes().collect::<Vec<_>>(),
            ["https://d/simple", "https://b/simple", "https://c/simple"]
        );
        assert_eq!(settings.cert, Some("/etc/ca.pem".into()));
        assert_eq!(read("").indexes().collect::<Vec<_>>(), [INDEX_URL]);
        assert_eq!(read("[global]\nno-index = yes").indexes().count(), 0);
        assert_eq!(read("[global\n]\n=\n: \n[global]\n= x\n \t\n").indexes().count(), 1);
    }

    #[test]
    fn files_are_read_weakest_first() {
        let set = [("HOME", "/h"), ("VIRTUAL_ENV", "/v"), ("PIP_CONFIG_FILE", "/x.conf")];
        let with = |set: &[(&str, &str)]| {
            files(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into()))
        };
        let paths = [
            "/etc/pip.conf",
            "/etc/xdg/pip/pip.conf",
            "/h/.pip/pip.conf",
            "/h/.config/pip/pip.conf",
            "/v/pip.conf",
            "/x.conf",
        ];
        assert_eq!(with(&set), paths.map(PathBuf::from));
        assert!(with(&[("PIP_CONFIG_FILE", "/dev/null")]).is_empty());
    }

    #[test]
    fn credentials_are_not_shown() {
        let settings = read("[global]\nindex-url = https://user:hunter2@a/simple");
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
