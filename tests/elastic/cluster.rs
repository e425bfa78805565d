//! A real Elasticsearch for tests, of the library and from outside: one for all tests of a process, or one of a test's own
//! that may be stopped, killed and frozen. It ends with the process that asked for it, however that ends (cluster.sh).
//!
//! Included once per test program, by its path. Where there is no Maven or no JDK, tests that need a cluster return early
//! and say so, unless FLEET_TEST_ELASTICSEARCH is `required`.

// each test program uses its part
#![allow(dead_code)]

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Names a cluster that runs already (`http://127.0.0.1:9200`, user elastic, password changeme), or says `required`.
const VARIABLE: &str = "FLEET_TEST_ELASTICSEARCH";
/// The superuser of all test clusters.
const SUPERUSER: &str = "elastic:changeme";
/// Looks at a cluster that has begun to listen, until it is ready: a minute at least.
const READY_LOOKS_MAX: u32 = 600;
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// For one request of a test.
const REQUEST_WAIT_MAX: Duration = Duration::from_secs(60);
/// A port that was free may be taken before Elasticsearch binds it.
const PORTS_TRIED_MAX: u32 = 3;

/// What kind of cluster a test wants of its own.
pub(crate) struct Options {
    /// Users, keys and tokens; without, every `_security` path is unknown to it.
    pub(crate) security: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { security: true }
    }
}

/// An Elasticsearch of one node on loopback, over plain HTTP.
pub(crate) struct Cluster {
    url: String,
    service_token: String,
    security: bool,
    agent: ureq::Agent,
    /// None for one that somebody else started.
    keeper: Option<Mutex<Keeper>>,
}

