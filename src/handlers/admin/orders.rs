//! `POST /api/fleet/agents/{id}/upgrade` and the like, for one agent (the path names it) or many (`agents` does). The bodies
//! are Kibana's; what is not supported is refused, never ignored.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::actions::{Order, UNENROLL, issue};
use super::error::Refusal;
use super::targets::{Selection, Targets};
use super::{Answered, BODY_BYTES_MAX, answer, body, facts, read};
use crate::api::user_agent::Version;
use crate::handlers::{Request, unenroll as leave};
use crate::model::Patch;
use crate::task::Cx;
use crate::time::Timestamp;

/// Levels of an agent's log.
const LOG_LEVELS: [&str; 4] = ["debug", "info", "warning", "error"];
/// Metrics that a request for diagnostics may ask for besides.
const ADDITIONAL_METRICS: [&str; 2] = ["CPU", "CONN"];

/// A body that says what to do.
trait Wish: DeserializeOwned {
    /// What to do, and the agents selected, if the body selects any.
    fn order(self, now: Timestamp) -> Result<(Order, Option<Selection>), Refusal>;
}

/// Another version of the agent.
pub(super) async fn upgrade(cx: Cx, request: Request) -> Answered {
    give::<Upgrade>(cx, request).await
}

/// The end of the agent.
pub(super) async fn unenroll(cx: Cx, request: Request) -> Answered {
    let wish: Unenroll = read(&body(&cx, BODY_BYTES_MAX).await?)?;
    if wish.revoke != Some(true) {
        return Box::pin(carry_out(cx, request, wish)).await;
    }
    // boxed: it is rare, and would be held by every order
    Box::pin(unenroll_now(cx, request.id, wish.agents)).await
}

async fn unenroll_now(cx: Cx, id: String, selection: Option<Selection>) -> Answered {
    let mut targets = Targets::find(&cx, id, selection).await?;
    while let Some(agents) = targets.next(&cx).await? {
        for agent in agents {
            leave::unenroll(&cx, &agent).await?;
        }
    }
    answer(&json!({}))
}

/// Another policy.
pub(super) async fn reassign(cx: Cx, request: Request) -> Answered {
    give::<Reassign>(cx, request).await
}

/// A bundle of what helps to find faults.
pub(super) async fn diagnostics(cx: Cx, request: Request) -> Answered {
    give::<Diagnostics>(cx, request).await
}

/// Another log level, for many agents (ours).
pub(super) async fn settings(cx: Cx, request: Request) -> Answered {
    give::<Settings>(cx, request).await
}

/// `{"action":{"type":"SETTINGS","data":{"log_level":".."}}}`: Kibana's way to set the log level of one agent.
pub(super) async fn action(cx: Cx, request: Request) -> Answered {
    give::<ActionOfKind>(cx, request).await
}

async fn give<W: Wish>(cx: Cx, request: Request) -> Answered {
    let wish: W = read(&body(&cx, BODY_BYTES_MAX).await?)?;
    // boxed: what was read would be held twice
    Box::pin(carry_out(cx, request, wish)).await
}

