//! A request in one piece: ureq hands over head and body by themselves, and asks twice whether a connection that was kept is open.
//! Each costs a system call here, and each piece wakes the peer.

use std::fmt;

use ureq::Error;
use ureq::unversioned::transport::{Buffers, NextTimeout, Transport};

use super::socket::OUTPUT_BYTES;

/// Output of so many bytes waits for what follows: nearly every head, the rest of a body too.
const HELD_BYTES_MAX: usize = 2 * 1024;
const _: () = assert!(HELD_BYTES_MAX <= OUTPUT_BYTES, "what is held fits into the output again");

/// A connection, whatever it goes through, that sends a head with the first part of its body.
pub(super) struct Gathered {
    inner: Box<dyn Transport>,
    /// Goes before what follows, or before an answer is waited for.
    held: Vec<u8>,
    /// Something came, and since then nobody has asked whether the connection is open.
    heard_last: bool,
}

impl Gathered {
    /// The requests over `inner`, which is ready for them.
    pub(super) fn new(inner: Box<dyn Transport>) -> Self {
        Gathered { inner, held: Vec::new(), heard_last: false }
    }

    /// Sends what is held and so much of the output.
    fn send(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let output = self.inner.buffers().output();
        let held = self.held.len();
        let fits = output.len().saturating_sub(held).min(amount);
        let later = output.get(fits..amount).unwrap_or_default().to_vec();
        output.copy_within(..fits, held);
        output[..held].copy_from_slice(&self.held);
        self.held.clear();
        self.inner.transmit_output(held + fits, timeout)?;
        if !later.is_empty() {
            self.inner.buffers().output()[..later.len()].copy_from_slice(&later);
            self.inner.transmit_output(later.len(), timeout)?;
        }
        Ok(())
    }
}

impl Transport for Gathered {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if self.held.is_empty() && amount <= HELD_BYTES_MAX {
            let output = self.inner.buffers().output();
            self.held.extend_from_slice(output.get(..amount).unwrap_or_default());
            return Ok(());
        }
        self.send(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        if !self.held.is_empty() {
            self.send(0, timeout)?;
        }
        self.heard_last = self.inner.await_input(timeout)?;
        Ok(self.heard_last)
    }

    fn is_open(&mut self) -> bool {
        // ureq asks when it puts a connection aside and again when it takes it out: the second answer says all
        let is_put_aside = std::mem::take(&mut self.heard_last);
        self.held.is_empty() && (is_put_aside || self.inner.is_open())
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

impl fmt::Debug for Gathered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gathered").field(&self.inner).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use ureq::unversioned::transport::LazyBuffers;

    use super::*;

    const SMALL_OUTPUT_BYTES: usize = 4 * 1024;

    /// A transport that notes what it is told to send, and always has one byte to say.
    #[derive(Debug)]
    struct Noting {
        buffers: LazyBuffers,
        sent: Arc<Mutex<Vec<Vec<u8>>>>,
        open: Arc<Mutex<Vec<bool>>>,
    }

    impl Transport for Noting {
        fn buffers(&mut self) -> &mut dyn Buffers {
            &mut self.buffers
        }

        fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
            self.sent.lock().unwrap().push(self.buffers.output()[..amount].to_vec());
            Ok(())
        }

        fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
            self.buffers.input_appended(1);
            Ok(true)
        }

        fn is_open(&mut self) -> bool {
            self.open.lock().unwrap().pop().unwrap()
        }
    }

    struct Wire {
        gathered: Gathered,
        sent: Arc<Mutex<Vec<Vec<u8>>>>,
        open: Arc<Mutex<Vec<bool>>>,
    }

    impl Wire {
        fn new() -> Self {
            let (sent, open) = (Arc::default(), Arc::default());
            let buffers = LazyBuffers::new(1024, SMALL_OUTPUT_BYTES);
            let noting = Noting { buffers, sent: Arc::clone(&sent), open: Arc::clone(&open) };
            Wire { gathered: Gathered::new(Box::new(noting)), sent, open }
        }

        fn put(&mut self, output: &[u8]) {
            self.gathered.buffers().output()[..output.len()].copy_from_slice(output);
            self.gathered.transmit_output(output.len(), NextTimeout::default()).unwrap();
        }

        fn hear(&mut self) {
            assert!(self.gathered.await_input(NextTimeout::default()).unwrap());
        }

        fn sent(&self) -> Vec<Vec<u8>> {
            self.sent.lock().unwrap().clone()
        }
    }

    #[test]
    fn head_and_body_go_in_one_piece() {
        let mut wire = Wire::new();
        wire.put(b"head,");
        assert!(wire.sent().is_empty());
        wire.put(b"body");
        wire.hear();
        assert_eq!(wire.sent(), [b"head,body"]);
    }

    #[test]
    fn a_head_alone_goes_before_the_answer_is_waited_for() {
        let mut wire = Wire::new();
        wire.put(b"head");
        wire.hear();
        wire.put(b"next");
        wire.hear();
        assert_eq!(wire.sent(), [b"head", b"next"]);
    }

    #[test]
    fn what_does_not_fit_beside_the_head_follows_it() {
        let mut wire = Wire::new();
        let (full, tail) = (vec![b'f'; SMALL_OUTPUT_BYTES], b"tail");
        wire.put(b"head");
        wire.put(&full);
        wire.put(tail);
        wire.hear();
        let sent = wire.sent();
        assert_eq!(sent.concat(), [b"head", &full[..], tail].concat());
        assert_eq!(sent.iter().map(Vec::len).collect::<Vec<_>>(), [SMALL_OUTPUT_BYTES, 4, 4]);
    }

    #[test]
    fn a_large_head_waits_for_nothing() {
        let mut wire = Wire::new();
        wire.put(&[b'h'; HELD_BYTES_MAX + 1]);
        assert_eq!(wire.sent().len(), 1);
    }

    #[test]
    fn whether_it_is_open_is_asked_once_an_exchange() {
        let mut wire = Wire::new();
        wire.put(b"head");
        assert!(!wire.gathered.is_open(), "a request waits in it");
        wire.hear();
        assert!(wire.gathered.is_open(), "put aside");
        wire.open.lock().unwrap().extend([true, false]);
        assert!(!wire.gathered.is_open(), "closed meanwhile");
        assert!(wire.gathered.is_open());
    }
}
