//! What a server does because an agent runs it: it looks under which policy it runs, tells how it does, and has documents that
//! are older than this protocol brought up to it (agent-mode.md, "States reported"; elasticsearch.md, "Cleanup").

use std::time::Duration;

use crate::handlers::standing;
use crate::slots::SlotId;
use crate::store::{Operation, StoreResult};

use super::tasks::Owner;
use super::timing::Timer;
use super::{Effect, Server};

/// Before a migration that failed is tried again.
const MIGRATE_AGAIN: Duration = Duration::from_secs(10);

/// What is under way for the agent.
#[derive(Debug, Default)]
pub(super) struct Supervised {
    /// The look that is under way, if it has not ended.
    look: Option<SlotId>,
    /// Something has changed since it began.
    look_again: bool,
    /// Documents are being migrated.
    pub(super) migrates: bool,
}

impl Server {
    /// The first of all this.
    pub(super) fn start_under_agent(&mut self) {
        if self.config.under_agent {
            self.migrate();
        }
    }

    /// Looks under which policy the server runs, now or as soon as the look that is under way has ended.
    pub(super) fn look_at_standing(&mut self) {
        self.supervised.look_again = self.config.under_agent;
    }

    /// Begins a look that is due, and tells what is new.
    pub(super) fn go_on_under_agent(&mut self) {
        if !self.config.under_agent {
            return;
        }
        let is_looking = self.supervised.look.is_some_and(|task| self.tasks.get(task).is_some());
        if self.supervised.look_again && !is_looking && self.stopping.is_none() {
            self.supervised.look_again = false;
            self.supervised.look = Some(self.spawn(None, |cx| Box::pin(standing::look(cx))));
        }
        if let Some(standing) = self.fleet_mut().health.take_news() {
            self.effects.push_back(Effect::Stands(standing));
        }
    }

    /// Has the store bring old documents up to date.
    pub(super) fn migrate(&mut self) {
        if self.stopping.is_some() {
            return;
        }
        let at = self.now.wall;
        self.supervised.migrates = self.put(Owner::Migration, Operation::MigrateAgents { at }).is_ok();
        if !self.supervised.migrates {
            self.set_timer(self.now.mono + MIGRATE_AGAIN, Timer::Migration);
        }
    }

    /// What came of it; until it is done it is tried again.
    pub(super) fn migrated(&mut self, answer: &StoreResult) {
        self.supervised.migrates = false;
        if let Err(error) = answer {
            ::log::warn!("documents of agents are yet to be brought up to date, it is tried again: {error}");
            self.set_timer(self.now.mono + MIGRATE_AGAIN, Timer::Migration);
        }
    }
}
