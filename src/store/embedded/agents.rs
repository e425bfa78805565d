//! Reading agents and keys.

use rusqlite::{OptionalExtension, Row, ToSql, params};

use super::fault::{Fault, Outcome};
use super::read::Reader;
use crate::model::raw::Raw;
use crate::model::{Agent, ApiKey, Detail, Fingerprint};
use crate::store::{Answer, StoreError, documents, keys};

/// An agent with the fingerprints of its details, `WHERE` to be added.
macro_rules! select_agent {
    ($which:literal) => {
        concat!(
            "SELECT id, document, last_checkin, local_metadata_fingerprint, components_fingerprint FROM agents
             LEFT JOIN agent_checkins USING (number) ",
            $which
        )
    };
}

impl Reader<'_> {
    pub(super) fn authenticate(&self, key: &ApiKey) -> Outcome {
        let mut select = self.sql.prepare_cached("SELECT salt, hash FROM keys WHERE id = ?1")?;
        let mut rows = select.query([&key.id])?;
        let row = rows.next()?.ok_or(StoreError::KeyRejected)?;
        let bytes = |column| row.get_ref(column)?.as_blob().map_err(rusqlite::Error::from);
        if !keys::matches(bytes(0)?, bytes(1)?, &key.secret) {
            return Err(StoreError::KeyRejected.into());
        }
        Ok(Answer::Authenticated { enabled: true })
    }

    pub(super) fn agent_by_id(&self, id: &str) -> Outcome {
        self.agent(select_agent!("WHERE id = ?1"), id)
    }

    pub(super) fn agent_whole(&self, id: &str) -> Outcome {
        let mut select = self.sql.prepare_cached(
            "SELECT id, document, last_checkin, local_metadata, components FROM agents
             LEFT JOIN agent_checkins USING (number) LEFT JOIN agent_details USING (number) WHERE id = ?1",
        )?;
        let agent = select.query_row([id], |row| Ok(whole(row))).optional()?;
        Ok(Answer::Agent(agent.transpose()?.map(Box::new)))
    }

    /// The newest of them, should there be several: an older one has checked in and is somebody else by now.
    pub(super) fn agent_by_enrollment_id(&self, enrollment_id: &str) -> Outcome {
        self.agent(select_agent!("WHERE enrollment_id = ?1 ORDER BY number DESC LIMIT 1"), enrollment_id)
    }

    /// The newest of them, should there be several.
    pub(super) fn agent_by_access_key(&self, key_id: &str) -> Outcome {
        self.agent(select_agent!("WHERE access_api_key_id = ?1 ORDER BY number DESC LIMIT 1"), key_id)
    }

    /// A page of agents, without their components and, unless they are wanted, their local_metadata.
    pub(super) fn agents(
        &self,
        policy_id: Option<&str>,
        from: &str,
        limit: usize,
        with_metadata: bool,
    ) -> Outcome {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let (metadata, details) = match with_metadata {
            true => ("local_metadata", "LEFT JOIN agent_details USING (number)"),
            false => ("NULL", ""),
        };
        let of_policy = if policy_id.is_some() { "policy_id = ?3 AND" } else { "" };
        let sql = format!(
            "SELECT id, document, last_checkin, {metadata} FROM agents
             LEFT JOIN agent_checkins USING (number) {details}
             WHERE {of_policy} id > ?1 ORDER BY id LIMIT ?2"
        );
        let some: &[&dyn ToSql] = params![from, limit, policy_id];
        let params = if policy_id.is_some() { some } else { &some[..2] };
        let mut select = self.sql.prepare_cached(&sql)?;
        let mut rows = select.query(params)?;
        let mut agents = Vec::new();
        while let Some(row) = rows.next()? {
            let mut agent = read(row)?;
            agent.local_metadata = raw_at(row, 3)?.into();
            agent.collector = None;
            agents.push(agent);
        }
        Ok(Answer::Agents(agents))
    }

    fn agent(&self, sql: &str, key: &str) -> Outcome {
        let mut select = self.sql.prepare_cached(sql)?;
        let agent = select.query_row([key], |row| Ok(fingerprinted(row))).optional()?;
        Ok(Answer::Agent(agent.transpose()?.map(Box::new)))
    }
}

fn fingerprinted(row: &Row<'_>) -> Result<Agent, Fault> {
    let mut agent = read(row)?;
    agent.local_metadata = fingerprint_at(row, 3)?;
    agent.components = fingerprint_at(row, 4)?;
    Ok(agent)
}

fn whole(row: &Row<'_>) -> Result<Agent, Fault> {
    let mut agent = read(row)?;
    agent.local_metadata = raw_at(row, 3)?.into();
    agent.components = raw_at(row, 4)?.into();
    Ok(agent)
}

fn read(row: &Row<'_>) -> Result<Agent, Fault> {
    let text = |column| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
    let mut agent = Agent::read(text(0)?, text(1)?.as_bytes())?;
    let last_checkin: Option<i64> = row.get(2)?;
    agent.last_checkin = last_checkin.map(documents::rfc3339);
    Ok(agent)
}

fn raw_at(row: &Row<'_>, column: usize) -> Result<Option<Raw>, Fault> {
    let text = row.get_ref(column)?.as_str_or_null().map_err(rusqlite::Error::from)?;
    Ok(text.map(documents::trusted).transpose()?)
}

fn fingerprint_at(row: &Row<'_>, column: usize) -> Result<Detail, Fault> {
    let bytes = row.get_ref(column)?.as_blob_or_null().map_err(rusqlite::Error::from)?;
    Ok(bytes.and_then(Fingerprint::from_bytes).map_or(Detail::Absent, Detail::Fingerprint))
}
