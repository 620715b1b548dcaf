//! Where Outcrop keeps its things: decided here, once, for every command.

use std::env;
use std::path::{Path, PathBuf};

use crate::CatalogError;

/// The data directory: `$OUTCROP_HOME`, else `$XDG_DATA_HOME/outcrop`, else
/// `~/.local/share/outcrop` (XDG Base Directory Specification 0.8, read 2026-11-22).
///
/// # Errors
/// [`CatalogError::NoHome`] where none of the variables is set.
pub fn data_dir() -> Result<PathBuf, CatalogError> {
    choose(|name| env::var_os(name).map(PathBuf::from)).ok_or(CatalogError::NoHome)
}

/// Where model files live in a data directory.
pub fn models_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("models")
}

fn choose(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let set = |name: &str| variable(name).filter(|path| !path.as_os_str().is_empty());
    // The specification says to ignore relative paths in XDG variables.
    let xdg = || set("XDG_DATA_HOME").filter(|path| path.is_absolute());
    set("OUTCROP_HOME")
        .or_else(|| xdg().map(|path| path.join("outcrop")))
        .or_else(|| set("HOME").map(|path| path.join(".local/share/outcrop")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_set_wins() {
        let with = |set: &'static [(&str, &str)]| {
            choose(move |name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
        };
        assert_eq!(with(&[("OUTCROP_HOME", "x"), ("HOME", "/h")]), Some("x".into()));
        assert_eq!(with(&[("XDG_DATA_HOME", "/d"), ("HOME", "/h")]), Some("/d/outcrop".into()));
        assert_eq!(with(&[("XDG_DATA_HOME", "d"), ("HOME", "/h")]), Some("/h/.local/share/outcrop".into()));
        assert_eq!(with(&[("OUTCROP_HOME", ""), ("HOME", "/h")]), Some("/h/.local/share/outcrop".into()));
        assert_eq!(with(&[]), None);
    }
}
