//! Names of the indices, and what they hold where we have to make them ourselves (elasticsearch.md, "Indices and mappings").

use serde_json::{Value, json};

use crate::config::is_index_suffix;

/// An index that this store reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Index {
    /// An agent a document, under its id.
    Agents,
    /// Actions; several documents may share an `action_id`.
    Actions,
    /// What agents answered: a data stream where there is a template for one.
    Results,
    /// A revision of a policy a document.
    Policies,
    /// Enrollment tokens.
    Tokens,
    /// What Endpoint fetches beside its policy.
    Artifacts,
    /// Keys of our own, where the cluster has none.
    Keys,
    /// Secrets, where the cluster has no place for them.
    Secrets,
}

/// The names of the indices of one fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Indices {
    agents: String,
    actions: String,
    results: String,
    policies: String,
    tokens: String,
    artifacts: String,
    keys: String,
    secrets: String,
    /// Of data streams.
    namespace: String,
    own: bool,
}

impl Default for Indices {
    /// Those that Kibana and every fleet-server know.
    fn default() -> Self {
        Indices::named("", false)
    }
}

impl Indices {
    /// Those of a fleet of its own beside others in one cluster: `.fleet-agents-SUFFIX` and so on, which the role of the
    /// service account covers too. `None` for a suffix that no index may have.
    pub fn with_suffix(suffix: &str) -> Option<Self> {
        is_index_suffix(suffix).then(|| Indices::named(&format!("-{suffix}"), true))
    }

    fn named(end: &str, own: bool) -> Self {
        Indices {
            agents: format!(".fleet-agents{end}"),
            actions: format!(".fleet-actions{end}"),
            results: format!(".fleet-actions-results{end}"),
            policies: format!(".fleet-policies{end}"),
            tokens: format!(".fleet-enrollment-api-keys{end}"),
            artifacts: format!(".fleet-artifacts{end}"),
            keys: format!(".fleet-servers-keys{end}"),
            secrets: format!(".fleet-servers-secrets{end}"),
            namespace: if own { end.trim_start_matches('-').to_owned() } else { "default".to_owned() },
            own,
        }
    }

    /// The namespace of data streams, whose names end in it.
    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Whether the names are this fleet's own, so that the cluster has no definition of them.
    pub(super) fn are_own(&self) -> bool {
        self.own
    }

    /// The name of one.
    pub(super) fn name(&self, index: Index) -> &str {
        match index {
            Index::Agents => &self.agents,
            Index::Actions => &self.actions,
            Index::Results => &self.results,
            Index::Policies => &self.policies,
            Index::Tokens => &self.tokens,
            Index::Artifacts => &self.artifacts,
            Index::Keys => &self.keys,
            Index::Secrets => &self.secrets,
        }
    }

    /// All of them.
    #[cfg(test)]
    pub(in crate::store) fn names(&self) -> Vec<String> {
        let all = [
            &self.agents,
            &self.actions,
            &self.results,
            &self.policies,
            &self.tokens,
            &self.artifacts,
            &self.keys,
            &self.secrets,
        ];
        all.into_iter().cloned().collect()
    }
}

/// Settings and mapping of an index that we make: one shard, since `_seq_no` counts by shard; what is not searched is not
/// indexed; a value that does not fit its type is kept and not found, it does not make the document refused.
pub(super) fn definition(index: Index) -> Value {
    let properties = match index {
        Index::Agents => agents(),
        Index::Actions => actions(),
        Index::Results => results(),
        Index::Policies => policies(),
        Index::Tokens => tokens(),
        Index::Artifacts => artifacts(),
        Index::Keys | Index::Secrets => json!({}),
    };
    json!({
        "settings": {"index": {
            "number_of_shards": 1,
            "auto_expand_replicas": "0-1",
            "hidden": true,
            "mapping.ignore_malformed": true,
        }},
        "mappings": {"dynamic": false, "properties": properties},
    })
}

/// Properties by type.
fn properties(types: &[(&str, &[&str])]) -> Value {
    let mut properties = serde_json::Map::new();
    for (kind, names) in types {
        for name in *names {
            let property = match *kind {
                "raw" => json!({"type": "object", "enabled": false}),
                // longer than that a term cannot be: the value is kept and not found
                "keyword" => json!({"type": "keyword", "ignore_above": 8191}),
                kind => json!({"type": kind}),
            };
            properties.insert((*name).to_owned(), property);
        }
    }
    properties.into()
}

