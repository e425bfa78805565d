//! A STAND-IN for Elasticsearch's fleet module, which the distribution that tests get does not have: a small HTTP proxy in
//! front of a real cluster that answers `_fleet/global_checkpoints`, `_fleet/_fleet_search`, `_fleet/_fleet_msearch` and
//! `_fleet/secret` itself and passes everything else on. The checkpoints are those of the real cluster, asked for over and
//! over; the searches are its own; secrets are kept here. What is tested by it is our side of the module, not the module.
//!
//! It can also answer for the cluster what a cluster says in trouble, and counts what it is asked. Expects the module
//! `cluster` beside it.

// each test program uses its part
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::cluster::pause;

/// Between two looks at the checkpoint of the real cluster.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long a search waits for its checkpoint.
const SEARCH_WAIT_MAX: Duration = Duration::from_secs(30);

/// The proxy; closed when dropped.
pub(crate) struct StandIn {
    url: String,
    shared: Arc<Shared>,
}

struct Shared {
    /// Of the real cluster.
    cluster: String,
    agent: ureq::Agent,
    faults: Mutex<Vec<Fault>>,
    seen: Mutex<Vec<String>>,
    /// By their ids.
    secrets: Mutex<BTreeMap<String, Value>>,
    secrets_made: AtomicUsize,
    /// Reads of secrets that are being answered, and the most there were at once.
    reads: Mutex<(usize, usize)>,
    closed: AtomicBool,
}

/// What is answered in place of the cluster.
struct Fault {
    /// To requests whose path has this in it.
    part: String,
    status: u16,
    body: String,
    /// So often.
    times: usize,
}

struct Request {
    method: String,
    /// With its query.
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

struct Answer {
    status: u16,
    body: String,
}

impl StandIn {
    /// In front of the cluster at this URL.
    pub(crate) fn before(cluster: &str) -> StandIn {
        let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            cluster: cluster.to_owned(),
            agent: config.new_agent(),
            faults: Mutex::default(),
            seen: Mutex::default(),
            secrets: Mutex::default(),
            secrets_made: AtomicUsize::new(0),
            reads: Mutex::default(),
            closed: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        in_thread(move || {
            for stream in listener.incoming().flatten() {
                if serving.closed.load(Ordering::Relaxed) {
                    break;
                }
                let serving = Arc::clone(&serving);
                in_thread(move || drop(serving.serve(&stream)));
            }
        });
        StandIn { url, shared }
    }

    /// What takes the place of the cluster's URL.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Answers this to the next `times` requests whose path has `part` in it.
    pub(crate) fn fail(&self, part: &str, times: usize, status: u16, body: &str) {
        let fault = Fault { part: part.to_owned(), status, body: body.to_owned(), times };
        lock(&self.shared.faults).push(fault);
    }

    /// The most reads of secrets that there were at once.
    pub(crate) fn secrets_read_at_once(&self) -> usize {
        lock(&self.shared.reads).1
    }

    /// How often something was asked whose path has `part` in it.
    pub(crate) fn count(&self, part: &str) -> usize {
        lock(&self.shared.seen).iter().filter(|target| target.contains(part)).count()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Relaxed);
        // wakes the one that accepts
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
    }
}

