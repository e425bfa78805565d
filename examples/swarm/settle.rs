//! Waiting until the server has nothing left to do.

use std::time::{Duration, Instant};

use crate::run::Run;
use crate::script::Script;

/// The server's CPU is looked at so often; its clock has steps of 10 ms.
const WINDOW: Duration = Duration::from_millis(100);
/// A window with more than this is work.
const BUSY_SECONDS: f64 = 0.011;
/// So many windows in a row without work: quiet.
const QUIET_WINDOWS: u32 = 5;
/// A server that is not quiet by then is left to its work.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Without a process to look at, this is waited.
const BLIND_WAIT: Duration = Duration::from_secs(2);

/// Runs the phase on until the server is quiet; returns since when it is (None: not seen).
pub(crate) fn until_quiet<S: Script>(run: &mut Run, scripts: &mut [S]) -> Result<Option<Instant>, String> {
    let Some(mut used) = run.server.cpu_seconds() else {
        run.run_for(scripts, BLIND_WAIT)?;
        return Ok(None);
    };
    let started = Instant::now();
    let (mut quiet_windows, mut quiet_since) = (0, started);
    while started.elapsed() < WAIT_MAX {
        let window_start = Instant::now();
        run.run_for(scripts, WINDOW)?;
        let used_now = run.server.cpu_seconds().ok_or("the server's process is gone")?;
        if used_now - used > BUSY_SECONDS {
            quiet_windows = 0;
        } else {
            if quiet_windows == 0 {
                quiet_since = window_start;
            }
            quiet_windows += 1;
        }
        used = used_now;
        if quiet_windows == QUIET_WINDOWS {
            return Ok(Some(quiet_since));
        }
    }
    Ok(None)
}
