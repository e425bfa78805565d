//! Counters as plain fields, counted by the loop thread. How they are shown is not decided here.

/// What has happened since the start.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Requests begun.
    pub requests: u64,
    /// Requests answered with less than 400.
    pub succeeded: u64,
    /// Requests answered with 400 or more.
    pub failed: u64,
    /// Requests refused by a limit.
    pub refused: u64,
    /// Clients that went away before their answer.
    pub dropped: u64,
    /// Agents enrolled.
    pub enrolments: u64,
    /// Policy revisions given to agents.
    pub policies_delivered: u64,
    /// Actions given to agents.
    pub actions_delivered: u64,
    /// Events acknowledged.
    pub acks: u64,
    /// Handlers that panicked or waited for nothing.
    pub handler_bugs: u64,
    /// Batches given to the store.
    pub store_batches: u64,
    /// Operations given to the store.
    pub store_operations: u64,
    /// Operations refused because too many waited.
    pub store_refused: u64,
}
