//! What metrics call operations and failures: one name for each kind, and nothing of what is in them.

use super::{Operation, StoreError};

impl Operation {
    /// The name of its kind.
    pub fn name(&self) -> &'static str {
        use Operation::*;
        match self {
            Authenticate(_) => "authenticate",
            AgentById(_) => "agent_by_id",
            AgentCheckingIn(_) => "agent_checking_in",
            AgentWhole(_) => "agent_whole",
            AgentByAccessKey(_) => "agent_by_access_key",
            AgentByEnrollmentId(_) => "agent_by_enrollment_id",
            TokenByKey(_) => "token_by_key",
            LatestPolicies => "latest_policies",
            PendingActions { .. } => "pending_actions",
            ActionById(_) => "action_by_id",
            ActionSeqNo(_) => "action_seq_no",
            ActionsCheckpoint => "actions_checkpoint",
            Enroll(_) => "enroll",
            CreateAgent { .. } => "create_agent",
            UndoEnrollment { .. } => "undo_enrollment",
            UpdateAgent { .. } => "update_agent",
            CheckIn { .. } => "check_in",
            Upgrading { .. } => "upgrading",
            Heartbeats { .. } => "heartbeats",
            PolicyAcknowledged { .. } => "policy_acknowledged",
            CreateResult(_) => "create_result",
            InvalidateKeys(_) => "invalidate_keys",
            Secrets(_) => "secrets",
            SetSecret(_) => "set_secret",
            OutputKeys(_) => "output_keys",
            CleanOutputKeys(_) => "clean_output_keys",
            RetireKeys(_) => "retire_keys",
            MindOutputs { .. } => "mind_outputs",
            MigrateAgents { .. } => "migrate_agents",
            CreateRevision(_) => "create_revision",
            PolicyRevision { .. } => "policy_revision",
            DeletePolicy(_) => "delete_policy",
            CreateToken { .. } => "create_token",
            Tokens => "tokens",
            RevokeToken(_) => "revoke_token",
            Agents { .. } => "agents",
            CreateAction(_) => "create_action",
            Actions { .. } => "actions",
            ActionDocuments(_) => "action_documents",
            ResultsOfAction(_) => "results_of_action",
            Cleanup { .. } => "cleanup",
            ArtifactBody(_) => "artifact_body",
            PutArtifact(_) => "put_artifact",
            Artifacts => "artifacts",
            DeleteArtifact(_) => "delete_artifact",
            FindFile(_) => "find_file",
            Files(_) => "files",
            BeginFile(_) => "begin_file",
            PutChunk(_) => "put_chunk",
            FileChunks { .. } => "file_chunks",
            ReadChunk { .. } => "read_chunk",
            EndFile { .. } => "end_file",
            DeleteFile(_) => "delete_file",
            Backup(_) => "backup",
        }
    }
}

impl StoreError {
    /// The name of its kind.
    pub fn name(&self) -> &'static str {
        match self {
            StoreError::KeyRejected => "key_rejected",
            StoreError::AuthenticationLimited => "authentication_limited",
            StoreError::Busy => "busy",
            StoreError::Failed { .. } => "failed",
            StoreError::Unreachable(_) => "unreachable",
            StoreError::Unavailable(_) => "unavailable",
            StoreError::NotFound => "not_found",
            StoreError::Conflict => "conflict",
        }
    }
}
