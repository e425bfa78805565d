//! Secrets: in the cluster's own place for them, else in an index of ours. Policies, actions and agents' documents refer to
//! them by their ids.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Elastic;
use super::ask::{self, plain};
use super::bulk::{Item, Refresh, is_id};
use super::failure::Trouble;
use super::indices::Index;
use super::keys::percent_encoded;
use super::lookup::{Part, Wanted};
use crate::config::Secret;
use crate::model::raw::raw;
use crate::model::{NewSecret, Secrets};
use crate::store::keys::random_bytes;
use crate::store::{StoreError, documents};

const ROUTE: &str = "/_fleet/secret";

#[derive(Deserialize)]
struct Made {
    id: String,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    value: String,
}

impl Elastic {
    /// Those of the secrets that there are. One worker reads one after another; how many at once, the lanes say.
    pub(super) fn secrets(&self, ids: &[String]) -> Result<Secrets, StoreError> {
        if !self.facts()?.has_secrets {
            return self.own_secrets(ids);
        }
        let mut found = Secrets::default();
        for id in ids.iter().filter(|id| !id.is_empty()) {
            let request = plain("GET", format!("{ROUTE}/{}", percent_encoded(id)));
            match self.call_on_unless_missing(&self.client, &request) {
                Ok(Some(answer)) => found.insert(id.clone(), value(&answer)?),
                Ok(None) => {}
                // nothing can have that id
                Err(StoreError::Failed { status: 400, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Keeps a secret; its id.
    pub(super) fn set_secret(&self, secret: &NewSecret) -> Result<String, StoreError> {
        let value = secret.value.expose();
        if !self.facts()?.has_secrets {
            return self.set_own_secret(secret.id.as_deref(), value);
        }
        if secret.id.is_some() {
            let reason = "this cluster gives secrets their ids itself".to_owned();
            return Err(StoreError::Failed { status: 400, reason });
        }
        let mut request = ask::json("POST", ROUTE, &json!({"value": value}));
        // a second one would be nobody's
        request.repeatable = false;
        let made: Made = serde_json::from_slice(&self.call(&request)?)
            .map_err(|_| Trouble::garbled("the keeping of a secret").error)?;
        Ok(made.id)
    }

    /// Deletes secrets; unknown ones are fine.
    pub(super) fn delete_secrets(&self, ids: &[String]) -> Result<(), StoreError> {
        if !self.facts()?.has_secrets {
            let index = self.indices.name(Index::Secrets);
            let items: Vec<Item> =
                ids.iter().filter(|id| is_id(id)).map(|id| Item::delete(index, id)).collect();
            return self.bulk(&items, Refresh::Later).into_iter().collect::<Result<Vec<_>, _>>().map(drop);
        }
        for id in ids.iter().filter(|id| !id.is_empty()) {
            let request = plain("DELETE", format!("{ROUTE}/{}", percent_encoded(id)));
            self.call_on_unless_missing(&self.client, &request)?;
        }
        Ok(())
    }

    fn own_secrets(&self, ids: &[String]) -> Result<Secrets, StoreError> {
        let wanted: Vec<Wanted<'_>> =
            ids.iter().map(|id| Wanted { index: Index::Secrets, id, part: Part::Whole }).collect();
        let mut found = Secrets::default();
        for (id, document) in ids.iter().zip(self.look_up(&wanted)) {
            if let Some(document) = document? {
                found.insert(id.clone(), value(document.source.get().as_bytes())?);
            }
        }
        Ok(found)
    }

    fn set_own_secret(&self, id: Option<&str>, value: &str) -> Result<String, StoreError> {
        let id = match id {
            Some(id) => id.to_owned(),
            None => documents::random_id(random_bytes()?),
        };
        self.ensure(Index::Secrets)?;
        let document = raw(&Stored { value: value.to_owned() });
        self.write_one(Item::put(self.indices.name(Index::Secrets), &id, document.get()), Refresh::Later)?;
        Ok(id)
    }
}

fn value(answer: &[u8]) -> Result<Secret, StoreError> {
    let stored: Stored = serde_json::from_slice(answer).map_err(|_| Trouble::garbled("a secret").error)?;
    Ok(Secret::new(stored.value))
}
