//! How a policy reaches an agent (checkin.md, "Policy delivery").

use serde_json::{Value, json};

use crate::support::{Agent, Installation, Options, Server, action, event, online};

fn policy(name: &str) -> Value {
    json!({
        "outputs": { "default": { "type": "elasticsearch", "hosts": ["http://localhost:9200"] } },
        "inputs": [{ "id": name, "type": "logfile" }],
    })
}

fn reporting(policy_id: &str, revision: i64) -> Value {
    json!({ "status": "online", "agent_policy_id": policy_id, "policy_revision_idx": revision })
}

/// The policy delivered in a check-in's answer.
fn delivered(answer: &Value) -> Value {
    let action = &answer["actions"][0];
    assert_eq!(
        (action["type"].as_str(), answer["ack_token"].as_str()),
        (Some("POLICY_CHANGE"), Some("")),
        "{answer}"
    );
    action["data"]["policy"].clone()
}

/// A server with an installed policy `p` of these revisions and an agent on it that has reported none.
fn with_revisions(revisions: &[i64]) -> (Server, Agent) {
    let mut installation = Installation::new(Options::plain().server("timeouts.checkin_long_poll", "50ms"));
    let opened = installation.open();
    for revision in revisions {
        opened.put_policy("p", *revision, &policy(&format!("revision {revision}")));
    }
    let token = opened.token_for("p");
    drop(opened);
    let server = installation.start();
    let agent = Agent::of(&server.ask(&server.enrolment(&json!({ "type": "PERMANENT" })).key(&token)));
    (server, agent)
}

#[test]
fn a_new_agent_gets_its_policy() {
    let server = Server::start();
    let agent = server.enrol();
    let answer = server.check_in(&agent, &online()).ok();
    let action = &answer["actions"][0];
    assert_eq!((&action["id"], &action["agent_id"]), (&json!("policy:default:1"), &json!(agent.id)));
    assert_eq!(action["input_type"], "");
    assert!(action["created_at"].as_str().unwrap().ends_with('Z'));
    let policy = delivered(&answer);
    assert_eq!((&policy["id"], &policy["revision"]), (&json!("default"), &json!(1)));
    assert_eq!(policy["outputs"]["default"]["hosts"], json!(["http://localhost:9200"]));
}

#[test]
fn the_policy_keeps_what_is_its_own_and_drops_the_rest() {
    let mut installation = Installation::new(Options::plain());
    let opened = installation.open();
    let mut data = policy("i");
    for field in ["agent", "fleet", "signed", "output_permissions", "extensions", "service"] {
        data[field] = json!({ "kept": field });
    }
    data["output_permissions"] = json!({});
    data["secret_references"] = json!([{ "id": "s" }]);
    data["unheard_of"] = json!(1);
    opened.put_policy("p", 1, &data);
    let token = opened.token_for("p");
    drop(opened);
    let server = installation.start();
    let agent = Agent::of(&server.ask(&server.enrolment(&json!({ "type": "PERMANENT" })).key(&token)));
    let policy = delivered(&server.check_in(&agent, &online()).ok());
    assert_eq!((&policy["agent"]["kept"], &policy["service"]["kept"]), (&json!("agent"), &json!("service")));
    assert_eq!((policy.get("secret_references"), policy.get("unheard_of")), (None, None));
    assert_eq!(policy.get("processors"), None, "empty ones are absent");
}

#[test]
fn a_reported_revision_that_is_current_is_held() {
    let (server, agent) = with_revisions(&[7]);
    assert_eq!(server.check_in(&agent, &reporting("p", 7)).ok().get("actions"), None);
}

#[test]
fn a_reported_revision_that_is_older_gets_the_newest() {
    let (server, agent) = with_revisions(&[5, 6, 7]);
    assert_eq!(delivered(&server.told(&agent, &reporting("p", 5)))["revision"], 7);
}

#[test]
fn a_reported_revision_above_the_newest_gets_the_newest() {
    let (server, agent) = with_revisions(&[7]);
    assert_eq!(delivered(&server.told(&agent, &reporting("p", 9)))["revision"], 7);
}

#[test]
fn an_agent_that_reports_its_old_policy_gets_the_new_one() {
    let (server, agent) = with_revisions(&[7]);
    let policy = delivered(&server.told(&agent, &reporting("old", 9)));
    assert_eq!((&policy["id"], &policy["revision"]), (&json!("p"), &json!(7)));
}

#[test]
fn what_is_reported_is_kept_where_the_ack_was_lost() {
    let (server, agent) = with_revisions(&[7]);
    server.check_in(&agent, &reporting("p", 7)).ok();
    let stored = server.stop().agent(&agent.id);
    assert_eq!((stored.agent_policy_id.as_deref(), stored.policy_revision_idx), (Some("p"), 7));
}

