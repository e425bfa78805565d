//! What a server does on Elasticsearch alone.

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::support::{Installation, Options, Server, event, eventually, online};

/// A server and its cluster; none where there can be no cluster.
fn on_cluster(options: Options) -> Option<(Server, &'static Cluster)> {
    let installation = Installation::new(options);
    let cluster = installation.cluster()?;
    Some((installation.start(), cluster))
}

/// Applies a policy as it is written, from a file; what the subcommand prints.
fn apply(server: &Server, policy: &Value, options: &[&str]) -> Result<Value, String> {
    let file = server.installation.directory.path().join("policy.yml");
    std::fs::write(&file, policy.to_string()).unwrap();
    let id: &[&str] = if options.contains(&"--id") { &[] } else { &["--id", "default"] };
    let arguments = [&["policy", "apply", file.to_str().unwrap()], id, options].concat();
    let said = server.operate(&arguments);
    if said.code == Some(0) { Ok(said.json()) } else { Err(said.stderr) }
}

fn with_output(output: &Value) -> Value {
    json!({ "outputs": { "default": output }, "inputs": [] })
}

#[test]
fn an_output_that_brings_credentials_is_told_as_it_is_written_and_no_key_is_made() {
    let Some((server, _)) = on_cluster(Options::plain()) else { return };
    let mut revision = 1;
    for credentials in [json!({ "api_key": "own:key" }), json!({ "username": "u", "password": "p" })] {
        let mut output = json!({ "type": "elasticsearch", "hosts": ["https://h:9200"] });
        output.as_object_mut().unwrap().extend(credentials.as_object().unwrap().clone());
        revision += 1;
        let answer = apply(&server, &with_output(&output), &[]).unwrap();
        assert_eq!(answer, json!({ "action": "updated", "item": { "id": "default", "revision": revision } }));
        server.process.stderr.wait_for(&format!("revision {revision} of policy default is in force"));
        let agent = server.enrol();
        let told = server.check_in(&agent, &online()).ok();
        assert_eq!(told["actions"][0]["data"]["policy"]["outputs"]["default"], output);
    }
    let agents = server.stop().open().agents();
    assert!(agents.len() == 2 && agents.iter().all(|agent| agent.outputs.is_empty()));
}

#[test]
fn an_output_that_no_agent_could_use_is_warned_of_and_the_older_revision_stays_in_force() {
    let Some((server, _)) = on_cluster(Options::plain()) else { return };
    let output = json!({ "type": "elasticsearch", "hosts": ["https://h:9200"], "username": "alone" });
    let answer = apply(&server, &with_output(&output), &[]).unwrap();
    assert_eq!(answer["item"]["revision"], 2);
    let reason = "its output default brings no credentials (api_key, or username and password)";
    assert!(answer["warnings"][0].as_str().unwrap().contains(reason), "{answer}");
    server.process.stderr.wait_for(&format!("revision 2 of policy default cannot be delivered: {reason}"));
    let told = server.check_in(&server.enrol(), &online()).ok();
    assert_eq!(told["actions"][0]["data"]["policy"]["revision"], 1);
}