impl Cluster {
    /// The one for all tests of this process that neither stop it nor look at indices of other tests; None, and a word on
    /// standard error, where there can be none. Indices: `.fleet-policies-SUFFIX` and so on, with [`suffix`].
    pub(crate) fn shared() -> Option<&'static Cluster> {
        static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
        SHARED
            .get_or_init(|| match std::env::var(VARIABLE) {
                Ok(url) if url.starts_with("http://") => Some(Cluster::at(url)),
                _ => Cluster::start(Options::default()),
            })
            .as_ref()
    }

    /// One of the caller's own, with empty data; it ends when dropped. None where there can be none.
    pub(crate) fn start(options: Options) -> Option<Cluster> {
        for _ in 0..PORTS_TRIED_MAX {
            let port = free_port();
            let mut keeper = Keeper::new(port, options.security);
            match keeper.order("start") {
                Ok(()) => {
                    let mut cluster = Cluster::new(format!("http://127.0.0.1:{port}"), options.security);
                    cluster.keeper = Some(Mutex::new(keeper));
                    cluster.get_ready();
                    return Some(cluster);
                }
                Err(reason) if reason.starts_with("missing") => return without(&reason),
                Err(reason) => complain(&format!("Elasticsearch on port {port}: {reason}")),
            }
        }
        panic!("Elasticsearch does not start");
    }

    /// `http://127.0.0.1:PORT`
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What Fleet Server authenticates with; empty without security.
    pub(crate) fn service_token(&self) -> &str {
        &self.service_token
    }

    /// Sends a request as the superuser; `body` null: none. Status and answer, null if that is no JSON.
    pub(crate) fn admin(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send(method, path, body, "application/json").unwrap()
    }

    /// The same with lines of JSON (`_bulk`), each ended.
    pub(crate) fn admin_lines(&self, method: &str, path: &str, lines: String) -> (u16, Value) {
        self.send(method, path, lines, "application/x-ndjson").unwrap()
    }

    /// Ends it in order and frees its port; the data stay.
    pub(crate) fn stop(&self) {
        self.order("stop");
    }

    /// Ends it at once, as a crash would; the data stay.
    pub(crate) fn kill(&self) {
        self.order("kill");
    }

    /// Starts it again after [`Cluster::stop`] or [`Cluster::kill`], on the same port with the same data and token.
    pub(crate) fn start_again(&self) {
        self.order("start");
        self.wait_until_ready();
    }

    /// Lets it run no further: connections stay open, nothing is answered.
    pub(crate) fn freeze(&self) {
        self.order("freeze");
    }

    /// Lets it run on after [`Cluster::freeze`].
    pub(crate) fn thaw(&self) {
        self.order("thaw");
    }

    fn new(url: String, security: bool) -> Cluster {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(REQUEST_WAIT_MAX))
            .max_idle_connections(0)
            .proxy(None)
            .allow_non_standard_methods(true)
            .build();
        Cluster { url, service_token: String::new(), security, agent: config.new_agent(), keeper: None }
    }

    fn at(url: String) -> Cluster {
        let mut cluster = Cluster::new(url.trim_end_matches('/').to_owned(), true);
        cluster.get_ready();
        cluster
    }

    fn get_ready(&mut self) {
        self.wait_until_ready();
        if self.security {
            let path = "/_security/service/elastic/fleet-server/credential/token/";
            let (status, answer) = self.admin("POST", &format!("{path}{}", suffix()), &Value::Null);
            let token = answer["token"]["value"].as_str();
            self.service_token = token.unwrap_or_else(|| panic!("no token: {status} {answer}")).to_owned();
        }
    }

    /// Logins are refused for about a second after the port opens, while the index of users is made; and after a restart
    /// the shards have yet to be opened.
    fn wait_until_ready(&self) {
        let health = "/_cluster/health?wait_for_status=yellow&timeout=1s";
        for _ in 0..READY_LOOKS_MAX {
            if matches!(self.send("GET", health, String::new(), ""), Ok((200, _))) {
                return;
            }
            pause(LOOK_EVERY);
        }
        panic!("{} is not ready", self.url);
    }

    fn send(&self, method: &str, path: &str, body: String, kind: &str) -> Result<(u16, Value), ureq::Error> {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        if self.security {
            request = request.header("Authorization", format!("Basic {}", STANDARD.encode(SUPERUSER)));
        }
        let mut answer = if body.is_empty() {
            self.agent.run(request.body(())?)?
        } else {
            self.agent.run(request.header("Content-Type", kind).body(body)?)?
        };
        let text = answer.body_mut().with_config().limit(u64::MAX).read_to_string()?;
        Ok((answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    fn order(&self, order: &str) {
        let keeper = self.keeper.as_ref().expect("only a cluster of the test's own may be stopped");
        let answer = keeper.lock().unwrap_or_else(PoisonError::into_inner).order(order);
        answer.unwrap_or_else(|reason| panic!("{order}: {reason}"));
    }
}

/// The shell that keeps one Elasticsearch and ends it when its input does.
struct Keeper {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Keeper {
    fn new(port: u16, security: bool) -> Keeper {
        use std::os::unix::process::CommandExt;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/elastic/cluster.sh");
        let mut child = Command::new("bash")
            .args([script, &port.to_string(), &security.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // a signal to the group of the tests must not end the keeper before it has cleared up
            .process_group(0)
            .spawn()
            .expect("bash");
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Keeper { child, orders, answers }
    }

    /// Gives an order and waits until it is carried out, or says why it is not.
    fn order(&mut self, order: &str) -> Result<(), String> {
        // the keeper may have ended; then it has left a line that says why
        let _ = writeln!(self.orders.as_ref().unwrap(), "{order}");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).map_err(|error| error.to_string())?;
        match answer.trim_end() {
            "done" => Ok(()),
            "" => Err("the keeper is gone".to_owned()),
            reason => Err(reason.to_owned()),
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.child.wait();
    }
}

/// A name that no other test has, of this run or of another on the same cluster: small letters and digits.
pub(crate) fn suffix() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut random = [0; 4];
    getrandom::fill(&mut random).unwrap();
    format!("{:08x}t{count}", u32::from_le_bytes(random))
}

/// Waits for what has no event of its own.
pub(crate) fn pause(duration: Duration) {
    let (_sender, never) = mpsc::channel::<()>();
    let _ = never.recv_timeout(duration);
}

fn without(reason: &str) -> Option<Cluster> {
    assert!(
        std::env::var(VARIABLE).as_deref() != Ok("required"),
        "{VARIABLE} is required, and there is no Elasticsearch: {reason}"
    );
    complain(&format!("NOT TESTED against a real Elasticsearch: {reason}"));
    None
}

/// Past the capture of test output: it is not only for those whose test fails.
fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
