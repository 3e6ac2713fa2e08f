//! Raw TCP carried end to end.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use mesh_tests::backend::{drain, reset};
use mesh_tests::probe::{Answer, Ask, Part, pour};
use mesh_tests::wait::until;
use mesh_tests::wire::Digest;
use mesh_tests::{Backend, Node, needs_root};

fn node_with_db(handle: impl Fn(TcpStream) + Send + Sync + 'static) -> (Node, Backend) {
    let node = Node::start();
    let db = Backend::tcp(&node.netns, "db", 5432, handle);
    node.ok(&["register", "db", "--port", "tcp:5432"]);
    (node, db)
}

// covers: L4-01
#[test]
fn bulk_both_ways_at_once_arrives_whole() {
    needs_root!();
    const BYTES: u64 = 256 << 20;
    let (node, _db) = node_with_db(|stream| {
        let writing = stream.try_clone().unwrap();
        let writer = std::thread::spawn(move || {
            let sent = pour(&writing, BYTES, 9);
            writing.shutdown(Shutdown::Write).unwrap_or_default();
            sent
        });
        let (length, digest) = drain(&stream).unwrap();
        writer.join().unwrap().unwrap();
        assert_eq!(length, BYTES);
        std::fs::write(
            format!("/tmp/mesh-test-{}-digest", std::process::id()),
            digest.0.to_string(),
        )
        .unwrap();
    });
    let mut cli = node.run_as("cli");
    let ask = Ask::Bulk { address: "db.mesh:5432".to_owned(), bytes: BYTES, half_close: true };
    let Answer::Bulked { received, digest, sent_digest, .. } = cli.ask(&ask) else {
        panic!("bulk failed")
    };
    assert_eq!(received, BYTES);
    assert_eq!(digest, noise_digest(BYTES, 9), "from the server");
    let file = format!("/tmp/mesh-test-{}-digest", std::process::id());
    until("the server's digest", Duration::from_secs(10), || std::path::Path::new(&file).exists());
    let arrived = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(arrived, sent_digest.to_string(), "to the server");
}

fn noise_digest(bytes: u64, seed: u64) -> u64 {
    let (mut noise, mut digest, mut left) =
        (mesh_tests::probe::Noise(seed), Digest::default(), bytes);
    let mut buffer = vec![0; 1 << 16];
    while left > 0 {
        let here = usize::try_from(left).unwrap().min(buffer.len());
        noise.fill(&mut buffer[..here]);
        digest.add(&buffer[..here]);
        left -= here as u64;
    }
    digest.0
}

// covers: L4-01
#[test]
fn half_close_travels_and_the_server_may_go_on() {
    needs_root!();
    let (node, _db) = node_with_db(|mut stream| {
        let (length, _) = drain(&stream).unwrap();
        stream.write_all(format!("after your end: {length}").as_bytes()).unwrap();
    });
    let mut cli = node.run_as("cli");
    let got = cli.exchange("db.mesh:5432", vec!["hello".into(), Part::HalfClose], 3_000);
    assert_eq!(got.text(), "after your end: 5");
    assert!(got.closed && !got.reset);
}

// covers: L4-01
#[test]
fn reset_travels() {
    needs_root!();
    let (node, _db) = node_with_db(|mut stream| {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        reset(&stream).unwrap();
    });
    let mut cli = node.run_as("cli");
    let got = cli.exchange("db.mesh:5432", vec!["x".into()], 3_000);
    assert!(got.reset, "ended without a reset: {got:?}");
}

// covers: X-059 HTTP-18
#[test]
fn server_that_speaks_first_is_heard_at_once() {
    needs_root!();
    let node = Node::start();
    let greet = |mut stream: TcpStream| {
        stream.write_all(b"5.7 greeting").unwrap_or_default();
        drain(&stream).unwrap_or_default();
    };
    let _declared = Backend::tcp(&node.netns, "declared", 3306, greet);
    let _detected = Backend::tcp(&node.netns, "detected", 3307, greet);
    for (name, port) in [("declared", "tcp:3306"), ("detected", "3307")] {
        node.ok(&["register", name, "--port", port]);
        let number = port.trim_start_matches("tcp:");
        let mut cli = node.run_as("cli");
        cli.exchange(&format!("{name}.mesh:{number}"), vec![], 500);
        let mut fastest = u64::MAX;
        for _ in 0..5 {
            let got = cli.exchange(&format!("{name}.mesh:{number}"), vec![Part::HalfClose], 500);
            assert_eq!(got.text(), "5.7 greeting", "{name}");
            fastest = fastest.min(got.first_byte_us);
        }
        assert!(fastest < 20_000, "{name}: {fastest} µs");
    }
}

// covers: L4-04 MET-12
#[test]
fn open_connections_are_counted_and_return_to_zero() {
    needs_root!();
    let (node, db) = node_with_db(|stream| {
        drain(&stream).unwrap_or_default();
    });
    let mut cli = node.run_as("cli");
    let active = |node: &Node| node.metric("mesh_endpoint_connections_active", &["service=\"db\""]);
    cli.ask(&Ask::Hold { address: "db.mesh:5432".to_owned(), count: 100 });
    until("100 open", Duration::from_secs(5), || active(&node) == 100.0 && db.open() == 100);
    cli.ask(&Ask::Hold { address: "db.mesh:5432".to_owned(), count: 0 });
    until("none open", Duration::from_secs(5), || active(&node) == 0.0 && db.open() == 0);
    assert_eq!(node.metric("mesh_connections_opened_total", &["service=\"db\""]), 100.0);
}

// covers: F-21
#[test]
fn ten_thousand_idle_connections_disturb_nobody() {
    needs_root!();
    let node = Node::start();
    let _web = Backend::http(&node.netns, "v1", 8080);
    node.ok(&["register", "web", "--port", "http:8080"]);
    let before = node.metric("process_resident_memory_bytes", &[]);
    let mut idle: Vec<_> = (0..10).map(|_| node.run_as("idle")).collect();
    for probe in &mut idle {
        let held = probe.ask(&Ask::Hold { address: "web.mesh:80".to_owned(), count: 1_000 });
        assert!(matches!(held, Answer::Held(1_000)), "{held:?}");
    }
    until("10,000 open", Duration::from_secs(20), || {
        node.metric("mesh_connections_active", &["service=\"web\""]) >= 10_000.0
    });
    let mut cli = node.run_as("cli");
    let report = cli.load(&mesh_tests::load::Plan::get("web.mesh", 500, 2));
    assert_eq!(report.lost(), 0, "{}", report.summary());
    let each = (node.metric("process_resident_memory_bytes", &[]) - before) / 10_000.0;
    assert!(each < 8_192.0, "{each} bytes each");
}

// covers: HTTP-18
#[test]
fn http2_preface_and_tls_hello_are_carried_as_they_are() {
    needs_root!();
    let node = Node::start();
    let _echo = Backend::tcp(&node.netns, "echo", 9000, |mut stream| {
        let mut reading = stream.try_clone().unwrap();
        std::io::copy(&mut reading, &mut stream).unwrap_or_default();
        stream.shutdown(Shutdown::Write).unwrap_or_default();
    });
    node.ok(&["register", "echo", "--port", "9000"]);
    let mut cli = node.run_as("cli");
    let hello = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00".to_vec();
    for first in [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(), hello] {
        let parts = vec![Part::Send(first.clone()), Part::Wait(50), Part::HalfClose];
        let got = cli.exchange("echo.mesh:9000", parts, 2_000);
        assert_eq!(got.received, first);
    }
}
