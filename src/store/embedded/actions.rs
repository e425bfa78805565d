//! Actions: one row each, and one narrow row for each agent concerned.

use std::sync::Arc;

use rusqlite::types::Type;
use rusqlite::{OptionalExtension, Row, params};

use super::fault::{Fault, Outcome};
use super::read::Reader;
use super::writer::Transaction;
use crate::model::{Action, ActionResult, raw};
use crate::store::documents::{self, PENDING_ACTIONS_MAX};
use crate::store::keys::random_bytes;
use crate::store::{ActionLookup, Answer};
use crate::time::Timestamp;

impl Transaction<'_> {
    pub(super) fn create_action(&mut self, action: Action) -> Outcome {
        self.sequences.actions += 1;
        let seq_no = self.sequences.actions;
        let document_id = documents::random_id(random_bytes()?);
        let expiration = Timestamp::parse(&action.expiration).map(|time| time.0);
        // without an expiration it is never delivered: it is over as soon as it is made
        let over = expiration.or_else(|| Timestamp::parse(&action.timestamp).map(|time| time.0));
        self.execute(
            "INSERT INTO actions (seq_no, document_id, action_id, expiration, over, agent_count, document, agents)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                seq_no,
                document_id,
                action.action_id,
                expiration,
                over,
                count(action.agents.len()),
                documents::action(&action).get(),
                raw::raw(&action.agents).get(),
            ],
        )?;
        let mut concerned = self.sql.prepare_cached(
            "INSERT INTO action_agents (agent, seq_no, place) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        )?;
        for (place, agent) in action.agents.iter().enumerate() {
            concerned.execute(params![agent, seq_no, count(place)])?;
        }
        Ok(Answer::SeqNo(Some(seq_no)))
    }
}

impl Reader<'_> {
    pub(super) fn pending_actions(&self, agent: &str, after: i64, up_to: i64, now: Timestamp) -> Outcome {
        let mut select = self.sql.prepare_cached(
            "SELECT document_id, seq_no, document, place, agent_count
             FROM action_agents JOIN actions USING (seq_no)
             WHERE agent = ?1 AND seq_no > ?2 AND seq_no <= ?3 AND expiration > ?4 ORDER BY seq_no LIMIT ?5",
        )?;
        let mut rows = select.query(params![agent, after, up_to, now.0, count(PENDING_ACTIONS_MAX)])?;
        let mut actions = Vec::new();
        while let Some(row) = rows.next()? {
            let mut action = read(row)?;
            action.place = Some((usize_at(row, 3)?, usize_at(row, 4)?));
            actions.push(Arc::new(action));
        }
        Ok(Answer::Actions(actions))
    }

    pub(super) fn action(&self, action_id: &str) -> Outcome {
        let mut select = self.sql.prepare_cached(
            "SELECT document_id, seq_no, document FROM actions WHERE action_id = ?1 ORDER BY seq_no DESC LIMIT 1",
        )?;
        let mut rows = select.query([action_id])?;
        if let Some(row) = rows.next()? {
            return Ok(Answer::Action(ActionLookup::Found(Arc::new(read(row)?))));
        }
        let gone = "SELECT 1 FROM gone_actions WHERE action_id = ?1";
        let gone = self.sql.prepare_cached(gone)?.exists([action_id])?;
        Ok(Answer::Action(if gone { ActionLookup::Gone } else { ActionLookup::Unknown }))
    }

    pub(super) fn action_seq_no(&self, document_id: &str) -> Outcome {
        let mut select = self.sql.prepare_cached("SELECT seq_no FROM actions WHERE document_id = ?1")?;
        Ok(Answer::SeqNo(select.query_row([document_id], |row| row.get(0)).optional()?))
    }

    pub(super) fn actions_checkpoint(&self) -> Outcome {
        let mut select = self.sql.prepare_cached("SELECT last FROM sequences WHERE name = 'actions'")?;
        Ok(Answer::SeqNo(Some(select.query_row([], |row| row.get(0))?)))
    }

    pub(super) fn newest_actions(&self, limit: usize) -> Outcome {
        let mut select = self.sql.prepare_cached(
            "SELECT document_id, seq_no, document, agents FROM actions ORDER BY seq_no DESC LIMIT ?1",
        )?;
        let mut rows = select.query([count(limit)])?;
        let mut actions = Vec::new();
        while let Some(row) = rows.next()? {
            actions.push(Arc::new(with_agents(row)?));
        }
        Ok(Answer::Actions(actions))
    }

    pub(super) fn action_documents(&self, action_id: &str) -> Outcome {
        let mut select = self.sql.prepare_cached(
            "SELECT document_id, seq_no, document, agents FROM actions WHERE action_id = ?1 ORDER BY seq_no",
        )?;
        let mut rows = select.query([action_id])?;
        let mut actions = Vec::new();
        while let Some(row) = rows.next()? {
            actions.push(Arc::new(with_agents(row)?));
        }
        Ok(Answer::Actions(actions))
    }

    /// Actions with `after < _seq_no <= up_to`, until they are `count_max` or hold `bytes_max`; and up to which `_seq_no`
    /// that is all of them.
    pub(super) fn actions_between(
        &self,
        (after, up_to): (i64, i64),
        (count_max, bytes_max): (usize, usize),
    ) -> Result<(Vec<Arc<Action>>, i64), Fault> {
        let mut select = self.sql.prepare_cached(
            "SELECT document_id, seq_no, document, agents FROM actions
             WHERE seq_no > ?1 AND seq_no <= ?2 ORDER BY seq_no",
        )?;
        let mut rows = select.query([after, up_to])?;
        let (mut actions, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            bytes += bytes_at(row, 2)?.len() + bytes_at(row, 3)?.len();
            let action = with_agents(row)?;
            let seq_no = action.seq_no;
            actions.push(Arc::new(action));
            if actions.len() >= count_max || bytes >= bytes_max {
                return Ok((actions, seq_no));
            }
        }
        Ok((actions, up_to))
    }

    pub(super) fn results(&self, action_id: &str) -> Outcome {
        let mut select =
            self.sql.prepare_cached("SELECT document FROM results WHERE action_id = ?1 ORDER BY number")?;
        let mut rows = select.query([action_id])?;
        let mut results: Vec<ActionResult> = Vec::new();
        while let Some(row) = rows.next()? {
            results.push(serde_json::from_slice(bytes_at(row, 0)?)?);
        }
        Ok(Answer::Results(results))
    }
}

fn read(row: &Row<'_>) -> Result<Action, Fault> {
    let document_id: String = row.get(0)?;
    Ok(Action::read(&document_id, row.get(1)?, bytes_at(row, 2)?)?)
}

fn with_agents(row: &Row<'_>) -> Result<Action, Fault> {
    let mut action = read(row)?;
    action.agents = serde_json::from_slice(bytes_at(row, 3)?)?;
    Ok(action)
}

fn bytes_at<'a>(row: &'a Row<'_>, column: usize) -> rusqlite::Result<&'a [u8]> {
    let value = row.get_ref(column)?;
    let wrong = |_| rusqlite::Error::InvalidColumnType(column, String::new(), Type::Null);
    value.as_bytes().map_err(wrong)
}

fn usize_at(row: &Row<'_>, column: usize) -> rusqlite::Result<usize> {
    let value: i64 = row.get(column)?;
    Ok(usize::try_from(value).unwrap_or_default())
}

/// A length as SQL counts.
fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
