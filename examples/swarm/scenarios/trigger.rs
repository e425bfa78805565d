//! The command that makes a new policy revision, in a shell beside the swarm.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the command may go on after the last agent has its policy.
const WAIT_MAX: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A running command.
pub(crate) struct Trigger {
    child: Child,
    /// Just before it was started.
    pub(crate) started: Instant,
}

impl Trigger {
    /// Starts `command`; what it prints on standard output is dropped.
    pub(crate) fn start(command: &str) -> Result<Self, String> {
        let started = Instant::now();
        let child =
            Command::new("sh").arg("-c").arg(command).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        Ok(Self { child: child.map_err(|error| format!("--trigger: {error}"))?, started })
    }

    /// Whether it has ended badly.
    pub(crate) fn has_failed(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|ended| ended.is_some_and(|status| !status.success()))
    }

    /// Waits for its end, or ends it.
    #[expect(clippy::disallowed_methods, reason = "the run is over, nothing else is to be done")]
    pub(crate) fn finish(mut self) -> Result<(), String> {
        let deadline = Instant::now() + WAIT_MAX;
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(format!("--trigger: {status}")),
                Ok(None) => std::thread::sleep(LOOK_EVERY),
                Err(error) => return Err(format!("--trigger: {error}")),
            }
        }
        let ended = self.child.kill().and_then(|()| self.child.wait());
        Err(format!("--trigger: did not end, killed: {ended:?}"))
    }
}
