//! `POST /api/fleet/agents/enroll` (checkin.md, "POST enroll"; the steps are numbered as there). The rollback runs to its end even
//! if the client left.

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{Request, answered, authenticate, json, read_body, replace_token};
use crate::api::ApiError;
use crate::api::authorization;
use crate::api::enroll::{EnrollAnswer, EnrollItem, EnrollRequest, with_agent_id};
use crate::api::route::Operation as Route;
use crate::api::user_agent::agent_version;
use crate::fleet::UnfinishedUndo;
use crate::http::Response;
use crate::model::raw::{Raw, raw};
use crate::model::{Agent, AgentInfo, ApiKey, EnrollmentToken, Patch};
use crate::store::{Answer, Enrollment, Operation, StoreError, Written};
use crate::task::{Cx, Outcome};

/// Enrols an agent, or lets one take over the id of another.
pub async fn enroll(cx: Cx, request: Request) -> Outcome {
    answered(async {
        let key = authorization::api_key(&request.head)?;
        authenticate::key(&cx, &key).await?;
        let user_agent =
            request.head.single("user-agent").map_err(|_| ApiError::bad("several User-Agent headers"))?;
        let version = agent_version(user_agent, cx.fleet(|fleet| fleet.newest_agent))?;
        let token = enrollment_token(&cx, &key).await?;
        let wanted = read_body(&cx, Route::Enroll, EnrollRequest::read).await?;
        let claims: Vec<String> = [("enrollment:", &wanted.enrollment_id), ("id:", &wanted.id)]
            .into_iter()
            .filter_map(|(kind, id)| id.as_ref().map(|id| format!("{kind}{id}")))
            .collect();
        if !cx.fleet(|fleet| fleet.claim_enrolment(&claims, request.connection)) {
            return Err(ApiError::EnrollDuplicate);
        }
        // boxed: it is more than all the rest, and the client is often refused before
        let outcome = Box::pin(enroll_claimed(&cx, &token, wanted, version)).await;
        cx.fleet(|fleet| fleet.release_enrolment(&claims));
        outcome
    })
    .await
}

async fn enroll_claimed(
    cx: &Cx,
    token: &EnrollmentToken,
    wanted: EnrollRequest,
    version: String,
) -> Result<Outcome, ApiError> {
    let plan = plan(cx, token, &wanted).await?;
    let agent_id = plan.agent_id.clone();
    let created = plan.replaced.is_none();
    let item = Item::new(cx, token, wanted, version, &plan);
    let enrollment = Enrollment {
        agent: agent_id.clone(),
        written: item.written(cx, &plan, token).await?,
        delete_agents: plan.delete_agents,
        invalidate_keys: plan.invalidate_keys,
    };
    let key = match cx.store(Operation::Enroll(Box::new(enrollment))).await {
        Ok(Answer::Key(key)) => key,
        Ok(_) => return Err(ApiError::Internal),
        Err(StoreError::Conflict) => return Err(ApiError::EnrollDuplicate),
        Err(error) => return Err(error.into()),
    };
    let now = cx.now().mono;
    cx.fleet(|fleet| {
        fleet.key_is_good(&key, now);
        fleet.counters.enrolments += 1;
    });
    if !cx.respond(item.answer(&key, token)).await {
        undo(cx, agent_id, key, created).await;
    }
    Ok(Outcome::Done)
}

/// 6. The answer did not go out: nobody has the key. What the store cannot do now is tried again until it can.
async fn undo(cx: &Cx, agent: String, key: ApiKey, created: bool) {
    cx.fleet(|fleet| fleet.forget_key(&key.id));
    take_back(cx, UnfinishedUndo { agent, access_key: key.id, created }).await;
}

/// One more try to take an enrolment back.
pub async fn undo_again(cx: Cx, undo: UnfinishedUndo) -> Outcome {
    take_back(&cx, undo).await;
    Outcome::Done
}

async fn take_back(cx: &Cx, undo: UnfinishedUndo) {
    let UnfinishedUndo { agent, access_key, created } = undo.clone();
    match cx.store(Operation::UndoEnrollment { agent, access_key, created }).await {
        Ok(_) => {
            ::log::info!("fleet.agent.id" = undo.agent.as_str(); "an enrolment was taken back: its client is gone");
        }
        Err(error) => {
            ::log::warn!("fleet.agent.id" = undo.agent.as_str(); "an enrolment is taken back later: {error}");
            cx.fleet(|fleet| fleet.undo_later(undo));
        }
    }
}

