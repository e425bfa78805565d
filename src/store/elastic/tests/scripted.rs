//! A cluster that answers what a test says, and remembers what it was asked.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

/// A request as it came.
#[derive(Clone, Debug)]
pub(in crate::store::elastic) struct Asked {
    pub(in crate::store::elastic) method: String,
    /// With its query.
    pub(in crate::store::elastic) path: String,
    pub(in crate::store::elastic) body: String,
}

type Script = Arc<dyn Fn(&Asked) -> (u16, String) + Send + Sync>;

/// Listens on loopback as long as it lives.
pub(in crate::store::elastic) struct Scripted {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Asked {
    pub(in crate::store::elastic) fn is(&self, method: &str, path: &str) -> bool {
        self.method == method && self.path.split('?').next() == Some(path)
    }

    /// The lines of its body as JSON.
    pub(in crate::store::elastic) fn lines(&self) -> Vec<Value> {
        self.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Scripted {
    /// Answers each request with a status and JSON.
    pub(in crate::store::elastic) fn json(
        script: impl Fn(&Asked) -> (u16, Value) + Send + Sync + 'static,
    ) -> Scripted {
        Scripted::text(move |asked| {
            let (status, answer) = script(asked);
            (status, answer.to_string())
        })
    }

    /// Answers each request with a status and any text.
    pub(in crate::store::elastic) fn text(
        script: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static,
    ) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (script, all): (Script, _) = (Arc::new(script), Arc::clone(&asked));
        let accept = move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (script, all) = (Arc::clone(&script), Arc::clone(&all));
                std::thread::Builder::new().spawn(move || serve(&stream, &script, &all)).unwrap();
            }
        };
        std::thread::Builder::new().spawn(accept).unwrap();
        Scripted { address, asked }
    }

    pub(in crate::store::elastic) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything asked so far.
    pub(in crate::store::elastic) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was asked of one route.
    pub(in crate::store::elastic) fn asked_of(&self, method: &str, path: &str) -> Vec<Asked> {
        self.asked().into_iter().filter(|asked| asked.is(method, path)).collect()
    }
}

fn serve(stream: &TcpStream, script: &Script, all: &Mutex<Vec<Asked>>) {
    let mut reader = BufReader::new(stream);
    while let Some(asked) = read(&mut reader) {
        all.lock().unwrap_or_else(PoisonError::into_inner).push(asked.clone());
        let (status, body) = script(&asked);
        let body = if asked.method == "HEAD" { String::new() } else { body };
        let answer = format!(
            "HTTP/1.1 {status} X\r\nX-Elastic-Product: Elasticsearch\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut writer = stream;
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let (name, value) = header.split_once(':').unwrap_or((header.trim(), ""));
        if name.is_empty() {
            break;
        }
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { method, path, body: String::from_utf8(body).ok()? })
}
