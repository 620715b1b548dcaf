//! What the linker must know of llama.cpp that its own crate does not tell it.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let feature = |name: &str| std::env::var_os(format!("CARGO_FEATURE_{name}")).is_some();
    let linux = std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux");
    if feature("PORTABLE") && linux {
        // Where `cargo xtask dist` puts llama.cpp's libraries, from the program's own folder.
        println!("cargo:rustc-link-arg-bins=-Wl,-rpath,$ORIGIN/../lib/outcrop");
    }
    if feature("OPENCL") && linux {
        // The crate leaves the loader's library to whoever links the program.
        println!("cargo:rustc-link-arg-bins=-lOpenCL");
    }
}
