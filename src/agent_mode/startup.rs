//! What the agent says on standard input: where it listens, and by what we know each other (agent-mode.md, "StartUpInfo").

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use prost::Message;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};

use super::messages::{AgentInfo, SERVICE_CHECKIN_V2, SUPPORTS_CHUNKS, StartUpInfo};
use super::seam::Agent;
use crate::config::{PemSource, Secret};
use crate::tls::{TlsError, pem, provider};

/// Bytes that are read of standard input.
const INPUT_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Where the agent names no size.
const MESSAGE_BYTES_DEFAULT: u32 = 4 * 1024 * 1024;
/// Whatever size it names; an agent's default is 100 MiB.
const MESSAGE_BYTES_MAX: u32 = 128 * 1024 * 1024;
/// What gRPC runs on; an agent refuses who does not say so.
const ALPN: &[u8] = b"h2";

/// How the agent is reached.
#[derive(Clone)]
pub struct StartUp {
    /// Where it listens.
    pub(super) address: Address,
    /// By which it picks its certificate, and which that has to be for.
    pub(super) server_name: ServerName<'static>,
    /// Goes into every message.
    pub(super) token: Secret,
    /// Its CA and our certificate.
    pub(super) tls: Arc<ClientConfig>,
    /// Whether large check-ins may be sent in pieces.
    pub(super) chunks: bool,
    /// In both directions.
    pub(super) message_bytes_max: usize,
    /// Who it is, as far as it knows.
    pub(super) agent: Option<Agent>,
}

/// Where the agent listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// `HOST:PORT`
    Tcp(String),
    /// `unix:///PATH`
    Unix(PathBuf),
}

/// Why nobody can be talked to.
#[derive(Debug, thiserror::Error)]
pub enum StartUpError {
    /// The pipe is broken.
    #[error("standard input cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// Somebody typed `--agent-mode`.
    #[error(
        "nothing came on standard input: with --agent-mode an Elastic Agent starts this program and sends how it is reached"
    )]
    Empty,
    /// That is not an agent.
    #[error("more than {INPUT_BYTES_MAX} bytes came on standard input")]
    TooLong,
    /// Cut off, or something else.
    #[error("what came on standard input is no connection information of an Elastic Agent: {0}")]
    Damaged(#[from] prost::DecodeError),
    /// An agent before 8.6.
    #[error(
        "the Elastic Agent is too old: it does not offer the control protocol that this program speaks (CheckinV2)"
    )]
    TooOld,
    /// An address of another system.
    #[error("the Elastic Agent listens on {0:?}, which is nothing that can be connected to here")]
    Address(String),
    /// No name, or none that can be one.
    #[error("{0:?} cannot be the name in the Elastic Agent's certificate")]
    ServerName(String),
    /// Certificates or the key.
    #[error("the connection information of the Elastic Agent: {0}")]
    Tls(#[from] TlsError),
}

impl StartUp {
    /// Reads to the end of `input`, however late that comes.
    pub fn read(input: impl Read) -> Result<Self, StartUpError> {
        let mut bytes = Vec::new();
        input.take(INPUT_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        match bytes.len() as u64 {
            0 => Err(StartUpError::Empty),
            count if count > INPUT_BYTES_MAX => Err(StartUpError::TooLong),
            _ => Self::decode(&bytes),
        }
    }

    /// Takes the message apart and looks whether all of it can be used.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StartUpError> {
        let info = StartUpInfo::decode(bytes)?;
        if !info.services.contains(&SERVICE_CHECKIN_V2) {
            return Err(StartUpError::TooOld);
        }
        let server_name = ServerName::try_from(info.server_name.clone())
            .map_err(|_| StartUpError::ServerName(info.server_name.clone()))?;
        let message_bytes_max = match info.max_message_size {
            0 => MESSAGE_BYTES_DEFAULT,
            bytes => bytes.min(MESSAGE_BYTES_MAX),
        };
        Ok(StartUp {
            address: address(&info.addr)?,
            server_name,
            tls: Arc::new(tls(&info)?),
            token: Secret::new(info.token),
            chunks: info.supports.contains(&SUPPORTS_CHUNKS),
            message_bytes_max: message_bytes_max as usize,
            agent: info.agent_info.map(Agent::from),
        })
    }
}

impl From<AgentInfo> for Agent {
    fn from(info: AgentInfo) -> Self {
        Agent { id: info.id, version: info.version }
    }
}

fn address(text: &str) -> Result<Address, StartUpError> {
    match text.split_once("://") {
        Some(("unix", path)) if !path.is_empty() => Ok(Address::Unix(path.into())),
        None if text
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) =>
        {
            Ok(Address::Tcp(text.to_owned()))
        }
        _ => Err(StartUpError::Address(text.to_owned())),
    }
}

