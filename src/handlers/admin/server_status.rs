//! `GET /api/status` for the operator: the state at this moment (short trouble is not hidden), and what was counted.

use serde_json::{Value, json};

use super::{Answered, answer};
use crate::config::Store;
use crate::fleet::Fleet;
use crate::handlers::Request;
use crate::task::Cx;
use crate::version::{BUILD_HASH, BUILD_TIME, STACK_VERSION, VERSION};

/// How the server does. Always 200: the text says whether it is well.
pub(super) async fn show(cx: Cx, _request: Request) -> Answered {
    let now = cx.now();
    let mut status = cx.fleet(|fleet| describe(fleet));
    status["uptime_seconds"] = json!(now.mono.as_secs());
    answer(&status)
}

/// Which store it is, and of a cluster what is known by now.
fn store(fleet: &Fleet) -> Value {
    match (&fleet.config.store, &fleet.cluster) {
        (Store::Embedded(_), _) => json!({ "kind": "embedded" }),
        (Store::Elasticsearch(_), None) => json!({ "kind": "elasticsearch" }),
        (Store::Elasticsearch(_), Some(facts)) => json!({
            "kind": "elasticsearch",
            "version": facts.version,
            "watch": facts.watch_name(),
            "kibana": facts.holds_kibana,
        }),
    }
}

/// How the server does, in numbers.
pub fn describe(fleet: &Fleet) -> Value {
    let counters = &fleet.counters;
    json!({
        "name": "fleet-server",
        "status": fleet.health.state().name(),
        "message": fleet.health.reason(),
        "version": {
            "number": STACK_VERSION,
            "own": VERSION,
            "build_hash": BUILD_HASH,
            "build_time": BUILD_TIME,
        },
        "agents": { "parked": fleet.lot.parked() },
        "policies": fleet.policies.iter().count(),
        "store": store(fleet),
        "counters": {
            "requests": counters.requests,
            "succeeded": counters.succeeded,
            "failed": counters.failed,
            "refused": counters.refused,
            "dropped": counters.dropped,
            "enrolments": counters.enrolments,
            "policies_delivered": counters.policies_delivered,
            "actions_delivered": counters.actions_delivered,
            "acks": counters.acks,
            "handler_bugs": counters.handler_bugs,
            "store_batches": counters.store_batches,
            "store_operations": counters.store_operations,
            "store_refused": counters.store_refused,
        },
    })
}
