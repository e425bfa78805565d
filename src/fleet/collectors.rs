//! Collectors over WebSockets: who speaks on which connection, and who is to be told of a new configuration.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use prost::Message;

use super::render::Offer;
use crate::api::opamp::Failure;
use crate::connection::ConnectionId;
use crate::model::EnrollmentToken;

/// Collectors that one connection is remembered for: who spoke longest ago makes room, and is known again when it speaks.
pub const SPEAKERS_MAX: usize = 64;

/// A collector that has spoken on a WebSocket.
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

/// Who spoke.
#[derive(Debug)]
pub struct Speaker {
    /// As it called itself.
    pub instance_uid: [u8; 16],
    /// What is remembered of it; `None`: it has said good-bye.
    pub collector: Option<Collector>,
}

/// All who have spoken on a WebSocket and not said good-bye: nearly always one.
#[derive(Debug, Default)]
pub struct Speakers(Vec<Collector>);

/// The answer to a collector's message.
#[derive(Debug)]
pub struct Told {
    /// Encoded, up to the bytes of `offer`.
    pub message: Vec<u8>,
    /// What it ends with.
    pub offer: Option<Arc<Offer>>,
    /// Who spoke; `None` if nobody knows.
    pub speaker: Option<Speaker>,
    /// Why the message came to nothing, if it did.
    pub failure: Option<Failure>,
}

impl Told {
    /// The answer to a message that came to nothing.
    pub fn failed(failure: Failure, instance_uid: Vec<u8>) -> Self {
        let message = failure.answer(instance_uid).encode_to_vec();
        Told { message, offer: None, speaker: None, failure: Some(failure) }
    }

    /// Bytes of the whole.
    pub fn bytes(&self) -> usize {
        self.message.len() + self.offer.as_ref().map_or(0, |offer| offer.message.len())
    }
}

impl Speakers {
    /// Remembers who spoke last, or forgets who has gone.
    pub fn heard(&mut self, speaker: Speaker) {
        let Speakers(collectors) = self;
        collectors.retain(|other| other.instance_uid != speaker.instance_uid);
        if let Some(collector) = speaker.collector {
            // it may have taken the name of another
            collectors.retain(|other| other.instance_uid != collector.instance_uid);
            if collectors.len() >= SPEAKERS_MAX {
                collectors.remove(0);
            }
            collectors.push(collector);
        }
        collectors.shrink_to_fit();
    }

    /// Ids of their documents.
    pub fn agents(&self) -> impl Iterator<Item = Arc<str>> {
        self.0.iter().map(|collector| collector.agent.clone())
    }

    /// Whether one of them takes a configuration.
    pub fn accepts_config(&self) -> bool {
        self.0.iter().any(|collector| collector.accepts_config)
    }

    /// Those who take a configuration and have another than `offer`, which each of them is given now.
    pub fn give<'a>(&'a mut self, offer: &'a Offer) -> impl Iterator<Item = &'a Collector> {
        let lacks = |it: &&mut Collector| it.accepts_config && it.config_hash != offer.hash;
        self.0.iter_mut().filter(lacks).map(|collector| {
            collector.config_hash = offer.hash.to_vec();
            &*collector
        })
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

    fn speaker(number: u8, stays: bool) -> Speaker {
        let instance_uid = [number; 16];
        let agent = Arc::from(number.to_string());
        let collector = Collector { agent, instance_uid, accepts_config: false, config_hash: Vec::new() };
        Speaker { instance_uid, collector: stays.then_some(collector) }
    }

    #[test]
    fn who_spoke_longest_ago_makes_room_and_who_goes_is_forgotten() {
        let mut speakers = Speakers::default();
        let most = u8::try_from(SPEAKERS_MAX).unwrap();
        (0..most).for_each(|number| speakers.heard(speaker(number, true)));
        speakers.heard(speaker(0, true));
        speakers.heard(speaker(most, true));
        let agents = |speakers: &Speakers| speakers.agents().map(|id| id.to_string()).collect::<Vec<_>>();
        let here = agents(&speakers);
        assert!(here.len() == SPEAKERS_MAX && !here.contains(&"1".to_owned()), "{here:?}");
        assert!(here.ends_with(&["0".to_owned(), most.to_string()]), "{here:?}");
        (1..=most).for_each(|number| speakers.heard(speaker(number, false)));
        assert_eq!(agents(&speakers), ["0"]);
    }

    #[test]
    fn who_takes_another_name_is_there_once() {
        let mut speakers = Speakers::default();
        speakers.heard(speaker(1, true));
        speakers.heard(Speaker { instance_uid: [1; 16], ..speaker(2, true) });
        assert_eq!(speakers.agents().map(|id| id.to_string()).collect::<Vec<_>>(), ["2"]);
    }

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
