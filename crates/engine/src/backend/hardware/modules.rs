//! A portable build's kernels: one module (a shared library) for each generation of
//! processors, and for each kind of GPU; the one that fits this machine is chosen when a
//! worker starts.
//!
//! They lie where `cargo xtask dist` puts them, in `../lib/outcrop` from the program, or
//! beside it; a build that was not installed has them in its target folder.

use crate::LoadError;

/// Loads what fits this machine.
#[cfg(feature = "portable")]
pub(super) fn load() -> Result<(), LoadError> {
    use std::path::PathBuf;

    let program = std::env::current_exe().unwrap_or_default();
    let beside = program.parent().map(PathBuf::from).unwrap_or_default();
    let installed = beside.parent().map(|above| above.join("lib/outcrop")).unwrap_or_default();
    // Only if this is the target folder: elsewhere that path is anybody's.
    let ours = |folder: &PathBuf| beside.parent().is_some_and(|target| folder.starts_with(target));
    let built = llama_cpp_sys_2::BACKENDS_DIR.map(PathBuf::from).filter(ours);
    let places: Vec<_> = [installed, beside.clone()].into_iter().chain(built).collect();
    let missing = || LoadError::Kernels {
        searched: places.iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(", "),
    };
    let folder = places.iter().find(|folder| holds_kernels(folder)).ok_or_else(missing)?;
    llama_cpp_2::llama_backend::load_backends_from_path(folder);
    Ok(())
}

/// They are part of the program.
#[cfg(not(feature = "portable"))]
#[allow(clippy::unnecessary_wraps, reason = "a portable build may lack them")]
pub(super) fn load() -> Result<(), LoadError> {
    Ok(())
}

/// What the processor's module is called, which is the oldest kind of processor that has
/// all it uses: `haswell`. `None`: the kernels are part of the program, or it is not known.
pub(super) fn chosen() -> Option<String> {
    // The others were closed again: this one is still mapped.
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    maps.lines().find_map(|line| variant(line.rsplit('/').next()?)).map(str::to_owned)
}

/// The kind of processor that a file's name tells.
fn variant(file: &str) -> Option<&str> {
    file.strip_prefix("libggml-cpu-")?.strip_suffix(".so")
}

#[cfg(feature = "portable")]
fn holds_kernels(folder: &std::path::Path) -> bool {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.into_iter().any(|file| file.file_name().to_str().is_some_and(|name| variant(name).is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_named_by_its_processor() {
        assert_eq!(variant("libggml-cpu-haswell.so"), Some("haswell"));
        assert_eq!(variant("libggml-base.so"), None);
        assert_eq!(variant("libggml-cpu.so"), None);
    }
}
