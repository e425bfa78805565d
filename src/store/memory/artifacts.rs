//! Artifacts with their bodies.

use super::state::State;
use crate::model::{ArtifactBody, ArtifactId, NewArtifact};
use crate::store::{Answer, StoreError, StoreResult};

impl State {
    pub(super) fn artifact_body(&self, id: &ArtifactId) -> Answer {
        let found = self.artifacts.get(id);
        let body =
            |stored: &NewArtifact| ArtifactBody::found(stored.body.clone(), &stored.facts.encoded_sha256);
        Answer::ArtifactBody(found.map(body))
    }

    pub(super) fn all_artifacts(&self) -> Answer {
        Answer::Artifacts(self.artifacts.values().map(|stored| stored.facts.clone()).collect())
    }

    pub(super) fn put_artifact(&mut self, artifact: NewArtifact) -> Answer {
        self.artifacts.insert(artifact.facts.id(), artifact);
        Answer::Done
    }

    pub(super) fn delete_artifact(&mut self, id: &ArtifactId) -> StoreResult {
        self.artifacts.remove(id).map(|_| Answer::Done).ok_or(StoreError::NotFound)
    }
}
