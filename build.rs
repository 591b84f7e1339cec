//! Leaves out the unwind tables of the release binary, which is built with `panic = "abort"`.

use std::env;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=assets/no_unwind_tables.ld");
    let var = |name: &str| env::var(name).unwrap_or_default();
    // A linker that was chosen by the user may not read linker scripts.
    let has_default_linker =
        var("RUSTC_LINKER").is_empty() && var("CARGO_ENCODED_RUSTFLAGS").is_empty();
    // The start files of musl may refer to the unwind tables.
    let is_glibc = var("CARGO_CFG_TARGET_OS") == "linux" && var("CARGO_CFG_TARGET_ENV") == "gnu";
    if is_glibc && var("PROFILE") == "release" && has_default_linker {
        let script = Path::new(&var("CARGO_MANIFEST_DIR")).join("assets/no_unwind_tables.ld");
        println!("cargo::rustc-link-arg-bins=-T");
        println!("cargo::rustc-link-arg-bins={}", script.display());
    }
}
