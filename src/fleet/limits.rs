//! Limits of routes, per listener (http-api.md, "Rate limits"): a token bucket, then so many requests at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::api::route::Operation;
use crate::config::limits::{Limits, Pace, RouteLimit};
use crate::connection::Listener;
use crate::fleet::bucket::Bucket;

/// Why a request is refused before it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The route's rate.
    Rate,
    /// The route's number of requests at a time.
    Max,
    /// The listener's number of requests at a time.
    Connections,
}

/// Counts requests and decides which may pass.
#[derive(Debug)]
pub struct Admission {
    gates: BTreeMap<(usize, Operation), Gate>,
    in_flight: [u32; Listener::ALL.len()],
    connections_max: u32,
    /// Of collectors, on both listeners together (opamp.md, "Enroll").
    collector_enrolments: Bucket,
}

#[derive(Debug)]
struct Gate {
    bucket: Bucket,
    max: u32,
    active: u32,
}

impl Admission {
    /// Gates for every limited route on the listeners of agents. Nobody else is limited.
    pub fn new(limits: &Limits) -> Self {
        let mut gates = BTreeMap::new();
        for operation in Operation::LIMITED {
            let limit = limit_of(operation, limits);
            for listener in [Listener::External, Listener::Internal] {
                let pace = Pace { interval: limit.interval, burst: limit.burst };
                gates.insert(
                    (listener.index(), operation),
                    Gate { bucket: Bucket::new(pace), max: limit.max, active: 0 },
                );
            }
        }
        Admission {
            gates,
            in_flight: [0; Listener::ALL.len()],
            connections_max: limits.connections_max,
            collector_enrolments: Bucket::new(collector_pace(limits)),
        }
    }

    /// Whether another collector may enrol now.
    pub fn enter_collector(&mut self, now: Duration) -> bool {
        self.collector_enrolments.take(now)
    }

    /// Other limits, from the next request on. What is under way stays counted.
    pub fn set_limits(&mut self, limits: &Limits) {
        for ((_, operation), gate) in &mut self.gates {
            let limit = limit_of(*operation, limits);
            gate.bucket.set_limit(Pace { interval: limit.interval, burst: limit.burst });
            gate.max = limit.max;
        }
        self.connections_max = limits.connections_max;
        self.collector_enrolments.set_limit(collector_pace(limits));
    }

    /// Counts a request in, or says why not. `takes_over`: it replaces one that is counted already (a newer check-in of a
    /// parked agent), so that exactly as many agents fit as the operator said.
    pub fn enter(
        &mut self,
        listener: Listener,
        operation: Option<Operation>,
        takes_over: bool,
        now: Duration,
    ) -> Result<(), Refusal> {
        let door = listener.index();
        if let Some(gate) = operation.and_then(|operation| self.gates.get_mut(&(door, operation))) {
            if !gate.bucket.take(now) {
                return Err(Refusal::Rate);
            }
            if gate.max > 0 && gate.active >= gate.max && !takes_over {
                return Err(Refusal::Max);
            }
        }
        let in_flight = &mut self.in_flight[door];
        if listener.is_for_agents()
            && self.connections_max > 0
            && *in_flight >= self.connections_max
            && !takes_over
        {
            return Err(Refusal::Connections);
        }
        *in_flight += 1;
        if let Some(gate) = operation.and_then(|operation| self.gates.get_mut(&(door, operation))) {
            gate.active += 1;
        }
        Ok(())
    }

    /// Whether the route's rate lets another message in, on a connection that counts as one request.
    pub fn paces(&mut self, listener: Listener, operation: Operation, now: Duration) -> bool {
        self.gates.get_mut(&(listener.index(), operation)).is_none_or(|gate| gate.bucket.take(now))
    }

    /// Counts a request out.
    pub fn leave(&mut self, listener: Listener, operation: Option<Operation>) {
        let door = listener.index();
        self.in_flight[door] = self.in_flight[door].saturating_sub(1);
        if let Some(gate) = operation.and_then(|operation| self.gates.get_mut(&(door, operation))) {
            gate.active = gate.active.saturating_sub(1);
        }
    }

