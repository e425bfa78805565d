//! The agent that the tests are: listens with mutual TLS on a free port or a Unix socket, and hands each stream that is
//! opened to the test. Ends, with all its connections, when dropped.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use fleet_server::agent_mode::messages::{
    ActionRequest, ActionResponse, AgentInfo, CheckinExpected, CheckinObserved, StartUpInfo,
};
use futures_util::future::{Either, select};
use futures_util::stream;
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tonic::body::Body;
use tonic::server::Grpc;
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::certificates::Certificates;
use crate::support::PATIENCE;

/// By which the program has to ask for the agent.
const SERVER_NAME: &str = "3a5c1d2e";
/// What the program has to say with each message.
const TOKEN: &str = "its-token";

/// Less than the 25 s after which the program says again what it has said: that is no answer.
const HEAR_WAIT_MAX: Duration = Duration::from_secs(20);

/// How the agent is to behave.
#[derive(Clone, Default)]
pub(crate) struct Options {
    /// A Unix socket, not a port.
    pub(crate) socket: Option<PathBuf>,
    /// So many check-in streams are refused first.
    pub(crate) denials: usize,
    /// In both directions; 0: the default.
    pub(crate) message_bytes_max: u32,
    /// The program may send in pieces.
    pub(crate) chunks: bool,
}

/// A stream that was opened: what the test hears and says on it. Dropped, it is closed.
pub(crate) struct Stream<Heard, Said> {
    heard: Receiver<Heard>,
    said: UnboundedSender<Order<Said>>,
}

/// What is to be said; none: nothing follows.
type Order<Said> = Option<Result<Said, Status>>;

pub(crate) type CheckIn = Stream<CheckinObserved, CheckinExpected>;
pub(crate) type Actions = Stream<ActionResponse, ActionRequest>;

impl<Heard, Said> Stream<Heard, Said> {
    /// The next message.
    pub(crate) fn hear(&self) -> Heard {
        self.heard.recv_timeout(HEAR_WAIT_MAX).expect("a message")
    }

    /// The next message that is so.
    pub(crate) fn hear_when(&self, is_it: impl Fn(&Heard) -> bool) -> Heard {
        loop {
            let heard = self.hear();
            if is_it(&heard) {
                return heard;
            }
        }
    }

    /// The next message, also one that says again what was said.
    pub(crate) fn hear_again(&self) -> Heard {
        self.heard.recv_timeout(PATIENCE).expect("a message")
    }

    /// All messages until the program closes the stream.
    pub(crate) fn hear_all(&self) -> Vec<Heard> {
        let mut heard = Vec::new();
        loop {
            match self.heard.recv_timeout(PATIENCE) {
                Ok(message) => heard.push(message),
                Err(error) => {
                    assert!(error == std::sync::mpsc::RecvTimeoutError::Disconnected, "it stays open");
                    return heard;
                }
            }
        }
    }

    /// The messages that have come by now.
    pub(crate) fn heard_so_far(&self) -> Vec<Heard> {
        self.heard.try_iter().collect()
    }

    pub(crate) fn say(&self, message: Said) {
        // a stream that the program has given up hears nothing
        let _ = self.said.send(Some(Ok(message)));
    }

    /// Ends it with an error.
    pub(crate) fn fail(self, code: Code) {
        let _ = self.said.send(Some(Err(Status::new(code, "no"))));
    }
}

impl<Heard, Said> Drop for Stream<Heard, Said> {
    fn drop(&mut self) {
        // the program may have ended it before
        let _ = self.said.send(None);
    }
}

/// The agent.
pub(crate) struct Controller {
    /// What the program gets on standard input.
    pub(crate) info: StartUpInfo,
    check_ins: Receiver<CheckIn>,
    actions: Receiver<Actions>,
    refused: Receiver<()>,
    _end: oneshot::Sender<()>,
}

impl Controller {
    pub(crate) fn start() -> Self {
        Controller::with(Options { chunks: true, ..Options::default() })
    }

    pub(crate) fn with(options: Options) -> Self {
        let certificates = Certificates::make(SERVER_NAME);
        let tls = TlsAcceptor::from(certificates.server());
        let (end, ended) = oneshot::channel();
        let ((opened, check_ins), (acting, actions), (told, refused)) = (channel(), channel(), channel());
        let streams = Streams { opened, acting, told, denials: Arc::new(Mutex::new(options.denials)) };
        let (listening, address) = channel();
        let socket = options.socket.clone();
        let run = move || {
            let runtime = Builder::new_current_thread().enable_io().enable_time().build().unwrap();
            runtime.block_on(async {
                let serving = Box::pin(serve(socket, tls, streams, listening));
                if let Either::Left(_) = select(serving, ended).await {
                    pending::<()>().await;
                }
            });
        };
        thread::Builder::new().name("controller".into()).spawn(run).unwrap();
        let info = StartUpInfo {
            addr: address.recv_timeout(PATIENCE).unwrap(),
            server_name: SERVER_NAME.into(),
            token: TOKEN.into(),
            ca_cert: certificates.authority.into(),
            peer_cert: certificates.of_program.certificate.into(),
            peer_key: certificates.of_program.key.into(),
            services: vec![1],
            supports: if options.chunks { vec![0] } else { vec![] },
            max_message_size: options.message_bytes_max,
            agent_info: Some(AgentInfo { id: String::new(), version: "9.6.0".into() }),
        };
        Controller { info, check_ins, actions, refused, _end: end }
    }

