//! `/stats`: the JSON that Elastic's monitoring reads (config.md, "Metrics (http)").

use serde_json::{Map, Value, json};

use super::routes::{OF_ROUTES, connections, counted, limit_max_rate};
use super::{Moment, NAME};
use crate::api::route::Operation;
use crate::version::STACK_VERSION;

/// All of it.
pub(super) fn stats(moment: &Moment<'_>) -> Value {
    let mut server = Map::new();
    server.extend(connections(moment).map(|(name, value)| (name.to_owned(), json!(value))));
    let routes: Map<String, Value> = Operation::LIMITED
        .into_iter()
        .map(|operation| (operation.name().to_owned(), route(moment, operation)))
        .collect();
    server.insert("routes".to_owned(), Value::Object(routes));
    json!({ "beat": process(moment), "http_server": server })
}

fn route(moment: &Moment<'_>, operation: Operation) -> Value {
    let (route, active) = (counted(moment, operation), moment.fleet.admission.active(operation));
    let mut shown: Map<String, Value> = OF_ROUTES
        .iter()
        .map(|figure| (figure.name.to_owned(), json!((figure.value)(&route, active))))
        .collect();
    shown.insert("limit_max_rate".to_owned(), json!(limit_max_rate(moment, operation)));
    if operation == Operation::Artifact {
        shown.insert("not_found".to_owned(), json!(not_found(moment, operation)));
        // there is nothing here that slows artifacts down
        shown.insert("throttle".to_owned(), json!(0));
    }
    Value::Object(shown)
}

/// Answers that something asked for is not there.
fn not_found(moment: &Moment<'_>, operation: Operation) -> u64 {
    let errors = moment.fleet.counters.errors.iter();
    let missing =
        errors.filter(|((route, error), _)| *route == operation.name() && error.ends_with("NotFound"));
    missing.map(|(_, count)| count).sum()
}

/// What Metricbeat's module `beat` reads of a process; what the system does not tell is left out.
fn process(moment: &Moment<'_>) -> Value {
    let (process, now) = (moment.process, moment.now);
    let millis = |seconds: Option<f64>| seconds.map(|seconds| (seconds * 1e3) as u64);
    let (user, system) = (millis(process.user_seconds), millis(process.system_seconds));
    let time = |millis: Option<u64>| json!({ "ticks": millis, "time": { "ms": millis } });
    let total = user.zip(system).map(|(user, system)| user + system);
    let mut shown = json!({
        "info": {
            "uptime": { "ms": u64::try_from(now.mono.as_millis()).unwrap_or(u64::MAX) },
            "ephemeral_id": moment.fleet.ephemeral_id,
            "name": NAME,
            "version": STACK_VERSION,
        },
        "memstats": { "rss": process.resident_bytes },
        "cpu": { "user": time(user), "system": time(system), "total": { "value": total, "ticks": total, "time": { "ms": total } } },
        "runtime": { "threads": process.threads },
        "handles": {
            "open": process.open_files,
            "limit": { "soft": process.open_files_max, "hard": process.open_files_hard_max },
        },
        "cgroup": { "memory": { "mem": {
            "usage": { "bytes": process.group_bytes },
            "limit": { "bytes": process.group_bytes_max },
        } } },
    });
    leave_out_nulls(&mut shown);
    shown
}

/// Removes what is null, and objects that hold nothing else.
fn leave_out_nulls(value: &mut Value) {
    let Value::Object(fields) = value else { return };
    fields.values_mut().for_each(leave_out_nulls);
    let is_nothing = |value: &Value| value.is_null() || value.as_object().is_some_and(Map::is_empty);
    fields.retain(|_, value| !is_nothing(value));
}
