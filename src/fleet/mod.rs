//! The fleet's state in memory: who is parked, what is newest, what is cached, what is limited. Pure: no I/O, no clock, no
//! request procedures; the loop thread owns it.

pub mod artifacts;
pub mod beats;
pub mod bucket;
pub mod byte_cache;
pub mod cache;
pub mod collectors;
pub mod health;
pub mod keys;
pub mod limits;
pub mod lot;
pub mod output_keys;
pub mod own_policy;
pub mod policies;
mod publishing;
pub mod queue;
pub mod render;
pub mod strikes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::api::action::is_delivered;
use crate::api::user_agent::Version;
use crate::config::Config;
use crate::connection::ConnectionId;
use crate::http::gzip::Gzip;
use crate::metrics::Counters;
use crate::model::raw::Raw;
use crate::model::{Action, EnrollmentToken, KeyMaking};
use crate::store::ClusterFacts;
use crate::time::{HttpDate, Now};

use artifacts::Artifacts;
use beats::Beats;
use cache::Cache;
use collectors::Collectors;
use health::Health;
pub use keys::KeyState;
use keys::{KeyFacts, keys_max};
use limits::Admission;
pub use lot::SeatId;
use lot::{Lot, Parked};
use output_keys::OutputKeys;
use own_policy::OwnPolicy;
use policies::Policies;
use queue::ServingQueue;
use strikes::Strikes;

/// How tables keyed by ids from outside hash them: by a seed that nobody outside knows.
pub type Hashing = foldhash::fast::FixedState;

/// How long who comes before the first news of actions is held.
pub const FIRST_NEWS_WAIT_MAX: Duration = Duration::from_secs(30);
/// Cached `_seq_no`s of ack tokens (config.md, "Cache").
const ACK_TOKENS_MAX: usize = 5_000;
/// Inactive agents whose keys were seen to lately.
const RETIRED_AGENTS_MAX: usize = 10_000;
/// Actions whose data is kept with the secrets in it.
const RESOLVED_ACTIONS_MAX: usize = 100;

/// Everything the loop thread knows of the fleet.
pub struct Fleet {
    /// The configuration in force.
    pub config: Arc<Config>,
    /// The newest agents accepted.
    pub newest_agent: Version,
    /// Who is here.
    pub lot: Lot,
    /// The newest revisions.
    pub policies: Policies,
    /// Seats that are to get a revision.
    pub rollout: ServingQueue,
    /// Seats that are to get actions.
    pub action_queue: ServingQueue,
    /// Seats that could not be served because of the store; tried again with the next sweep.
    late: Vec<SeatId>,
    /// Actions up to here are found by a search.
    checkpoint: i64,
    /// Whether the watch has told of actions yet.
    told: bool,
    /// Heartbeats to be written.
    pub beats: Beats,
    /// OpenTelemetry collectors that are connected.
    pub collectors: Collectors,
    /// Limits of routes.
    pub admission: Admission,
    /// Agents that must go.
    pub strikes: Strikes,
    /// How the store does.
    pub health: Health,
    /// What it may run under, where an agent runs it.
    pub own_policy: OwnPolicy,
    /// The time as answers tell it.
    pub date: HttpDate,
    /// What the store is, where it is a cluster and as far as it is known.
    pub cluster: Option<ClusterFacts>,
    /// Enrollment tokens by key id.
    pub tokens: Cache<String, Arc<EnrollmentToken>>,
    /// `_seq_no` by ack token.
    pub ack_tokens: Cache<String, i64>,
    /// Keys of agents for outputs.
    pub output_keys: OutputKeys,
    /// For which outputs the store makes such keys.
    pub key_making: KeyMaking,
    /// Inactive agents whose keys were seen to.
    pub retired_agents: Cache<String, ()>,
    /// Data of actions with secrets in it, by document id.
    pub resolved_actions: Cache<String, Option<Raw>>,
    /// Facts of actions by action id.
    pub actions: Cache<String, ActionFacts>,
    /// Artifacts that agents fetch.
    pub artifacts: Artifacts,
    /// The key that agents check upgrades with, and how long it is good.
    pub pgp_key: Option<(Duration, Arc<[u8]>)>,
    /// Enrolments that could not be taken back yet.
    pub unfinished_undos: Vec<UnfinishedUndo>,
    /// Ids that enrolments under way name, and whose those are.
    enrolling: BTreeMap<String, ConnectionId>,
    /// Connections of check-ins whose place a newer one took: to be answered, empty, at once.
    pub dismissed: Vec<Parked>,
    /// Tells one run of the server from another, in metrics.
    pub ephemeral_id: String,
    /// Set from the signal to the end.
    pub stopping: bool,
    /// What happened.
    pub counters: Counters,
    /// The loop's only compressor, made when first needed.
    gzip: Option<Gzip>,
    keys: Cache<String, KeyFacts>,
    random: StdRng,
}

