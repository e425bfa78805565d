//! Agents that enrol, fetch their policy and acknowledge, whatever happens, until they are told to end; and what of that was
//! acknowledged, which must be there in the end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use serde_json::json;

use crate::cluster::pause;
use crate::site::{Site, patient, runs};
use crate::support::{Agent, Connection, Request, Response, Server, event, eventually};

/// Clients at work at once, each of which asks for one thing at a time.
pub(crate) const CLIENTS: usize = 4;
/// Before a client that was refused comes again.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);
/// An action of which all agents say that they have done it.
pub(crate) const ACTION: &str = "load";

/// The clients.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

struct Shared {
    port: u16,
    enrolment: Request,
    over: AtomicBool,
    tally: Mutex<Tally>,
}

/// What came of their requests.
#[derive(Default)]
pub(crate) struct Tally {
    /// Answered enrolments.
    pub(crate) enrolled: Vec<Agent>,
    /// Ids of agents that have acknowledged their policy, and were answered.
    pub(crate) policy_acks: Vec<String>,
    /// The same of the action.
    pub(crate) action_acks: Vec<String>,
    /// Answers by status.
    pub(crate) statuses: BTreeMap<u16, usize>,
    /// Connections that ended without a whole answer.
    pub(crate) broken: usize,
}

impl Load {
    /// Starts clients of a server on a fleet that has [`ACTION`].
    pub(crate) fn on(server: &Server) -> Load {
        let enrolment = server.enrolment(&json!({"type": "PERMANENT", "metadata": {"local": {}}}));
        let (over, tally) = (AtomicBool::new(false), Mutex::default());
        let shared = Arc::new(Shared { port: server.port, enrolment, over, tally });
        let client = |_| {
            let shared = Arc::clone(&shared);
            Builder::new().name("load".into()).spawn(move || while shared.one_life().is_some() {}).unwrap()
        };
        let clients = (0..CLIENTS).map(client).collect();
        Load { shared, clients }
    }

    /// Waits until so much more was acknowledged.
    pub(crate) fn wait_for(&self, count: usize) {
        let before = self.acknowledged();
        eventually("more is acknowledged", || (self.acknowledged() >= before + count).then_some(()));
    }

    /// How much was acknowledged so far.
    pub(crate) fn acknowledged(&self) -> usize {
        let tally = self.shared.tally();
        tally.enrolled.len() + tally.policy_acks.len() + tally.action_acks.len()
    }

    /// Lets each client finish what it has begun.
    pub(crate) fn end(mut self) -> Tally {
        self.shared.over.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            client.join().expect("a client found what must not be");
        }
        std::mem::take(&mut *self.shared.tally())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    /// An agent enrols, gets its policy and acknowledges it and an action.
    fn one_life(&self) -> Option<()> {
        let agent = Agent::of(&self.until_it_is_done(&self.enrolment)?);
        self.tally().enrolled.push(agent.clone());
        let answer = self.until_it_is_done(&agent.check_in(&runs(0, "")))?.ok();
        assert_eq!(answer["actions"][0]["id"], "policy:p:1", "{answer}");
        self.until_it_is_done(&agent.acks(&[event("policy:p:1", &agent)]))?;
        self.tally().policy_acks.push(agent.id.clone());
        self.until_it_is_done(&agent.acks(&[event(ACTION, &agent)]))?;
        self.tally().action_acks.push(agent.id);
        Some(())
    }

    /// Asks again and again until the answer is 200; none once it is over. Nothing but trouble of the store may be told.
    fn until_it_is_done(&self, request: &Request) -> Option<Response> {
        while !self.over.load(Ordering::Relaxed) {
            let answer = self.ask(request);
            let mut tally = self.tally();
            match answer {
                Some(response) => {
                    *tally.statuses.entry(response.status).or_default() += 1;
                    let status = response.status;
                    assert!([200, 429, 503].contains(&status), "{status} {}", response.text());
                    if status == 200 {
                        return Some(response);
                    }
                }
                None => tally.broken += 1,
            }
            drop(tally);
            pause(REFUSED_PAUSE);
        }
        None
    }

    fn ask(&self, request: &Request) -> Option<Response> {
        let mut connection: Connection = patient(self.port)?;
        connection.try_send(request.bytes()).then(|| connection.whole_answer())?
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tally {
    /// Fails unless everything that was acknowledged is in the cluster.
    pub(crate) fn is_stored(&self, site: &Site<'_>) {
        let (agents, results) = (site.documents("agents"), site.documents("actions-results"));
        for agent in &self.enrolled {
            let document = agents.get(&agent.id).unwrap_or_else(|| panic!("agent {} is lost", agent.id));
            assert_eq!(document["access_api_key_id"], agent.key_id());
        }
        for id in &self.policy_acks {
            assert_eq!(agents[id]["policy_revision_idx"], 1, "the acknowledgement of {id} is lost");
        }
        for id in &self.action_acks {
            assert!(results.contains_key(&format!("{ACTION}:{id}")), "the result of {id} is lost");
        }
    }
}
