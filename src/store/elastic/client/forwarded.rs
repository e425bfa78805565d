//! Requests to an `http` host through a proxy: the proxy is told the whole URL (RFC 9112, 3.2.2), which ureq cannot write.

use std::fmt;

use ureq::Error;
use ureq::unversioned::transport::{Buffers, NextTimeout, Transport};

use crate::config::Secret;

/// A connection to a proxy that changes the head of each request that goes over it.
pub(super) struct Forwarded {
    inner: Box<dyn Transport>,
    /// `http://HOST:PORT`
    target: String,
    authorization: Option<Secret>,
    /// The next output begins a request: nothing was sent since something came.
    at_head: bool,
}

impl Forwarded {
    /// Requests over `inner`, which is connected to a proxy, go to `target`, `http://HOST:PORT`.
    pub(super) fn new(inner: Box<dyn Transport>, target: String, authorization: Option<Secret>) -> Self {
        Forwarded { inner, target, authorization, at_head: true }
    }

    /// The head as a proxy wants it: the URL whole, and who we are on the second line.
    fn changed(&self, head: &[u8]) -> Vec<u8> {
        let after_method = head.iter().position(|byte| *byte == b' ').map_or(0, |space| space + 1);
        let (method, rest) = head.split_at(after_method);
        let after_line = rest.windows(2).position(|two| two == b"\r\n").map_or(rest.len(), |end| end + 2);
        let (line, fields) = rest.split_at(after_line);
        let mut changed = [method, self.target.as_bytes(), line].concat();
        if let Some(authorization) = &self.authorization {
            changed.extend_from_slice(b"Proxy-Authorization: ");
            changed.extend_from_slice(authorization.expose().as_bytes());
            changed.extend_from_slice(b"\r\n");
        }
        changed.extend_from_slice(fields);
        changed
    }
}

impl Transport for Forwarded {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if !self.at_head {
            return self.inner.transmit_output(amount, timeout);
        }
        self.at_head = false;
        let head = self.inner.buffers().output().get(..amount).unwrap_or_default().to_vec();
        let mut rest = &self.changed(&head)[..];
        while !rest.is_empty() {
            let output = self.inner.buffers().output();
            let (part, later) = rest.split_at(rest.len().min(output.len()));
            output[..part.len()].copy_from_slice(part);
            self.inner.transmit_output(part.len(), timeout)?;
            rest = later;
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.at_head = true;
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }
}

impl fmt::Debug for Forwarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forwarded").field("target", &self.target).finish_non_exhaustive()
    }
}
