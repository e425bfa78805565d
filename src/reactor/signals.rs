//! SIGTERM, SIGINT and SIGHUP.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use mio::{Interest, Registry, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook_mio::v1_0::Signals as Source;

/// Exit code of a second SIGTERM or SIGINT: work was cut off, so not 0.
const CUT_OFF: i32 = 1;

/// The signals of this process, as a source of the loop.
pub(super) struct Signals(Source);

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Finish and exit.
    Stop,
    /// Re-read files.
    Reload,
}

/// From here on a second SIGTERM or SIGINT ends the process at once, whatever hangs.
pub(crate) fn end_at_the_second() -> io::Result<()> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        // in this order: the first signal finds the flag unset
        flag::register_conditional_shutdown(signal, CUT_OFF, Arc::clone(&asked))?;
        flag::register(signal, Arc::clone(&asked))?;
    }
    Ok(())
}

impl Signals {
    /// Catches the signals from here on. A second SIGTERM or SIGINT ends the process at once with exit code 1, even if the
    /// loop hangs.
    pub(super) fn catch(registry: &Registry, token: Token) -> io::Result<Self> {
        end_at_the_second()?;
        let mut source = Source::new([SIGTERM, SIGINT, SIGHUP])?;
        registry.register(&mut source, token, Interest::READABLE)?;
        Ok(Signals(source))
    }

    /// What has been asked for since the last call.
    pub(super) fn pending(&mut self) -> impl Iterator<Item = Asked> {
        self.0.pending().map(|signal| if signal == SIGHUP { Asked::Reload } else { Asked::Stop })
    }
}
