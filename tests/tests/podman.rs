//! Containers of a real runtime, attached by what people call them.

use std::time::Duration;

use mesh_tests::backends::backends;
use mesh_tests::wait::until;
use mesh_tests::{Backend, Node, Podman, needs_root, wants_neighbour};

//
#[test]
fn container_is_found_by_its_name_and_id_and_again_when_it_was_made_anew() {
    needs_root!();
    wants_neighbour!("podman");
    for backend in backends() {
        eprintln!("capture by {backend}");
        let mut node = Node::stopped(&["--backend", backend]);
        let podman = Podman::start(&node);
        let mut shop = podman.run("shop");
        node.boot_with(&[("DOCKER_HOST", &format!("unix://{}", podman.socket.display()))]);
        let _web = Backend::http(&node.netns, "v1", 8080);
        node.ok(&["register", "web", "--port", "http:8080"]);
        let address = node.ok(&["get", "service/web", "-o", "json", "--jq", ".status.address"]);
        let web = address.trim().trim_matches('"').to_owned();
        assert!(shop.refused(&web).is_some(), "it is in the mesh before it was attached");
        let id = podman.id("shop");
        for name in ["shop", &id, &id[..12]] {
            let said = node.meshctl(&["attach", "--container", name, "--as", "shop"]).exits(0);
            assert!(said.stdout.contains("1 process as shop, cgroup "), "{said}");
            assert!(said.stdout.contains(&format!("libpod-{id}")), "{said}");
            assert!(shop.get(&web, "/in").ends_with("v1 GET /in 0"));
            node.ok(&["detach", "--container", name]);
            assert!(shop.refused(&web).is_some(), "{name}: it is still captured");
        }
        assert_eq!(node.metric("mesh_requests_total", &["source=\"shop\""]), 3.0);

        node.ok(&["attach", "--container", "shop", "--as", "shop"]);
        drop(shop);
        podman.does(&["rm", "--force", "--time", "0", "shop"]);
        let mut shop = podman.run("shop");
        // With the same name and nothing else of the old one's.
        until("the new container", Duration::from_secs(5), || shop.refused(&web).is_none());
        assert!(shop.get(&web, "/again").ends_with("v1 GET /again 0"));
        node.meshctl(&["attach", "--container", "nobody"]).exits(5).complains(&["nobody"]);
    }
}