/// Only the agent's own CA is trusted, and we show who we are.
fn tls(info: &StartUpInfo) -> Result<ClientConfig, TlsError> {
    let source = |bytes: &[u8]| PemSource::Inline(Secret::new(String::from_utf8_lossy(bytes)));
    let mut authorities = RootCertStore::empty();
    for certificate in pem::certificates(&source(&info.ca_cert), "ca_cert")? {
        let damaged =
            |error: rustls::Error| TlsError::Damaged { place: "ca_cert".into(), reason: error.to_string() };
        authorities.add(certificate).map_err(damaged)?;
    }
    let chain = pem::certificates(&source(&info.peer_cert), "peer_cert")?;
    let key = pem::private_key(&source(&info.peer_key), None, "peer_key")?;
    let pair = |source| TlsError::Pair { certificate: "peer_cert".into(), key: "peer_key".into(), source };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Rustls(error.to_string()))?
        .with_root_certificates(authorities)
        .with_client_auth_cert(chain, key)
        .map_err(pair)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

#[cfg(test)]
pub(super) mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    /// What an agent sends, with a certificate that is its own CA.
    pub(in crate::agent_mode) fn info() -> StartUpInfo {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["agent".to_owned()]).unwrap().self_signed(&key).unwrap();
        StartUpInfo {
            addr: "localhost:6789".into(),
            server_name: "0f2a".into(),
            token: "t".into(),
            ca_cert: certificate.pem().into(),
            peer_cert: certificate.pem().into(),
            peer_key: key.serialize_pem().into(),
            services: vec![SERVICE_CHECKIN_V2],
            supports: vec![SUPPORTS_CHUNKS],
            max_message_size: 0,
            agent_info: Some(AgentInfo { id: "a".into(), version: "9.6.0".into() }),
        }
    }

    fn read(info: &StartUpInfo) -> Result<StartUp, String> {
        StartUp::read(&*info.encode_to_vec()).map_err(|error| error.to_string())
    }

    fn refusal(change: impl FnOnce(&mut StartUpInfo)) -> String {
        let mut info = info();
        change(&mut info);
        read(&info).err().unwrap_or_default()
    }

    #[test]
    fn what_an_agent_sends_is_understood() {
        let startup = read(&info()).unwrap();
        assert_eq!(startup.address, Address::Tcp("localhost:6789".into()));
        assert_eq!((startup.token.expose(), startup.chunks), ("t", true));
        assert_eq!(startup.message_bytes_max, 4 * 1024 * 1024);
        assert_eq!(startup.agent, Some(Agent { id: "a".into(), version: "9.6.0".into() }));
        assert_eq!(startup.tls.alpn_protocols, [b"h2"]);
    }

    #[test]
    fn before_the_enrolment_nobody_may_be_named() {
        let startup = read(&StartUpInfo { agent_info: None, supports: vec![], ..info() }).unwrap();
        assert!(startup.agent.is_none() && !startup.chunks);
    }

    #[test]
    fn the_size_of_messages_is_bounded_whatever_is_said() {
        let of =
            |max_message_size| read(&StartUpInfo { max_message_size, ..info() }).unwrap().message_bytes_max;
        assert_eq!((of(1_000), of(u32::MAX)), (1_000, 128 * 1024 * 1024));
    }

    #[test]
    fn an_agent_may_listen_on_a_unix_socket() {
        let startup = read(&StartUpInfo { addr: "unix:///tmp/a.sock".into(), ..info() }).unwrap();
        assert_eq!(startup.address, Address::Unix("/tmp/a.sock".into()));
    }

    #[test]
    fn each_thing_that_cannot_be_used_is_named() {
        assert!(StartUp::read(&b""[..]).err().unwrap().to_string().contains("--agent-mode"));
        let bytes = info().encode_to_vec();
        let cut_off = StartUp::read(&bytes[..bytes.len() - 3]).err().unwrap().to_string();
        assert!(cut_off.contains("no connection information"), "{cut_off}");
        assert!(refusal(|info| info.services.clear()).contains("too old"));
        assert!(refusal(|info| info.services = vec![0]).contains("too old"));
        for address in ["npipe:///agent", "unix://", "6789", ":6789", "localhost:high", ""] {
            let refusal = refusal(|info| info.addr = address.into());
            assert!(refusal.contains(&format!("{address:?}")), "{refusal}");
        }
        assert!(refusal(|info| info.server_name.clear()).contains("\"\""));
        assert!(refusal(|info| info.ca_cert = b"x".to_vec()).contains("ca_cert"));
        assert!(refusal(|info| info.peer_cert = b"x".to_vec()).contains("peer_cert"));
        assert!(refusal(|info| info.peer_key = b"x".to_vec()).contains("peer_key"));
        let other = KeyPair::generate().unwrap().serialize_pem();
        assert!(refusal(|info| info.peer_key = other.into()).contains("peer_key"));
    }

    #[test]
    fn what_has_no_end_is_given_up() {
        let error = StartUp::read(io::repeat(0)).err().unwrap();
        assert!(matches!(error, StartUpError::TooLong));
    }
}
