//! Collectors over WebSockets: whose connection is whose, and who is to be told of a new configuration.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use prost::Message;

use super::render::Offer;
use crate::api::opamp::Failure;
use crate::connection::ConnectionId;
use crate::model::EnrollmentToken;

/// The collector that spoke last on a WebSocket. Several may share one; the others hear of news when they speak next.
#[derive(Clone, Debug)]
pub struct Collector {
    /// Id of its document.
    pub agent: Arc<str>,
    /// As it calls itself from now on.
    pub instance_uid: [u8; 16],
    /// Whether it takes a configuration.
    pub accepts_config: bool,
    /// Of the configuration that it has or was just given; empty for none.
    pub config_hash: Vec<u8>,
}

/// A WebSocket that is to be made of a connection.
#[derive(Debug)]
pub struct Upgrade {
    /// The answer to the client's key.
    pub accept: String,
    /// Whoever speaks on it has shown this.
    pub token: Arc<EnrollmentToken>,
}

/// The answer to a collector's message.
#[derive(Debug)]
pub struct Told {
    /// Encoded, up to the bytes of `offer`.
    pub message: Vec<u8>,
    /// What it ends with.
    pub offer: Option<Arc<Offer>>,
    /// Who spoke; `None` if nobody knows or it has said good-bye.
    pub collector: Option<Collector>,
    /// Why the message came to nothing, if it did.
    pub failure: Option<Failure>,
}

impl Told {
    /// The answer to a message that came to nothing.
    pub fn failed(failure: Failure, instance_uid: Vec<u8>) -> Self {
        let message = failure.answer(instance_uid).encode_to_vec();
        Told { message, offer: None, collector: None, failure: Some(failure) }
    }

    /// Bytes of the whole.
    pub fn bytes(&self) -> usize {
        self.message.len() + self.offer.as_ref().map_or(0, |offer| offer.message.len())
    }
}

/// Connections of collectors that take a configuration, by the policy of their token.
#[derive(Debug, Default)]
pub struct Collectors {
    by_policy: BTreeMap<Arc<str>, BTreeSet<ConnectionId>>,
    /// To be told of a new configuration, in order.
    due: VecDeque<ConnectionId>,
}

impl Collectors {
    /// A collector on this connection takes what the policy offers.
    pub fn join(&mut self, policy_id: &Arc<str>, connection: ConnectionId) {
        self.by_policy.entry(policy_id.clone()).or_default().insert(connection);
    }

    /// The connection is gone, or its collector takes nothing any more.
    pub fn leave(&mut self, policy_id: &str, connection: ConnectionId) {
        if let Some(connections) = self.by_policy.get_mut(policy_id) {
            connections.remove(&connection);
            if connections.is_empty() {
                self.by_policy.remove(policy_id);
            }
        }
    }

    /// The policy has a new revision that offers a configuration.
    pub fn offer(&mut self, policy_id: &str) {
        self.due.extend(self.by_policy.get(policy_id).into_iter().flatten());
    }

    /// The next connection to be told.
    pub fn next_due(&mut self) -> Option<ConnectionId> {
        let next = self.due.pop_front();
        if self.due.is_empty() {
            self.due = VecDeque::new();
        }
        next
    }

    /// Whether nobody is to be told.
    pub fn is_idle(&self) -> bool {
        self.due.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_on_the_policy_are_told_and_those_gone_are_not() {
        let mut collectors = Collectors::default();
        let id = |index| ConnectionId { index, generation: 1 };
        let (p, q) = (Arc::from("p"), Arc::from("q"));
        for (policy, index) in [(&p, 1), (&p, 2), (&q, 3)] {
            collectors.join(policy, id(index));
        }
        collectors.leave("p", id(1));
        collectors.offer("p");
        collectors.offer("unknown");
        assert_eq!((collectors.next_due(), collectors.next_due()), (Some(id(2)), None));
        assert!(collectors.is_idle());
    }
}
