//! OpenTelemetry collectors: what they send, over HTTP and over a WebSocket.

use fleet_server::api::opamp::message::{
    AgentDescription, AgentToServer, AnyValue, KeyValue, ServerToAgent, Value as Attribute,
};
use prost::Message;
use serde_json::Value;

use super::{Connection, Request, Response, Server, eventually};

/// The instance UID that ends with this byte.
pub(crate) fn uid(last: u8) -> Vec<u8> {
    [vec![7; 15], vec![last]].concat()
}

/// The id of the collector with this UID.
pub(crate) fn collector(uid: &[u8]) -> String {
    uuid::Uuid::from_slice(uid).unwrap().to_string()
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Attribute::Text(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value) }
}

/// The first message of a collector.
pub(crate) fn described(uid: Vec<u8>) -> AgentToServer {
    AgentToServer {
        instance_uid: uid,
        sequence_num: 1,
        capabilities: 0x1807,
        agent_description: Some(AgentDescription {
            identifying_attributes: vec![
                attribute("service.name", "otelcol"),
                attribute("service.version", "0.120.0"),
            ],
            non_identifying_attributes: vec![attribute("host.name", "h"), attribute("tags", "a, b,,a")],
        }),
        ..AgentToServer::default()
    }
}

/// A frame as clients send it, masked; `first` is its first byte.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x5a, 0xa5, 0x0f, 0xf0];
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(0x80 | u8::try_from(length).unwrap()),
        length @ 126..65_536 => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

impl Response {
    /// The message of a 200.
    pub(crate) fn told(&self) -> ServerToAgent {
        assert_eq!(self.status, 200, "{self:?}");
        assert_eq!(self.header("Content-Type"), Some("application/x-protobuf"));
        ServerToAgent::decode(&*self.body).unwrap()
    }
}

impl Server {
    /// A message of a collector with the first start's token.
    pub(crate) fn opamp(&self, message: &AgentToServer) -> Request {
        let request = Request::post("/v1/opamp").key(self.token()).body(message.encode_to_vec());
        request.header("Content-Type", "application/x-protobuf")
    }

    /// What a collector is answered.
    pub(crate) fn tell(&self, message: &AgentToServer) -> ServerToAgent {
        self.ask(&self.opamp(message)).told()
    }

    /// The request for a WebSocket.
    pub(crate) fn upgrade(&self) -> Request {
        Request::get("/v1/opamp")
            .key(self.token())
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
    }

    /// A WebSocket.
    pub(crate) fn socket(&self) -> Socket {
        let mut connection = self.connect();
        connection.send(self.upgrade().bytes());
        let answer = connection.response_without_body();
        assert_eq!(answer.status, 101, "{answer:?}");
        assert_eq!(answer.header("Sec-WebSocket-Accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        Socket { connection }
    }

    /// The collector as the operator sees it, once `is_so`.
    pub(crate) fn collector_when(&self, uid: &[u8], what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        eventually(what, || Some(self.agent(&collector(uid))).filter(&is_so))
    }
}

/// A client's side of a WebSocket.
pub(crate) struct Socket {
    pub(crate) connection: Connection,
}

impl Socket {
    /// Sends a message.
    pub(crate) fn send(&mut self, message: &AgentToServer) {
        self.connection.send(frame(0x82, &Self::payload(message)));
    }

    /// A message with its header.
    pub(crate) fn payload(message: &AgentToServer) -> Vec<u8> {
        [vec![0], message.encode_to_vec()].concat()
    }

    /// The next frame: its first byte and its payload; none if the connection ends first.
    pub(crate) fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let head = self.connection.bytes(2)?;
        let length = match head[1] {
            126 => u16::from_be_bytes(self.connection.bytes(2)?.try_into().unwrap()).into(),
            127 => u64::from_be_bytes(self.connection.bytes(8)?.try_into().unwrap()),
            length => u64::from(length),
        };
        let payload = self.connection.bytes(usize::try_from(length).unwrap())?;
        Some((head[0], payload))
    }

    /// The next message.
    pub(crate) fn told(&mut self) -> ServerToAgent {
        let (first, payload) = self.frame().expect("the connection ended without an answer");
        assert_eq!((first, payload.first()), (0x82, Some(&0)), "{payload:?}");
        ServerToAgent::decode(&payload[1..]).unwrap()
    }

    /// Sends a message and reads the answer.
    pub(crate) fn tell(&mut self, message: &AgentToServer) -> ServerToAgent {
        self.send(message);
        self.told()
    }

    /// The code with which the server ends it; nothing comes after that.
    #[track_caller]
    pub(crate) fn close_code(&mut self) -> u16 {
        let (first, payload) = self.frame().expect("the connection ended without a word");
        assert_eq!(first, 0x88, "{payload:?}");
        assert!(self.connection.is_over());
        u16::from_be_bytes(payload.try_into().unwrap())
    }
}
