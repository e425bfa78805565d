//! Housekeeping: unenrols silent agents where the policy says so, and removes what has outlived its time. Each step is a
//! short transaction of its own, so that nobody waits long for the writer.

use std::collections::BTreeSet;
use std::time::Duration;

use rusqlite::{Row, params};

use super::fault::Fault;
use super::writer::Transaction;
use super::{Inner, lock};
use crate::model::Patch;
use crate::store::documents::seconds;
use crate::store::retention::{GONE_ACTIONS_MAX, UPLOAD_TIME_MAX, outlived};
use crate::store::{Answer, StoreError, StoreResult};
use crate::time::Timestamp;

/// A step touches at most so many rows...
pub(super) const STEP_ROWS: i64 = 500;
/// ...or actions for at most about so many agents.
const STEP_ACTION_AGENTS: usize = 2000;

/// Removes what has outlived its time at `now`.
pub(super) fn run(inner: &Inner, now: Timestamp, serving: Duration) -> StoreResult {
    let kept = &inner.retention;
    let mut removed = 0;
    steps(inner, |transaction| transaction.date(now))?;
    steps(inner, |transaction| transaction.unenroll_silent(now, serving))?;
    removed += remove_uploads(inner, now)?;
    removed +=
        aged(inner, now, kept.unenrolled_agents, |transaction, before| transaction.remove_agents(before))?;
    removed +=
        aged(inner, now, kept.action_results, |transaction, before| transaction.remove_results(before))?;
    removed +=
        aged(inner, now, kept.expired_actions, |transaction, before| transaction.remove_actions(before))?;
    let newest_kept = i64::from(kept.policy_revisions_kept.max(1));
    removed += aged(inner, now, kept.policy_revisions, |transaction, before| {
        transaction.remove_revisions(before, newest_kept)
    })?;
    lock(&inner.writer).truncate_wal();
    Ok(Answer::Removed(removed))
}

/// Ends uploads that were abandoned, removes those that have outlived their time, and what chunks are left of any.
fn remove_uploads(inner: &Inner, now: Timestamp) -> Result<usize, StoreError> {
    let begun = now.minus(UPLOAD_TIME_MAX).0;
    let ended = steps(inner, |transaction| transaction.end_abandoned_uploads(begun))?;
    let kept = inner.retention.uploads;
    let removed = aged(inner, now, kept, |transaction, before| transaction.remove_uploads(before))?;
    inner.remove_stray_chunks()?;
    Ok(ended + removed)
}

