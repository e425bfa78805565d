//! Writes to agents: enrolment, check-ins, heartbeats, acknowledgements.

use rusqlite::{OptionalExtension, params};
use serde_json::value::RawValue;

use super::fault::{Fault, Outcome};
use super::writer::Transaction;
use crate::model::raw::{is_null, raw};
use crate::model::{ActionResult, Change, Fingerprint, Patch};
use crate::store::documents::{self, CLOCK_AHEAD_SECONDS_MAX, Object, latest_checkin, seconds};
use crate::store::{Answer, Enrollment, StoreError, Written};
use crate::time::Timestamp;

/// An agent's row as far as a change needs it.
struct Stored {
    number: i64,
    document: String,
    /// Seconds since 1970.
    last_checkin: Option<i64>,
    fingerprints: Fingerprints,
}

/// What tells an agent's details from others, as stored beside its document.
#[derive(Clone, Default, PartialEq)]
struct Fingerprints {
    local_metadata: Option<Vec<u8>>,
    components: Option<Vec<u8>>,
}

impl Transaction<'_> {
    pub(super) fn enroll(&mut self, enrollment: Enrollment) -> Outcome {
        for agent in &enrollment.delete_agents {
            self.delete_agent(agent)?;
        }
        for key in &enrollment.invalidate_keys {
            self.delete_key(key)?;
        }
        let key = self.make_key()?;
        let key_id = raw(&key.id);
        match &enrollment.written {
            Written::New(document) => {
                let mut object = documents::open(document.get())?;
                object.insert("access_api_key_id", &key_id);
                self.insert_agent(&enrollment.agent, object)?;
            }
            Written::Replacement(patch) => {
                let stored = self.stored(&enrollment.agent)?.ok_or(StoreError::NotFound)?;
                let patch = patch.clone().set("access_api_key_id", &key.id);
                self.change_agent(&stored, &patch)?;
            }
        }
        Ok(Answer::Key(key))
    }

    pub(super) fn undo_enrollment(&mut self, agent: &str, access_key: &str, created: bool) -> Outcome {
        self.delete_key(access_key)?;
        // meanwhile another enrolment may have taken the id
        let ours = "SELECT 1 FROM agents WHERE id = ?1 AND access_api_key_id = ?2";
        if created && self.sql.prepare_cached(ours)?.exists([agent, access_key])? {
            self.delete_agent(agent)?;
        }
        Ok(Answer::Done)
    }

    pub(super) fn create_agent(&mut self, agent: &str, document: &RawValue) -> Outcome {
        self.insert_agent(agent, documents::open(document.get())?)?;
        Ok(Answer::Done)
    }

    pub(super) fn update_agent(&mut self, agent: &str, patch: &Patch) -> Outcome {
        let stored = self.stored(agent)?.ok_or(StoreError::NotFound)?;
        self.change_agent(&stored, patch)?;
        Ok(Answer::Done)
    }

    pub(super) fn check_in(&mut self, agent: &str, at: Timestamp, patch: &Patch) -> Outcome {
        let at = seconds(at);
        if let Some(stored) = self.stored(agent)? {
            self.change_agent(&stored, patch)?;
            self.set_last_checkin(stored.number, Some(latest_checkin(stored.last_checkin, at)))?;
        }
        Ok(Answer::Done)
    }

    pub(super) fn heartbeats(&mut self, agents: &[String], at: Timestamp) -> Outcome {
        let mut beat = self.sql.prepare_cached(
            "INSERT INTO agent_checkins (number, last_checkin) SELECT number, ?2 FROM agents WHERE id = ?1
             ON CONFLICT (number) DO UPDATE SET last_checkin = excluded.last_checkin
             WHERE excluded.last_checkin > last_checkin OR last_checkin > excluded.last_checkin + ?3",
        )?;
        for agent in agents {
            self.sequences.agents +=
                i64::from(beat.execute(params![agent, seconds(at), CLOCK_AHEAD_SECONDS_MAX])? > 0);
        }
        Ok(Answer::Done)
    }

    pub(super) fn policy_acknowledged(
        &mut self,
        agent: &str,
        policy_id: &str,
        revision_idx: i64,
        at: Timestamp,
    ) -> Outcome {
        let concerned = "SELECT 1 FROM agents WHERE id = ?1 AND policy_id = ?2 AND policy_revision_idx < ?3";
        if self.sql.prepare_cached(concerned)?.exists(params![agent, policy_id, revision_idx])?
            && let Some(stored) = self.stored(agent)?
        {
            let patch = Patch::new().set("policy_revision_idx", revision_idx).set("updated_at", at.rfc3339());
            self.change_agent(&stored, &patch)?;
        }
        Ok(Answer::Done)
    }

    pub(super) fn create_result(&mut self, result: &ActionResult) -> Outcome {
        self.execute(
            "INSERT INTO results (action_id, agent_id, document) VALUES (?1, ?2, ?3)
             ON CONFLICT (action_id, agent_id) DO NOTHING",
            params![result.action_id, result.agent_id, raw(result).get()],
        )?;
        Ok(Answer::Done)
    }

    pub(super) fn invalidate_keys(&mut self, ids: &[String]) -> Outcome {
        for id in ids {
            self.delete_key(id)?;
        }
        Ok(Answer::Done)
    }

    /// Deletes an agent's document; that there is none is fine.
    pub(super) fn delete_agent(&mut self, id: &str) -> rusqlite::Result<()> {
        let find = "DELETE FROM agents WHERE id = ?1 RETURNING number";
        let number: Option<i64> =
            self.sql.prepare_cached(find)?.query_row([id], |row| row.get(0)).optional()?;
        if let Some(number) = number {
            self.execute("DELETE FROM agent_details WHERE number = ?1", [number])?;
            self.execute("DELETE FROM agent_checkins WHERE number = ?1", [number])?;
            self.sequences.agents += 1;
        }
        Ok(())
    }

    /// Changes a document by a patch, for housekeeping.
    pub(super) fn patch_agent(&mut self, id: &str, patch: &Patch) -> Result<(), Fault> {
        match self.stored(id)? {
            Some(stored) => self.change_agent(&stored, patch),
            None => Ok(()),
        }
    }

    fn stored(&self, id: &str) -> rusqlite::Result<Option<Stored>> {
        let mut select = self.sql.prepare_cached(
            "SELECT number, document, last_checkin, local_metadata_fingerprint, components_fingerprint
             FROM agents LEFT JOIN agent_checkins USING (number) WHERE id = ?1",
        )?;
        let row = select.query_row([id], |row| {
            let fingerprints = Fingerprints { local_metadata: row.get(3)?, components: row.get(4)? };
            Ok(Stored { number: row.get(0)?, document: row.get(1)?, last_checkin: row.get(2)?, fingerprints })
        });
        row.optional()
    }

    fn insert_agent(&mut self, id: &str, mut object: Object<'_>) -> Result<(), Fault> {
        let local_metadata = object.remove("local_metadata");
        let components = object.remove("components");
        let last_checkin = documents::time(&object, "last_checkin").map(seconds);
        object.remove("last_checkin");
        let mut insert = self.sql.prepare_cached(
            "INSERT INTO agents (id, active, policy_id, policy_revision_idx, access_api_key_id, enrollment_id,
                 enrolled, unenrolled, document, local_metadata_fingerprint, components_fingerprint)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT (id) DO NOTHING",
        )?;
        let fingerprints = Fingerprints {
            local_metadata: local_metadata.and_then(fingerprint),
            components: components.and_then(fingerprint),
        };
        if insert.execute(Columns::of(&object, fingerprints).params(id))? == 0 {
            return Err(StoreError::Conflict.into());
        }
        let number = self.sql.last_insert_rowid();
        self.set_detail(number, "local_metadata", local_metadata)?;
        self.set_detail(number, "components", components)?;
        self.set_last_checkin(number, last_checkin)?;
        self.sequences.agents += 1;
        Ok(())
    }

    fn change_agent(&mut self, stored: &Stored, patch: &Patch) -> Result<(), Fault> {
        let mut object = documents::open(&stored.document)?;
        let mut fingerprints = stored.fingerprints.clone();
        for (field, change) in &patch.changes {
            let value = match change {
                Change::Set(value) => Some(&**value),
                Change::Remove => None,
            };
            match *field {
                "local_metadata" | "components" => {
                    self.set_detail(stored.number, field, value)?;
                    *fingerprints.of(field) = value.and_then(fingerprint);
                }
                "last_checkin" => {
                    let text: Option<String> = value.and_then(|value| serde_json::from_str(value.get()).ok());
                    let time = text.as_deref().and_then(Timestamp::parse).map(seconds);
                    self.set_last_checkin(stored.number, time)?;
                }
                _ => documents::change(&mut object, field, change),
            }
        }
        self.sequences.agents += 1;
        self.replace_document(stored, Columns::of(&object, fingerprints))
    }

    fn replace_document(&self, stored: &Stored, columns: Columns) -> Result<(), Fault> {
        // most check-ins say what the one before said
        if columns.document != stored.document || columns.fingerprints != stored.fingerprints {
            let mut update = self.sql.prepare_cached(
                "UPDATE agents SET active = ?2, policy_id = ?3, policy_revision_idx = ?4, access_api_key_id = ?5,
                     enrollment_id = ?6, enrolled = ?7, unenrolled = ?8, document = ?9,
                     local_metadata_fingerprint = ?10, components_fingerprint = ?11
                 WHERE number = ?1",
            )?;
            update.execute(columns.params(stored.number))?;
        }
        Ok(())
    }

    fn set_detail(&self, number: i64, field: &str, value: Option<&RawValue>) -> rusqlite::Result<()> {
        let value = value.filter(|value| !is_null(value)).map(RawValue::get);
        let sql = match field {
            "components" => {
                "INSERT INTO agent_details (number, components) VALUES (?1, ?2)
                 ON CONFLICT (number) DO UPDATE SET components = excluded.components"
            }
            _ => {
                "INSERT INTO agent_details (number, local_metadata) VALUES (?1, ?2)
                 ON CONFLICT (number) DO UPDATE SET local_metadata = excluded.local_metadata"
            }
        };
        self.execute(sql, params![number, value]).map(drop)
    }

    fn set_last_checkin(&self, number: i64, seconds: Option<i64>) -> rusqlite::Result<()> {
        let Some(seconds) = seconds else {
            return self.execute("DELETE FROM agent_checkins WHERE number = ?1", [number]).map(drop);
        };
        self.execute(
            "INSERT INTO agent_checkins (number, last_checkin) VALUES (?1, ?2)
             ON CONFLICT (number) DO UPDATE SET last_checkin = excluded.last_checkin",
            [number, seconds],
        )
        .map(drop)
    }
}

