//! The test of an output before it is used: whether a cluster answers there that is new enough (agent-mode.md, "From units to
//! configuration"). It runs on a thread of its own, which nobody waits for; the server that runs goes on meanwhile.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use crate::agent_mode::seam::Bell;
use crate::api::user_agent::Version;
use crate::config::Elasticsearch;
use crate::store::probe;
use crate::version::STACK_VERSION;

/// For the head of one host's answer; connecting has its own bounds.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);
/// The client does TLS and little else.
const STACK_BYTES: usize = 512 * 1024;

/// What a test found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It can be used.
    Works,
    /// A cluster answers, of this version, which is too old for us.
    TooOld(String),
    /// It cannot be reached, or does not let us in.
    Fails(String),
}

/// What came of a test.
pub(super) struct Tested {
    /// Which test it was.
    pub(super) number: u64,
    pub(super) verdict: Verdict,
}

/// Begins a test; what came of it goes to `results`, and `bell` rings once `held` is let go.
pub(super) fn begin(
    number: u64,
    settings: Elasticsearch,
    results: Sender<Tested>,
    held: Arc<()>,
    bell: Bell,
) -> io::Result<()> {
    let test = move || {
        let verdict = judge(probe(&settings, ANSWER_WAIT_MAX));
        // nobody listens any more: another configuration has come, or the end
        let _ = results.send(Tested { number, verdict });
        drop(held);
        bell.ring();
    };
    thread::Builder::new().name("output-test".to_owned()).stack_size(STACK_BYTES).spawn(test).map(drop)
}

fn judge(version: Result<String, String>) -> Verdict {
    match version {
        Err(reason) => Verdict::Fails(reason),
        Ok(version) => {
            let number = version.split('-').next().unwrap_or_default();
            match (Version::parse(number), Version::parse(STACK_VERSION)) {
                (Some(theirs), Some(ours)) if theirs >= ours => Verdict::Works,
                (None, _) => Verdict::Fails(format!("its version {version:?} is not understood")),
                _ => Verdict::TooOld(version),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_of_our_minor_or_newer_will_do_whatever_its_suffix() {
        for version in [STACK_VERSION, "99.0.0", "99.1.0-SNAPSHOT"] {
            assert_eq!(judge(Ok(version.to_owned())), Verdict::Works, "{version}");
        }
    }

    #[test]
    fn an_older_one_and_one_that_says_nothing_will_not() {
        assert_eq!(judge(Ok("8.19.3".to_owned())), Verdict::TooOld("8.19.3".to_owned()));
        assert!(matches!(judge(Ok("new".to_owned())), Verdict::Fails(_)));
        assert_eq!(judge(Err("no".to_owned())), Verdict::Fails("no".to_owned()));
    }
}
