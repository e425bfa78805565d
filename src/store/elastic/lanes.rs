//! Which operation goes with which others in one request, and how many requests of a kind there may be at once.

use crate::model::KeyMaking;
use crate::store::batch::BATCH_OPERATIONS_MAX;
use crate::store::operation::{FILE_WORKERS, FILES_PER_BATCH_MAX};
use crate::store::{Lane, Lanes, Operation};

/// Look-ups or searches in one request: agents may say much of themselves, and what is read is held in memory.
const READS_PER_REQUEST_MAX: usize = 32;
/// What is done one at a time waits for those before it in its batch.
const SINGLES_PER_BATCH_MAX: usize = 8;
/// Output keys that are known already are read together; those that are yet to be made wait for those before them.
const KEYS_PER_BATCH_MAX: usize = 16;
/// Requests for documents at once, and as many searches.
const READERS: usize = 4;
/// Keys made or checked at once.
const SINGLES: usize = 16;
/// Agents' output keys and secrets seen to at once.
const KEEPERS: usize = 16;
/// Bodies of artifacts read at once: the Go server reads as many.
const ARTIFACT_READERS: usize = 8;
/// An operator's question does not wait for housekeeping.
const OPERATORS: usize = 2;

/// How this store takes operations. Writes have one worker for each of their lanes, which keeps their order. Between lanes
/// there is none: a handler awaits what it writes through one before it writes through the other, and of a heartbeat and a
/// check-in the later one stays, whichever is written first.
pub(super) const LANES: Lanes = Lanes {
    of: lane,
    workers: [READERS, READERS, 1, 1, 1, OPERATORS, SINGLES, KEEPERS, ARTIFACT_READERS, FILE_WORKERS],
    batch_max: [
        READS_PER_REQUEST_MAX,
        READS_PER_REQUEST_MAX,
        BATCH_OPERATIONS_MAX,
        BATCH_OPERATIONS_MAX,
        BATCH_OPERATIONS_MAX,
        1,
        SINGLES_PER_BATCH_MAX,
        KEYS_PER_BATCH_MAX,
        1,
        FILES_PER_BATCH_MAX,
    ],
    key_making: KeyMaking::All,
};

/// Which lane runs an operation in this store.
pub(super) fn lane(operation: &Operation) -> Lane {
    use Operation::*;
    match operation {
        AgentById(_) | AgentCheckingIn(_) | AgentWhole(_) | ActionSeqNo(_) => Lane::Read,
        AgentByEnrollmentId(_) | AgentByAccessKey(_) | TokenByKey(_) => Lane::Search,
        ArtifactBody(_) => Lane::Artifacts,
        PendingActions { .. } | ActionById(_) => Lane::Search,
        CheckIn { .. } => Lane::Write,
        // thousands of documents are written anew, and an agent that checks in shall not wait for that
        Heartbeats { .. } => Lane::Beats,
        CreateAgent { .. } => Lane::Refresh,
        UpdateAgent { .. } | Upgrading { .. } | PolicyAcknowledged { .. } => Lane::Refresh,
        CreateResult(_) | CreateAction(_) => Lane::Refresh,
        Authenticate(_) | Enroll(_) | UndoEnrollment { .. } | InvalidateKeys(_) => Lane::Single,
        ActionsCheckpoint => Lane::Single,
        Secrets(_) | SetSecret(_) | OutputKeys(_) | CleanOutputKeys(_) | RetireKeys(_) => Lane::Keys,
        // several requests each
        CreateRevision(_) | DeletePolicy(_) | CreateToken { .. } | RevokeToken(_) => Lane::Operator,
        LatestPolicies | PolicyRevision { .. } | Tokens | Agents { .. } | Actions { .. } => Lane::Operator,
        ActionDocuments(_) | ResultsOfAction(_) | Cleanup { .. } | Backup(_) => Lane::Operator,
        MigrateAgents { .. } => Lane::Operator,
        MindOutputs { .. } | PutArtifact(_) | Artifacts | DeleteArtifact(_) => Lane::Operator,
        FindFile(_) | Files(_) | BeginFile(_) | PutChunk(_) | FileChunks { .. } | ReadChunk { .. } => {
            Lane::Files
        }
        EndFile { .. } | DeleteFile(_) => Lane::Files,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lane_that_is_used_has_a_worker() {
        for lane in Lane::ALL {
            assert!(LANES.workers[lane.index()] > 0 && LANES.batch_max[lane.index()] > 0, "{lane:?}");
        }
    }

    #[test]
    fn eight_artifacts_are_read_at_once_each_by_itself() {
        let lane = lane(&Operation::ArtifactBody(crate::model::ArtifactId {
            identifier: "i".to_owned(),
            decoded_sha256: "0f".to_owned(),
        }));
        assert_eq!((LANES.workers[lane.index()], LANES.batch_max[lane.index()]), (8, 1));
    }
}
