//! Writes of agents and for agents. An operation is one write or several, and reads what came of them in its own way.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::value::RawValue;

use super::Elastic;
use super::bulk::{Item, Outcome, Refresh, is_id};
use super::failure::Trouble;
use super::indices::Index;
use super::lookup::{Part, Wanted};
use super::script::{ACKNOWLEDGE, CHANGE, HEARTBEAT};
use crate::model::raw::raw;
use crate::model::{Action, ActionResult, Change, Patch};
use crate::store::{Answer, Operation, StoreError, StoreResult, documents, keys};
use crate::time::Timestamp;

/// What a time that is none is stored as: the result counts, whatever the agent's clock says.
const NO_TIME: &str = "1970-01-01T00:00:00Z";

/// An operation as writes.
#[derive(Default)]
struct Plan {
    items: Vec<Item>,
    /// The id of the document that it creates.
    created: String,
}

/// What [`CHANGE`] is told.
#[derive(Serialize)]
struct ChangeParams<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<&'a RawValue>,
    doc: BTreeMap<&'a str, &'a RawValue>,
    remove: Vec<&'a str>,
}

/// What [`HEARTBEAT`] is told.
#[derive(Serialize)]
struct HeartbeatParams {
    at: String,
    /// The same, since 1970.
    seconds: i64,
}

/// What [`ACKNOWLEDGE`] is told.
#[derive(Serialize)]
struct AcknowledgeParams<'a> {
    policy_id: &'a str,
    revision_idx: i64,
    at: String,
}

impl Elastic {
    /// Runs writes, in their order.
    pub(super) fn write(&self, operations: &[Operation], refresh: Refresh) -> Vec<StoreResult> {
        let indices: BTreeSet<Index> = operations.iter().map(written_to).collect();
        if let Some(error) = indices.into_iter().find_map(|index| self.ensure(index).err()) {
            return operations.iter().map(|_| Err(error.clone())).collect();
        }
        let (mut items, mut plans) = (Vec::new(), Vec::new());
        for operation in operations {
            let plan = self.plan(operation).map(|mut plan| {
                let count = plan.items.len();
                items.append(&mut plan.items);
                (plan.created, count)
            });
            plans.push(plan);
        }
        let mut outcomes = self.bulk(&items, refresh).into_iter();
        let answer = |(operation, plan): (&Operation, Result<(String, usize), StoreError>)| {
            let (created, count) = plan?;
            // all are taken, so that the next operation finds its own
            let own: Vec<_> = outcomes.by_ref().take(count).collect();
            let own = own.into_iter().collect::<Result<Vec<Outcome>, StoreError>>()?;
            self.judge(operation, &created, &own)
        };
        operations.iter().zip(plans).map(answer).collect()
    }

    /// The change of an agent's document by a patch.
    pub(super) fn change(&self, agent: &str, patch: &Patch) -> Item {
        Item::update(self.indices.name(Index::Agents), agent, CHANGE, &ChangeParams::of(patch))
    }

    fn plan(&self, operation: &Operation) -> Result<Plan, StoreError> {
        use Operation::*;
        let one = |item| Plan { items: vec![item], ..Plan::default() };
        match operation {
            // nobody has such an id
            UpdateAgent { agent, .. }
            | CheckIn { agent, .. }
            | Upgrading { agent, .. }
            | PolicyAcknowledged { agent, .. }
                if !is_id(agent) =>
            {
                Ok(Plan::default())
            }
            UpdateAgent { agent, patch } => Ok(one(self.change(agent, patch))),
            CreateAgent { agent, document } => {
                documents::open(document.get()).map_err(|error| documents::unreadable(&error))?;
                Ok(one(Item::create(self.indices.name(Index::Agents), agent, document.get())))
            }
            CheckIn { agent, at, patch } | Upgrading { agent, at, patch } => {
                Ok(one(self.check_in(agent, *at, patch)))
            }
            Heartbeats { agents, at } => {
                let index = self.indices.name(Index::Agents);
                let params = HeartbeatParams { at: at.rfc3339(), seconds: documents::seconds(*at) };
                let agents = agents.iter().filter(|agent| is_id(agent));
                let items = agents.map(|agent| Item::update(index, agent, HEARTBEAT, &params)).collect();
                Ok(Plan { items, ..Plan::default() })
            }
            PolicyAcknowledged { agent, policy_id, revision_idx, at } => {
                let params = AcknowledgeParams { policy_id, revision_idx: *revision_idx, at: at.rfc3339() };
                Ok(one(Item::update(self.indices.name(Index::Agents), agent, ACKNOWLEDGE, &params)))
            }
            CreateResult(result) => Ok(one(self.result(result))),
            CreateAction(action) => self.action(action),
            _ => Err(misplaced()),
        }
    }

