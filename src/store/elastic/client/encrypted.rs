//! TLS over another transport: rustls with our own settings, since ureq has no place for a verifier.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};
use ureq::{Error, Timeout};

use super::socket::{INPUT_BYTES, OUTPUT_BYTES};

/// The encrypted connection.
pub(super) struct Encrypted {
    stream: StreamOwned<ClientConnection, TransportAdapter>,
    buffers: LazyBuffers,
}

impl Encrypted {
    /// Shakes hands over `inner` with a peer that must prove to be `host`, a name or an address without brackets.
    pub(super) fn handshake(
        inner: Box<dyn Transport>,
        host: &str,
        config: Arc<ClientConfig>,
        wait_max: Duration,
        details: &ConnectionDetails<'_>,
    ) -> io::Result<Self> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let mut connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
        let mut inner = TransportAdapter::new(inner, Arc::clone(&details.current_time));
        inner.set_timeout(within(wait_max));
        connection.complete_io(&mut inner)?;
        Ok(Encrypted {
            stream: StreamOwned::new(connection, inner),
            buffers: LazyBuffers::new(INPUT_BYTES, OUTPUT_BYTES),
        })
    }
}

impl Transport for Encrypted {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.sock.set_timeout(timeout);
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        self.stream.write_all(output)?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.sock.set_timeout(timeout);
        let count = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(count);
        Ok(count > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl fmt::Debug for Encrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encrypted").field("inner", self.stream.sock.get_ref()).finish()
    }
}

/// A wait for a step of connecting, which begins now.
pub(super) fn within(wait_max: Duration) -> NextTimeout {
    NextTimeout { after: wait_max.into(), reason: Timeout::Connect, ..NextTimeout::default() }
}
