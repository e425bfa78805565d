//! What can go wrong between us and the cluster. The texts name host and cause, never a secret.

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub(in crate::store::elastic) enum ClientError {
    /// A host is no URL.
    #[error("output.elasticsearch.hosts: {host} is no URL: {reason}")]
    Host {
        /// As configured; hosts hold no credentials.
        host: String,
        /// Why.
        reason: String,
    },
    /// A header's name or value may not be sent.
    #[error("output.elasticsearch: the header {name} cannot be sent")]
    Header {
        /// The field's name.
        name: String,
    },
}

/// There is no answer. What has an answer, whatever its status, is a [`super::Response`].
#[derive(Debug, thiserror::Error)]
pub(in crate::store::elastic) enum SendError {
    /// Certainly not done: the cluster was never reached, or the request was not sent. It may be sent again.
    #[error("{host} is not reached: {reason}")]
    NotReached {
        /// The host that was tried last.
        host: String,
        /// Why.
        reason: String,
    },
    /// It is not known whether the cluster has done it.
    #[error("no answer from {host}: {reason}")]
    Unknown {
        /// The host that was asked.
        host: String,
        /// Why.
        reason: String,
    },
    /// The cluster has answered, but with something broken or too large. It may be done.
    #[error("the answer of {host} cannot be used: {reason}")]
    Answer {
        /// The host that answered.
        host: String,
        /// Why.
        reason: String,
    },
}