    /// What the program gets on standard input, as bytes.
    pub(crate) fn startup(&self) -> Vec<u8> {
        self.info.encode_to_vec()
    }

    /// The next check-in stream that the program opens.
    pub(crate) fn check_in(&self) -> CheckIn {
        self.check_ins.recv_timeout(PATIENCE).expect("a check-in stream")
    }

    /// The next actions stream that the program opens.
    pub(crate) fn actions(&self) -> Actions {
        self.actions.recv_timeout(PATIENCE).expect("an actions stream")
    }

    /// Waits until a check-in stream is refused.
    pub(crate) fn refuses(&self) {
        self.refused.recv_timeout(PATIENCE).expect("a stream to refuse");
    }

    /// How many check-in streams were opened that the test has not taken.
    pub(crate) fn check_ins_untaken(&self) -> usize {
        self.check_ins.try_iter().count()
    }
}

/// Where streams go.
#[derive(Clone)]
struct Streams {
    opened: Sender<CheckIn>,
    acting: Sender<Actions>,
    told: Sender<()>,
    denials: Arc<Mutex<usize>>,
}

async fn serve(socket: Option<PathBuf>, tls: TlsAcceptor, streams: Streams, listening: Sender<String>) {
    match socket {
        None => {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            listening.send(format!("localhost:{}", listener.local_addr().unwrap().port())).unwrap();
            let accept = async || listener.accept().await.map(|(socket, _)| socket);
            Box::pin(serve_on(accept, tls, streams)).await;
        }
        Some(path) => {
            let listener = UnixListener::bind(&path).unwrap();
            listening.send(format!("unix://{}", path.display())).unwrap();
            let accept = async || listener.accept().await.map(|(socket, _)| socket);
            Box::pin(serve_on(accept, tls, streams)).await;
        }
    }
}

async fn serve_on<S>(accept: impl AsyncFn() -> io::Result<S>, tls: TlsAcceptor, streams: Streams)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let incoming = stream::unfold((), |()| async {
        loop {
            let Ok(socket) = accept().await else { continue };
            let Ok(encrypted) = tls.accept(socket).await else { continue };
            // the agent tells its programs apart by the name that they ask for
            if encrypted.get_ref().1.server_name() == Some(SERVER_NAME) {
                return Some((Ok::<_, io::Error>(Encrypted(encrypted)), ()));
            }
        }
    });
    let service = tower::service_fn(move |request| {
        let streams = streams.clone();
        async move { Ok::<_, Infallible>(streams.take(request).await) }
    });
    // it ends with the runtime
    let _ = Server::builder().serve_with_incoming(service, incoming).await;
}

/// A connection as tonic wants it.
struct Encrypted<S>(TlsStream<S>);

impl<S> Connected for Encrypted<S> {
    type ConnectInfo = ();
    fn connect_info(&self) {}
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Encrypted<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Encrypted<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(cx, bytes)
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(cx)
    }
}

impl Streams {
    async fn take(self, request: http::Request<Body>) -> http::Response<Body> {
        match request.uri().path() {
            "/proto.ElasticAgent/CheckinV2" => {
                let codec = ProstCodec::<CheckinExpected, CheckinObserved>::default();
                let open = move |request| open(request, self.opened.clone(), self.refuses());
                Grpc::new(codec).streaming(tower::service_fn(open), request).await
            }
            "/proto.ElasticAgent/Actions" => {
                let codec = ProstCodec::<ActionRequest, ActionResponse>::default();
                let open = move |request| open(request, self.acting.clone(), false);
                Grpc::new(codec).streaming(tower::service_fn(open), request).await
            }
            other => panic!("nothing of that name is there: {other}"),
        }
    }

    fn refuses(&self) -> bool {
        let mut denials = self.denials.lock().unwrap();
        let refuses = *denials > 0;
        *denials = denials.saturating_sub(1);
        if refuses {
            self.told.send(()).unwrap();
        }
        refuses
    }
}

/// Hands a stream to the test, unless it is to be refused.
async fn open<Heard: Send + 'static, Said: Send + 'static>(
    request: Request<Streaming<Heard>>,
    to: Sender<Stream<Heard, Said>>,
    refused: bool,
) -> Result<Response<impl stream::Stream<Item = Result<Said, Status>> + Send>, Status> {
    if refused {
        return Err(Status::permission_denied("the token is wrong"));
    }
    let (said, saying) = unbounded_channel();
    let (hearing, heard) = channel();
    let end = said.clone();
    tokio::spawn(async move {
        hear(request.into_inner(), hearing).await;
        // who closes his side is answered by the same, as agents do; the test may have closed it before
        let _ = end.send(None);
    });
    // the test may be over
    let _ = to.send(Stream { heard, said });
    Ok(Response::new(stream::unfold(saying, next)))
}

async fn next<T>(mut saying: UnboundedReceiver<Option<T>>) -> Option<(T, UnboundedReceiver<Option<T>>)> {
    let message = saying.recv().await??;
    Some((message, saying))
}

async fn hear<Heard>(mut coming: Streaming<Heard>, hearing: Sender<Heard>) {
    while let Ok(Some(message)) = coming.message().await {
        if hearing.send(message).is_err() {
            return;
        }
    }
}
