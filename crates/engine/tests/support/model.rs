//! Where the real model is that tests run on.

use std::path::{Path, PathBuf};

/// The default model, SmolLM2-135M-Instruct, wherever `outcrop pull` or the variable put it.
pub fn model_path() -> PathBuf {
    path_of("smollm2-135m", "smollm2-135m-instruct", "OUTCROP_TEST_MODEL")
}

/// The default embedding model, all-MiniLM-L6-v2.
#[allow(dead_code, reason = "not every test binary makes embeddings")]
pub fn embedding_model_path() -> PathBuf {
    path_of("all-minilm-l6-v2", "all-minilm-l6-v2", "OUTCROP_TEST_EMBEDDING_MODEL")
}

fn path_of(begins: &str, id: &str, variable: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable) {
        return PathBuf::from(path);
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let home =
        |variable: &str, below: &str| std::env::var_os(variable).map(|home| PathBuf::from(home).join(below));
    let folders = [
        Some(workspace.join(".cache/models")),
        home("OUTCROP_HOME", "models"),
        home("XDG_DATA_HOME", "outcrop/models"),
        home("HOME", ".local/share/outcrop/models"),
    ];
    folders.into_iter().flatten().find_map(|folder| find(&folder, begins)).unwrap_or_else(|| {
        panic!(
            "these tests run on a real model, and none was found. Fetch it with \
             `cargo run --release -- pull {id}`, or set {variable} to its path"
        )
    })
}

/// The model's file in a folder or right below it.
fn find(folder: &Path, begins: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    entries.flatten().map(|entry| entry.path()).find_map(|path| {
        let name = path.file_name()?.to_string_lossy().to_lowercase();
        let below = name.contains(begins);
        match path.is_dir() {
            true if below => {
                std::fs::read_dir(&path).ok()?.flatten().map(|file| file.path()).find(|file| is_gguf(file))
            }
            _ => (below && is_gguf(&path)).then_some(path),
        }
    })
}

fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gguf")
}
