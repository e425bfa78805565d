//! The metrics endpoint (config.md, "Metrics (http)"): what the server counts, to whoever may connect, and nothing that is
//! secret: no key, no id of an agent.

mod agents;
mod loops;
mod routes;
mod stats;
mod store;

use super::{Request, json};
use crate::api::ApiError;
use crate::fleet::Fleet;
use crate::http::{RequestHead, Response};
use crate::metrics::process::Process;
use crate::metrics::{Family, Figures, render, render_prometheus};
use crate::task::{Cx, Handler, Outcome};
use crate::time::Now;
use crate::version::STACK_VERSION;

/// The name of the service, as the Go server has it.
const NAME: &str = "fleet-server";
/// OpenMetrics, for those who say that they know it.
const OPEN_METRICS: &str = "application/openmetrics-text";
/// Prometheus' older text.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All that is shown, at one moment.
struct Moment<'a> {
    fleet: &'a Fleet,
    figures: &'a Figures,
    process: &'a Process,
    now: Now,
}

/// The handler of a request to the endpoint.
pub fn start(cx: Cx, request: Request) -> Handler {
    Box::pin(async move { Outcome::Respond(answer(&cx, &request.head).await) })
}

async fn answer(cx: &Cx, head: &RequestHead) -> Response {
    let path = head.path();
    if !["/", "/stats", "/state", "/dataset", "/metrics"].contains(&path) {
        return ApiError::NotFound.response();
    }
    if head.method() != "GET" {
        return Response::new(405, "").header("Allow", "GET");
    }
    match path {
        "/" => shown(&serde_json::json!({ "name": NAME, "version": STACK_VERSION }), head),
        "/stats" => shown(&at_this_moment(cx, |moment| stats::stats(&moment)).await, head),
        "/metrics" => {
            let families = at_this_moment(cx, |moment| families(&moment)).await;
            let known = head.header("accept").any(|accepted| contains(accepted, OPEN_METRICS));
            if known {
                let kind = format!("{OPEN_METRICS}; version=1.0.0; charset=utf-8");
                Response::new(200, render(families)).header("Content-Type", kind)
            } else {
                Response::new(200, render_prometheus(families)).header("Content-Type", PROMETHEUS)
            }
        }
        // what Beats show there the server has none of
        _ => shown(&serde_json::json!({}), head),
    }
}

/// Everything that is exported, in the order in which it is shown.
fn families(moment: &Moment<'_>) -> Vec<Family> {
    let of_routes = routes::families(moment).into_iter();
    of_routes
        .chain(agents::families(moment))
        .chain(store::families(moment))
        .chain(loops::families(moment))
        .collect()
}

/// Shows the server as it is now. What the system says of the process is read on a worker.
async fn at_this_moment<T>(cx: &Cx, show: impl FnOnce(Moment<'_>) -> T) -> T {
    let process = cx.work(Process::read).await.unwrap_or_default();
    let figures = cx.figures().await;
    let now = cx.now();
    cx.fleet(|fleet| show(Moment { fleet, figures: &figures, process: &process, now }))
}

/// A 200 with this JSON, for people if they say so (`?pretty`).
fn shown(value: &serde_json::Value, head: &RequestHead) -> Response {
    let parameters = head.query().unwrap_or_default().split('&');
    let pretty = parameters.filter(|parameter| parameter.split('=').next() == Some("pretty")).count() > 0;
    let text = if pretty { format!("{value:#}\n") } else { value.to_string() };
    json(text)
}

fn contains(accepted: &[u8], kind: &str) -> bool {
    accepted.windows(kind.len()).any(|part| part.eq_ignore_ascii_case(kind.as_bytes()))
}
