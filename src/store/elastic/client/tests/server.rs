//! A server that does with each connection what a test says.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::support::PATIENCE;

/// How long one side is listened to before it is the other's turn.
const TURN: Duration = Duration::from_millis(2);

/// Reads and writes.
pub(super) trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

/// One connection as the server sees it.
pub(super) struct Peer {
    stream: BufReader<Box<dyn Stream>>,
    /// That which `stream` goes over.
    socket: TcpStream,
    seen: Sender<Seen>,
}

/// A request as the server saw it.
pub(super) struct Seen {
    /// Request line and header lines.
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Seen {
    /// The value of a header field.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// The server. Stops accepting when dropped.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) seen: Receiver<Seen>,
    connections: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What is done with a connection.
type Act = dyn Fn(&mut Peer) -> io::Result<()> + Send + Sync;

impl Server {
    /// A plain one on any port.
    pub(super) fn plain(act: impl Fn(&mut Peer) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Server::on(TcpListener::bind("127.0.0.1:0").unwrap(), None, act)
    }

    /// One with TLS.
    pub(super) fn tls(
        config: &Arc<ServerConfig>,
        act: impl Fn(&mut Peer) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Server::on(TcpListener::bind("127.0.0.1:0").unwrap(), Some(Arc::clone(config)), act)
    }

    /// One on a listener of the test's.
    pub(super) fn on(
        listener: TcpListener,
        tls: Option<Arc<ServerConfig>>,
        act: impl Fn(&mut Peer) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let (sender, seen) = channel();
        let (connections, stopped) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let act: Arc<Act> = Arc::new(act);
        let (counted, ends) = (Arc::clone(&connections), Arc::clone(&stopped));
        let accept = move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if ends.load(Ordering::SeqCst) {
                    break;
                }
                counted.fetch_add(1, Ordering::SeqCst);
                let (act, sender, tls) = (Arc::clone(&act), sender.clone(), tls.clone());
                // what goes wrong with a connection is for the client to notice
                let serve = move || drop(serve(stream, tls, sender, &*act));
                Builder::new().name("peer".to_owned()).spawn(serve).unwrap();
            }
        };
        let thread = Builder::new().name("server".to_owned()).spawn(accept).unwrap();
        Server { address, seen, connections, stopped, thread: Some(thread) }
    }

    /// Connections accepted up to now.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The next request that was seen.
    pub(super) fn next(&self) -> Seen {
        self.seen.recv_timeout(PATIENCE).expect("a request comes")
    }

    /// Whether there is a request that was not asked for yet.
    pub(super) fn saw_more(&self) -> bool {
        self.seen.try_recv().is_ok()
    }

    pub(super) fn http(&self) -> String {
        format!("http://{}", self.address)
    }

    /// By its name, which the certificates hold.
    pub(super) fn https(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // wakes the thread that accepts
        let _ = TcpStream::connect(self.address);
        let result = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            result.unwrap();
        }
    }
}

fn serve(stream: TcpStream, tls: Option<Arc<ServerConfig>>, seen: Sender<Seen>, act: &Act) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let socket = stream.try_clone()?;
    let stream: Box<dyn Stream> = match tls {
        None => Box::new(stream),
        Some(tls) => {
            let connection = ServerConnection::new(tls).map_err(io::Error::other)?;
            Box::new(StreamOwned::new(connection, stream))
        }
    };
    act(&mut Peer { stream: BufReader::new(stream), socket, seen })
}

impl Peer {
    /// Reads one request and tells the test of it; an error at the end of the connection.
    pub(super) fn take(&mut self) -> io::Result<()> {
        let seen = self.read()?;
        // a test that has seen enough has dropped its end
        let _ = self.seen.send(seen);
        Ok(())
    }

    /// Reads one request.
    pub(super) fn read(&mut self) -> io::Result<Seen> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut head)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let mut seen = Seen { head, body: Vec::new() };
        let length = seen.field("content-length").map_or(0, |length| length.parse().unwrap());
        seen.body.resize(length, 0);
        self.stream.read_exact(&mut seen.body)?;
        Ok(seen)
    }

    /// Tells the test of a request.
    pub(super) fn tell(&self, seen: Seen) {
        let _ = self.seen.send(seen);
    }

    /// Sends bytes.
    pub(super) fn say(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())?;
        self.stream.get_mut().flush()
    }

    /// Ends the connection: the client's side knows of it when this returns.
    pub(super) fn hang_up(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Both)
    }

    /// Waits until the client hangs up.
    pub(super) fn wait_for_end(&mut self) -> io::Result<()> {
        io::copy(&mut self.stream, &mut io::sink()).map(drop)
    }

    /// Passes bytes on between the client and `other` until one of them ends. By turns, since an encrypted stream cannot
    /// be read on one thread and written on another.
    pub(super) fn pass_on(&mut self, mut other: TcpStream) -> io::Result<()> {
        assert!(self.stream.buffer().is_empty(), "nothing was read ahead");
        self.socket.set_read_timeout(Some(TURN))?;
        other.set_read_timeout(Some(TURN))?;
        let client = self.stream.get_mut();
        while pass(client, &mut other)? && pass(&mut other, client)? {}
        Ok(())
    }
}

/// Passes on what comes within a turn; false at the end.
fn pass(from: &mut impl Read, to: &mut impl Write) -> io::Result<bool> {
    let mut buffer = [0; 16 * 1024];
    match from.read(&mut buffer) {
        Ok(count) => {
            to.write_all(&buffer[..count])?;
            to.flush()?;
            Ok(count > 0)
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(true),
        Err(error) => Err(error),
    }
}

/// An answer of Elasticsearch.
pub(super) fn answer(status: u16, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Whatever\r\nX-elastic-product: Elasticsearch\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}

/// Answers each request with 200 and `{}`.
pub(super) fn elasticsearch(peer: &mut Peer) -> io::Result<()> {
    loop {
        peer.take()?;
        peer.say(answer(200, "{}"))?;
    }
}
