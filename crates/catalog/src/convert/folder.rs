//! A folder as model hubs publish them: `config.json`, `tokenizer.json`, weights in one or
//! several safetensors files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::PathBuf;

use serde::Deserialize;

use super::safetensors::Weights;

/// Largest settings or vocabulary, in bytes: the largest tokenizers have 35 MB.
const MAX_SMALL_BYTES: u64 = 128 << 20;
/// Most files the weights may be cut into: the largest models have two hundred.
const MAX_SHARDS: usize = 1000;

/// Where the files are.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    /// `config.json`.
    pub(super) fn config(&self) -> Result<Vec<u8>, String> {
        self.required("config.json")
    }

    /// A file that must be there.
    pub(super) fn required(&self, name: &str) -> Result<Vec<u8>, String> {
        self.optional(name)?.ok_or_else(|| format!("there is no {name} in {}", self.0.display()))
    }

    /// A file that may be there.
    pub(super) fn optional(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        let unread = |error: std::io::Error| format!("{name} cannot be read: {error}");
        let file = match File::open(self.0.join(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file.map_err(unread)?,
        };
        let mut bytes = Vec::new();
        file.take(MAX_SMALL_BYTES + 1).read_to_end(&mut bytes).map_err(unread)?;
        if bytes.len() as u64 > MAX_SMALL_BYTES {
            return Err(format!("{name} is larger than {MAX_SMALL_BYTES} bytes"));
        }
        Ok(Some(bytes))
    }

    /// The licence that the model's card (`README.md`) names between its first lines.
    pub(super) fn license(&self) -> Option<String> {
        let card = String::from_utf8(self.optional("README.md").ok()??).ok()?;
        let mut lines = card.lines();
        lines.next().filter(|line| line.trim_end() == "---")?;
        let named = lines
            .take_while(|line| line.trim_end() != "---")
            .find_map(|line| line.strip_prefix("license:"))?
            .trim()
            .trim_matches(['"', '\'']);
        let plain = |char: char| char.is_ascii_alphanumeric() || "-._+ ".contains(char);
        (!named.is_empty() && named.chars().all(plain)).then(|| named.to_owned())
    }

    /// Whether there is a file of that name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.join(name).is_file()
    }

    /// A file of weights.
    pub(super) fn open(&self, name: &str) -> Result<File, String> {
        File::open(self.0.join(name)).map_err(|error| format!("{name}: {error}"))
    }

    /// The tables of all weights.
    pub(super) fn weights(&self) -> Result<Weights, String> {
        let mut weights = Weights::default();
        for name in self.shards()? {
            weights.add(Box::new(self.open(&name)?)).map_err(|why| format!("{name}: {why}"))?;
        }
        Ok(weights)
    }

    fn shards(&self) -> Result<BTreeSet<String>, String> {
        const ONE: &str = "model.safetensors";
        const INDEX: &str = "model.safetensors.index.json";
        #[derive(Deserialize)]
        struct Index {
            weight_map: BTreeMap<String, String>,
        }
        let Some(index) = self.optional(INDEX)? else {
            if self.has(ONE) {
                return Ok(BTreeSet::from([ONE.to_owned()]));
            }
            return Err(format!(
                "there are no weights in {} (model.safetensors, or its index); pytorch_model.bin is not read, \
                 since loading one can run code",
                self.0.display()
            ));
        };
        let index: Index = serde_json::from_slice(&index).map_err(|error| format!("{INDEX}: {error}"))?;
        let names: BTreeSet<_> = index.weight_map.into_values().collect();
        if let Some(name) = names.iter().find(|name| name.contains(['/', '\\']) || name.starts_with('.')) {
            return Err(format!("{INDEX}: {name:?} is no file of this folder"));
        }
        if names.is_empty() || names.len() > MAX_SHARDS {
            return Err(format!("{INDEX}: {} files", names.len()));
        }
        Ok(names)
    }
}
