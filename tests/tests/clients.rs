//! Programs people really run, unmodified, through the mesh.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mesh_tests::host::installed;
use mesh_tests::wait::until;
use mesh_tests::{Node, needs_root};

/// A server of the test's own in the node's namespace; killed when dropped.
struct Server(Child);

impl Server {
    fn start(node: &Node, program: &str, args: &[&str], port: u16) -> Self {
        let mut command: Command = node.netns.command(program);
        command.args(args).current_dir(node.dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let server = Self(command.spawn().unwrap());
        until(&format!("{program} at {port}"), Duration::from_secs(15), || {
            node.netns.inside(move || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok())
        });
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().unwrap_or_default();
        self.0.wait().unwrap();
    }
}

/// True when every program is there; CI installs them all.
fn have(programs: &[&str]) -> bool {
    let missing: Vec<_> = programs.iter().filter(|program| !installed(program)).collect();
    if missing.is_empty() {
        return true;
    }
    eprintln!("SKIPPED (needs {missing:?})");
    false
}

#[test]
fn nginx_serves_curl_and_python() {
    needs_root!();
    if !have(&["nginx", "curl", "python3"]) {
        return;
    }
    let node = Node::start();
    let root = node.file("www/page", &"nginx page\n".repeat(20_000));
    let folder = node.dir.path().display();
    let conf = node.file(
        "nginx.conf",
        &format!(
            "daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.err; worker_processes 1; user root;
             events {{}} http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
             fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
             server {{ listen 8080; gzip on; gzip_types *; root {}; }} }}",
            root.parent().unwrap().display()
        ),
    );
    let conf = conf.display().to_string();
    let _nginx = Server::start(&node, "nginx", &["-c", &conf], 8080);
    node.ok(&["register", "web", "--port", "http:8080"]);
    let page = "nginx page\n".repeat(20_000);
    let curl =
        node.run("cli", &["curl", "-sS", "--compressed", "-m", "10", "http://web.mesh/page"]);
    assert!(curl.exits(0).stdout == page, "curl got another page");
    let code = "import urllib.request as u; print(len(u.urlopen('http://web.mesh/page', timeout=10).read()))";
    let python = node.run("cli", &["python3", "-c", code]).exits(0);
    assert_eq!(python.stdout.trim(), page.len().to_string());
}

/// A program that calls another service and hands its trace on, as applications do.
const SHOP: &str = r#"
import http.server, urllib.request
class Shop(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        trace = {"traceparent": self.headers["traceparent"]}
        answer = urllib.request.urlopen(urllib.request.Request("http://stock.mesh/count", headers=trace), timeout=5)
        body = b"shop " + answer.read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.HTTPServer(("127.0.0.1", 8080), Shop).serve_forever()
"#;

// covers: TRACE-03 TRACE-04 REG-20
#[test]
fn services_that_hand_the_trace_on_are_one_trace() {
    needs_root!();
    if !have(&["python3"]) {
        return;
    }
    let node = Node::start();
    let stock = mesh_tests::Backend::http(&node.netns, "stock", 8081);
    node.ok(&["register", "stock", "--port", "http:8081"]);
    node.ok(&["register", "shop", "--port", "http:8080"]);
    let shop = node.file("shop.py", SHOP).display().to_string();
    let mut command = node.command(mesh_tests::programs::program("meshctl"));
    command.args(["run", "--as", "shop", "--", "python3", &shop]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _shop = Server(command.spawn().unwrap());
    until("the shop", Duration::from_secs(15), || {
        node.netns.inside(|| std::net::TcpStream::connect(("127.0.0.1", 8080)).is_ok())
    });
    let mut cli = node.run_as("cli");
    let answer = cli.get("shop.mesh", "/buy");
    assert!(answer.ends_with("shop stock GET /count 0"), "{answer}");
    let inner = stock.seen().pop().unwrap().head.one("traceparent").unwrap();
    let trace = inner.split('-').nth(1).unwrap().to_owned();
    let lines = mesh_tests::wait::eventually("two log lines", Duration::from_secs(5), || {
        let mut lines = node.access_log("request completed");
        lines.retain(|line| line["trace_id"] == trace.as_str());
        if lines.len() == 2 { Ok(lines) } else { Err(format!("{lines:?}")) }
    });
    let mut edges: Vec<String> = lines
        .iter()
        .map(|line| format!("{} -> {}", line["source"], line["upstream_cluster"]))
        .collect();
    edges.sort();
    assert_eq!(edges, ["\"cli\" -> \"shop\"", "\"shop\" -> \"stock\""]);
    let shown = node.ok(&["trace", "get", &trace]);
    assert!(shown.contains("/buy") && shown.contains("-> stock"), "{shown}");
}

#[test]
fn redis_pipelines_and_publishes() {
    needs_root!();
    if !have(&["redis-server", "redis-cli", "redis-benchmark"]) {
        return;
    }
    let node = Node::start();
    let args = ["--port", "6379", "--save", "", "--daemonize", "no"];
    let _redis = Server::start(&node, "redis-server", &args, 6379);
    node.ok(&["register", "cache", "--port", "tcp:6379"]);
    let cli = |args: &[&str]| node.run("cli", &[&["redis-cli", "-h", "cache.mesh"], args].concat());
    assert_eq!(cli(&["set", "key", "value"]).exits(0).stdout.trim(), "OK");
    assert_eq!(cli(&["get", "key"]).exits(0).stdout.trim(), "value");
    let bench =
        ["redis-benchmark", "-h", "cache.mesh", "-n", "5000", "-P", "16", "-q", "-t", "set,get"];
    let bench = node.run("cli", &bench).exits(0);
    assert!(bench.stdout.contains("requests per second"), "{bench}");
}

// covers: X-059
#[test]
fn postgres_answers_queries_and_copies() {
    needs_root!();
    let Some(bin) = postgres_bin() else {
        eprintln!("SKIPPED (needs postgres)");
        return;
    };
    let node = Node::start();
    let data = node.dir.path().join("pg");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(node.dir.path(), open).unwrap();
    let shell = |line: String| {
        let mut su = node.netns.command("su");
        su.args(["nobody", "-s", "/bin/sh", "-c", &line]).current_dir("/");
        su
    };
    let init = format!("{bin}/initdb -D {} -A trust -U postgres --no-sync", data.display());
    let done = shell(init).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let serve = format!("exec {bin}/postgres -D {0} -p 5432 -k {0} -c fsync=off", data.display());
    let mut child = shell(serve).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("postgres", Duration::from_secs(20), || {
        node.netns.inside(|| std::net::TcpStream::connect(("127.0.0.1", 5432)).is_ok())
    });
    node.ok(&["register", "db", "--port", "tcp:5432"]);
    let sql = "create table t(a int); copy t from program 'seq 1 10000'; select sum(a) from t;";
    let psql = ["psql", "-h", "db.mesh", "-U", "postgres", "-qAtc", sql];
    let summed = node.run("cli", &psql);
    // SIGINT: fast shutdown.
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    child.wait().unwrap();
    assert_eq!(summed.exits(0).stdout.trim(), "50005000");
}

fn postgres_bin() -> Option<String> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let newest = versions.flatten().map(|entry| entry.path().join("bin")).max()?;
    (newest.join("initdb").exists() && installed("psql")).then(|| newest.display().to_string())
}
