//! The toy services of the demo: JSON over HTTP, on threads of this process.

use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::thread::JoinHandle;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A running service; dropping it stops it.
pub(super) struct Backend {
    pub(super) port: u16,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Backend {
    /// Listens before it returns, so that the first request finds it.
    pub(super) fn start(port: u16, version: &'static str) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let (stop, stopped) = watch::channel(false);
        let thread = std::thread::Builder::new().name(format!("backend-{port}"));
        let thread = thread.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(serve(listener, Identity { port, version }, stopped))
        })?;
        Ok(Self { port, stop, thread: Some(thread) })
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

#[derive(Clone, Copy)]
struct Identity {
    port: u16,
    version: &'static str,
}

/// Serves until told to stop; then requests under way are answered, and nothing is kept alive.
async fn serve(
    listener: std::net::TcpListener,
    identity: Identity,
    mut stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                connections.spawn(connection(stream, identity, stopped.clone()));
            }
            _ = stopped.changed() => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
    Ok(())
}

async fn connection(stream: TcpStream, identity: Identity, mut stopped: watch::Receiver<bool>) {
    let service =
        service_fn(move |request| async move { Ok::<_, Infallible>(answer(&request, identity)) });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        // A client that breaks off is its own business.
        ended = connection.as_mut() => drop(ended),
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            drop(connection.await);
        }
    }
}

fn answer(request: &Request<Incoming>, identity: Identity) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    match path.strip_prefix("/api/users") {
        Some("" | "/") => reply(StatusCode::OK, &users()),
        Some(rest) => user(rest.trim_start_matches('/')),
        None if path == "/health" => reply(StatusCode::OK, &json!({"status": "ok"})),
        None => reply(StatusCode::OK, &hello(path, request.method().as_str(), identity)),
    }
}

fn hello(path: &str, method: &str, identity: Identity) -> Value {
    let now = prost_types::Timestamp::from(std::time::SystemTime::now());
    json!({
        "message": "Hello from the backend service!",
        "timestamp": now.to_string(),
        "path": path,
        "method": method,
        "version": identity.version,
        "port": identity.port,
    })
}

fn users() -> Value {
    json!([{"id": 1, "name": "Ada"}, {"id": 2, "name": "Grace"}, {"id": 3, "name": "Edsger"}])
}

fn user(id: &str) -> Response<Full<Bytes>> {
    let users = users();
    let known = users.as_array().into_iter().flatten();
    let found = known.into_iter().find(|user| {
        user.get("id").and_then(Value::as_u64).is_some_and(|known| id.parse() == Ok(known))
    });
    match found {
        Some(user) => reply(StatusCode::OK, user),
        None => reply(StatusCode::NOT_FOUND, &json!({"error": format!("user {id} not found")})),
    }
}

fn reply(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{body}\n")));
    *response.status_mut() = status;
    let json = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_id_or_not_at_all() {
        assert_eq!(user("2").status(), StatusCode::OK);
        assert_eq!(user("9").status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn the_greeting_says_what_was_asked() {
        let greeting = hello("/x", "GET", Identity { port: 3000, version: "v1" });
        assert_eq!(greeting["message"], "Hello from the backend service!");
        assert_eq!((&greeting["path"], &greeting["method"]), (&json!("/x"), &json!("GET")));
        assert!(greeting["timestamp"].as_str().unwrap().ends_with('Z'));
    }
}
