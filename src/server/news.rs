//! News from the watch: revisions, actions, the store's health.

use super::{Server, own_version};
use crate::api::user_agent::Version;
use crate::handlers::policy;
use crate::model::Policy;
use crate::store::{Changes, ClusterFacts};
use crate::version::STACK_VERSION;

impl Server {
    pub(super) fn changed(&mut self, changes: Changes) {
        match changes {
            Changes::Policies(policies) => {
                self.store_health(Ok(()));
                for revision in policies {
                    self.hear_of_own(&revision);
                    if self.fleet_mut().policies.hear(&revision.policy_id, revision.revision_idx) {
                        self.spawn(None, |cx| Box::pin(policy::publish(cx, revision)));
                    }
                }
            }
            Changes::PolicyDeleted(policy_id) => {
                ::log::info!("fleet.policy.id" = policy_id.as_str(); "policy {policy_id} was deleted");
                self.fleet_mut().policies.forget(&policy_id);
                if self.fleet_mut().own_policy.forget(&policy_id) {
                    self.look_at_standing();
                }
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
            Changes::Cluster(facts) => self.cluster_is(facts),
        }
    }

    /// It may be the policy that the server itself runs under.
    fn hear_of_own(&mut self, revision: &Policy) {
        let configured = self.config.policy_id.as_deref();
        let fleet = self.fleet.as_deref_mut();
        if self.config.under_agent && fleet.is_some_and(|fleet| fleet.own_policy.hear(revision, configured)) {
            self.look_at_standing();
        }
    }

    /// Agents may be as new as the cluster, where that is newer than we are. Of a difference operators are told, no more.
    fn cluster_is(&mut self, facts: ClusterFacts) {
        let ours = own_version();
        let way = if facts.fleet_module { "its fleet module tells" } else { "its statistics tell" };
        ::log::info!("the store is Elasticsearch {}; {way} what changes", facts.version);
        let theirs = Version::parse(&facts.version);
        let fleet = self.fleet_mut();
        match theirs {
            None => ::log::warn!("the version {:?} of Elasticsearch is not understood", facts.version),
            Some(theirs) if theirs < ours => ::log::warn!(
                "Elasticsearch {} is older than this server ({STACK_VERSION}): what it does not know yet may fail",
                facts.version
            ),
            Some(theirs) if theirs > ours => ::log::warn!(
                "Elasticsearch {} is newer than this server ({STACK_VERSION}), and agents may be as new: update the server",
                facts.version
            ),
            Some(_) => {}
        }
        fleet.newest_agent = theirs.map_or(ours, |theirs| theirs.max(ours));
        fleet.cluster = Some(facts);
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
