//! A model of the list `models`: its name alone, or a table that says when it is in memory
//! and by which file it sees images.
//!
//! ```toml
//! models = ["smollm2-135m-instruct", { model = "qwen3-8b", load = "demand", keep_alive_s = 600 },
//!           { model = "smolvlm.gguf", projector = "mmproj-smolvlm.gguf" }]
//! ```

use std::fmt;

use engine::{Load, Residence};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A model to be served here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Served {
    /// A catalog id or a GGUF file.
    pub(crate) model: String,
    /// The file of a second model, that looks at images for it.
    pub(crate) projector: Option<String>,
    /// When it is in memory.
    pub(crate) residence: Residence,
}

impl Served {
    /// A model of which nothing else is said.
    pub(crate) fn named(model: &str) -> Self {
        Self { model: model.to_owned(), projector: None, residence: Residence::default() }
    }
}

/// What a table says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    model: String,
    projector: Option<String>,
    #[serde(default)]
    load: Load,
    keep_alive_s: Option<u64>,
    #[serde(default)]
    pinned: bool,
}

impl<'de> Deserialize<'de> for Served {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reader)
    }
}

/// Unlike an untagged enum it tells what is wrong, and where.
struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Served;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a model's name, or a table like { model = \"…\", load = \"demand\" }")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Served, E> {
        Ok(Served::named(name))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Served, A::Error> {
        let Table { model, projector, load, keep_alive_s, pinned } =
            Table::deserialize(MapAccessDeserializer::new(map))?;
        if pinned && keep_alive_s.is_some() {
            return Err(A::Error::custom(format!(
                "{model}: what is pinned is never unloaded, so it has no keep_alive_s; leave one of them out"
            )));
        }
        Ok(Served { model, projector, residence: Residence { load, keep_alive_s, pinned } })
    }
}