impl Fingerprints {
    fn of(&mut self, field: &str) -> &mut Option<Vec<u8>> {
        if field == "components" { &mut self.components } else { &mut self.local_metadata }
    }
}

fn fingerprint(value: &RawValue) -> Option<Vec<u8>> {
    (!is_null(value)).then(|| Fingerprint::of(value.get()).to_bytes().to_vec())
}

/// The columns of `agents` that follow from the document.
struct Columns {
    active: bool,
    policy_id: String,
    policy_revision_idx: i64,
    access_api_key_id: String,
    enrollment_id: Option<String>,
    enrolled: Option<i64>,
    unenrolled: Option<i64>,
    document: String,
    fingerprints: Fingerprints,
}

impl Columns {
    fn of(object: &Object<'_>, fingerprints: Fingerprints) -> Self {
        let active = object.get("active").is_some_and(|value| value.get() == "true");
        let number = |field| object.get(field).and_then(|value: &&RawValue| value.get().parse().ok());
        let time = |field| documents::time(object, field).map(|time| time.0);
        Columns {
            active,
            policy_id: documents::string(object, "policy_id"),
            policy_revision_idx: number("policy_revision_idx").unwrap_or_default(),
            access_api_key_id: documents::string(object, "access_api_key_id"),
            enrollment_id: Some(documents::string(object, "enrollment_id")).filter(|id| !id.is_empty()),
            enrolled: time("enrolled_at"),
            unenrolled: time("unenrolled_at").filter(|_| !active),
            document: documents::text(object),
            fingerprints,
        }
    }

    /// `key` (id or number) and all columns, in the order of the fields.
    fn params<K: rusqlite::ToSql>(&self, key: K) -> impl rusqlite::Params + use<'_, K> {
        (
            key,
            self.active,
            &self.policy_id,
            self.policy_revision_idx,
            &self.access_api_key_id,
            &self.enrollment_id,
            self.enrolled,
            self.unenrolled,
            &self.document,
            &self.fingerprints.local_metadata,
            &self.fingerprints.components,
        )
    }
}