/// 1. The static token, or the one active enrollment record of the key.
pub(super) async fn enrollment_token(cx: &Cx, key: &ApiKey) -> Result<Arc<EnrollmentToken>, ApiError> {
    if let Some(policy_id) = cx.fleet(|fleet| authenticate::static_policy(fleet, key)) {
        if !cx.fleet(|fleet| fleet.policies.exists(&policy_id)) {
            return Err(ApiError::PolicyNotFound);
        }
        return Ok(Arc::new(EnrollmentToken { policy_id, active: true, ..EnrollmentToken::default() }));
    }
    let now = cx.now().mono;
    if let Some(token) = cx.fleet(|fleet| fleet.tokens.get(&key.id, now).cloned()) {
        return Ok(token);
    }
    let Answer::Token(token) = cx.lookup(Operation::TokenByKey(key.id.clone())).await? else {
        return Err(ApiError::Internal);
    };
    let token: Arc<EnrollmentToken> =
        Arc::from(token.filter(|token| token.active).ok_or(ApiError::Unauthorized)?);
    cx.fleet(|fleet| {
        let life = fleet.config.server.cache.ttl_enroll_key;
        fleet.tokens.insert(key.id.clone(), token.clone(), now + life);
    });
    Ok(token)
}

/// What is to be written under which id.
struct Plan {
    agent_id: String,
    replaced: Option<Box<Agent>>,
    /// `_seq_no` of the last action that is not for it.
    acts_after: i64,
    delete_agents: Vec<String>,
    invalidate_keys: Vec<String>,
}

/// 2 and 3. Earlier tries of this enrolment, and the agent that has the wanted id.
async fn plan(cx: &Cx, token: &EnrollmentToken, wanted: &EnrollRequest) -> Result<Plan, ApiError> {
    let mut plan = Plan {
        agent_id: wanted.id.clone().unwrap_or_default(),
        replaced: None,
        acts_after: -1,
        delete_agents: Vec::new(),
        invalidate_keys: Vec::new(),
    };
    if let Some(enrollment_id) = &wanted.enrollment_id
        && let Answer::Agent(Some(earlier)) =
            cx.store(Operation::AgentByEnrollmentId(enrollment_id.clone())).await?
        && earlier.last_checkin.is_none()
    {
        plan.invalidate_keys.push(earlier.access_api_key_id);
        plan.delete_agents.push(earlier.id);
    }
    if plan.agent_id.is_empty() {
        plan.agent_id = cx.fleet(|fleet| fleet.uuid());
        return Ok(plan);
    }
    let Answer::Agent(namesake) = cx.store(Operation::AgentById(plan.agent_id.clone())).await? else {
        return Err(ApiError::Internal);
    };
    match namesake.filter(|namesake| !plan.delete_agents.contains(&namesake.id)) {
        None => {}
        Some(namesake) if !namesake.active => {
            // what its former life was told, its end above all, is not for the new one
            plan.acts_after = cx.fleet(|fleet| fleet.checkpoint()).max(namesake.action_seq_no);
            plan.delete_agents.push(namesake.id);
        }
        Some(namesake) => {
            check_replacement(cx, &namesake, token, wanted).await?;
            plan.invalidate_keys.push(namesake.access_api_key_id.clone());
            cx.fleet(|fleet| fleet.forget_key(&namesake.access_api_key_id));
            plan.replaced = Some(namesake);
        }
    }
    Ok(plan)
}

async fn check_replacement(
    cx: &Cx,
    namesake: &Agent,
    token: &EnrollmentToken,
    wanted: &EnrollRequest,
) -> Result<(), ApiError> {
    let (Some(stored), Some(given)) = (namesake.replace_token.clone(), wanted.replace_token.clone()) else {
        return Err(ApiError::AgentNotReplaceable);
    };
    let verified = cx.work(move || replace_token::verify(&given, &stored)).await.ok_or(ApiError::Internal)?;
    if !verified || namesake.policy_id != token.policy_id {
        return Err(ApiError::AgentNotReplaceable);
    }
    Ok(())
}

/// The agent as it is written and answered.
struct Item {
    wanted: EnrollRequest,
    agent_id: String,
    local_metadata: Option<Raw>,
    version: String,
    kind: String,
    enrolled_at: String,
    updated_at: String,
    user_provided_metadata: Option<Raw>,
    policy_base_id: String,
}