/// An enrolment whose client is gone and which the store has not taken back yet.
#[derive(Clone, Debug)]
pub struct UnfinishedUndo {
    /// The agent's id.
    pub agent: String,
    /// Id of the access key that nobody has.
    pub access_key: String,
    /// Whether the document was made by the enrolment.
    pub created: bool,
}

/// Enrolments that are tried again to be taken back; beyond, they are only logged.
const UNFINISHED_UNDOS_MAX: usize = 10_000;

/// What an acknowledgement needs to know of an action.
#[derive(Clone, Debug)]
pub struct ActionFacts {
    /// UPGRADE, ...
    pub kind: String,
    /// Kibana spaces.
    pub namespaces: Vec<String>,
}

impl Fleet {
    /// The state at the start; `seed` feeds ids and jitter.
    pub fn new(config: Arc<Config>, newest_agent: Version, seed: [u8; 32]) -> Self {
        let limits = &config.server.limits;
        let mut random = StdRng::from_seed(seed);
        let hashing = Hashing::with_seed(random.next_u64());
        let mut id = [0; 16];
        random.fill_bytes(&mut id);
        let keys_max = keys_max(&config);
        Fleet {
            newest_agent,
            lot: Lot::new(&hashing),
            policies: Policies::default(),
            rollout: ServingQueue::new(limits.policy),
            action_queue: ServingQueue::new(limits.action),
            late: Vec::new(),
            checkpoint: -1,
            told: false,
            beats: Beats::new(&hashing),
            collectors: Collectors::default(),
            admission: Admission::new(limits),
            strikes: Strikes::new(config.server.feature_flags.graceful_force_unenroll.bytes_max),
            health: if config.under_agent { Health::under_agent() } else { Health::default() },
            own_policy: OwnPolicy::default(),
            date: HttpDate::default(),
            cluster: None,
            tokens: Cache::new(keys_max, &hashing),
            ack_tokens: Cache::new(ACK_TOKENS_MAX, &hashing),
            output_keys: OutputKeys::new(&hashing),
            key_making: KeyMaking::None,
            retired_agents: Cache::new(RETIRED_AGENTS_MAX, &hashing),
            resolved_actions: Cache::new(RESOLVED_ACTIONS_MAX, &hashing),
            actions: Cache::new(ACK_TOKENS_MAX, &hashing),
            artifacts: Artifacts::new(config.server.cache.bytes_max),
            pgp_key: None,
            unfinished_undos: Vec::new(),
            enrolling: BTreeMap::new(),
            dismissed: Vec::new(),
            ephemeral_id: uuid_of(id),
            stopping: false,
            counters: Counters::default(),
            gzip: None,
            keys: Cache::new(keys_max, &hashing),
            random,
            config,
        }
    }

    /// `config` is in force from now on; who is here stays, and what is cached too, as far as it may.
    pub fn configured(&mut self, config: Arc<Config>) {
        let server = &config.server;
        self.admission.set_limits(&server.limits);
        self.rollout.set_pace(server.limits.policy);
        self.action_queue.set_pace(server.limits.action);
        self.strikes.bind(server.feature_flags.graceful_force_unenroll.bytes_max);
        let keys_max = keys_max(&config);
        self.keys.bind(keys_max);
        self.tokens.bind(keys_max);
        self.artifacts.bind(server.cache.bytes_max);
        if server.pgp != self.config.server.pgp {
            self.pgp_key = None;
        }
        // it has its level from when it was made
        self.gzip = None;
        self.config = config;
    }

    /// Claims the seat of an agent that checks in; who sat there is dismissed.
    pub fn claim(&mut self, agent: &str, policy_id: &str, revision_idx: i64, seq_no: i64) -> SeatId {
        let policy_id = self.policies.shared_id(policy_id);
        let (seat, older) = self.lot.claim(agent, &policy_id, revision_idx, seq_no);
        self.dismissed.extend(older);
        seat
    }

    /// Parks a seat and queues it at once if something has come for it meanwhile. False if the seat is another's by now.
    pub fn park(&mut self, id: SeatId, parked: Parked) -> bool {
        if !self.lot.park(id, parked) {
            return false;
        }
        let Some(seat) = self.lot.get(id) else { return false };
        if !seat.actions().is_empty() {
            self.action_queue.append([id]);
        }
        let policy_id = seat.policy_id.clone();
        let below = self.policies.answers_below(&policy_id);
        if below.is_some_and(|below| self.lot.mark_seat(id, below))
            || self.lot.get(id).is_some_and(|seat| seat.is_marked())
        {
            self.rollout.append([id]);
        }
        true
    }

    /// New actions: into the seats of the agents concerned, and those are queued.
    pub fn learn_actions(&mut self, actions: &[Arc<Action>], checkpoint: i64) {
        // what was told before comes again: its agents got it, or find it by their search
        for action in
            actions.iter().filter(|action| action.seq_no > self.checkpoint && is_delivered(&action.kind))
        {
            let due = action.agents.iter().filter_map(|agent| self.lot.put_action(agent, action));
            self.action_queue.append(due);
        }
        self.checkpoint = self.checkpoint.max(checkpoint);
        self.told = true;
    }