    /// Requests under way on a listener, parked ones included.
    pub fn in_flight(&self, listener: Listener) -> u32 {
        self.in_flight[listener.index()]
    }

    /// Requests of a route under way on all listeners, parked ones included.
    pub fn active(&self, operation: Operation) -> u32 {
        let of_operation = self.gates.iter().filter(|((_, gated), _)| *gated == operation);
        of_operation.map(|(_, gate)| gate.active).sum()
    }
}

/// Collectors enrol at the pace of agents.
fn collector_pace(limits: &Limits) -> Pace {
    let enroll = limits.routes.enroll;
    Pace { interval: enroll.interval, burst: enroll.burst }
}

/// The configured limit of a route.
pub fn limit_of(operation: Operation, limits: &Limits) -> RouteLimit {
    let routes = &limits.routes;
    match operation {
        Operation::Status => routes.status,
        Operation::Enroll => routes.enroll,
        Operation::CheckIn => routes.checkin,
        Operation::Acks => routes.ack,
        Operation::AuditUnenroll => routes.audit_unenroll,
        Operation::Artifact => routes.artifact,
        Operation::PgpKey => routes.pgp_retrieval,
        Operation::OpAmp => routes.opamp,
        Operation::UploadBegin => routes.upload_start,
        Operation::UploadChunk => routes.upload_chunk,
        Operation::UploadComplete => routes.upload_end,
        Operation::FileDelivery => routes.file_delivery,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(max: u32, connections_max: u32) -> Admission {
        let mut limits = Limits { connections_max, ..Limits::default() };
        limits.routes.checkin.max = max;
        Admission::new(&limits)
    }

    fn enter(admission: &mut Admission, takes_over: bool) -> Result<(), Refusal> {
        admission.enter(Listener::External, Some(Operation::CheckIn), takes_over, Duration::ZERO)
    }

    #[test]
    fn a_newer_check_in_takes_over_its_place_when_all_are_taken() {
        let mut admission = admission(2, 0);
        assert_eq!(enter(&mut admission, false), Ok(()));
        assert_eq!(enter(&mut admission, false), Ok(()));
        assert_eq!(enter(&mut admission, false), Err(Refusal::Max));
        assert_eq!(enter(&mut admission, true), Ok(()));
        admission.leave(Listener::External, Some(Operation::CheckIn));
        assert_eq!(enter(&mut admission, false), Err(Refusal::Max));
    }

    #[test]
    fn other_limits_count_those_who_are_here() {
        let mut admission = admission(0, 0);
        for _ in 0..2 {
            assert_eq!(enter(&mut admission, false), Ok(()));
        }
        let mut limits = Limits::default();
        limits.routes.checkin.max = 2;
        admission.set_limits(&limits);
        assert_eq!(enter(&mut admission, false), Err(Refusal::Max));
        admission.leave(Listener::External, Some(Operation::CheckIn));
        assert_eq!(enter(&mut admission, false), Ok(()));
    }

    #[test]
    fn listeners_are_limited_apart_and_those_of_operators_never() {
        let mut admission = admission(0, 1);
        assert_eq!(enter(&mut admission, false), Ok(()));
        assert_eq!(enter(&mut admission, false), Err(Refusal::Connections));
        assert_eq!(admission.enter(Listener::Internal, None, false, Duration::ZERO), Ok(()));
        for _ in 0..10 {
            for listener in [Listener::Admin, Listener::Metrics] {
                assert_eq!(admission.enter(listener, None, false, Duration::ZERO), Ok(()));
            }
        }
    }

    #[test]
    fn a_token_is_spent_even_when_max_refuses() {
        let mut limits = Limits::default();
        limits.routes.checkin =
            RouteLimit { interval: Duration::from_secs(3_600), burst: 2, max: 1, ..limits.routes.checkin };
        let mut admission = Admission::new(&limits);
        assert_eq!(enter(&mut admission, false), Ok(()));
        assert_eq!(enter(&mut admission, false), Err(Refusal::Max));
        assert_eq!(enter(&mut admission, false), Err(Refusal::Rate));
    }
}