    /// What an agent said, unless it has said something since.
    fn check_in(&self, agent: &str, at: Timestamp, patch: &Patch) -> Item {
        let at = raw(&at.rfc3339());
        let mut params = ChangeParams::of(patch);
        params.at = Some(&at);
        params.doc.extend([("last_checkin", &*at), ("updated_at", &*at)]);
        Item::update(self.indices.name(Index::Agents), agent, CHANGE, &params)
    }

    fn result(&self, result: &ActionResult) -> Item {
        let timely = |time: &String| Timestamp::parse(time).is_some();
        let mut document = result.clone();
        if !timely(&document.timestamp) {
            NO_TIME.clone_into(&mut document.timestamp);
        }
        document.started_at = document.started_at.filter(timely);
        document.completed_at = document.completed_at.filter(timely);
        let id = format!("{}:{}", result.action_id, result.agent_id);
        Item::create(self.indices.name(Index::Results), &id, raw(&document).get())
    }

    fn action(&self, action: &Action) -> Result<Plan, StoreError> {
        let id = documents::random_id(keys::random_bytes()?);
        let (document, agents) = (documents::action(action), raw(&action.agents));
        let mut object = documents::open(document.get()).map_err(|error| documents::unreadable(&error))?;
        object.insert("agents", &agents);
        let item = Item::create(self.indices.name(Index::Actions), &id, &documents::text(&object));
        Ok(Plan { items: vec![item], created: id })
    }

    /// What the outcomes of an operation's writes mean for it.
    fn judge(&self, operation: &Operation, created: &str, outcomes: &[Outcome]) -> StoreResult {
        match (operation, outcomes) {
            (Operation::UpdateAgent { .. }, [] | [Outcome { status: 404, .. }]) => Err(StoreError::NotFound),
            (Operation::CreateAgent { .. }, [Outcome { status: 409, .. }]) => Err(StoreError::Conflict),
            (Operation::CreateAction(_), [Outcome { status: 200..300, seq_no }]) => {
                Ok(Answer::SeqNo(Some(seq_no.ok_or_else(|| Trouble::garbled("a write").error)?)))
            }
            // it was written by an earlier try whose answer was lost
            (Operation::CreateAction(_), [Outcome { status: 409, .. }]) => self.seq_no_of(created),
            (Operation::CreateAction(_), _) => Err(StoreError::NotFound),
            // agents that are gone have nothing to say, and a result that is there is fine
            _ => Ok(Answer::Done),
        }
    }

    fn seq_no_of(&self, action: &str) -> StoreResult {
        let wanted = Wanted { index: Index::Actions, id: action, part: Part::Version };
        let found = self.look_up_one(wanted)?.ok_or(StoreError::NotFound)?;
        Ok(Answer::SeqNo(Some(found.version.seq_no)))
    }
}

impl<'a> ChangeParams<'a> {
    fn of(patch: &'a Patch) -> Self {
        let mut params = ChangeParams { at: None, doc: BTreeMap::new(), remove: Vec::new() };
        for (field, change) in &patch.changes {
            match change {
                Change::Set(value) => drop(params.doc.insert(*field, value)),
                Change::Remove => params.remove.push(*field),
            }
        }
        params
    }
}

fn written_to(operation: &Operation) -> Index {
    match operation {
        Operation::CreateResult(_) => Index::Results,
        Operation::CreateAction(_) => Index::Actions,
        _ => Index::Agents,
    }
}

/// The answer to an operation that was sent to a lane which does not run it.
pub(super) fn misplaced() -> StoreError {
    StoreError::Failed { status: 500, reason: "the operation belongs to another lane".to_owned() }
}