#[test]
fn what_an_operator_writes_has_the_fields_that_kibana_writes() {
    let Some((server, cluster)) = on_cluster(Options::plain()) else { return };
    let id = "as-kibana-writes-it";
    let policy =
        with_output(&json!({ "type": "elasticsearch", "hosts": ["https://h:9200"], "api_key": "own:key" }));
    apply(&server, &policy, &["--id", id]).unwrap();
    let token = server.operate(&["token", "create", "--policy", id, "--name", "ours"]);
    assert_eq!(token.code, Some(0), "{}", token.stderr);
    let written = |kind: &str| {
        cluster.admin("POST", &format!("/.fleet-{kind}*/_refresh"), &Value::Null);
        let query = json!({ "query": { "term": { "policy_id": id } } });
        let (_, found) = cluster.admin("POST", &format!("/.fleet-{kind}*/_search"), &query);
        assert_eq!(found["hits"]["total"]["value"], 1, "{found}");
        found["hits"]["hits"][0]["_source"].clone()
    };
    let mut policy = written("policies");
    assert!(policy["data"]["outputs"]["default"].is_object() && policy["@timestamp"].is_string(), "{policy}");
    (policy["data"], policy["@timestamp"]) = (json!({}), json!(""));
    let expected = json!({
        "policy_id": id, "revision_idx": 1, "coordinator_idx": 0, "data": {}, "default_fleet_server": false,
        "namespaces": [], "unenroll_timeout": 0, "@timestamp": "",
    });
    assert_eq!(policy, expected);
    let token = written("enrollment-api-keys");
    assert!(token["api_key"].is_string() && token["api_key_id"].is_string(), "{token}");
    assert_eq!((&token["active"], &token["name"]), (&json!(true), &json!("ours")), "{token}");
    assert!(token["created_at"].is_string(), "{token}");
}

#[test]
fn the_status_names_the_cluster_and_how_it_is_watched() {
    let Some((server, cluster)) = on_cluster(Options::plain()) else { return };
    let version = cluster.admin("GET", "/", &Value::Null).1["version"]["number"].clone();
    let store = &server.operate(&["status"]).json()["store"];
    let known =
        json!({ "kind": "elasticsearch", "version": version, "watch": "statistics", "kibana": false });
    assert_eq!(*store, known);
}

#[test]
fn where_kibana_lives_a_policy_is_applied_only_by_force() {
    let installation = Installation::new(Options::plain().beside_kibana());
    let Some(cluster) = installation.cluster() else { return };
    let index = "/.kibana_ingest_test";
    let (status, answer) = cluster.admin("PUT", index, &Value::Null);
    assert_eq!(status, 200, "{answer}");
    let server = installation.start();
    // made before anybody writes an action: Kibana, where the cluster has no definition of its indices
    let (_, mapping) = cluster.admin("GET", "/.fleet-actions/_mapping", &Value::Null);
    assert_eq!(mapping[".fleet-actions"]["mappings"]["properties"]["agents"]["type"], "keyword", "{mapping}");
    let policy = with_output(&json!({ "type": "elasticsearch", "api_key": "own:key" }));
    let refused = apply(&server, &policy, &[]).unwrap_err();
    let forced = apply(&server, &policy, &["--force"]);
    cluster.admin("DELETE", index, &Value::Null);
    assert!(
        refused.contains("Kibana would overwrite policy default") && refused.contains("--force"),
        "{refused}"
    );
    assert_eq!(forced.unwrap()["item"]["revision"], 2);
}

#[test]
fn on_the_embedded_store_a_service_token_leads_to_a_key_of_the_agents_own_in_that_cluster() {
    let Some(cluster) = Cluster::shared() else { return };
    let server = Server::with(Options::plain().embedded());
    let agent = server.settled();
    let mut parked = server.park(&agent);
    let policy = with_output(&json!({
        "type": "elasticsearch", "hosts": [cluster.url()], "service_token": cluster.service_token(),
    }));
    assert_eq!(server.apply("default", &policy), 2);
    let told = parked.response().ok();
    let output = &told["actions"][0]["data"]["policy"]["outputs"]["default"];
    assert!(output.get("service_token").is_none(), "{output}");
    let (id, _) = output["api_key"].as_str().unwrap_or_else(|| panic!("{output}")).split_once(':').unwrap();
    let path = format!("/_security/api_key?id={id}");
    let shown =
        || cluster.admin("GET", &path, &Value::Null).1["api_keys"][0]["name"].as_str().map(str::to_owned);
    assert_eq!(eventually("the cluster shows it", shown), format!("{}:default", agent.id));
    server.ask(&agent.acks(&[event("policy:default:2", &agent)])).ok();
}
