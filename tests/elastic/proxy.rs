//! A proxy of the tests' own between a server and a cluster. It passes everything on unchanged, until it is told to do to
//! some requests what networks, proxies and clusters in trouble do.

use std::io::{self, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::relay::Message;
use crate::support::eventually;

/// What is done to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It does not reach the cluster; this status is answered.
    Refuse(u16),
    /// The cluster does what it asks for; half of the answer's body is passed on, then the connection ends.
    Cut,
    /// The cluster does what it asks for; something else is answered that is no JSON.
    Garbage,
    /// The cluster does what it asks for; what comes back is not even HTTP.
    Noise,
    /// It is passed on only when all is well again, or the proxy ends.
    Hold,
}

/// Between a server and a cluster; ends when dropped.
pub(crate) struct Proxy {
    url: String,
    shared: Arc<Shared>,
}

struct Shared {
    /// `HOST:PORT` of the cluster.
    cluster: String,
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Default)]
struct State {
    /// To requests whose path has this in it; the last that fits counts.
    faults: Vec<(String, Fault)>,
    /// Requests that met a fault.
    met: usize,
    ended: bool,
}

impl Proxy {
    /// In front of the cluster at this URL.
    pub(crate) fn before(cluster: &str) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let cluster = cluster.trim_start_matches("http://").to_owned();
        let shared = Arc::new(Shared { cluster, state: Mutex::default(), bell: Condvar::new() });
        let serving = Arc::clone(&shared);
        in_thread(move || {
            for client in listener.incoming().flatten() {
                if serving.state().ended {
                    break;
                }
                let serving = Arc::clone(&serving);
                in_thread(move || {
                    // the server, the cluster or a fault has ended the connection
                    let _ = serving.serve(&client);
                    let _ = client.shutdown(Shutdown::Both);
                });
            }
        });
        Proxy { url, shared }
    }

    /// What takes the place of the cluster's URL.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// From now on this is done to requests whose path has `part` in it.
    pub(crate) fn fail(&self, part: &str, fault: Fault) {
        self.shared.state().faults.push((part.to_owned(), fault));
    }

    /// From now on everything is passed on, what was held first of all.
    pub(crate) fn heal(&self) {
        self.shared.state().faults.clear();
        self.shared.bell.notify_all();
    }

    /// Waits until so many requests have met a fault.
    pub(crate) fn wait_for_victims(&self, count: usize) {
        eventually("requests meet the fault", || (self.shared.state().met >= count).then_some(()));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.state().ended = true;
        self.shared.bell.notify_all();
        // wakes the one that accepts
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
    }
}

impl Shared {
    /// One connection, until either side ends it.
    fn serve(&self, client: &TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        let cluster = TcpStream::connect(&self.cluster)?;
        cluster.set_nodelay(true)?;
        let (mut requests, mut answers) = (BufReader::new(client), BufReader::new(&cluster));
        let (mut to_client, mut to_cluster) = (client, &cluster);
        while let Some(request) = Message::read(&mut requests, true)? {
            let fault = self.fault(&request.target());
            if let Some(Fault::Refuse(status)) = fault {
                write!(to_client, "HTTP/1.1 {status} -\r\nContent-Length: 2\r\n\r\n{{}}")?;
                continue;
            }
            if fault == Some(Fault::Hold) {
                self.wait_until_healed();
            }
            to_cluster.write_all(&request.head)?;
            to_cluster.write_all(&request.body)?;
            let has_body = request.method() != "HEAD";
            let Some(answer) = Message::read(&mut answers, has_body)? else { return Ok(()) };
            match fault {
                Some(Fault::Cut) => {
                    to_client.write_all(&answer.head)?;
                    return to_client.write_all(&answer.body[..answer.body.len() / 2]);
                }
                Some(Fault::Garbage) => {
                    let garbage = "<html>the cluster of somebody else</html>";
                    let product = "X-Elastic-Product: Elasticsearch\r\nContent-Type: application/json";
                    let length = garbage.len();
                    write!(
                        to_client,
                        "HTTP/1.1 200 OK\r\n{product}\r\nContent-Length: {length}\r\n\r\n{garbage}"
                    )?;
                }
                Some(Fault::Noise) => {
                    return to_client.write_all(b"\x15\x03\x01\x00\x02\x02\x0a no HTTP at all\r\n\r\n");
                }
                _ => {
                    to_client.write_all(&answer.head)?;
                    to_client.write_all(&answer.body)?;
                }
            }
        }
        Ok(())
    }

    fn fault(&self, target: &str) -> Option<Fault> {
        let mut state = self.state();
        let fault =
            state.faults.iter().rev().find(|(part, _)| target.contains(part)).map(|(_, fault)| *fault);
        state.met += usize::from(fault.is_some());
        fault
    }

    fn wait_until_healed(&self) {
        let is_ill = |state: &mut State| !state.faults.is_empty() && !state.ended;
        drop(self.bell.wait_while(self.state(), is_ill));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets one of its connections, or what accepts them, go its own way.
pub(crate) fn in_thread(work: impl FnOnce() + Send + 'static) {
    thread::Builder::new().name("proxy".into()).spawn(work).unwrap();
}
