//! The committed gRPC code is what the `.proto` files say.
//!
//! `UPDATE=1 cargo test -p mesh-proto --test generated` writes it anew.

#![allow(clippy::unwrap_used, reason = "a test that cannot write its files has failed")]

use std::path::Path;
use std::{env, fs};

use prost::Message as _;

const PROTOS: [&str; 10] = [
    "error", "status", "manifest", "registry", "run", "attach", "bypass", "record", "metrics",
    "event",
];

#[test]
fn committed_code_is_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fresh = tempfile::tempdir().unwrap();
    generate(root, fresh.path());
    for name in ["mesh.v1.rs", "descriptor.bin"] {
        let made = fs::read(fresh.path().join(name)).unwrap();
        let committed = root.join("src/gen").join(name);
        if env::var_os("UPDATE").is_some() {
            fs::write(&committed, &made).unwrap();
        }
        let kept = fs::read(&committed).unwrap_or_default();
        assert!(
            kept == made,
            "{name} is stale: UPDATE=1 cargo test -p mesh-proto --test generated"
        );
    }
}

fn generate(root: &Path, out: &Path) {
    let files = PROTOS.iter().map(|name| format!("mesh/v1/{name}.proto"));
    let descriptors = protox::compile(files, [root]).unwrap();
    fs::write(out.join("descriptor.bin"), descriptors.encode_to_vec()).unwrap();
    tonic_prost_build::configure()
        .out_dir(out)
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)
        .unwrap();
}