fn aged(
    inner: &Inner,
    now: Timestamp,
    kept: Duration,
    step: impl Fn(&mut Transaction<'_>, i64) -> Result<usize, Fault>,
) -> Result<usize, StoreError> {
    match outlived(now, kept) {
        Some(before) => steps(inner, |transaction| step(transaction, before.0)),
        None => Ok(0),
    }
}

/// Repeats `step` until it finds nothing more to do; how much it did in all.
fn steps(
    inner: &Inner,
    step: impl Fn(&mut Transaction<'_>) -> Result<usize, Fault>,
) -> Result<usize, StoreError> {
    let mut total = 0;
    loop {
        let done = lock(&inner.writer).transact(&inner.news, &step)?;
        if done == 0 {
            return Ok(total);
        }
        total += done;
    }
}

impl Transaction<'_> {
    /// Gives what has no date of its own the present one, from which its time counts.
    fn date(&mut self, now: Timestamp) -> Result<usize, Fault> {
        let undated = [
            "UPDATE results SET seen = ?1 WHERE number IN
                 (SELECT number FROM results WHERE seen IS NULL LIMIT ?2)",
            "UPDATE policies SET written = ?1 WHERE number IN
                 (SELECT number FROM policies WHERE written IS NULL LIMIT ?2)",
            "UPDATE actions SET over = ?1 WHERE seq_no IN
                 (SELECT seq_no FROM actions WHERE over IS NULL LIMIT ?2)",
            "UPDATE agents SET unenrolled = ?1 WHERE number IN
                 (SELECT number FROM agents WHERE active = 0 AND unenrolled IS NULL LIMIT ?2)",
        ];
        undated.iter().try_fold(0, |total, sql| Ok(total + self.execute(sql, params![now.0, STEP_ROWS])?))
    }

    /// Unenrols agents that were silent for longer than the newest revision of their policy allows.
    fn unenroll_silent(&mut self, now: Timestamp, serving: Duration) -> Result<usize, Fault> {
        let silent = self.rows(
            "SELECT id, access_api_key_id FROM
                 (SELECT policy_id, unenroll_timeout AS patience, max(revision_idx) FROM policies GROUP BY policy_id)
                 JOIN agents USING (policy_id) LEFT JOIN agent_checkins USING (number)
             WHERE active = 1 AND patience BETWEEN 1 AND ?3
                 AND max(coalesce(last_checkin, enrolled / 1000), coalesce(enrolled / 1000, last_checkin))
                     <= ?1 - patience
             LIMIT ?2",
            [seconds(now), STEP_ROWS, i64::try_from(serving.as_secs()).unwrap_or(i64::MAX)],
            |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)),
        )?;
        let time = now.rfc3339();
        let patch = Patch::new().set("active", false).set("unenrolled_at", &time).set("updated_at", &time);
        for (agent, key) in &silent {
            self.patch_agent(agent, &patch)?;
            self.delete_key(key)?;
        }
        Ok(silent.len())
    }

    fn remove_agents(&mut self, before: i64) -> Result<usize, Fault> {
        let agents = self.rows(
            "SELECT id, access_api_key_id FROM agents WHERE active = 0 AND unenrolled <= ?1 LIMIT ?2",
            [before, STEP_ROWS],
            |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)),
        )?;
        for (agent, key) in &agents {
            self.delete_agent(agent)?;
            self.delete_key(key)?;
        }
        Ok(agents.len())
    }

    fn remove_results(&mut self, before: i64) -> Result<usize, Fault> {
        let sql =
            "DELETE FROM results WHERE number IN (SELECT number FROM results WHERE seen <= ?1 LIMIT ?2)";
        Ok(self.execute(sql, [before, STEP_ROWS])?)
    }

    fn remove_actions(&mut self, before: i64) -> Result<usize, Fault> {
        let actions = self.rows(
            "SELECT seq_no, action_id, agents FROM actions WHERE over <= ?1 ORDER BY over LIMIT 20",
            [before],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?)),
        )?;
        let (mut removed, mut concerned) = (0, 0);
        for (seq_no, action_id, agents) in actions {
            let agents: BTreeSet<String> = serde_json::from_str(&agents)?;
            concerned += agents.len();
            if removed > 0 && concerned > STEP_ACTION_AGENTS {
                break;
            }
            self.remove_action(seq_no, &action_id, &agents)?;
            removed += 1;
        }
        Ok(removed)
    }

    fn remove_action(
        &mut self,
        seq_no: i64,
        action_id: &str,
        agents: &BTreeSet<String>,
    ) -> Result<(), Fault> {
        for agent in agents {
            self.execute(
                "DELETE FROM action_agents WHERE agent = ?1 AND seq_no = ?2",
                params![agent, seq_no],
            )?;
        }
        self.execute("DELETE FROM actions WHERE seq_no = ?1", [seq_no])?;
        self.sequences.actions += 1;
        self.execute("INSERT OR REPLACE INTO gone_actions (action_id) VALUES (?1)", [action_id])?;
        let forgotten =
            "DELETE FROM gone_actions WHERE number <= (SELECT max(number) FROM gone_actions) - ?1";
        self.execute(forgotten, [i64::try_from(GONE_ACTIONS_MAX).unwrap_or(i64::MAX)])?;
        Ok(())
    }

    /// A revision's time counts from when the next one replaced it.
    fn remove_revisions(&mut self, before: i64, newest_kept: i64) -> Result<usize, Fault> {
        let removed = self.execute(
            "DELETE FROM policies WHERE number IN (
                 SELECT number FROM
                     (SELECT number, policy_id, revision_idx,
                          lead(written) OVER newer AS replaced, row_number() OVER older AS place
                      FROM policies
                      WINDOW newer AS (PARTITION BY policy_id ORDER BY revision_idx),
                          older AS (PARTITION BY policy_id ORDER BY revision_idx DESC))
                 WHERE replaced <= ?1 AND place > ?2 AND (policy_id, revision_idx) NOT IN
                     (SELECT policy_id, policy_revision_idx FROM agents WHERE active = 1)
                 LIMIT ?3)",
            [before, newest_kept, STEP_ROWS],
        )?;
        self.sequences.policies += i64::try_from(removed).unwrap_or(i64::MAX);
        Ok(removed)
    }

    fn rows<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        self.sql.prepare_cached(sql)?.query_map(params, read)?.collect()
    }
}
