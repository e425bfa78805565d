//! rustls' unbuffered server connection as a machine of single steps. Owns no bytes: the loop lends them.

use std::sync::Arc;

use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic};
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig};

/// Most that a record takes on the wire (RFC 5246, 6.2.3: 2^14 + 2,048, and the header).
pub(crate) const RECORD_BYTES_MAX: usize = 16_384 + 2_048 + 5;

/// The most plain bytes of one record (RFC 8446, 5.1).
pub(crate) const PLAIN_BYTES_MAX: usize = 16_384;

/// The TLS state of one connection.
pub(crate) struct Session(UnbufferedServerConnection);

/// Bytes to be sent, gathered in the loop's one buffer.
#[derive(Debug)]
pub(crate) struct Outgoing {
    bytes: Vec<u8>,
    filled: usize,
}

/// Where a step has led.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Something was done; take the next step.
    Again,
    /// Plain bytes were handed over.
    Received,
    /// Every whole record is consumed.
    Settled,
    /// The peer has said close_notify; nothing follows.
    PeerClosed,
}

/// Why a session cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    /// The peer broke the protocol, or rejects us.
    #[error("{0}")]
    Tls(#[from] rustls::Error),
    /// The keys have encrypted as much as they may.
    #[error("the traffic keys are used up")]
    KeysExhausted,
    /// rustls was in a state in which nothing can be sent.
    #[error("the session cannot send now")]
    CannotSend,
}

impl Session {
    pub(crate) fn new(settings: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        Ok(Session(UnbufferedServerConnection::new(settings)?))
    }

    /// Whether application data may flow in neither direction yet.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.0.is_handshaking()
    }

    /// Whether the client's first message was answered.
    pub(crate) fn has_chosen_version(&self) -> bool {
        self.0.protocol_version().is_some()
    }

    /// Whether the client came back with a ticket.
    pub(crate) fn is_resumed(&self) -> bool {
        self.0.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Whether what rustls says of its own accord after the handshake can wait: tickets and key updates can (RFC 8446, 4.6),
    /// but before TLS 1.3 the server's Finished comes last.
    pub(crate) fn may_wait(&self) -> bool {
        self.0.protocol_version() == Some(ProtocolVersion::TLSv1_3)
    }

    /// Takes one step over `incoming`, decrypting in place. Plain bytes go to `received`, bytes for the peer to
    /// `outgoing`. Returns how many bytes at the front of `incoming` are consumed.
    pub(crate) fn step(
        &mut self,
        incoming: &mut [u8],
        outgoing: &mut Outgoing,
        mut received: impl FnMut(&[u8]),
    ) -> (usize, Result<Step, SessionError>) {
        let UnbufferedStatus { mut discard, state, .. } = self.0.process_tls_records(incoming);
        let step = match state {
            Err(error) => Err(error.into()),
            Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
                match traffic.next_record() {
                    None => break Ok(Step::Received),
                    Some(Err(error)) => break Err(error.into()),
                    Some(Ok(record)) => {
                        discard += record.discard;
                        received(record.payload);
                    }
                }
            },
            Ok(ConnectionState::EncodeTlsData(mut data)) => loop {
                match data.encode(outgoing.spare()) {
                    Ok(bytes) => {
                        outgoing.filled += bytes;
                        break Ok(Step::Again);
                    }
                    Err(EncodeError::InsufficientSize(size)) => outgoing.reserve(size.required_size),
                    Err(EncodeError::AlreadyEncoded) => break Err(SessionError::CannotSend),
                }
            },
            Ok(ConnectionState::TransmitTlsData(data)) => {
                data.done();
                Ok(Step::Again)
            }
            Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => Ok(Step::Settled),
            Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Ok(Step::PeerClosed),
            // early data is not offered
            Ok(_) => Err(SessionError::CannotSend),
        };
        (discard, step)
    }

    /// After [`Session::step`] has failed: what the peer is told of it. The session is of no use afterwards.
    pub(crate) fn alert(&mut self, outgoing: &mut Outgoing) {
        // input may not be looked at again, and is not while something waits to be sent
        while self.0.wants_write() {
            if !matches!(self.step(&mut [], outgoing, |_| {}), (_, Ok(Step::Again))) {
                return;
            }
        }
    }

    /// Encrypts `plain` as records of at most [`PLAIN_BYTES_MAX`] each. `tail` is what the last step left of a settled input, else empty.
    /// Returns how much of the tail is consumed.
    pub(crate) fn encrypt(
        &mut self,
        tail: &mut [u8],
        plain: &[u8],
        outgoing: &mut Outgoing,
    ) -> Result<usize, SessionError> {
        self.send(tail, outgoing, |traffic, spare| traffic.encrypt(plain, spare))
    }

    /// Says close_notify.
    pub(crate) fn close(&mut self, tail: &mut [u8], outgoing: &mut Outgoing) -> Result<usize, SessionError> {
        self.send(tail, outgoing, |traffic, spare| traffic.queue_close_notify(spare))
    }

    /// Steps until rustls lends its encrypting side.
    fn send(
        &mut self,
        tail: &mut [u8],
        outgoing: &mut Outgoing,
        mut write: impl FnMut(
            &mut WriteTraffic<'_, rustls::server::ServerConnectionData>,
            &mut [u8],
        ) -> Result<usize, EncryptError>,
    ) -> Result<usize, SessionError> {
        let mut consumed = 0;
        loop {
            let UnbufferedStatus { discard, state, .. } = self.0.process_tls_records(&mut tail[consumed..]);
            match state? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    outgoing.fill(|spare| write(&mut traffic, spare))?;
                    return Ok(consumed + discard);
                }
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::EncodeTlsData(mut data) => {
                    outgoing.fill(|spare| {
                        data.encode(spare).map_err(|error| match error {
                            EncodeError::InsufficientSize(size) => EncryptError::InsufficientSize(size),
                            EncodeError::AlreadyEncoded => EncryptError::EncryptExhausted,
                        })
                    })?;
                }
                ConnectionState::PeerClosed => {}
                _ => return Err(SessionError::CannotSend),
            }
            consumed += discard;
        }
    }
}

impl Default for Outgoing {
    fn default() -> Self {
        Outgoing { bytes: vec![0; RECORD_BYTES_MAX], filled: 0 }
    }
}

impl Outgoing {
    /// What is to be sent.
    pub(crate) fn filled(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    /// Forgets it.
    pub(crate) fn clear(&mut self) {
        self.filled = 0;
    }

    fn spare(&mut self) -> &mut [u8] {
        &mut self.bytes[self.filled..]
    }

    fn reserve(&mut self, bytes: usize) {
        let length = (self.filled + bytes).max(self.bytes.len() + 1);
        self.bytes.resize(length, 0);
    }

    /// Lets `write` fill the spare room; it is made larger when rustls says how large.
    fn fill(
        &mut self,
        mut write: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
    ) -> Result<(), SessionError> {
        loop {
            match write(self.spare()) {
                Ok(bytes) => {
                    self.filled += bytes;
                    return Ok(());
                }
                Err(EncryptError::InsufficientSize(size)) => self.reserve(size.required_size),
                Err(EncryptError::EncryptExhausted) => return Err(SessionError::KeysExhausted),
            }
        }
    }
}