#[test]
fn what_is_reported_is_not_looked_at_where_the_operator_says_so() {
    let mut installation =
        Installation::new(Options::plain().server("feature_flags.ignore_checkin_policy_id", true));
    installation.open().put_policy("default", 2, &policy("two"));
    let server = installation.start();
    let agent = server.enrol();
    let answer = server.check_in(&agent, &reporting("default", 2)).ok();
    assert_eq!(delivered(&answer)["revision"], 2);
}

#[test]
fn a_new_revision_wakes_the_agents_of_the_policy() {
    let server = Server::start();
    let agents: Vec<Agent> = (0..3).map(|_| server.settled()).collect();
    let mut parked: Vec<_> = agents.iter().map(|agent| server.park(agent)).collect();
    assert_eq!(server.apply("default", &policy("new")), 2);
    for connection in &mut parked {
        let policy = delivered(&connection.response().ok());
        assert_eq!((&policy["revision"], &policy["inputs"][0]["id"]), (&json!(2), &json!("new")));
    }
}

#[test]
fn a_new_revision_leaves_the_agents_of_other_policies() {
    let server = Server::start();
    server.apply("other", &policy("other"));
    let agent = server.settled();
    let mut parked = server.park(&agent);
    server.apply("other", &policy("other, again"));
    server.apply("default", &policy("its own"));
    assert_eq!(delivered(&parked.response().ok())["inputs"][0]["id"], "its own");
}

#[test]
fn unchanged_content_makes_no_revision() {
    let server = Server::with(Options::plain());
    assert_eq!(server.apply("p", &policy("a")), 1);
    assert_eq!(server.apply("p", &policy("a")), 1);
    assert_eq!(server.apply("p", &policy("b")), 2);
}

#[test]
fn of_many_revisions_at_once_the_newest_is_what_counts() {
    let server = Server::start();
    let agent = server.settled();
    let mut connection = server.park(&agent);
    for revision in 2..20 {
        assert_eq!(server.apply("default", &policy(&format!("{revision}"))), revision);
    }
    // however far it came with the first answer, it never goes back
    let mut newest = delivered(&connection.response().ok())["revision"].as_i64().unwrap();
    while newest < 19 {
        let next =
            delivered(&server.check_in(&agent, &reporting("default", newest)).ok())["revision"].as_i64();
        assert!(next.unwrap() > newest);
        newest = next.unwrap();
    }
}