impl Shared {
    /// One connection, until the client closes it.
    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(stream);
        while let Some(request) = Request::read(&mut reader)? {
            lock(&self.seen).push(request.target.clone());
            let answer = self.answer(&request);
            let length = answer.body.len();
            let head = format!(
                "HTTP/1.1 {} -\r\nX-Elastic-Product: Elasticsearch\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n",
                answer.status
            );
            let mut stream = stream;
            stream.write_all(head.as_bytes())?;
            stream.write_all(if request.method == "HEAD" { b"" } else { answer.body.as_bytes() })?;
            if self.closed.load(Ordering::Relaxed) {
                break;
            }
        }
        Ok(())
    }

    fn answer(&self, request: &Request) -> Answer {
        if let Some(answer) = self.fault(&request.target) {
            return answer;
        }
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        match path.split_once("/_fleet/") {
            Some((index, "global_checkpoints")) => self.checkpoints(request, index, query),
            Some((index, "_fleet_search")) => {
                if let Some(checkpoint) = parameter(query, "wait_for_checkpoints") {
                    self.make_searchable(request, index, checkpoint);
                }
                self.pass_on("POST", &format!("{index}/_search"), request, &request.body)
            }
            Some(("", "_fleet_msearch")) => self.searches(request),
            Some(("", secret)) if secret == "secret" || secret.starts_with("secret/") => {
                self.secret(request, secret.trim_start_matches("secret").trim_start_matches('/'))
            }
            _ => self.pass_on(&request.method, &request.target, request, &request.body),
        }
    }

    fn fault(&self, target: &str) -> Option<Answer> {
        let mut faults = lock(&self.faults);
        let fault = faults.iter_mut().find(|fault| fault.times > 0 && target.contains(&fault.part))?;
        fault.times -= 1;
        Some(Answer { status: fault.status, body: fault.body.clone() })
    }

    /// At once, or when the checkpoint is above the one given, or when the time is over.
    fn checkpoints(&self, request: &Request, index: &str, query: &str) -> Answer {
        let timeout = parameter(query, "timeout").and_then(|milliseconds| u64::try_from(milliseconds).ok());
        let waits = query.contains("wait_for_advance=true");
        let waits_for_index = query.contains("wait_for_index=true");
        let after = parameter(query, "checkpoints").unwrap_or(-1);
        let timeout = Duration::from_millis(timeout.unwrap_or(30_000));
        let looks = if waits { timeout.as_millis() / LOOK_EVERY.as_millis() } else { 0 };
        for look in 0.. {
            let is_over = look >= looks || self.closed.load(Ordering::Relaxed);
            match self.checkpoint(request, index) {
                Ok(checkpoint) if !waits || checkpoint > after || is_over => {
                    let timed_out = waits && checkpoint <= after;
                    let body = json!({"global_checkpoints": [checkpoint], "timed_out": timed_out});
                    return Answer { status: 200, body: body.to_string() };
                }
                Err(answer) if is_over || !waits_for_index || answer.status != 404 => return answer,
                _ => pause(LOOK_EVERY),
            }
        }
        unreachable!("the last look is over")
    }

    fn checkpoint(&self, request: &Request, index: &str) -> Result<i64, Answer> {
        let answer = self.pass_on("GET", &format!("{index}/_stats/docs?level=shards"), request, b"");
        let statistics: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let index = statistics["indices"].as_object().and_then(|indices| indices.values().next());
        let copies = index.and_then(|index| index["shards"]["0"].as_array());
        let primary = copies.and_then(|copies| copies.iter().find(|copy| copy["routing"]["primary"] == true));
        let checkpoint = primary.and_then(|copy| copy["seq_no"]["global_checkpoint"].as_i64());
        let unavailable =
            json!({"error": {"type": "unavailable_shards_exception"}, "status": 503}).to_string();
        let refusal = if answer.status == 200 { Answer { status: 503, body: unavailable } } else { answer };
        checkpoint.ok_or(refusal)
    }

    /// Keeps, tells, or forgets one.
    fn secret(&self, request: &Request, id: &str) -> Answer {
        let answer = |status, body: Value| Answer { status, body: body.to_string() };
        let missing = || {
            let reason = format!("No secret with id [{id}]");
            answer(
                404,
                json!({"error": {"type": "resource_not_found_exception", "reason": reason}, "status": 404}),
            )
        };
        match request.method.as_str() {
            "POST" => {
                let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
                let id = format!("stand-in-{}", self.secrets_made.fetch_add(1, Ordering::Relaxed));
                lock(&self.secrets).insert(id.clone(), asked["value"].clone());
                answer(200, json!({"id": id}))
            }
            "GET" => {
                self.count_read();
                let value = lock(&self.secrets).get(id).cloned();
                value.map_or_else(missing, |value| answer(200, json!({"id": id, "value": value})))
            }
            "DELETE" => match lock(&self.secrets).remove(id) {
                Some(_) => answer(200, json!({"deleted": true})),
                None => missing(),
            },
            _ => answer(405, json!({"error": "method", "status": 405})),
        }
    }

    /// A read takes as long as a look, so that those at once meet.
    fn count_read(&self) {
        let mut reads = lock(&self.reads);
        reads.0 += 1;
        reads.1 = reads.1.max(reads.0);
        drop(reads);
        pause(LOOK_EVERY);
        lock(&self.reads).0 -= 1;
    }

    fn make_searchable(&self, request: &Request, index: &str, checkpoint: i64) {
        for _ in 0..SEARCH_WAIT_MAX.as_millis() / LOOK_EVERY.as_millis() {
            if self.checkpoint(request, index).is_ok_and(|current| current >= checkpoint) {
                self.pass_on("POST", &format!("{index}/_refresh"), request, b"");
                return;
            }
            pause(LOOK_EVERY);
        }
    }

    /// The same for the header lines of many searches.
    fn searches(&self, request: &Request) -> Answer {
        let mut lines = String::new();
        for (number, line) in String::from_utf8_lossy(&request.body).lines().enumerate() {
            let mut line: Value = serde_json::from_str(line).unwrap_or_default();
            if number % 2 == 0
                && let Some(checkpoints) = line.as_object_mut().and_then(|h| h.remove("wait_for_checkpoints"))
                && let (Some(index), Some(checkpoint)) = (line["index"].as_str(), checkpoints[0].as_i64())
            {
                self.make_searchable(request, &format!("/{index}"), checkpoint);
            }
            lines += &format!("{line}\n");
        }
        self.pass_on("POST", "/_msearch", request, lines.as_bytes())
    }

    /// Asks the real cluster, with the credentials of the request.
    fn pass_on(&self, method: &str, target: &str, request: &Request, body: &[u8]) -> Answer {
        let mut built =
            ureq::http::Request::builder().method(method).uri(format!("{}{target}", self.cluster));
        for (name, value) in &request.headers {
            if ["authorization", "x-elastic-product-origin"].contains(&name.as_str()) {
                built = built.header(name, value);
            }
        }
        let is_lines = target.starts_with("/_msearch") || target.contains("/_bulk");
        let kind = if is_lines { "application/x-ndjson" } else { "application/json" };
        let answer = if body.is_empty() {
            self.agent.run(built.body(()).unwrap())
        } else {
            self.agent.run(built.header("content-type", kind).body(body).unwrap())
        };
        let text = |mut answer: ureq::http::Response<ureq::Body>| {
            let body = answer.body_mut().with_config().limit(u64::MAX).read_to_string()?;
            Ok(Answer { status: answer.status().as_u16(), body })
        };
        answer.and_then(text).unwrap_or_else(|error| Answer {
            status: 502,
            body: json!({"error": error.to_string()}).to_string(),
        })
    }
}

impl Request {
    /// The next request of a connection; None at its end.
    fn read(reader: &mut BufReader<&TcpStream>) -> io::Result<Option<Request>> {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split(' ').map(str::to_owned);
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut request = Request { method, target, headers: Vec::new(), body: Vec::new() };
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.split_once(':') else { break };
            request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let length = request.headers.iter().find(|(name, _)| name == "content-length");
        let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
        reader.take(length).read_to_end(&mut request.body)?;
        Ok(Some(request))
    }
}

/// A number in a query, whatever its unit.
fn parameter(query: &str, name: &str) -> Option<i64> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    value.trim_end_matches(char::is_alphabetic).parse().ok()
}

fn in_thread(work: impl FnOnce() + Send + 'static) {
    thread::Builder::new().name("stand-in".into()).spawn(work).unwrap();
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
