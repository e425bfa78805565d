//! Secrets that policies and actions refer to.

use rusqlite::{OptionalExtension, params};

use super::fault::Outcome;
use super::read::Reader;
use super::writer::Transaction;
use crate::config::Secret;
use crate::model::{NewSecret, RetiredKey, Secrets};
use crate::store::keys::random_bytes;
use crate::store::{Answer, documents};

impl Reader<'_> {
    pub(super) fn secrets(&self, ids: &[String]) -> Outcome {
        let mut statement = self.sql.prepare_cached("SELECT value FROM secrets WHERE id = ?1")?;
        let mut found = Secrets::default();
        for id in ids {
            let value: Option<String> = statement.query_row([id], |row| row.get(0)).optional()?;
            if let Some(value) = value {
                found.insert(id.clone(), Secret::new(value));
            }
        }
        Ok(Answer::Secrets(found))
    }
}

impl Transaction<'_> {
    pub(super) fn set_secret(&mut self, secret: NewSecret) -> Outcome {
        let id = match secret.id {
            Some(id) => id,
            None => documents::random_id(random_bytes()?),
        };
        let sql = "INSERT INTO secrets (id, value) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET value = ?2";
        self.execute(sql, params![id, secret.value.expose()])?;
        Ok(Answer::SecretId(id))
    }

    pub(super) fn retire_keys(&mut self, keys: &[RetiredKey]) -> Outcome {
        for key in keys {
            self.delete_key(&key.id)?;
            self.execute("DELETE FROM secrets WHERE id = ?1", [&key.secret_id])?;
        }
        Ok(Answer::Done)
    }
}