    /// What has come for this seat is tried again later: the store does not give what is needed for it.
    pub fn serve_later(&mut self, seat: SeatId) {
        self.late.push(seat);
    }

    /// Tries again for whom it is time.
    pub fn try_late_seats_again(&mut self) {
        for id in std::mem::take(&mut self.late) {
            let Some(seat) = self.lot.get(id) else { continue };
            let queue = if seat.actions().is_empty() { &mut self.rollout } else { &mut self.action_queue };
            queue.append([id]);
        }
    }

    /// The actions there are now are another index's: whoever is here has none of them.
    pub fn actions_start_over(&mut self) {
        self.checkpoint = -1;
        self.lot.forget_seq_nos();
        self.ack_tokens.clear();
    }

    /// Whether a document names an action beyond all that were told: our news lag, or it speaks of an index that is gone.
    pub fn is_beyond_news(&self, stored: i64) -> bool {
        self.told && stored > self.checkpoint
    }

    /// Whether the watch has told of actions yet; who is parked before is held for [`FIRST_NEWS_WAIT_MAX`] at most.
    pub fn has_first_news(&self) -> bool {
        self.told
    }

    /// Everything up to this `_seq_no` has been told; -1 at the start.
    pub fn checkpoint(&self) -> i64 {
        self.checkpoint
    }

    /// Up to which `_seq_no` a search for pending actions goes. Before the first news there is no bound: what a search finds
    /// beyond it comes once more as news and is known by then.
    pub fn search_bound(&self) -> i64 {
        if self.told { self.checkpoint } else { i64::MAX }
    }

    /// Whether the store makes keys of agents' own for any outputs.
    pub fn makes_output_keys(&self) -> bool {
        self.key_making != KeyMaking::None
    }

    /// Keeps an enrolment to be taken back later.
    pub fn undo_later(&mut self, undo: UnfinishedUndo) {
        if self.unfinished_undos.len() < UNFINISHED_UNDOS_MAX {
            self.unfinished_undos.push(undo);
        } else {
            report_unfinished(&undo);
        }
    }

    /// Reserves the ids that an enrolment names; false if another one under way has one of them.
    pub fn claim_enrolment(&mut self, ids: &[String], by: ConnectionId) -> bool {
        let free = ids.iter().all(|id| !self.enrolling.contains_key(id));
        if free {
            self.enrolling.extend(ids.iter().map(|id| (id.clone(), by)));
        }
        free
    }

    /// The handler of this connection's request came to no end of its own: what it reserved is free.
    pub fn forget_enrolment(&mut self, by: ConnectionId) {
        self.enrolling.retain(|_, owner| *owner != by);
    }

    /// Gives the ids back that [`Fleet::claim_enrolment`] reserved.
    pub fn release_enrolment(&mut self, ids: &[String]) {
        for id in ids {
            self.enrolling.remove(id);
        }
    }

    /// `body` compressed at the configured level.
    pub fn gzip(&mut self, body: &[u8]) -> Vec<u8> {
        let level = self.config.server.compression_level;
        self.gzip.get_or_insert_with(|| Gzip::new(level)).compress(body)
    }

    /// A UUID of version 4.
    pub fn uuid(&mut self) -> String {
        let mut bytes = [0; 16];
        self.random.fill_bytes(&mut bytes);
        uuid_of(bytes)
    }

    /// A UUID of version 7, which begins with the time.
    pub fn time_uuid(&mut self, now: Now) -> uuid::Uuid {
        let mut bytes = [0; 10];
        self.random.fill_bytes(&mut bytes);
        let millis = u64::try_from(now.wall.0).unwrap_or_default();
        uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
    }

    /// Random bytes, good enough for secrets: the generator is cryptographic and seeded by the system.
    pub fn random_bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.random.fill_bytes(&mut bytes);
        bytes
    }

    /// A random part of `bound`, below it.
    pub fn random_below(&mut self, bound: Duration) -> Duration {
        let nanos = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        if nanos == 0 { Duration::ZERO } else { Duration::from_nanos(self.random.next_u64() % nanos) }
    }

    /// When a parked agent that came at `started` is answered without news.
    pub fn poll_ends_at(&mut self, started: Duration, poll: Duration, now: Now) -> Duration {
        // what was written between its search and the first news is told to nobody: only its next search finds it
        let end = started + if self.told { poll } else { poll.min(FIRST_NEWS_WAIT_MAX) };
        let jitter = self.config.server.timeouts.checkin_jitter;
        let rest = end.saturating_sub(now.mono);
        if jitter < rest { end - self.random_below(jitter) } else { end }
    }
}

fn uuid_of(random: [u8; 16]) -> String {
    uuid::Builder::from_random_bytes(random).into_uuid().to_string()
}

/// Says what an operator has to remove by hand.
pub fn report_unfinished(undo: &UnfinishedUndo) {
    ::log::error!(
        "fleet.agent.id" = undo.agent.as_str(), "fleet.access.apikey.id" = undo.access_key.as_str();
        "an enrolment whose client is gone could not be taken back"
    );
}
