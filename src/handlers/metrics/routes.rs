//! Requests by route, under the Go server's names and under ours.

use std::borrow::Cow;

use super::{Moment, NAME};
use crate::api::route::Operation;
use crate::metrics::{Family, Network, Route};
use crate::version::{BUILD_HASH, STACK_VERSION, VERSION};

/// A figure of a route as the Go server shows it.
pub(super) struct Shown {
    /// Its name below the route's.
    pub(super) name: &'static str,
    help: &'static str,
    /// What it is, from the route's counters and from how many requests are under way.
    pub(super) value: fn(&Route, u32) -> u64,
}

/// What the Go server shows of each route (config.md, "Metrics (http)"), but for the rate of refusals.
pub(super) const OF_ROUTES: [Shown; 8] = [
    Shown { name: "active", help: "Requests under way.", value: |_, active| active.into() },
    Shown { name: "total", help: "Requests begun.", value: |route, _| route.requests },
    Shown { name: "limit_rate", help: "Refused by the rate.", value: |route, _| route.refused_rate },
    Shown {
        name: "limit_max",
        help: "Refused by the maximum at a time.",
        value: |route, _| route.refused_max,
    },
    Shown { name: "fail", help: "Answered with 400 or more.", value: |route, _| route.failed },
    Shown { name: "drop", help: "Clients gone before their answer.", value: |route, _| route.dropped },
    Shown { name: "body_in", help: "Bytes of bodies received.", value: |route, _| route.body_in_bytes },
    Shown { name: "body_out", help: "Bytes of bodies answered.", value: |route, _| route.body_out_bytes },
];

/// Refusals per second, which the Go server counts for check-ins only.
pub(super) fn limit_max_rate(moment: &Moment<'_>, operation: Operation) -> u64 {
    if operation == Operation::CheckIn { moment.fleet.counters.check_ins_refused.per_second() } else { 0 }
}

/// The counters of a route, which may not have been asked for yet.
pub(super) fn counted(moment: &Moment<'_>, operation: Operation) -> Route {
    moment.fleet.counters.routes.get(operation.name()).cloned().unwrap_or_default()
}

/// Open, closed and present connections of agents, and those refused per second.
pub(super) fn connections(moment: &Moment<'_>) -> [(&'static str, u64); 4] {
    let Network { opened, closed, .. } = moment.figures.network;
    [
        ("tcp_open", opened),
        ("tcp_close", closed),
        ("tcp_active", opened.saturating_sub(closed)),
        ("tcp_rejected_rate", moment.fleet.counters.connections_refused.per_second()),
    ]
}

pub(super) fn families(moment: &Moment<'_>) -> Vec<Family> {
    let info = [("name", NAME.into()), ("version", STACK_VERSION.into())];
    let mut families = vec![
        Family::gauge("service_info", "Name and version, as the Go server shows them.").with(info, 1_u64),
    ];
    for (name, value) in connections(moment) {
        families.push(
            Family::gauge(format!("http_server_{name}"), "Connections, as the Go server counts them.")
                .only(value),
        );
    }
    for operation in Operation::LIMITED {
        let route = counted(moment, operation);
        let active = moment.fleet.admission.active(operation);
        let name = |figure: &str| format!("http_server_routes_{}_{figure}", operation.name());
        for Shown { name: figure, help, value } in OF_ROUTES {
            let family = if figure == "total" { Family::counter } else { Family::gauge };
            families.push(family(name(figure), help).only(value(&route, active)));
        }
        let rate = Family::gauge(name("limit_max_rate"), "Refusals per second, of check-ins only.");
        families.push(rate.only(limit_max_rate(moment, operation)));
    }
    families.extend(ours(moment));
    families
}

/// A family and what of a route it shows.
type OfRoute = (&'static str, &'static str, fn(&Route) -> u64);

/// Counted for each route, those without a name in the Go server included.
const COUNTED: [OfRoute; 5] = [
    ("fleet_server_requests_total", "Requests begun.", |route| route.requests),
    ("fleet_server_requests_failed_total", "Requests answered with 400 or more.", |route| route.failed),
    ("fleet_server_requests_dropped_total", "Clients gone before their answer.", |route| route.dropped),
    ("fleet_server_received_bytes_total", "Bytes of bodies received.", |route| route.body_in_bytes),
    ("fleet_server_sent_bytes_total", "Bytes of bodies answered.", |route| route.body_out_bytes),
];

/// A reason and how often it was that of a refusal.
type Reason = (&'static str, fn(&Route) -> u64);

/// Why a limit refuses.
const REASONS: [Reason; 3] = [
    ("rate", |route| route.refused_rate),
    ("max", |route| route.refused_max),
    ("max_connections", |route| route.refused_connections),
];

fn ours(moment: &Moment<'_>) -> Vec<Family> {
    let counters = &moment.fleet.counters;
    let of_each =
        |value: fn(&Route) -> u64| counters.routes.iter().map(move |(name, route)| (*name, value(route)));
    let mut families: Vec<Family> = COUNTED
        .into_iter()
        .map(|(name, help, value)| Family::counter(name, help).each("route", of_each(value)))
        .collect();
    let active =
        Operation::LIMITED.map(|operation| (operation.name(), moment.fleet.admission.active(operation)));
    families.push(
        Family::gauge("fleet_server_requests_active", "Requests under way, parked ones included.")
            .each("route", active),
    );
    let mut refused = Family::counter("fleet_server_requests_refused_total", "Requests refused by a limit.");
    for (name, route) in &counters.routes {
        for (reason, value) in REASONS {
            refused =
                refused.with([("route", Cow::Borrowed(*name)), ("reason", reason.into())], value(route));
        }
    }
    families.push(refused);
    let mut errors = Family::counter("fleet_server_errors_total", "Answers that told an error, by its name.");
    for ((route, error), count) in &counters.errors {
        errors = errors.with([("route", Cow::Borrowed(*route)), ("error", Cow::Borrowed(*error))], *count);
    }
    families.push(errors);
    let build = [("version", STACK_VERSION.into()), ("own", VERSION.into()), ("build", BUILD_HASH.into())];
    families.push(Family::gauge("fleet_server_build_info", "Always 1; what is running.").with(build, 1_u64));
    families
}
