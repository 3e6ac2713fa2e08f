//! Where the programs under test are.

use std::path::PathBuf;
use std::{env, fs};

/// `meshctl`, `meshd` or `mesh-probe`: from `MESH_PROGRAMS`, else beside the running test.
///
/// # Panics
/// When it was not built: `make test` builds every program before the tests run.
pub fn program(name: &str) -> PathBuf {
    let folder = env::var_os("MESH_PROGRAMS").map_or_else(beside_the_test, PathBuf::from);
    let path = folder.join(name);
    assert!(
        fs::exists(&path).unwrap_or(false),
        "{} is missing: cargo build --workspace --bins",
        path.display()
    );
    path
}

/// `target/PROFILE`, two steps up from `target/PROFILE/deps/test`.
fn beside_the_test() -> PathBuf {
    let test = env::current_exe().expect("a running program has a path");
    test.ancestors().nth(2).expect("cargo puts tests into target/PROFILE/deps").to_owned()
}
