//! Questions over TCP.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tracing::debug;

use super::answer::{Question, Verdict, consider};
use super::report::{Asked, Outcome};
use super::udp::{flag_of, report_forwarded};
use super::{Door, Shared, forward, told};
use crate::capture::Origin;
use crate::record::{Flag, Protocol};

/// A client that asks nothing for this long is let go (RFC 7766 leaves it to us).
const IDLE: Duration = Duration::from_secs(10);
/// Out of descriptors: let some connections end first.
const PAUSE_AFTER_ACCEPT_ERROR: Duration = Duration::from_millis(100);

pub(super) async fn serve(
    listener: std::net::TcpListener,
    door: Door,
    shared: Arc<Shared>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let Ok(permit) = Arc::clone(&shared.connections).acquire_owned().await else {
            return Ok(());
        };
        match listener.accept().await {
            Ok((stream, _client)) => {
                let (connection, door) = (Arc::clone(&shared), door.clone());
                let task = async move {
                    if let Err(error) = carry(stream, &door, &connection).await {
                        debug!(%error, "a DNS connection ended");
                    }
                    drop(permit);
                };
                shared.tasks.spawn(shared.stop.clone().run_until_cancelled_owned(task));
            }
            Err(error) => {
                debug!(%error, "accept failed");
                sleep(PAUSE_AFTER_ACCEPT_ERROR).await;
            }
        }
    }
}

/// Answers the questions of one connection, one after the other.
async fn carry(mut stream: TcpStream, door: &Door, shared: &Shared) -> io::Result<()> {
    let (client, local) = (stream.peer_addr()?, stream.local_addr()?);
    let origin = shared.origins.of(stream.as_fd(), client, local, door.gate);
    let origin = origin.map_err(io::Error::other)?;
    let start = door.start(shared.mark);
    let mut upstream = None;
    loop {
        let message = match timeout(IDLE, forward::read_message(&mut stream)).await {
            Ok(Ok(Some(message))) => message,
            Ok(Ok(None)) | Err(_) => return Ok(()),
            Ok(Err(error)) => return Err(error),
        };
        let (at, bytes) = (Instant::now(), message.len());
        let asked = Asked { client, origin, protocol: Protocol::Tcp, at, bytes };
        let snapshot = shared.snapshot();
        let reply = match consider(&message, &snapshot) {
            Verdict::Drop => return Ok(()),
            Verdict::Answer(answer) => {
                let (flag, upstream) = (Flag::None, Duration::ZERO);
                let (name, text, service) = (&*answer.name, &*answer.text, answer.service);
                let bytes = answer.message.len();
                let outcome = Outcome { name, text, service, flag, bytes, upstream };
                shared.report.push(&snapshot, &asked, &outcome);
                answer.message
            }
            Verdict::Forward(question) => {
                let reply = ask(&message, &question, &origin, &mut upstream, start).await;
                let reply = reply.map_err(|error| flag_of(&error));
                if let Ok(reply) = &reply {
                    told::remember(shared, &asked, &question, reply);
                }
                report_forwarded(shared, &asked, &question, &reply);
                reply.unwrap_or_else(|_flag| question.server_failure(&message))
            }
        };
        timeout(IDLE, forward::write_message(&mut stream, &reply)).await??;
    }
}

/// Keeps one connection to the resolver for all questions of the client's.
async fn ask(
    message: &[u8],
    question: &Question,
    origin: &Origin,
    upstream: &mut Option<TcpStream>,
    start: forward::Start<'_>,
) -> io::Result<Vec<u8>> {
    let mut resolver = match upstream.take() {
        Some(resolver) => resolver,
        None => forward::connect(origin.destination, start).await?,
    };
    let reply = forward::over_tcp(message, question, &mut resolver).await?;
    *upstream = Some(resolver);
    Ok(reply)
}