impl Item {
    fn new(
        cx: &Cx,
        token: &EnrollmentToken,
        mut wanted: EnrollRequest,
        version: String,
        plan: &Plan,
    ) -> Self {
        let now = cx.now().wall.rfc3339();
        let local_metadata =
            wanted.local_metadata.take().map(|metadata| with_agent_id(metadata, &plan.agent_id));
        let replaced = plan.replaced.as_deref();
        let base = token.policy_id.rsplit_once('#').map_or(token.policy_id.as_str(), |(base, _)| base);
        Item {
            local_metadata,
            version,
            agent_id: plan.agent_id.clone(),
            kind: replaced.map_or_else(|| wanted.kind.clone(), |agent| agent.kind.clone()),
            enrolled_at: replaced.and_then(|agent| agent.enrolled_at.clone()).unwrap_or_else(|| now.clone()),
            user_provided_metadata: replaced.and_then(|agent| agent.user_provided_metadata.clone()),
            policy_base_id: base.to_owned(),
            updated_at: now,
            wanted,
        }
    }

    /// 5. The new document, or the changes of a replacement.
    async fn written(&self, cx: &Cx, plan: &Plan, token: &EnrollmentToken) -> Result<Written, ApiError> {
        let known = plan.replaced.as_ref().and_then(|replaced| replaced.agent.clone()).unwrap_or_default();
        let (id, version) = (self.agent_id.clone(), self.version.clone());
        let agent = AgentInfo { id, version, ..known };
        if plan.replaced.is_some() {
            let patch = Patch::new()
                .set("namespaces", &token.namespaces)
                .set("local_metadata", &self.local_metadata)
                .set("agent", agent)
                .set("tags", &self.wanted.tags)
                .set("policy_revision_idx", 0)
                .set("policy_base_id", &self.policy_base_id)
                .set("updated_at", &self.updated_at)
                .null("audit_unenrolled_time")
                .null("audit_unenrolled_reason")
                .null("unenrolled_at")
                .null("unenrolled_reason");
            return Ok(Written::Replacement(patch));
        }
        let replace_token = hashed_token(cx, self.wanted.replace_token.clone()).await?;
        let document = NewAgent {
            active: true,
            policy_id: &token.policy_id,
            policy_base_id: &self.policy_base_id,
            kind: &self.kind,
            enrolled_at: &self.enrolled_at,
            action_seq_no: [plan.acts_after],
            agent,
            namespaces: &token.namespaces,
            tags: &self.wanted.tags,
            local_metadata: self.local_metadata.as_deref(),
            enrollment_id: self.wanted.enrollment_id.as_deref(),
            replace_token,
        };
        Ok(Written::New(raw(&document)))
    }

    fn answer(&self, key: &ApiKey, token: &EnrollmentToken) -> Response {
        let item = EnrollItem {
            access_api_key: key.token(),
            access_api_key_id: &key.id,
            active: true,
            enrolled_at: &self.enrolled_at,
            id: &self.agent_id,
            local_metadata: self.local_metadata.as_deref(),
            policy_id: &token.policy_id,
            status: "online",
            tags: &self.wanted.tags,
            kind: &self.kind,
            user_provided_metadata: self.user_provided_metadata.as_deref(),
        };
        json(serde_json::to_vec(&EnrollAnswer { action: "created", item }).unwrap_or_default())
    }
}

/// A new agent's document. What the agent said of itself goes in as it came.
#[derive(Serialize)]
struct NewAgent<'a> {
    active: bool,
    policy_id: &'a str,
    policy_base_id: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    enrolled_at: &'a str,
    action_seq_no: [i64; 1],
    agent: AgentInfo,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    namespaces: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    tags: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    local_metadata: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enrollment_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replace_token: Option<String>,
}

async fn hashed_token(cx: &Cx, token: Option<String>) -> Result<Option<String>, ApiError> {
    let Some(token) = token else { return Ok(None) };
    let (settings, salt) = cx.fleet(|fleet| {
        let settings = fleet.config.server.pdkdf2.clone();
        let salt = fleet.random_bytes(settings.salt_bytes);
        (settings, salt)
    });
    let hash = move || replace_token::hash(&token, settings.iterations, &salt, settings.key_bytes);
    cx.work(hash).await.map(Some).ok_or(ApiError::Internal)
}
