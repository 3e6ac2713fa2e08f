//! Compiles `programs/meshd.bpf.c` with clang; the object is embedded in the library.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    println!("cargo::rerun-if-changed=programs");
    println!("cargo::rerun-if-env-changed=CLANG");
    let clang = env::var("CLANG").unwrap_or_else(|_| "clang".to_owned());
    let object = PathBuf::from(env::var("OUT_DIR")?).join("meshd.bpf.o");
    let status = Command::new(&clang)
        .args(["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Wextra", "-Werror"])
        .args(["-Wno-unused-function", "-Wno-unused-variable"])
        .args(kernel_headers().map(|dir| format!("-I{dir}")))
        .args(["-c", "programs/meshd.bpf.c", "-o"])
        .arg(&object)
        .status()
        .map_err(|error| format!("{clang}: {error}; {}", install("clang")))?;
    if !status.success() {
        return Err(format!(
            "{clang} could not compile programs/meshd.bpf.c; if a header is missing, {}",
            install("linux-libc-dev")
        )
        .into());
    }
    Ok(())
}

/// Where Debian and its kin keep `asm/types.h`; elsewhere clang finds it by itself.
fn kernel_headers() -> Option<String> {
    let machine = env::var("CARGO_CFG_TARGET_ARCH").ok()?;
    let dir = format!("/usr/include/{machine}-linux-gnu");
    Path::new(&dir).is_dir().then_some(dir)
}

/// Debian's package name, and what it is called elsewhere.
fn install(package: &str) -> String {
    let fedora = if package == "clang" { "clang" } else { "kernel-headers" };
    format!(
        "install the package `{package}` (Debian, Ubuntu: apt-get install {package}; Fedora: dnf \
         install {fedora}), or set CLANG to a clang that has the bpf target"
    )
}
