//! How a server does that an agent runs: which policy it runs under, and what it waits for (agent-mode.md, "States reported").

use crate::config::Secret;
use crate::fleet::health::Lack;
use crate::model::EnrollmentToken;
use crate::store::{Answer, Operation};
use crate::task::{Cx, Outcome};

/// Looks once. Where the store does not answer, what was known stays: its trouble is told otherwise.
pub async fn look(cx: Cx) -> Outcome {
    if !learn_configured(&cx).await {
        return Outcome::Done;
    }
    let (chosen, enrolled) = cx.fleet(|fleet| {
        let config = &fleet.config;
        let chosen = fleet.own_policy.chosen(config.policy_id.as_deref()).map(str::to_owned);
        (chosen, config.fleet.agent_id.is_some())
    });
    let (policy_id, lack) = match chosen {
        Err(lack) => (String::new(), Some(lack)),
        Ok(policy_id) if enrolled => (policy_id, None),
        Ok(policy_id) => match cx.store(Operation::Tokens).await {
            Ok(Answer::Tokens(tokens)) => {
                let lack = by_token(&policy_id, &tokens);
                (policy_id, Some(lack))
            }
            Ok(_) => return Outcome::Done,
            Err(error) => {
                ::log::warn!("the enrollment tokens cannot be read, it is tried again: {error}");
                return Outcome::Done;
            }
        },
    };
    cx.fleet(|fleet| {
        // the agent may have got its id meanwhile
        if fleet.config.fleet.agent_id.is_some() == enrolled {
            fleet.health.runs_under(&policy_id, lack);
        }
    });
    Outcome::Done
}

/// Reads the configured policy if it was of no interest when it came: another id was configured then. False if the store does
/// not give it.
async fn learn_configured(cx: &Cx) -> bool {
    let unknown = cx.fleet(|fleet| {
        let configured = fleet.config.policy_id.clone()?;
        (fleet.policies.exists(&configured) && !fleet.own_policy.knows(&configured)).then_some(configured)
    });
    let Some(policy_id) = unknown else { return true };
    let newest = Operation::PolicyRevision { policy_id, revision_idx: None };
    match cx.store(newest).await {
        Ok(Answer::Policy(Some(policy))) => {
            cx.fleet(|fleet| fleet.own_policy.hear(&policy, fleet.config.policy_id.as_deref()));
            true
        }
        Ok(_) => true,
        Err(_) => false,
    }
}

/// What an agent without an id waits for: the first active token of the policy, or what to do with it.
fn by_token(policy_id: &str, tokens: &[EnrollmentToken]) -> Lack {
    let policy_id = policy_id.to_owned();
    let fits = |token: &&EnrollmentToken| token.active && token.policy_id == policy_id;
    match tokens.iter().find(fits) {
        Some(token) => Lack::Agent { token: Secret::new(token.api_key.clone()), policy_id },
        None => Lack::Token(policy_id),
    }
}