fn agents() -> Value {
    let mut all = properties(&[
        ("boolean", &["active"]),
        ("integer", &["action_seq_no", "policy_revision_idx", "sequence_num"]),
        ("text", &["last_checkin_message"]),
        (
            "keyword",
            &[
                "access_api_key_id",
                "agent_policy_id",
                "audit_unenrolled_reason",
                // of servers of old
                "default_api_key_id",
                "enrollment_id",
                "last_checkin_status",
                "namespaces",
                "packages",
                "policy_base_id",
                "policy_id",
                "replace_token",
                "shared_id",
                "tags",
                "type",
                "unenrolled_reason",
                "unhealthy_reason",
                "upgrade_status",
            ],
        ),
        (
            "date",
            &[
                "audit_unenrolled_time",
                "enrolled_at",
                "last_checkin",
                "last_updated",
                "unenrolled_at",
                "unenrollment_started_at",
                "updated_at",
                "upgrade_attempts",
                "upgrade_started_at",
                "upgraded_at",
            ],
        ),
        (
            "raw",
            &[
                "capabilities",
                "components",
                "effective_config",
                "health",
                "identifying_attributes",
                "local_metadata",
                "non_identifying_attributes",
                "outputs",
                "upgrade",
                "user_provided_metadata",
            ],
        ),
    ]);
    all["agent"] = json!({"properties": properties(&[("keyword", &["id", "version", "type"])])});
    let details =
        properties(&[("keyword", &["action_id", "state", "target_version"]), ("raw", &["metadata"])]);
    all["upgrade_details"] = json!({"properties": details});
    all
}

fn actions() -> Value {
    let mut all = properties(&[
        ("keyword", &["action_id", "agents", "type", "input_type", "user_id", "namespaces", "traceparent"]),
        ("date", &["expiration", "start_time", "@timestamp"]),
        ("integer", &["rollout_duration_seconds", "minimum_execution_duration", "timeout"]),
        ("raw", &["data", "secret_references"]),
    ]);
    all["signed"] = json!({"properties": properties(&[("binary", &["data", "signature"])])});
    all
}

fn results() -> Value {
    properties(&[
        ("keyword", &["action_id", "agent_id", "action_input_type", "namespaces"]),
        ("text", &["error"]),
        ("date", &["started_at", "completed_at", "@timestamp"]),
        ("raw", &["action_data", "action_response", "data"]),
    ])
}

fn policies() -> Value {
    properties(&[
        ("keyword", &["policy_id", "namespaces"]),
        ("integer", &["revision_idx", "coordinator_idx", "unenroll_timeout"]),
        ("boolean", &["default_fleet_server"]),
        ("date", &["@timestamp"]),
        ("raw", &["data"]),
    ])
}

fn tokens() -> Value {
    properties(&[
        ("keyword", &["api_key_id", "api_key", "policy_id", "name", "namespaces"]),
        ("boolean", &["active"]),
        ("date", &["expire_at", "created_at", "updated_at"]),
    ])
}

fn artifacts() -> Value {
    properties(&[
        (
            "keyword",
            &[
                "compression_algorithm",
                "decoded_sha256",
                "encoded_sha256",
                "encryption_algorithm",
                "identifier",
                "package_name",
                "relative_url",
                "type",
            ],
        ),
        ("long", &["decoded_size", "encoded_size"]),
        ("date", &["created"]),
        ("binary", &["body"]),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suffix_stays_within_what_the_service_account_may_touch() {
        let indices = Indices::with_suffix("west_2").unwrap();
        assert_eq!(indices.name(Index::Agents), ".fleet-agents-west_2");
        assert_eq!(indices.name(Index::Results), ".fleet-actions-results-west_2");
        assert!(indices.are_own() && !Indices::default().are_own());
        assert_eq!(Indices::default().name(Index::Keys), ".fleet-servers-keys");
    }

    #[test]
    fn a_suffix_that_no_index_may_have_is_refused() {
        for suffix in ["", "A", "a,b", "a*", "a/b", "a b", "a.b", "ü", &"x".repeat(65)] {
            assert_eq!(Indices::with_suffix(suffix), None, "{suffix}");
        }
    }

    #[test]
    fn what_agents_say_of_themselves_is_not_indexed() {
        let definition = definition(Index::Agents);
        assert_eq!(definition["mappings"]["dynamic"], false);
        let properties = &definition["mappings"]["properties"];
        assert_eq!(properties["local_metadata"]["enabled"], false);
        assert_eq!(properties["policy_id"]["type"], "keyword");
        assert_eq!(properties["agent"]["properties"]["id"]["type"], "keyword");
    }
}
