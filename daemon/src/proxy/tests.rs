//! Promises of the data plane, through real workers and sockets.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::stand::{self, Declaration, Stand, allocations, answering, backend};
use crate::model::{Compat, Declared};
use crate::record::{Flag, Kind, Reason};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const LAST: &[u8] = b"GET /x HTTP/1.1\r\nHost: web.mesh\r\nConnection: close\r\n\r\n";

fn http(endpoints: &[SocketAddr]) -> Stand {
    stand::start(&Declaration::of(Declared::Http, endpoints))
}

/// Waits for the first bytes.
fn take(stream: &mut TcpStream) {
    let read = stream.read(&mut [0; 1024]).unwrap();
    assert!(read > 0);
}

fn nobody() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], stand::free_port()))
}

// covers: HTTP-01, HTTP-12
#[test]
fn a_request_is_answered_and_leaves_one_record() {
    let stand = http(&[answering(OK)]);
    let answer = stand.ask(LAST);
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok"),
        "{answer}"
    );
    assert!(answer.contains("x-request-id: "), "{answer}");
    let record = stand.records(1)[0];
    assert_eq!((record.kind, record.status, record.flag), (Kind::Http, 200, Flag::None));
    assert_eq!((record.sent, record.tries), (2, 1));
}

// covers: HTTP-15, RESIL-03, X-093
#[test]
fn each_failure_of_the_endpoint_has_its_status_and_reason() {
    let resets = backend(|mut stream| {
        take(&mut stream);
    });
    let silent = backend(|mut stream| while stream.read(&mut [0; 1024]).is_ok_and(|n| n > 0) {});
    let lies = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n");
    for (endpoint, status, code, flag) in [
        (nobody(), 503, "MESH1502", Flag::UpstreamConnect),
        (resets, 502, "MESH1504", Flag::UpstreamClosed),
        (silent, 504, "MESH1503", Flag::UpstreamTimeout),
        (lies, 502, "MESH1505", Flag::UpstreamProtocol),
    ] {
        let mut declaration = Declaration::of(Declared::Http, &[endpoint]);
        declaration.timeout = Some(Duration::from_millis(300));
        let stand = stand::start(&declaration);
        let answer = stand.ask(LAST);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains(&format!("x-mesh-error: {code}\r\n")), "{answer}");
        assert!(answer.contains(&format!("x-mesh-flag: {}\r\n", flag.code())), "{answer}");
        assert_eq!(stand.records(1)[0].flag, flag);
    }
}

#[test]
fn a_failed_connect_goes_to_another_endpoint() {
    let stand = http(&[nobody(), answering(OK)]);
    assert!(stand.ask(LAST).starts_with("HTTP/1.1 200"));
    let record = stand.records(1)[0];
    assert_eq!(record.tries, 2);
    assert_eq!(record.pick.map(|pick| pick.reason), Some(Reason::Retry));
}

// covers: L4-05
#[test]
fn a_pooled_connection_the_endpoint_closed_is_no_failure() {
    let once = backend(|mut stream| {
        take(&mut stream);
        stream.write_all(OK).unwrap();
        // Takes the next request and closes without a word.
        let _request = stream.read(&mut [0; 1024]);
    });
    let stand = http(&[once]);
    let mut client = stand.connect();
    let mut answer = [0; 1024];
    for _ in 0..3 {
        client.write_all(b"GET /x HTTP/1.1\r\nHost: web.mesh\r\n\r\n").unwrap();
        let read = client.read(&mut answer).unwrap();
        assert!(answer[..read].starts_with(b"HTTP/1.1 200"));
    }
    assert!(stand.records(3).iter().all(|record| record.flag == Flag::None));
}

// covers: HTTP-10, HTTP-11
#[test]
fn a_panic_is_one_500_and_the_worker_lives() {
    let stand = http(&[answering(OK)]);
    let poison = [b"GET ", stand::PANIC, b" HTTP/1.1\r\nHost: web.mesh\r\n\r\n"].concat();
    for _ in 0..10 {
        assert!(stand.ask(&poison).starts_with("HTTP/1.1 500"));
        assert!(stand.ask(LAST).starts_with("HTTP/1.1 200"));
    }
    let panicked = stand.records(20).into_iter().filter(|record| record.flag == Flag::Panic);
    assert_eq!(panicked.filter(|record| record.status == 500).count(), 10);
}

// covers: HTTP-02
#[test]
fn a_request_in_any_two_pieces_is_the_same_request() {
    let stand = http(&[answering(OK)]);
    let sent = b"POST /x HTTP/1.1\r\nHost: web.mesh\r\nTransfer-Encoding: chunked\r\n\
                 Connection: close\r\n\r\n5;e=1\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n";
    for cut in 1..sent.len() {
        let mut client = stand.connect();
        client.set_nodelay(true).unwrap();
        client.write_all(&sent[..cut]).unwrap();
        client.write_all(&sent[cut..]).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "cut at {cut}: {answer}");
    }
}

#[test]
fn a_lenient_service_gets_sloppy_requests_clean() {
    let echoes = backend(|mut stream| {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).unwrap();
        let body = buffer[..read].escape_ascii().to_string();
        let length = body.len();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
    });
    let sloppy = b"GET /x HTTP/1.1\nHost: web.mesh\nConnection: close\n\n";
    let mut declaration = Declaration::of(Declared::Http, &[echoes]);
    assert!(stand::start(&declaration).ask(sloppy).starts_with("HTTP/1.1 400"));
    declaration.compat = Compat::Lenient;
    let answer = stand::start(&declaration).ask(sloppy);
    assert!(answer.contains(r"GET /x HTTP/1.1\r\nHost: web.mesh\r\ntraceparent: 00-"), "{answer}");
}

