//! Indices that are deleted while the server runs, and made again.

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::site::{Site, actions, ask, park, parked, runs, token};
use crate::support::{event, eventually};

/// Deletes an index of the fleet.
fn delete(site: &Site<'_>, kind: &str) {
    let (status, answer) = site.cluster.admin("DELETE", &format!("/{}", site.index(kind)), &Value::Null);
    assert_eq!(status, 200, "{answer}");
}

/// Whether an index has the mapping that it should have; none while there is no such index.
fn is_as_it_should_be(site: &Site<'_>, kind: &str) -> Option<bool> {
    let index = site.index(kind);
    let (status, mapping) = site.cluster.admin("GET", &format!("/{index}/_mapping"), &Value::Null);
    (status == 200).then(|| mapping[&index]["mappings"]["dynamic"] == "false")
}

#[test]
fn actions_of_an_index_made_anew_reach_parked_agents_and_those_that_come_back() {
    let Some(cluster) = Cluster::shared() else { return };
    let site = Site::new(cluster);
    let server = site.serve();
    let agents = site.settled(&server, 2);
    // so that the agents know of a higher _seq_no than the new index has
    let mut connections = park(&server, &agents, &runs(1, ""));
    (0..5).for_each(|number| site.act(&format!("old-{number}"), []));
    site.act("old", &agents);
    let tokens: Vec<String> =
        connections.iter_mut().map(|connection| token(&connection.response())).collect();
    let mut first = park(&server, &agents[..1], &runs(1, &tokens[0]));
    delete(&site, "actions");
    assert_eq!(parked(&server), 1);
    site.act("new", &agents);
    assert_eq!(is_as_it_should_be(&site, "actions"), Some(true));
    let response = first[0].response();
    assert_eq!(actions(&response), ["new"]);
    // this one was away all the time, and has a token of the index that is gone
    assert_eq!(actions(&ask(&server, &agents[1].check_in(&runs(1, &tokens[1])))), ["new"]);
    // what comes later comes once
    let mut again = park(&server, &agents[..1], &runs(1, &token(&response)));
    site.act("newer", &agents[..1]);
    assert_eq!(actions(&again[0].response()), ["newer"]);
}

#[test]
fn a_policy_of_an_index_made_anew_replaces_that_of_the_old() {
    let Some(cluster) = Cluster::shared() else { return };
    let site = Site::new(cluster);
    (2..=3).for_each(|revision_idx| site.revise(revision_idx));
    let server = site.serve();
    let agents = site.settled(&server, 2);
    let mut connections = park(&server, &agents, &runs(3, ""));
    delete(&site, "policies");
    site.revise(1);
    assert_eq!(is_as_it_should_be(&site, "policies"), Some(true));
    for connection in &mut connections {
        assert_eq!(actions(&connection.response()), ["policy:p:1"]);
    }
}

#[test]
fn an_index_of_agents_that_is_deleted_is_made_as_it_should_be_by_the_next_heartbeat() {
    let Some(cluster) = Cluster::shared() else { return };
    let site = Site::new(cluster);
    let options = site.options(cluster.url());
    // so that there are heartbeats at all
    let server = site.serve_with(options.server("timeouts.checkin_timestamp", "1s"));
    let agents = site.settled(&server, 2);
    let kept = site.documents("agents");
    let mut connections = park(&server, &agents, &runs(1, ""));
    delete(&site, "agents");
    assert!(eventually("the index is made", || is_as_it_should_be(&site, "agents")));
    // the agents are restored, from a snapshot say: they go on as if nothing had been
    assert_eq!(parked(&server), 2);
    for (id, document) in &kept {
        let path = format!("/{}/_doc/{id}?refresh=true", site.index("agents"));
        assert_eq!(cluster.admin("PUT", &path, document).0, 201);
    }
    site.act("after", &agents);
    for (agent, connection) in agents.iter().zip(&mut connections) {
        assert_eq!(actions(&connection.response()), ["after"]);
        ask(&server, &agent.acks(&[event("after", agent)])).ok();
    }
}

#[test]
fn an_index_of_agents_that_is_deleted_is_made_as_it_should_be_by_the_next_enrolment() {
    let Some(cluster) = Cluster::shared() else { return };
    let site = Site::new(cluster);
    let server = site.serve();
    site.settled(&server, 1);
    delete(&site, "agents");
    let agents = site.settled(&server, 1);
    assert_eq!(is_as_it_should_be(&site, "agents"), Some(true));
    assert_eq!(site.documents("agents").keys().collect::<Vec<_>>(), [&agents[0].id]);
}

#[test]
fn an_agent_whose_document_is_gone_is_not_told_that_its_key_is_bad() {
    let Some(cluster) = Cluster::shared() else { return };
    let site = Site::new(cluster);
    let server = site.serve();
    let agents = site.settled(&server, 1);
    delete(&site, "agents");
    let answer = ask(&server, &agents[0].check_in(&json!({"status": "online"})));
    assert_eq!(answer.status, 403, "{}", answer.text());
}

#[test]
fn an_index_of_tokens_that_is_deleted_makes_no_key_a_bad_one() {
    let Some(cluster) = Cluster::shared() else { return };
    let site = Site::new(cluster);
    let server = site.serve();
    let kept = site.documents("enrollment-api-keys");
    delete(&site, "enrollment-api-keys");
    let enrolment = server.enrolment(&json!({"type": "PERMANENT", "metadata": {"local": {}}}));
    // 401 would end the agent's enrolment for good
    assert_eq!(ask(&server, &enrolment).status, 503);
    // which makes the index; the token of before is restored after it
    site.new_token();
    assert_eq!(is_as_it_should_be(&site, "enrollment-api-keys"), Some(true));
    for (id, document) in &kept {
        let path = format!("/{}/_doc/{id}?refresh=true", site.index("enrollment-api-keys"));
        assert_eq!(cluster.admin("PUT", &path, document).0, 201);
    }
    ask(&server, &enrolment).ok();
}
