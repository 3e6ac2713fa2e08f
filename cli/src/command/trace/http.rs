//! Sends one plain HTTP/1.1 request and takes the time of what a client can see.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use mesh_proto::codes;
use tokio::net::{TcpStream, lookup_host};

use crate::client::VERSION;
use crate::error::Failure;

/// What is sent; every sample gets its own trace.
pub(super) struct Plan {
    method: Method,
    uri: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

/// One answer, as the client saw it.
pub(super) struct Exchange {
    pub(super) trace: String,
    pub(super) began: SystemTime,
    /// `None` when the URL has an address instead of a name.
    pub(super) lookup: Option<Duration>,
    pub(super) connect: Duration,
    pub(super) total: Duration,
    pub(super) status: u16,
    pub(super) bytes: u64,
    pub(super) peer: SocketAddr,
}

impl Plan {
    pub(super) fn new(
        url: &str,
        method: Option<&str>,
        headers: &[String],
        body: Option<&str>,
    ) -> Result<Self, Failure> {
        let uri: Uri = url.parse().map_err(|error| {
            Failure::usage(format!("\"{url}\" is no URL")).why(format!("{error}"))
        })?;
        if uri.scheme_str() != Some("http") || uri.host().is_none_or(str::is_empty) {
            return Err(Failure::usage(format!("\"{url}\" is not an http:// URL"))
                .fix("meshctl trace request http://web.mesh/"));
        }
        let default = if body.is_some() { "POST" } else { "GET" };
        let method = method.unwrap_or(default);
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_invalid| Failure::usage(format!("--request: \"{method}\" is no method")))?;
        let headers = headers.iter().map(|line| header(line)).collect::<Result<_, _>>()?;
        let body = Bytes::from(body.unwrap_or_default().to_owned());
        Ok(Self { method, uri, headers, body })
    }

    pub(super) fn method(&self) -> &str {
        self.method.as_str()
    }

    pub(super) fn url(&self) -> String {
        self.uri.to_string()
    }

    pub(super) fn host(&self) -> &str {
        self.uri.host().unwrap_or_default().trim_matches(['[', ']'])
    }

    /// Sends the request once, over a connection of its own.
    pub(super) async fn send(&self) -> Result<Exchange, Failure> {
        let trace = fresh_id::<16>()?;
        let parent = format!("00-{trace}-{}-01", fresh_id::<8>()?);
        let began = SystemTime::now();
        let clock = Instant::now();
        let addresses = self.resolve().await?;
        let is_name = self.host().parse::<std::net::IpAddr>().is_err();
        let lookup = is_name.then(|| clock.elapsed());
        let before_connect = clock.elapsed();
        let stream =
            connect(&addresses).await.map_err(|error| self.not_sent(&error.to_string()))?;
        let connect = clock.elapsed().saturating_sub(before_connect);
        let peer = stream.peer_addr()?;
        let response = self.exchange(stream, &parent).await?;
        let status = response.status().as_u16();
        let bytes = self.drain(response.into_body()).await?;
        let total = clock.elapsed();
        Ok(Exchange { trace, began, lookup, connect, total, status, bytes, peer })
    }

    async fn resolve(&self) -> Result<Vec<SocketAddr>, Failure> {
        let port = self.uri.port_u16().unwrap_or(80);
        let found = lookup_host((self.host(), port)).await.map(Iterator::collect::<Vec<_>>);
        match found {
            Ok(addresses) if !addresses.is_empty() => Ok(addresses),
            Ok(_) => Err(self.not_sent("the name has no address")),
            Err(error) => Err(self.not_sent(&error.to_string()).fix("meshctl get services")),
        }
    }

    async fn exchange(
        &self,
        stream: TcpStream,
        parent: &str,
    ) -> Result<Response<Incoming>, Failure> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.not_sent(&error.to_string()))?;
        // Ends with the connection, which ends with the body or with this process.
        tokio::spawn(connection);
        let request = self.request(parent)?;
        sender.send_request(request).await.map_err(|error| self.not_answered(&error))
    }

    fn request(&self, parent: &str) -> Result<Request<Full<Bytes>>, Failure> {
        let authority = self.uri.authority().map(ToString::to_string).unwrap_or_default();
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut builder = Request::builder()
            .method(self.method.clone())
            .uri(path)
            .header(HOST, authority)
            .header(USER_AGENT, format!("meshctl/{VERSION}"))
            .header("accept", "*/*")
            .header("traceparent", parent);
        if let Some(headers) = builder.headers_mut() {
            for (name, value) in &self.headers {
                headers.insert(name.clone(), value.clone());
            }
        }
        let request = builder.body(Full::new(self.body.clone()));
        request.map_err(|error| self.not_sent(&error.to_string()))
    }

    async fn drain(&self, mut body: Incoming) -> Result<u64, Failure> {
        let mut bytes = 0;
        while !body.is_end_stream() {
            let Some(frame) = body.frame().await else { break };
            let frame = frame.map_err(|error| self.not_answered(&error))?;
            bytes += frame.data_ref().map_or(0, Bytes::len);
        }
        Ok(u64::try_from(bytes).unwrap_or(u64::MAX))
    }

    fn not_sent(&self, why: &str) -> Failure {
        Failure::new(&codes::NOT_SENT, format!("cannot send the request to {}", self.host()))
            .why(why)
    }

    fn not_answered(&self, error: &hyper::Error) -> Failure {
        let message = format!("{} closed the connection without a whole answer", self.host());
        let cause = std::error::Error::source(error).map(ToString::to_string);
        Failure::new(&codes::NOT_SENT, message).why(cause.unwrap_or_else(|| error.to_string()))
    }
}

async fn connect(addresses: &[SocketAddr]) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(addresses).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// `Name: value`, as curl takes it.
fn header(line: &str) -> Result<(HeaderName, HeaderValue), Failure> {
    let wrong = || Failure::usage(format!("--header: \"{line}\" is not NAME: VALUE"));
    let (name, value) = line.split_once(':').ok_or_else(wrong)?;
    let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_invalid| wrong())?;
    let value = HeaderValue::from_str(value.trim()).map_err(|_invalid| wrong())?;
    Ok((name, value))
}

/// Random bytes in hexadecimal.
fn fresh_id<const BYTES: usize>() -> Result<String, Failure> {
    use std::io::Read as _;
    let mut bytes = [0_u8; BYTES];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