async fn carry_out(cx: Cx, request: Request, wish: impl Wish) -> Answered {
    let (order, selection) = wish.order(cx.now().wall)?;
    let order = Arc::new(order);
    if let Some(policy_id) = order.data.as_ref().and_then(|data| data["policy_id"].as_str()) {
        facts::policy(&cx, policy_id).await?;
    }
    let targets = Targets::find(&cx, request.id, selection).await?;
    if order.kind != UNENROLL {
        targets.refuse_collectors()?;
    }
    match issue(&cx, order, targets).await? {
        Some(action_id) => answer(&json!({ "actionId": action_id })),
        None => answer(&json!({})),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Upgrade {
    agents: Option<Selection>,
    version: String,
    source_uri: Option<String>,
    start_time: Option<String>,
    rollout_duration_seconds: Option<i64>,
    /// Kibana's checks that it would skip are not made here.
    #[serde(rename = "force")]
    _force: Option<bool>,
}

impl Wish for Upgrade {
    fn order(self, now: Timestamp) -> Result<(Order, Option<Selection>), Refusal> {
        if Version::parse(&self.version).is_none() || !self.version.contains('.') {
            return Err(Refusal::BadRequest(format!(
                "version: {:?} is not a version such as 9.6.0",
                self.version
            )));
        }
        let mut data = json!({ "version": self.version });
        if let Some(source_uri) = self.source_uri.filter(|uri| !uri.is_empty()) {
            data["source_uri"] = source_uri.into();
        }
        let mark = Patch::new()
            .set("upgrade_started_at", now.rfc3339())
            .null("upgraded_at")
            .set("updated_at", now.rfc3339());
        let mut order = Order::new("UPGRADE", Some(data), mark);
        if let Some(start_time) = self.start_time {
            let start = Timestamp::parse(&start_time);
            order.start_time = start
                .ok_or_else(|| bad("start_time: expected a time such as 2026-01-31T12:00:00Z"))?
                .rfc3339();
        }
        order.rollout_duration_seconds = self.rollout_duration_seconds.unwrap_or_default();
        if order.rollout_duration_seconds < 0 {
            return Err(bad("rollout_duration_seconds: expected 0 or more"));
        }
        if order.rollout_duration_seconds > 0 && order.start_time.is_empty() {
            order.start_time = now.rfc3339();
        }
        Ok((order, self.agents))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unenroll {
    agents: Option<Selection>,
    /// Its keys are invalidated and it is inactive at once: for an agent that will never come again.
    revoke: Option<bool>,
    /// Kibana's managed policies do not exist here.
    #[serde(rename = "force")]
    _force: Option<bool>,
}

impl Wish for Unenroll {
    fn order(self, now: Timestamp) -> Result<(Order, Option<Selection>), Refusal> {
        let mark =
            Patch::new().set("unenrollment_started_at", now.rfc3339()).set("updated_at", now.rfc3339());
        Ok((Order::new(UNENROLL, None, mark), self.agents))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reassign {
    agents: Option<Selection>,
    policy_id: String,
}

impl Wish for Reassign {
    fn order(self, now: Timestamp) -> Result<(Order, Option<Selection>), Refusal> {
        let base = self.policy_id.rsplit_once('#').map_or(self.policy_id.as_str(), |(base, _)| base);
        let mark = Patch::new()
            .set("policy_id", &self.policy_id)
            .set("policy_base_id", base)
            .null("policy_revision_idx")
            .set("updated_at", now.rfc3339());
        let data = json!({ "policy_id": self.policy_id });
        Ok((Order::new("POLICY_REASSIGN", Some(data), mark), self.agents))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Diagnostics {
    agents: Option<Selection>,
    additional_metrics: Option<Vec<String>>,
    exclude_events_log: Option<bool>,
}

impl Wish for Diagnostics {
    fn order(self, _now: Timestamp) -> Result<(Order, Option<Selection>), Refusal> {
        let metrics = self.additional_metrics.unwrap_or_default();
        if metrics.iter().any(|metric| !ADDITIONAL_METRICS.contains(&metric.as_str())) {
            return Err(bad(format!(
                "additional_metrics: expected some of {}",
                ADDITIONAL_METRICS.join(", ")
            )));
        }
        let mut data = json!({ "additional_metrics": metrics });
        if let Some(exclude_events_log) = self.exclude_events_log {
            data["exclude_events_log"] = exclude_events_log.into();
        }
        Ok((Order::new("REQUEST_DIAGNOSTICS", Some(data), Patch::new()), self.agents))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    agents: Option<Selection>,
    /// null: as the policy says.
    log_level: Value,
}

impl Wish for Settings {
    fn order(self, _now: Timestamp) -> Result<(Order, Option<Selection>), Refusal> {
        let is_known = self.log_level.as_str().is_some_and(|level| LOG_LEVELS.contains(&level));
        if !is_known && !self.log_level.is_null() {
            return Err(bad(format!("log_level: expected one of {}", LOG_LEVELS.join(", "))));
        }
        let data = json!({ "log_level": self.log_level });
        Ok((Order::new("SETTINGS", Some(data), Patch::new()), self.agents))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActionOfKind {
    action: KindAndData,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KindAndData {
    #[serde(rename = "type")]
    kind: String,
    data: Option<Settings>,
}

impl Wish for ActionOfKind {
    fn order(self, now: Timestamp) -> Result<(Order, Option<Selection>), Refusal> {
        match (self.action.kind.as_str(), self.action.data) {
            ("SETTINGS", Some(settings)) => settings.order(now),
            ("SETTINGS", None) => Err(bad("action.data: missing")),
            (kind, _) => {
                Err(bad(format!("action.type: {kind:?} has a path of its own; only SETTINGS goes here")))
            }
        }
    }
}

fn bad(what: impl Into<String>) -> Refusal {
    Refusal::BadRequest(what.into())
}
