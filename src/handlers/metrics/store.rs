//! The store: what it is, what was asked of it, and how long it took.

use std::borrow::Cow;

use super::Moment;
use crate::config::Store;
use crate::fleet::Fleet;
use crate::metrics::Family;

pub(super) fn families(moment: &Moment<'_>) -> Vec<Family> {
    let counters = &moment.fleet.counters;
    let times = counters.operations.iter().map(|(name, counted)| (*name, &counted.times));
    let mut failures = Family::counter(
        "fleet_server_store_failures_total",
        "Operations that failed, by the kind of failure.",
    );
    for (operation, counted) in &counters.operations {
        for (error, count) in &counted.failures {
            failures = failures
                .with([("operation", Cow::Borrowed(*operation)), ("error", Cow::Borrowed(*error))], *count);
        }
    }
    let requests = &moment.figures.elasticsearch;
    vec![
        info(moment.fleet),
        Family::histogram(
            "fleet_server_store_operation_seconds",
            "From when an operation was asked for to its answer.",
        )
        .each("operation", times),
        failures,
        Family::counter("fleet_server_store_refused_total", "Operations refused because too many waited.")
            .only(counters.store_refused),
        Family::counter("fleet_server_store_batches_total", "Batches given to the store.")
            .only(counters.store_batches),
        Family::counter(
            "fleet_server_elasticsearch_requests_total",
            "Requests to Elasticsearch, by its API.",
        )
        .each("api", requests.iter().map(|(api, sent, _)| (*api, *sent))),
        Family::counter(
            "fleet_server_elasticsearch_failures_total",
            "Requests to Elasticsearch without an answer.",
        )
        .each("api", requests.iter().map(|(api, _, failed)| (*api, *failed))),
    ]
}

/// Which store it is, and of a cluster how changes in it are noticed, as far as that is known.
fn info(fleet: &Fleet) -> Family {
    let family = Family::gauge(
        "fleet_server_store_info",
        "Always 1; which store it is and how its changes are noticed.",
    );
    let kind = match &fleet.config.store {
        Store::Embedded(_) => "embedded",
        Store::Elasticsearch(_) => "elasticsearch",
    };
    let (version, watch) = match &fleet.cluster {
        None => (Cow::Borrowed(""), ""),
        Some(facts) => (facts.version.clone().into(), facts.watch_name()),
    };
    family.with([("kind", kind.into()), ("version", version), ("watch", watch.into())], 1_u64)
}
