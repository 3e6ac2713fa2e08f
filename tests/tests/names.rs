//! What captured programs resolve: services, single endpoints, ports, with their search domains.

use mesh_tests::dns::NameServer;
use mesh_tests::{Backend, Node, needs_root};

//
#[test]
fn every_endpoint_and_port_has_a_name() {
    needs_root!();
    for backend in ["ebpf", "nft"] {
        let node = Node::with(&["--backend", backend]);
        node.netns.add_address("10.9.9.9/32"); // to ask a remote resolver from
        let _one = Backend::http(&node.netns, "v1", 8080);
        let _two = Backend::http(&node.netns, "v2", 8081);
        node.ok(&["register", "web", "--port", "http:8080"]);
        node.ok(&["register", "web", "--port", "http:8081"]);
        for (name, answer) in [("0.web.mesh", "v1 GET / 0"), ("1.web.mesh", "v2 GET / 0")] {
            for family in ["-4", "-6"] {
                let url = format!("http://{name}/");
                let curl = node.run("cli", &["curl", "-sS", family, "-m", "5", &url]).exits(0);
                assert_eq!(curl.stdout, answer);
            }
        }
        for transport in ["+notcp", "+tcp"] {
            let asked = ["dig", "+short", transport, "SRV", "_http._tcp.web.mesh"];
            assert_eq!(node.run("cli", &asked).exits(0).stdout, "0 1 80 web.mesh.\n");
        }
    }
}

//
#[test]
fn search_domains_and_ndots_lead_to_the_mesh() {
    needs_root!();
    let node = Node::start();
    let _web = Backend::http(&node.netns, "v1", 8080);
    node.ok(&["register", "web", "--port", "http:8080"]);
    for (options, url) in [("ndots:1", "http://web/"), ("ndots:5", "http://web.mesh/")] {
        let options = format!("RES_OPTIONS={options}");
        let curl = ["env", "LOCALDOMAIN=mesh", &options, "curl", "-sS", "-m", "5", url];
        assert_eq!(node.run("cli", &curl).exits(0).stdout, "v1 GET / 0");
    }
}

//
#[test]
fn only_listed_names_are_reached_beside_the_mesh() {
    needs_root!();
    for backend in ["ebpf", "nft"] {
        let node = Node::with(&["--backend", backend]);
        let _names = NameServer::start(&node.netns); // says 192.0.2.7, whoever is asked for
        node.netns.add_address("192.0.2.7/32");
        let outside = Backend::http(&node.netns, "outside", 9000);
        let _web = Backend::http(&node.netns, "v1", 8080);
        node.ok(&["register", "web", "--port", "http:8080"]);
        let curl = |list: &str, url: &str| {
            let run =
                ["run", "--as", "job", "--allow-egress", list, "--", "curl", "-sS", "-m", "5"];
            node.meshctl(&[&run[..], &[url]].concat())
        };
        let reached = |list: &str, url: &str| curl(list, url).stdout.starts_with("outside GET /");
        assert!(reached("*.example,10.0.0.0/8", "http://api.example:9000/"), "by suffix");
        assert!(reached("api.example:9000", "http://api.example:9000/"), "by name and port");
        let before = outside.served();
        for (list, url) in [
            ("mesh", "http://api.example:9000/"),
            ("api.example:9001", "http://api.example:9000/"),
            ("api.example", "http://other.test:9000/"),
            ("10.0.0.0/8", "http://192.0.2.7:9000/"),
        ] {
            assert!(!reached(list, url), "{list} lets {url} pass");
        }
        assert_eq!(outside.served(), before);
        let mesh = curl("mesh", "http://web.mesh/").exits(0);
        assert_eq!(mesh.stdout, "v1 GET / 0");
    }
}
