//! A cluster that tests may stop, kill and freeze: one for all of them, to one at a time, since it takes a while to start.

use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::cluster::{Cluster, Options};

/// The cluster, for one test.
pub(super) struct Breakable(MutexGuard<'static, Option<Cluster>>);

impl Breakable {
    /// Once no other test has it. None where there can be none.
    pub(super) fn take() -> Option<Breakable> {
        static ONLY: OnceLock<Mutex<Option<Cluster>>> = OnceLock::new();
        let only = ONLY.get_or_init(|| Mutex::new(None));
        let mut only = match only.lock() {
            Ok(only) => only,
            // the test before may have left it in any state
            Err(poisoned) => {
                ONLY.get().into_iter().for_each(Mutex::clear_poison);
                let mut only = PoisonError::into_inner(poisoned);
                *only = None;
                only
            }
        };
        if only.is_none() {
            *only = Cluster::start(Options::default());
        }
        only.is_some().then_some(Breakable(only))
    }
}

impl Deref for Breakable {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        self.0.as_ref().expect("there is one")
    }
}