// covers: HTTP-03
#[test]
fn large_bodies_pass_whole_both_ways() {
    const SIZE: usize = 10 << 20;
    let stand = http(&[backend(|mut stream| {
        let mut rest = SIZE;
        let mut buffer = vec![0; 1 << 16];
        let mut head = true;
        while rest > 0 {
            let read = stream.read(&mut buffer).unwrap();
            let at = if head { body_start(&buffer[..read]) } else { 0 };
            head = false;
            assert!(buffer[at..read].iter().all(|&b| b == b'u'));
            rest -= read - at;
        }
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n").unwrap();
        stream.write_all(&vec![b'd'; SIZE]).unwrap();
    })]);
    let mut client = stand.connect();
    write!(
        client,
        "POST /x HTTP/1.1\r\nHost: w\r\nConnection: close\r\nContent-Length: {SIZE}\r\n\r\n"
    )
    .unwrap();
    client.write_all(&vec![b'u'; SIZE]).unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    let body = &answer[body_start(&answer)..];
    assert_eq!(body.len(), SIZE);
    assert!(body.iter().all(|&b| b == b'd'));
    let record = stand.records(1)[0];
    assert_eq!((record.sent, record.received), (SIZE as u64, SIZE as u64));
}

fn body_start(message: &[u8]) -> usize {
    message.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4
}

// covers: X-059, HTTP-18
#[test]
fn a_server_that_speaks_first_is_not_kept_waiting() {
    let greets = backend(|mut stream| {
        stream.write_all(b"220 hello\r\n").unwrap();
        let _quit = stream.read(&mut [0; 64]);
    });
    let stand = stand::start(&Declaration::of(Declared::Detect, &[greets]));
    let before = Instant::now();
    let mut client = stand.connect();
    let mut greeting = [0; 11];
    client.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"220 hello\r\n");
    assert!(before.elapsed() < Duration::from_secs(5), "no timeout was waited for");
    drop(client);
    assert_eq!(stand.records(1)[0].kind, Kind::Tcp);
}

// covers: HTTP-18
#[test]
fn undeclared_http_is_carried_as_http() {
    let stand = stand::start(&Declaration::of(Declared::Detect, &[answering(OK)]));
    assert!(stand.ask(LAST).contains("x-request-id: "));
    assert_eq!(stand.records(1)[0].kind, Kind::Http);
}

// covers: L4-01
#[test]
fn a_half_close_is_passed_on_and_the_rest_still_arrives() {
    const SIZE: usize = 8 << 20;
    let sums = backend(|mut stream| {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        stream.write_all(&all).unwrap();
    });
    let stand = stand::start(&Declaration::of(Declared::Tcp, &[sums]));
    let mut client = stand.connect();
    let sent: Vec<u8> = (0..SIZE).map(|at| (at % 251) as u8).collect();
    client.write_all(&sent).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut received = Vec::new();
    client.read_to_end(&mut received).unwrap();
    assert!(received == sent);
    let record = stand.records(1)[0];
    assert_eq!((record.flag, record.sent, record.received), (Flag::None, SIZE as u64, SIZE as u64));
}

// covers: L4-01
#[test]
fn a_reset_is_passed_on_as_a_reset() {
    let resets = backend(|mut stream| {
        take(&mut stream);
        let linger = Some(Duration::ZERO);
        socket2::SockRef::from(&stream).set_linger(linger).unwrap();
    });
    let stand = stand::start(&Declaration::of(Declared::Tcp, &[resets]));
    let mut client = stand.connect();
    client.write_all(b"hello").unwrap();
    let end = client.read(&mut [0; 8]).unwrap_err();
    assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(stand.records(1)[0].flag, Flag::UpstreamClosed);
}

#[tokio::test]
async fn a_drain_finishes_requests_and_cuts_what_outlasts_it() {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let waits = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = waits.local_addr().unwrap();
    let (reached, arrived) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = waits.accept().unwrap();
        take(&mut stream);
        reached.send(()).unwrap();
        released.lock().unwrap().recv().unwrap();
        stream.write_all(OK).unwrap();
        let _held = stream.read(&mut [0; 8]);
    });
    let stand = http(&[endpoint]);
    let mut client = stand.connect();
    client.write_all(b"GET /slow HTTP/1.1\r\nHost: web.mesh\r\n\r\n").unwrap();
    arrived.await.unwrap();
    let address = stand.address;
    let rings = stand.rings.clone();
    let drained = tokio::spawn(stand.workers.drain(Duration::from_secs(20)));
    let answered = tokio::task::spawn_blocking(move || {
        while TcpStream::connect(address).is_ok() {
            std::thread::yield_now();
        }
        release.send(()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    });
    let answer = answered.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("Connection: close"), "{answer}");
    assert_eq!(drained.await.unwrap(), 0);
    assert_eq!(rings.newest(10, |entry| entry.record.status == 200).len(), 1);
}

/// The whole path of a warm request, record and metrics included.
#[test]
fn ten_thousand_warm_requests_allocate_nothing() {
    const SENT: &[u8] =
        b"GET /some/path?with=query HTTP/1.1\r\nHost: web.mesh\r\nAccept: */*\r\n\r\n";
    let stand = http(&[answering(OK)]);
    let mut client = stand.connect();
    let mut answer = [0; 4096];
    let mut before = 0;
    for request in 0..11_000 {
        if request == 1_000 {
            before = allocations();
        }
        client.write_all(SENT).unwrap();
        let mut got = 0;
        while !answer[..got].ends_with(b"\r\n\r\nok") {
            got += client.read(&mut answer[got..]).unwrap();
        }
    }
    assert_eq!(allocations() - before, 0);
}
