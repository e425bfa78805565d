//! News from the watch: revisions, actions, the store's health.

use crate::handlers::policy;
use crate::store::Changes;

use super::Server;

impl Server {
    pub(super) fn changed(&mut self, changes: Changes) {
        match changes {
            Changes::Policies(policies) => {
                self.store_health(Ok(()));
                for revision in policies {
                    if self.fleet_mut().policies.hear(&revision.policy_id, revision.revision_idx) {
                        self.spawn(None, |cx| Box::pin(policy::publish(cx, revision)));
                    }
                }
            }
            Changes::PolicyDeleted(policy_id) => {
                ::log::info!("fleet.policy.id" = policy_id.as_str(); "policy {policy_id} was deleted");
                self.fleet_mut().policies.forget(&policy_id);
            }
            Changes::Actions { actions, checkpoint } => {
                self.store_health(Ok(()));
                self.fleet_mut().learn_actions(&actions, checkpoint);
            }
            Changes::ActionsStartOver => {
                ::log::warn!("the actions in the store are not those that were there: all of them are new");
                self.fleet_mut().actions_start_over();
            }
            Changes::Health(health) => self.store_health(health),
        }
    }

    fn store_health(&mut self, health: Result<(), String>) {
        let now = self.now.mono;
        let reason = health.as_ref().err().cloned();
        if self.fleet_mut().health.store(health, now) {
            let state = self.fleet().health.state().name();
            match reason {
                None => ::log::info!("the server is {state}"),
                Some(reason) => ::log::warn!("the server is {state}: {reason}"),
            }
        }
    }
}
