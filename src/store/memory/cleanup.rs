//! Housekeeping: unenrols silent agents where the policy says so, and removes what has outlived its time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::agents::read;
use super::state::State;
use crate::model::{Agent, Patch};
use crate::store::documents::seconds;
use crate::store::retention::{GONE_ACTIONS_MAX, Retention, outlived};
use crate::time::Timestamp;

impl State {
    /// Removes what has outlived its time at `now`; how many documents.
    pub(super) fn clean_up(&mut self, kept: &Retention, now: Timestamp, serving: Duration) -> usize {
        self.date(now);
        self.unenroll_silent(now, serving);
        let outlived = |kept: Duration| outlived(now, kept);
        let mut removed = self.end_abandoned_uploads(now);
        removed += outlived(kept.uploads).map_or(0, |before| self.remove_uploads(before));
        removed += outlived(kept.unenrolled_agents).map_or(0, |before| self.remove_agents(before));
        removed += outlived(kept.action_results).map_or(0, |before| self.remove_results(before));
        removed += outlived(kept.expired_actions).map_or(0, |before| self.remove_actions(before));
        let newest_kept = usize::try_from(kept.policy_revisions_kept.max(1)).unwrap_or(usize::MAX);
        let revisions = outlived(kept.policy_revisions);
        removed + revisions.map_or(0, |before| self.remove_revisions(before, newest_kept))
    }

    /// Gives what has no date of its own the present one, from which its time counts.
    fn date(&mut self, now: Timestamp) {
        let results = self.results.iter_mut().map(|stored| &mut stored.seen);
        let policies = self.policies.values_mut().map(|stored| &mut stored.written);
        let actions = self.actions.values_mut().map(|stored| &mut stored.over);
        for date in results.chain(policies).chain(actions) {
            date.get_or_insert(now);
        }
        for (id, stored) in &mut self.agents {
            let inactive = read(id, stored).is_ok_and(|agent| !agent.active);
            stored.seen_inactive = inactive.then(|| stored.seen_inactive.unwrap_or(now));
        }
    }

    fn unenroll_silent(&mut self, now: Timestamp, serving: Duration) {
        let patience: BTreeMap<String, i64> = (self.newest_policies().iter())
            .map(|policy| (policy.policy_id.clone(), policy.unenroll_timeout_seconds))
            .filter(|(_, patience)| {
                *patience > 0 && u64::try_from(*patience).is_ok_and(|it| it <= serving.as_secs())
            })
            .collect();
        let time = now.rfc3339();
        let patch = Patch::new().set("active", false).set("unenrolled_at", &time).set("updated_at", &time);
        let silent = self.agents_where(|agent| {
            let heard = [&agent.last_checkin, &agent.enrolled_at];
            let heard = heard.into_iter().flatten().filter_map(|time| Timestamp::parse(time)).max();
            let patience = patience.get(&agent.policy_id);
            agent.active
                && heard
                    .zip(patience)
                    .is_some_and(|(heard, patience)| seconds(heard) <= seconds(now) - patience)
        });
        for agent in silent {
            self.keys.remove(&agent.access_api_key_id);
            // it was read a moment ago
            let _ = self.change_agent(&agent.id, &patch);
        }
    }

    fn remove_agents(&mut self, before: Timestamp) -> usize {
        let agents = self.agents_where(|agent| !agent.active);
        let mut removed = 0;
        for agent in agents {
            let documented = agent.unenrolled_at.as_deref().and_then(Timestamp::parse);
            let seen = self.agents.get(&agent.id).and_then(|stored| stored.seen_inactive);
            if documented.or(seen).is_some_and(|since| since <= before) {
                self.delete_agent(&agent.id);
                self.keys.remove(&agent.access_api_key_id);
                removed += 1;
            }
        }
        removed
    }

    fn remove_results(&mut self, before: Timestamp) -> usize {
        let count = self.results.len();
        self.results.retain(|stored| stored.seen.is_none_or(|seen| seen > before));
        count - self.results.len()
    }

    fn remove_actions(&mut self, before: Timestamp) -> usize {
        let mut old: Vec<_> = (self.actions.iter())
            .filter_map(|(seq_no, stored)| Some((stored.over?, *seq_no)))
            .filter(|(over, _)| *over <= before)
            .collect();
        old.sort_unstable();
        for (_, seq_no) in &old {
            if let Some(stored) = self.actions.remove(seq_no) {
                self.sequences.actions += 1;
                self.gone_actions.retain(|gone| *gone != stored.action.action_id);
                self.gone_actions.push_back(stored.action.action_id.clone());
            }
        }
        let forgotten = self.gone_actions.len().saturating_sub(GONE_ACTIONS_MAX);
        self.gone_actions.drain(..forgotten);
        old.len()
    }

    /// A revision's time counts from when the next one replaced it.
    fn remove_revisions(&mut self, before: Timestamp, newest_kept: usize) -> usize {
        let used: BTreeSet<(String, i64)> = (self.agents_where(|agent| agent.active).into_iter())
            .map(|agent| (agent.policy_id, agent.policy_revision_idx))
            .collect();
        let mut old = Vec::new();
        let (mut newer, mut place) = (None, 0);
        for (key, stored) in self.policies.iter().rev() {
            let (policy_id, replaced) = newer.replace((&key.0, stored.written)).unzip();
            place = if policy_id == Some(&key.0) { place + 1 } else { 1 };
            let replaced = replaced.flatten().filter(|_| place > 1);
            if place > newest_kept
                && replaced.is_some_and(|replaced| replaced <= before)
                && !used.contains(key)
            {
                old.push(key.clone());
            }
        }
        for key in &old {
            self.policies.remove(key);
            self.sequences.policies += 1;
        }
        old.len()
    }

    fn agents_where(&self, wanted: impl Fn(&Agent) -> bool) -> Vec<Agent> {
        let agents = self.agents.iter().filter_map(|(id, stored)| read(id, stored).ok());
        agents.filter(|agent| wanted(agent)).collect()
    }
}
