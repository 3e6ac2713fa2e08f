//! `man/meshd.8` is what the flags say. `UPDATE=1 cargo test --workspace --test man` writes it.

use std::path::Path;

use clap::CommandFactory as _;
use clap_mangen::Man;

#[test]
fn the_man_page_of_meshd_is_what_its_flags_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../man/meshd.8");
    let page = page();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == page, "man/meshd.8 is stale: run this test with UPDATE=1");
}

fn page() -> String {
    rendered().unwrap_or_default()
}

fn rendered() -> std::io::Result<String> {
    let man =
        Man::new(meshd::Flags::command()).title("MESHD").section("8").date("").manual("meshctl");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned() + REST)
}

const REST: &str = ".SH EXAMPLES
.nf
  sudo meshd
  sudo meshd \\-\\-config /etc/meshd/config.yaml \\-\\-access\\-log json
  sudo meshd \\-\\-backend nft \\-\\-workers 2
.fi
.SH \"EXIT STATUS\"
.TP
.B 0
stopped as asked; nothing of it is left on the host
.TP
.B 2
a flag or the settings file is wrong
.TP
.B 3
it could not start, or damaged state was found
.TP
.B 8
this host cannot capture traffic
.SH FILES
.TP
.I /etc/meshd/config.yaml
settings
.TP
.I /var/lib/meshd
state
.TP
.I /run/meshd/meshd.sock
the socket meshctl talks to
.SH \"SEE ALSO\"
meshctl(1), meshctl\\-manifest(5), meshctl\\-exit\\-codes(7)
";
