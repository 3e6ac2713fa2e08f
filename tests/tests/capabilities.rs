//! What of root's rights meshd needs.

use mesh_tests::backends::backends;
use mesh_tests::offline::finish;
use mesh_tests::{Backend, Node, needs_root};

/// With the last of those that are needed the kernel asks for neither of the other two.
const NEEDED: [&str; 5] = ["net_admin", "net_raw", "dac_override", "dac_read_search", "sys_admin"];
const BPF: [&str; 2] = ["bpf", "perfmon"];

/// A start of a program with these capabilities and no others.
fn with_only(capabilities: &[&str]) -> Vec<String> {
    let kept: String = capabilities.iter().map(|name| format!(",+{name}")).collect();
    let bounding = format!("--bounding-set=-all{kept}");
    ["setpriv", "--no-new-privs", &bounding, "--inh-caps=-all"].map(str::to_owned).to_vec()
}

#[test]
fn few_capabilities_are_enough_and_one_that_is_missing_is_named() {
    needs_root!();
    for backend in backends() {
        eprintln!("capture by {backend}");
        let mut node = Node::stopped(&["--backend", backend]);
        for missing in NEEDED {
            let others = NEEDED.into_iter().chain(BPF).filter(|name| *name != missing);
            let others: Vec<&str> = others.collect();
            let words = with_only(&others);
            let daemon = node.daemon_command();
            let mut command = node.netns.command(&words[0]);
            command.args(&words[1..]).arg(daemon.get_program()).args(daemon.get_args());
            let refused = finish(&["meshd without", missing], &mut command).exits(7);
            refused.complains(&[&format!("CAP_{}", missing.to_uppercase()), "fix: ", "MESH1003"]);
            assert!(node.leftovers().is_empty(), "{:?}", node.leftovers());
        }
        let words = with_only(&[&NEEDED[..], &BPF].concat());
        node.boot_under(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let _web = Backend::http(&node.netns, "v1", 8080);
        node.ok(&["register", "web", "--port", "http:8080"]);
        let mut client = node.run_as("cli");
        assert!(client.get("web.mesh", "/x").ends_with("v1 GET /x 0"));
        assert!(client.get("127.0.0.1:8080", "/y").ends_with("v1 GET /y 0"));
        assert_eq!(node.metric("mesh_requests_total", &["source=\"cli\""]), 2.0);
    }
}
