//! Makes the release binary smaller: no unwind tables, which `panic = "abort"` does not use, and packed
//! relocations.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=assets/no_unwind_tables.ld");
    // A linker that was chosen by the user may not read linker scripts.
    let has_default_linker = var("RUSTC_LINKER").is_empty()
        && var("CARGO_ENCODED_RUSTFLAGS").is_empty()
        && var("CARGO_CFG_TARGET_OS") == "linux";
    if var("PROFILE") == "release" && has_default_linker {
        let script = Path::new(&var("CARGO_MANIFEST_DIR")).join("assets/no_unwind_tables.ld");
        println!("cargo::rustc-link-arg-bins=-T");
        println!("cargo::rustc-link-arg-bins={}", script.display());
        if reads_packed_relocations() {
            println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        }
    }
}

/// Whether the C library that loads the binary reads packed relocations: glibc since 2.36, and musl
/// since 1.2.4, which is part of Rust since 1.93.
fn reads_packed_relocations() -> bool {
    match var("CARGO_CFG_TARGET_ENV").as_str() {
        "musl" => first_version(Command::new(var("RUSTC")).arg("-V")) >= Some((1, 93)),
        "gnu" if var("HOST") == var("TARGET") => {
            first_version(Command::new("getconf").arg("GNU_LIBC_VERSION")) >= Some((2, 36))
        }
        _ => false,
    }
}

/// Returns the first version number that a command prints.
fn first_version(command: &mut Command) -> Option<(u32, u32)> {
    let output = String::from_utf8(command.output().ok()?.stdout).ok()?;
    let mut numbers = output.split_whitespace().nth(1)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn var(name: &str) -> String {
    env::var(name).unwrap_or_default()
}
