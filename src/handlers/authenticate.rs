//! Who is it? The key first, then the agent it belongs to (checkin.md, "Identity"). 401 only when the store positively says that
//! the key is bad; trouble of the store is 503 or 429.

use subtle::ConstantTimeEq;

use crate::api::ApiError;
use crate::fleet::{Fleet, KeyState};
use crate::model::{Agent, ApiKey};
use crate::store::{Answer, Operation, StoreError};
use crate::task::Cx;

/// Whether the key is good: static tokens, then the cache, then the store.
pub async fn key(cx: &Cx, key: &ApiKey) -> Result<(), ApiError> {
    let now = cx.now().mono;
    if cx.fleet(|fleet| static_policy(fleet, key).is_some()) {
        return Ok(());
    }
    match cx.fleet(|fleet| fleet.key_state(key, now)) {
        KeyState::Good => return Ok(()),
        KeyState::Refused => return Err(ApiError::Unauthorized),
        KeyState::Unknown => {}
    }
    match cx.lookup(Operation::Authenticate(key.clone())).await {
        Ok(Answer::Authenticated { enabled: true }) => {
            cx.fleet(|fleet| fleet.key_is_good(key, now));
            Ok(())
        }
        Ok(Answer::Authenticated { enabled: false }) => Err(ApiError::KeyNotEnabled),
        Ok(_) => Err(ApiError::Internal),
        Err(error) => {
            if error == StoreError::KeyRejected {
                cx.fleet(|fleet| fleet.key_is_refused(key, now));
            }
            Err(error.into())
        }
    }
}

/// The agent of the path, if the key is its access key and it is active.
pub async fn agent(cx: &Cx, api_key: &ApiKey, id: &str) -> Result<Box<Agent>, ApiError> {
    let agent = active_or_not(cx, api_key, Operation::AgentById(id.to_owned())).await?;
    if agent.active { Ok(agent) } else { Err(ApiError::AgentInactive) }
}

/// The agent that `read` tells, if the key is its access key.
pub async fn active_or_not(cx: &Cx, api_key: &ApiKey, read: Operation) -> Result<Box<Agent>, ApiError> {
    key(cx, api_key).await?;
    let Answer::Agent(agent) = cx.store(read).await? else {
        return Err(ApiError::Internal);
    };
    let agent = agent.filter(|agent| agent.access_api_key_id == api_key.id).ok_or(ApiError::AgentIdentity)?;
    checked(cx, api_key, agent)
}

/// The agent whose access key it is, if it is active: for routes whose path names no agent.
pub async fn agent_of_key(cx: &Cx, api_key: &ApiKey) -> Result<Box<Agent>, ApiError> {
    key(cx, api_key).await?;
    let Answer::Agent(agent) = cx.store(Operation::AgentByAccessKey(api_key.id.clone())).await? else {
        return Err(ApiError::Internal);
    };
    let agent = checked(cx, api_key, agent.ok_or(ApiError::AgentNotFound)?)?;
    if agent.active { Ok(agent) } else { Err(ApiError::AgentInactive) }
}

fn checked(cx: &Cx, api_key: &ApiKey, agent: Box<Agent>) -> Result<Box<Agent>, ApiError> {
    if agent.agent.is_none() {
        return Err(ApiError::AgentCorrupted);
    }
    if !agent.active {
        cx.fleet(|fleet| fleet.forget_key(&api_key.id));
    }
    Ok(agent)
}

/// The policy of the static token that this key's secret part equals.
pub fn static_policy(fleet: &Fleet, key: &ApiKey) -> Option<String> {
    let tokens = &fleet.config.server.static_policy_tokens;
    let equal = |token: &str| bool::from(token.as_bytes().ct_eq(key.secret.as_bytes()));
    tokens.iter().find(|token| equal(token.token_key.expose())).map(|token| token.policy_id.clone())
}
