//! Keys of our own, for a cluster whose security is off: as in the embedded store, in an index that only we know.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::Elastic;
use super::bulk::{Item, Refresh, is_id};
use super::indices::Index;
use super::lookup::{Part, Wanted};
use crate::model::ApiKey;
use crate::model::raw::raw;
use crate::store::{Answer, StoreError, StoreResult, keys};

/// What is kept of a key, base64.
#[derive(Serialize, Deserialize)]
struct SealedKey {
    salt: String,
    hash: String,
}

impl Elastic {
    /// Whether a key of ours is good.
    pub(super) fn authenticate_own(&self, key: &ApiKey) -> StoreResult {
        let wanted = Wanted { index: Index::Keys, id: &key.id, part: Part::Whole };
        let Some(document) = self.look_up_one(wanted)? else {
            // without the index nothing is known of any key
            return match self.is_there(Index::Keys)? {
                true => Err(StoreError::KeyRejected),
                false => Err(StoreError::Unavailable(format!(
                    "the index {} of our own keys is missing",
                    self.indices.name(Index::Keys)
                ))),
            };
        };
        let unreadable = |_| StoreError::Failed { status: 500, reason: "a stored key is malformed".into() };
        let sealed: SealedKey = serde_json::from_str(document.source.get())
            .map_err(|error| crate::store::documents::unreadable(&error))?;
        let salt = STANDARD.decode(sealed.salt).map_err(unreadable)?;
        let hash = STANDARD.decode(sealed.hash).map_err(unreadable)?;
        if !keys::matches(&salt, &hash, &key.secret) {
            return Err(StoreError::KeyRejected);
        }
        Ok(Answer::Authenticated { enabled: true })
    }

    /// Makes a key.
    pub(super) fn make_own_key(&self) -> Result<ApiKey, StoreError> {
        let (key, sealed) = keys::make(&keys::random_bytes()?);
        let document = SealedKey { salt: STANDARD.encode(sealed.salt), hash: STANDARD.encode(sealed.hash) };
        self.ensure(Index::Keys)?;
        let item = Item::create(self.indices.name(Index::Keys), &key.id, raw(&document).get());
        // 409: an earlier try whose answer was lost, no two keys have one id
        self.write_one(item, Refresh::Later)?;
        Ok(key)
    }

    /// Deletes keys; unknown ones are fine.
    pub(super) fn delete_own_keys(&self, ids: &[String]) -> Result<(), StoreError> {
        let index = self.indices.name(Index::Keys);
        let items: Vec<Item> = ids.iter().filter(|id| is_id(id)).map(|id| Item::delete(index, id)).collect();
        self.bulk(&items, Refresh::Later).into_iter().collect::<Result<Vec<_>, _>>().map(drop)
    }
}
