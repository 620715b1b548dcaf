//! `cargo xtask dist`: builds a release for every processor of this architecture, and puts
//! it together: `bin/outcrop`, and in `lib/outcrop` llama.cpp's libraries with one module
//! of kernels for each generation of processors.
//!
//! The folder is relocatable: the program finds the rest from where it lies itself.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a chore talks to its terminal")]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use serde_json::Value;

/// What `cargo xtask dist` takes.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Cargo's profile: `dist` optimises across crates and takes long.
    #[arg(long, default_value = "dist")]
    profile: String,
    /// More features, such as `vulkan`: their modules lie beside the processor's.
    #[arg(long, value_delimiter = ',')]
    features: Vec<String>,
    /// Where the release is put.
    #[arg(long, default_value = "target/dist")]
    into: PathBuf,
}

/// What cargo says that it built.
#[derive(Debug, Default)]
struct Built {
    program: Option<PathBuf>,
    /// The folder of llama.cpp's build script.
    native: Option<PathBuf>,
}

/// Builds and packs; prints where the archive is.
pub(crate) fn main(options: &Options) -> ExitCode {
    match run(options) {
        Ok(archive) => {
            println!("{}", archive.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("dist: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> io::Result<PathBuf> {
    let built = parse(&build(options)?);
    let missing = |what: &str| io::Error::other(format!("cargo did not say where {what} is"));
    let program = built.program.ok_or_else(|| missing("outcrop"))?;
    let native = built.native.ok_or_else(|| missing("llama.cpp"))?;

    let name = format!("outcrop-{}-{}", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    let folder = options.into.join(&name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let (bin, lib) = (folder.join("bin"), folder.join("lib/outcrop"));
    fs::create_dir_all(&bin)?;
    fs::create_dir_all(&lib)?;
    fs::copy(&program, bin.join("outcrop"))?;
    let mut copied = 0;
    for from in ["lib", "lib64", "backends"] {
        copied += copy_libraries(&native.join(from), &lib)?;
    }
    if copied == 0 {
        return Err(io::Error::other(format!("no libraries in {}", native.display())));
    }
    for file in ["LICENSE", "README.md", "outcrop.example.toml"] {
        fs::copy(file, folder.join(file))?;
    }
    let archive = options.into.join(format!("{name}.tar.gz"));
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(&options.into).arg("-czf").arg(&archive).arg(&name);
    succeed(&mut tar)?;
    Ok(archive)
}

/// Builds, and tells what cargo says of it. In a target folder of its own: other flags
/// would have the usual one built again.
fn build(options: &Options) -> io::Result<String> {
    let features: Vec<_> =
        ["portable"].into_iter().chain(options.features.iter().map(String::as_str)).collect();
    let features = features.iter().map(|feature| format!("outcrop/{feature}")).collect::<Vec<_>>().join(",");
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--locked", "--workspace", "--bins", "--message-format=json-render-diagnostics"]);
    cargo.args(["--profile", &options.profile, "--features", &features]);
    // Not for this machine's processor, as .cargo/config.toml has it.
    cargo.env("RUSTFLAGS", "").env("CARGO_TARGET_DIR", "target/portable");
    let output = cargo.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("cargo: {}", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Finds what was built in cargo's messages, of which each is a line.
fn parse(messages: &str) -> Built {
    let mut built = Built::default();
    for message in messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let of = |package: &str| message["package_id"].as_str().is_some_and(|id| id.contains(package));
        let path = |at: &Value| at.as_str().map(PathBuf::from);
        match message["reason"].as_str() {
            Some("compiler-artifact") if message["target"]["name"] == "outcrop" => {
                built.program = path(&message["executable"]).or(built.program);
            }
            Some("build-script-executed") if of("llama-cpp-sys-2") => {
                built.native = path(&message["out_dir"])
            }
            _ => {}
        }
    }
    built
}

/// Copies the libraries of a folder, which need not be there; tells how many. One under
/// several names (`libllama.so`, `libllama.so.0`) stays one, with links.
fn copy_libraries(from: &Path, to: &Path) -> io::Result<usize> {
    let mut copied = 0;
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        if !name.to_string_lossy().contains(".so") {
            continue;
        }
        let target = to.join(&name);
        match fs::read_link(&path) {
            Ok(link) => std::os::unix::fs::symlink(link, target)?,
            Err(_) => fs::copy(&path, target).map(drop)?,
        }
        copied += 1;
    }
    Ok(copied)
}

fn succeed(command: &mut Command) -> io::Result<()> {
    let status = command.status()?;
    let program = command.get_program().to_string_lossy();
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{program}: {status}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_built_is_found_in_cargos_messages() {
        let messages = r#"
{"reason":"compiler-artifact","package_id":"registry+x#serde@1","target":{"name":"serde"},"executable":null}
{"reason":"build-script-executed","package_id":"registry+x#llama-cpp-sys-2@0.1.161","out_dir":"/t/out"}
{"reason":"build-script-executed","package_id":"registry+x#ring@0.17","out_dir":"/t/ring"}
{"reason":"compiler-artifact","package_id":"path+x#outcrop@0.1.0","target":{"name":"outcrop"},"executable":"/t/outcrop"}
{"reason":"build-finished","success":true}"#;
        let built = parse(messages);
        assert_eq!(built.program, Some("/t/outcrop".into()));
        assert_eq!(built.native, Some("/t/out".into()));
    }
}