#[test]
fn agents_of_one_policy_get_their_own_id_and_the_same_policy() {
    let server = Server::start();
    let agents: Vec<Agent> = (0..5).map(|_| server.enrol()).collect();
    let mut policies = Vec::new();
    for agent in &agents {
        let answer = server.check_in(agent, &online()).ok();
        assert_eq!(answer["actions"][0]["agent_id"], agent.id);
        let mut policy = delivered(&answer);
        // on Elasticsearch each agent has a key of its own
        policy["outputs"]["default"].as_object_mut().unwrap().remove("api_key");
        policies.push(policy);
        for other in agents.iter().filter(|other| other.id != agent.id) {
            assert!(!answer.to_string().contains(&other.id), "{answer}");
        }
    }
    assert!(policies.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn a_large_policy_arrives_whole_plain_and_compressed() {
    let server = Server::start();
    let inputs: Vec<Value> =
        (0..2_000).map(|i| json!({ "id": format!("input {i}"), "type": "logfile" })).collect();
    let mut large = policy("x");
    large["inputs"] = json!(inputs);
    let waiting = server.settled();
    let mut parked = server.park(&waiting);
    server.apply("default", &large);
    // it is in force as soon as one agent has it
    parked.response().ok();
    let agent = server.enrol();
    let encodings = [("identity", false), ("gzip", true), ("deflate, gzip;q=0.5", true), ("gzip;q=0", false)];
    for (encoding, compressed) in encodings {
        let answer = server.ask(&agent.check_in(&online()).header("Accept-Encoding", encoding));
        assert_eq!(answer.header("Content-Encoding").is_some(), compressed, "{encoding}");
        assert_eq!(delivered(&answer.ok())["inputs"], large["inputs"], "{encoding}");
    }
}

#[test]
fn actions_go_before_a_policy() {
    let server = Server::with(Options::plain());
    let agent = server.enrol();
    let mut installation = server.stop();
    installation.open().put_action(action("a", "SETTINGS", &json!({ "log_level": "debug" }), &[&agent.id]));
    let server = installation.start();
    let answer = server.check_in(&agent, &online()).ok();
    assert_eq!((answer["actions"].as_array().unwrap().len(), &answer["actions"][0]["id"]), (1, &json!("a")));
    let body = json!({ "status": "online", "ack_token": answer["ack_token"] });
    delivered(&server.check_in(&agent, &body).ok());
}

#[test]
fn a_policy_with_agents_on_it_is_not_deleted() {
    let server = Server::start();
    let agent = server.settled();
    let mut parked = server.park(&agent);
    let said = server.operate(&["policy", "delete", "default"]);
    assert_eq!(said.code, Some(1), "{}", said.stdout);
    server.apply("default", &policy("still here"));
    assert_eq!(delivered(&parked.response().ok())["inputs"][0]["id"], "still here");
}

#[test]
fn agents_whose_policy_is_gone_are_held_until_it_is_there_again() {
    let (server, agent) = with_revisions(&[1]);
    let mut installation = server.stop();
    installation.open().delete_policy("p");
    installation.options = installation.options.clone().server("timeouts.checkin_long_poll", "5m");
    let server = installation.start();
    let mut parked = server.park(&agent);
    server.apply("p", &policy("back"));
    assert_eq!(delivered(&parked.response().ok())["inputs"][0]["id"], "back");
}

#[test]
fn a_revision_that_cannot_be_delivered_leaves_the_older_in_force() {
    let (server, _) = with_revisions(&[1]);
    let mut installation = server.stop();
    let opened = installation.open();
    opened.put_policy("q", 1, &json!({ "outputs": { "o": { "type": "carrier pigeon" } } }));
    opened.put_policy("default", 2, &policy("two"));
    drop(opened);
    let server = installation.start();
    let agent = server.enrol();
    assert_eq!(delivered(&server.told(&agent, &online()))["revision"], 2);
}

#[test]
fn a_reassigned_agent_gets_the_other_policy() {
    let server = Server::start();
    server.apply("other", &policy("other"));
    let agent = server.settled();
    server.order_reassign(&agent.id, "other");
    let mut token = json!("");
    loop {
        let answer = server.check_in(&agent, &json!({ "status": "online", "ack_token": token })).ok();
        if answer["actions"][0]["type"] == "POLICY_CHANGE" {
            assert_eq!(delivered(&answer)["id"], "other");
            return;
        }
        assert_eq!(answer["actions"][0]["type"], "POLICY_REASSIGN");
        token = answer["ack_token"].clone();
    }
}

#[test]
fn an_agent_that_acknowledges_is_shown_on_its_revision() {
    let server = Server::start();
    let agent = server.enrol();
    let id = server.check_in(&agent, &online()).ok()["actions"][0]["id"].as_str().unwrap().to_owned();
    server.ask(&agent.acks(&[event(&id, &agent)])).ok();
    let shown = server.agent(&agent.id);
    assert_eq!((&shown["policy_revision"], &shown["status"]), (&json!(1), &json!("online")));
}

#[test]
fn a_rollout_that_is_paced_holds_up_nobody() {
    // after the first delivery there is not another one for an hour
    let options =
        Options::plain().server("limits.policy_limit.interval", "1h").server("limits.policy_limit.burst", 1);
    let mut installation = Installation::new(options);
    let opened = installation.open();
    opened.put_policy("p", 1, &policy("p"));
    let token = opened.token_for("p");
    drop(opened);
    let server = installation.start();
    let enrolment = server.enrolment(&json!({ "type": "PERMANENT" })).key(&token);
    let agents: Vec<Agent> = (0..20).map(|_| Agent::of(&server.ask(&enrolment))).collect();
    let parked: Vec<_> = agents
        .iter()
        .map(|agent| {
            let mut connection = server.connect();
            connection.send(agent.check_in(&reporting("p", 1)).bytes());
            connection
        })
        .collect();
    server.apply("p", &policy("new"));
    let other = server.enrol();
    let mut token = json!("");
    for _ in 0..10 {
        // its check-in, its action, its ack: none of them waits for the others' policy
        let action = server.order_settings(&other.id, "debug");
        let answer = server.check_in(&other, &json!({ "status": "online", "ack_token": token })).ok();
        assert_eq!(answer["actions"][0]["id"], action);
        token = answer["ack_token"].clone();
        server.ask(&other.acks(&[event(&action, &other)])).ok();
    }
    drop(parked);
}

#[test]
fn the_acks_that_follow_a_rollout_are_all_taken() {
    let server = Server::start();
    let agents: Vec<Agent> = (0..server.many(100)).map(|_| server.settled()).collect();
    let mut parked: Vec<_> = agents.iter().map(|agent| server.park(agent)).collect();
    assert_eq!(server.apply("default", &policy("new")), 2);
    for connection in &mut parked {
        assert_eq!(delivered(&connection.response().ok())["revision"], 2);
    }
    // all of them at once, on the connections they have
    for (agent, connection) in agents.iter().zip(&mut parked) {
        connection.send(agent.acks(&[event("policy:default:2", agent)]).bytes());
    }
    for connection in &mut parked {
        connection.response().ok();
    }
    let mut installation = server.stop();
    assert!(installation.open().agents().iter().all(|agent| agent.policy_revision_idx == 2));
}
