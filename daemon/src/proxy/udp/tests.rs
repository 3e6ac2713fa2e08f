use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crate::model::{Declared, Health};
use crate::proxy::stand::{self, Declaration, Stand};
use crate::record::Flag;

/// Answers every datagram with its name and the datagram; counts them.
fn endpoint(name: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (address, served) = (socket.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&served);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            count.fetch_add(1, Relaxed);
            let answer = [name.as_bytes(), &buffer[..length]].concat();
            socket.send_to(&answer, from).unwrap();
        }
    });
    (address, served)
}

/// An address that refuses.
fn nobody() -> SocketAddr {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

fn start(endpoints: &[SocketAddr]) -> Stand {
    stand::start(&Declaration::of(Declared::Udp, endpoints))
}

fn client(stand: &Stand) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.connect(stand.address).unwrap();
    socket
}

fn ask(client: &UdpSocket, datagram: &[u8]) -> Vec<u8> {
    client.send(datagram).unwrap();
    let mut buffer = vec![0; 1 << 16];
    let length = client.recv(&mut buffer).unwrap();
    buffer.truncate(length);
    buffer
}

fn finish(stand: Stand, records: usize) -> Vec<crate::record::Record> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let cut = runtime.block_on(stand.workers.drain(Duration::from_secs(10)));
    assert_eq!(cut, 0, "a silent session held up the stop");
    let all: Vec<_> = stand.rings.newest(1000, |_| true).into_iter().map(|e| e.record).collect();
    assert_eq!(all.len(), records);
    all
}

// covers: L4-08
#[test]
fn every_size_and_boundary_arrives_and_the_session_is_recorded_and_counted() {
    let (a, _) = endpoint("");
    let stand = start(&[a]);
    let client = client(&stand);
    let mut bytes = 0;
    for length in [0, 1, 64, 1_472, 9_000, 65_507] {
        let datagram: Vec<u8> = (0..length).map(|at| at as u8).collect();
        assert!(ask(&client, &datagram) == datagram, "{length} bytes");
        bytes += length as u64;
    }
    let telemetry = stand.telemetry.clone();
    let record = finish(stand, 1)[0];
    assert_eq!((record.sent, record.received, record.flag), (bytes, bytes, Flag::None));
    assert_eq!(record.pick.unwrap().address, a);
    let counted = telemetry.totals().service(1);
    assert_eq!((counted.datagrams_received, counted.datagrams_sent), (6, 6));
    assert_eq!((counted.sent, counted.opened, counted.open()), (bytes, 1, 0));
}

// covers: L4-10
#[test]
fn datagrams_of_a_session_stay_in_order_and_with_their_endpoint() {
    let (endpoints, _): (Vec<_>, Vec<_>) = [endpoint("a"), endpoint("b")].into_iter().unzip();
    let stand = start(&endpoints);
    for _ in 0..4 {
        let client = client(&stand);
        for number in 0..200_u32 {
            client.send(&number.to_be_bytes()).unwrap();
        }
        let mut name = None;
        for number in 0..200_u32 {
            let mut buffer = [0; 16];
            assert_eq!(client.recv(&mut buffer).unwrap(), 5);
            assert_eq!(*name.get_or_insert(buffer[0]), buffer[0], "moved to another endpoint");
            assert_eq!(buffer[1..5], number.to_be_bytes());
        }
    }
    let records = finish(stand, 4);
    let first = records.iter().filter(|record| record.pick.unwrap().address == endpoints[0]);
    assert_eq!(first.count(), 2, "sessions are not balanced");
}

// covers: L4-08
#[test]
fn a_burst_of_many_lengths_arrives_as_it_was_sent() {
    let (a, _) = endpoint("");
    let stand = start(&[a]);
    let client = client(&stand);
    let lengths = [40, 40, 40, 7, 40, 40, 0, 0, 3, 2_000, 2_000, 1_452, 1_452, 1_453, 1, 1, 2];
    let burst: Vec<_> = (0..).zip(lengths).map(|(number, length)| vec![number; length]).collect();
    for _ in 0..20 {
        burst
            .iter()
            .for_each(|datagram| assert_eq!(client.send(datagram).unwrap(), datagram.len()));
        for datagram in &burst {
            let mut buffer = [0; 4_096];
            let length = client.recv(&mut buffer).unwrap();
            assert!(buffer[..length] == *datagram, "{length} bytes instead of {}", datagram.len());
        }
    }
    finish(stand, 1);
}

// covers: L4-08
#[test]
fn an_endpoint_that_refuses_or_becomes_unready_loses_its_sessions_and_no_datagram() {
    let (b, served) = endpoint("b");
    let dead = nobody();
    let stand = start(&[dead, b]);
    for _ in 0..4 {
        assert_eq!(ask(&client(&stand), b"first"), b"bfirst");
    }
    assert_eq!(served.load(Relaxed), 4);
    let (c, _) = endpoint("c");
    let other = start(&[b, c]);
    let talking = client(&other);
    let before = ask(&talking, b"x")[0];
    let snapshot = other.published.newest();
    let of = |name| if name == b'b' { &snapshot.endpoints[0] } else { &snapshot.endpoints[1] };
    of(before).live.set_health(Health::Unhealthy);
    let after = ask(&talking, b"x")[0];
    assert_ne!(before, after, "stayed with an endpoint that is not ready");
    let records = finish(other, 2);
    assert_eq!(records.iter().map(|record| record.sent).sum::<u64>(), 4);
    let refused = stand.rings.newest(100, |_| true);
    assert!(refused.iter().all(|entry| entry.record.flag == Flag::UpstreamConnect));
    assert!(refused.len() < 4, "every session found out for itself");
}

#[test]
fn a_flood_of_new_sessions_pushes_out_none_that_talks() {
    let (a, served) = endpoint("a");
    let most = 20;
    let declaration = Declaration::of(Declared::Udp, &[a]);
    let stand = stand::start(&Declaration { max_sessions: most, ..declaration });
    let talking = client(&stand);
    assert_eq!((ask(&talking, b"1"), ask(&talking, b"2")), (b"a1".to_vec(), b"a2".to_vec()));
    // All open to the end: a port given out again would be the session it was before.
    let flood: Vec<UdpSocket> = (0..10 * most).map(|_| client(&stand)).collect();
    for client in &flood {
        assert_eq!(ask(client, b"flood"), b"aflood");
    }
    let before = served.load(Relaxed);
    assert_eq!(ask(&talking, b"3"), b"a3");
    assert_eq!(served.load(Relaxed), before + 1);
    let records = finish(stand, 10 * most + 1);
    assert_eq!(records.iter().filter(|record| record.received == 3).count(), 1);
}

#[test]
fn without_an_endpoint_datagrams_are_dropped_and_the_session_says_why() {
    let stand = start(&[]);
    let client = client(&stand);
    for _ in 0..3 {
        client.send(b"x").unwrap();
    }
    let telemetry = stand.telemetry.clone();
    while telemetry.totals().service(1).datagrams_dropped < 3 {
        std::thread::yield_now();
    }
    assert_eq!(finish(stand, 1)[0].flag, Flag::NoEndpoint);
}
