//! The tables, as steps: each step brings a database from one schema version (`user_version`) to the next.

use rusqlite::{Connection, TransactionBehavior};

/// All steps, oldest first. A released step never changes; a new schema is a new step.
pub(super) const STEPS: &[&str] = &[VERSION_1, VERSION_2, VERSION_3, VERSION_4, VERSION_5];

/// All tables of the newest version that the first one had too.
pub(super) const TABLES: &[&str] = &[
    "sequences",
    "keys",
    "agents",
    "agent_details",
    "agent_checkins",
    "policies",
    "tokens",
    "actions",
    "action_agents",
    "gone_actions",
    "results",
];

const VERSION_1: &str = "
-- `_seq_no` of the newest write or delete of each index
CREATE TABLE sequences (
    name TEXT PRIMARY KEY,
    last INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO sequences VALUES ('agents', -1), ('actions', -1), ('policies', -1);

-- SHA-256 of salt and secret; an invalidated key is deleted
CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    salt BLOB NOT NULL,
    hash BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- the document without what stands in the two tables below; the other columns repeat what is searched for
CREATE TABLE agents (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    active INTEGER NOT NULL,
    policy_id TEXT NOT NULL,
    policy_revision_idx INTEGER NOT NULL,
    access_api_key_id TEXT NOT NULL,
    enrollment_id TEXT,
    enrolled INTEGER,
    unenrolled INTEGER,
    document TEXT NOT NULL
) STRICT;
CREATE INDEX agents_access_api_key_id ON agents (access_api_key_id);
CREATE INDEX agents_enrollment_id ON agents (enrollment_id) WHERE enrollment_id IS NOT NULL;
CREATE INDEX agents_policy_id ON agents (policy_id, id);
CREATE INDEX agents_unenrolled ON agents (unenrolled) WHERE active = 0;

-- large and rarely changed
CREATE TABLE agent_details (
    number INTEGER PRIMARY KEY,
    local_metadata TEXT,
    components TEXT
) STRICT;

-- small and always changing: seconds since 1970 of the newest check-in or heartbeat; a document's updated_at is the
-- later of this and what it says itself
CREATE TABLE agent_checkins (
    number INTEGER PRIMARY KEY,
    last_checkin INTEGER NOT NULL
) STRICT;

-- `written`: milliseconds since 1970, from @timestamp, else when housekeeping first saw it
CREATE TABLE policies (
    number INTEGER PRIMARY KEY,
    policy_id TEXT NOT NULL,
    revision_idx INTEGER NOT NULL,
    seq_no INTEGER NOT NULL,
    written INTEGER,
    unenroll_timeout INTEGER NOT NULL,
    document TEXT NOT NULL,
    UNIQUE (policy_id, revision_idx)
) STRICT;

CREATE TABLE tokens (
    number INTEGER PRIMARY KEY,
    api_key_id TEXT NOT NULL UNIQUE,
    policy_id TEXT NOT NULL,
    document TEXT NOT NULL
) STRICT;
CREATE INDEX tokens_policy_id ON tokens (policy_id);

-- `expiration` in milliseconds since 1970; `over`: from when on it cannot be delivered any more, where that is known
CREATE TABLE actions (
    seq_no INTEGER PRIMARY KEY,
    document_id TEXT NOT NULL UNIQUE,
    action_id TEXT NOT NULL,
    expiration INTEGER,
    over INTEGER,
    agent_count INTEGER NOT NULL,
    document TEXT NOT NULL,
    agents TEXT NOT NULL
) STRICT;
CREATE INDEX actions_action_id ON actions (action_id);
CREATE INDEX actions_over ON actions (over);

-- who is to get which action, at which place of its list
CREATE TABLE action_agents (
    agent TEXT NOT NULL,
    seq_no INTEGER NOT NULL,
    place INTEGER NOT NULL,
    PRIMARY KEY (agent, seq_no)
) STRICT, WITHOUT ROWID;

-- removed actions, oldest first
CREATE TABLE gone_actions (
    number INTEGER PRIMARY KEY,
    action_id TEXT NOT NULL UNIQUE
) STRICT;

-- `seen`: when housekeeping first saw it (the agent's own clock may be anything)
CREATE TABLE results (
    number INTEGER PRIMARY KEY,
    action_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    seen INTEGER,
    document TEXT NOT NULL,
    UNIQUE (action_id, agent_id)
) STRICT;
CREATE INDEX results_seen ON results (seen);
";

const VERSION_2: &str = "
-- fingerprints of agent_details: a check-in that says the same needs not read them. NULL: not known, as if nothing was stored
ALTER TABLE agents ADD COLUMN local_metadata_fingerprint BLOB;
ALTER TABLE agents ADD COLUMN components_fingerprint BLOB;
-- 1 once the operator was told of what the first start made
INSERT INTO sequences VALUES ('greeted', 1);
";

const VERSION_3: &str = "
-- what policies and actions refer to by an id
CREATE TABLE secrets (
    id TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

const VERSION_4: &str = "
-- what Endpoint fetches beside its policy; `body` is what is sent, `document` says what it is
CREATE TABLE artifacts (
    number INTEGER PRIMARY KEY,
    identifier TEXT NOT NULL,
    decoded_sha256 TEXT NOT NULL,
    document TEXT NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (identifier, decoded_sha256)
) STRICT;
";

const VERSION_5: &str = "
-- what agents sent and what they get; `started` in milliseconds since 1970; `status` and `transit_sha256` stand here and not in
-- the document. A number is never given twice: what is left of a file's chunks is no other's
CREATE TABLE files (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    area TEXT NOT NULL,
    id TEXT NOT NULL,
    upload_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    status TEXT NOT NULL,
    transit_sha256 TEXT,
    started INTEGER NOT NULL,
    document TEXT NOT NULL,
    UNIQUE (id, area)
) STRICT;
CREATE INDEX files_upload_id ON files (upload_id);
CREATE INDEX files_agent_id ON files (agent_id);
CREATE INDEX files_started ON files (started);

CREATE TABLE file_chunks (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    file INTEGER NOT NULL,
    place INTEGER NOT NULL,
    last INTEGER NOT NULL,
    sha2 TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    UNIQUE (file, place)
) STRICT;

-- a chunk in pieces, which are bound and read one at a time
CREATE TABLE file_pieces (
    chunk INTEGER NOT NULL,
    place INTEGER NOT NULL,
    data BLOB NOT NULL,
    UNIQUE (chunk, place)
) STRICT;
";

/// The schema version of a database; 0 for an empty one.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<usize> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(usize::try_from(version).unwrap_or(usize::MAX))
}

/// Applies the steps that `connection` lacks, then `finish` (told which version it was), in one transaction.
pub(super) fn migrate<E: From<rusqlite::Error>>(
    connection: &mut Connection,
    steps: &[&str],
    finish: impl FnOnce(&Connection, usize) -> Result<(), E>,
) -> Result<(), E> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    for step in steps.iter().skip(found) {
        transaction.execute_batch(step)?;
    }
    if found < steps.len() {
        let version = i64::try_from(steps.len()).unwrap_or(i64::MAX);
        transaction.pragma_update(None, "user_version", version)?;
    }
    finish(&transaction, found)?;
    Ok(transaction.commit()?)
}
