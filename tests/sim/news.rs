//! What the watch tells: late, now and then twice, revisions in any order.

use std::collections::BTreeMap;
use std::time::Duration;

use fleet_server::server::Event;
use fleet_server::store::Changes;

use crate::agenda::Happening;
use crate::run::Sim;

/// News on their way.
#[derive(Default)]
pub(crate) struct News {
    waiting: BTreeMap<u64, Piece>,
    last: u64,
    /// Actions are told in their order.
    actions_at: Duration,
    /// Latest piece about policies so far.
    policies_at: Duration,
    /// A policy's deletion is told after what came before it, and before what comes after it.
    deletion_at: Duration,
}

struct Piece {
    changes: Changes,
    /// Policies deleted when it was new: a repetition may not bring one back.
    deletions: u64,
    is_repetition: bool,
}

impl Sim {
    /// Plans to tell what has changed in the store.
    pub(crate) fn gather_news(&mut self) {
        for changes in self.store.changes() {
            let late = if self.calm { self.dice.millis(0, 5) } else { self.lateness() };
            let soonest = self.mono + late;
            let news = &mut self.news;
            let at = match &changes {
                Changes::Actions { .. } | Changes::ActionsStartOver => {
                    news.actions_at = soonest.max(news.actions_at);
                    news.actions_at
                }
                Changes::PolicyDeleted(_) => {
                    news.deletion_at = soonest.max(news.policies_at).max(news.deletion_at);
                    news.deletion_at
                }
                Changes::Policies(_) => {
                    let at = soonest.max(news.deletion_at);
                    news.policies_at = news.policies_at.max(at);
                    at
                }
                Changes::Health(_) | Changes::Cluster(_) => soonest,
            };
            let repeats =
                !matches!(changes, Changes::PolicyDeleted(_)) && !self.calm && self.dice.percent(20);
            if repeats {
                let again = at + self.dice.millis(1, 60_000);
                self.plan_news(again, changes.clone(), true);
            }
            self.plan_news(at, changes, false);
        }
    }

    fn lateness(&mut self) -> Duration {
        let longest = *self.dice.pick(&[5, 50, 1_000, 15_000]);
        self.dice.millis(0, longest)
    }

    fn plan_news(&mut self, at: Duration, changes: Changes, is_repetition: bool) {
        self.news.last += 1;
        let piece = Piece { changes, deletions: self.ledger.deletions, is_repetition };
        self.news.waiting.insert(self.news.last, piece);
        self.agenda.plan(at, Happening::News(self.news.last));
    }

    pub(crate) fn tell_news(&mut self, number: u64) {
        let Some(piece) = self.news.waiting.remove(&number) else { return };
        if piece.is_repetition && piece.deletions != self.ledger.deletions {
            return;
        }
        self.tally.repeated += u64::from(piece.is_repetition);
        self.tell(Event::Changed(piece.changes));
    }
}
