use std::io;

use super::*;
use crate::config::{Arguments, Config, Secret, Store, VerificationMode, load_with};

fn units(input: Value, output: Value) -> Units {
    Units { input, output, level: log::LevelFilter::Info, apm: None, revisions: (1, 1) }
}

fn read(settings: &[&str], agent: Option<&Agent>, units: &Units) -> Result<Config, Errors> {
    let arguments = Arguments {
        settings: settings.iter().map(|setting| (*setting).to_owned()).collect(),
        agent_mode: true,
        ..Arguments::default()
    };
    let sent = tree(agent, units, &outputs(units).wanted);
    load_with(&arguments, Some(&sent), &|_| None, &|_| Err(io::ErrorKind::NotFound.into()))
        .map(|loaded| loaded.config)
}

fn config(units: &Units) -> Config {
    read(&[], None, units).unwrap_or_else(|errors| panic!("{errors}"))
}

fn input() -> Value {
    json!({"type": "fleet-server"})
}

fn cluster(config: Config) -> crate::config::Elasticsearch {
    match config.store {
        Store::Elasticsearch(settings) => *settings,
        Store::Embedded(_) => panic!("it is Elasticsearch"),
    }
}

fn filled(output: Value) -> Value {
    outputs(&units(input(), output)).wanted
}

#[test]
fn dotted_and_nested_keys_and_whole_numbers_are_the_same_configuration() {
    let dotted = json!({"type": "fleet-server", "server.port": 8220, "server.limits.max_agents": 500});
    let nested = json!({"type": "fleet-server", "server": {"port": 8220, "limits": {"max_agents": 500}}});
    let output = json!({"type": "elasticsearch", "hosts": ["http://e:9200"]});
    let (dotted, nested) = (config(&units(dotted, output.clone())), config(&units(nested, output)));
    assert!(dotted == nested);
    assert_eq!((dotted.server.port, dotted.server.limits.max_agents), (8220, Some(500)));
    assert!(dotted.under_agent);
}

#[test]
fn who_the_agent_is_and_its_level_are_in_the_configuration() {
    let mut units = units(input(), json!({}));
    units.level = log::LevelFilter::Debug;
    let agent = Agent { id: "a".to_owned(), version: "9.6.0".to_owned() };
    let config = read(&[], Some(&agent), &units).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.fleet.agent_id.as_deref(), Some("a"));
    assert_eq!(config.fleet.agent_version.as_deref(), Some("9.6.0"));
    assert_eq!(config.logging.level, log::LevelFilter::Debug);
}

#[test]
fn an_agent_without_an_id_has_none_in_the_configuration() {
    let agent = Agent { id: String::new(), version: "9.6.0".to_owned() };
    let config =
        read(&[], Some(&agent), &units(input(), json!({}))).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.fleet.agent_id, None);
}

#[test]
fn what_the_agent_sends_stands_over_the_command_line() {
    let settings = ["inputs.0.server.port=1", "inputs.0.server.internal_port=2", "logging.to_stderr=true"];
    let input = json!({"type": "fleet-server", "server": {"port": 3}});
    let config = read(&settings, None, &units(input, json!({}))).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!((config.server.port, config.server.internal_port), (3, 2));
    assert!(config.logging.to_stderr);
}

#[test]
fn hosts_of_the_agent_replace_those_of_the_command_line() {
    let units = units(input(), json!({"hosts": ["http://z:9200"]}));
    let config = read(&["output.elasticsearch.hosts=a,b"], None, &units);
    let config = config.unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(cluster(config).hosts, ["http://z:9200"]);
}

#[test]
fn the_fields_of_apm_become_instrumentation() {
    let mut units = units(input(), json!({}));
    units.apm = Some(Apm {
        environment: "e".to_owned(),
        api_key: "k".to_owned(),
        hosts: vec!["http://apm:8200".to_owned()],
        global_labels: "a=b".to_owned(),
        sampling_rate: Some(0.5),
        skip_verify: true,
        ..Apm::default()
    });
    let instrumentation = config(&units).instrumentation;
    assert!(instrumentation.enabled && instrumentation.skip_verify);
    assert_eq!(instrumentation.environment.as_deref(), Some("e"));
    assert!(instrumentation.api_key == Some(Secret::new("k")) && instrumentation.secret_token.is_none());
    assert_eq!(instrumentation.hosts, ["http://apm:8200"]);
    assert_eq!(instrumentation.global_labels, [("a".to_owned(), "b".to_owned())]);
    assert_eq!(instrumentation.transaction_sample_rate, 0.5);
}

#[test]
fn the_output_takes_what_it_lacks_from_bootstrap() {
    let output = json!({"hosts": ["http://a:9200"], "bootstrap": {
        "hosts": ["http://b:9200"], "service_token": "t", "headers": {"x": "y"}, "proxy_disable": true,
        "unknown": 1,
    }});
    let wanted = filled(output);
    assert_eq!(
        wanted,
        json!({"hosts": ["http://a:9200"], "service_token": "t", "headers": {"x": "y"}, "proxy_disable": true})
    );
}

#[test]
fn headers_are_taken_whole_and_not_merged() {
    let output = json!({"headers": {"a": "1"}, "bootstrap": {"headers": {"b": "2"}}});
    assert_eq!(filled(output)["headers"], json!({"a": "1"}));
}

#[test]
fn no_verification_at_the_installation_does_not_stay_where_the_policy_says_whom_to_trust() {
    let output = json!({"hosts": ["https://a"], "ssl": {"certificate_authorities": ["x"]},
        "bootstrap": {"service_token": "t", "ssl": {"verification_mode": "none"}}});
    let wanted = filled(output);
    assert_eq!(wanted["service_token"], "t");
    assert_eq!(wanted["ssl"], json!({"certificate_authorities": ["x"]}));
    let fingerprint = json!({"ssl": {"ca_trusted_fingerprint": "f"},
        "bootstrap": {"ssl": {"verification_mode": "none"}}});
    assert_eq!(filled(fingerprint)["ssl"], json!({"ca_trusted_fingerprint": "f"}));
}

#[test]
fn no_verification_stays_where_the_policy_says_nothing_or_the_same() {
    let of_policy = |ssl: Value| {
        let output = json!({"ssl": ssl, "bootstrap": {"ssl": {"verification_mode": "none", "key": "k"}}});
        filled(output)["ssl"].clone()
    };
    assert_eq!(of_policy(Value::Null), json!({"verification_mode": "none", "key": "k"}));
    assert_eq!(of_policy(json!({"certificate": "c"}))["verification_mode"], "none");
    let both = json!({"verification_mode": "none", "certificate_authorities": ["x"]});
    assert_eq!(of_policy(both)["verification_mode"], "none");
}

#[test]
fn of_ssl_five_keys_are_taken_one_by_one() {
    let output = json!({"ssl.certificate": "mine", "bootstrap": {"ssl": {
        "certificate": "theirs", "key": "k", "certificate_authorities": ["x"], "verification_mode": "full",
        "cipher_suites": ["c"],
    }}});
    assert_eq!(
        filled(output)["ssl"],
        json!({"certificate": "mine", "key": "k", "certificate_authorities": ["x"], "verification_mode": "full"})
    );
}

#[test]
fn bootstrap_alone_is_what_is_fallen_back_to() {
    let bootstrap = json!({"hosts": ["http://b:9200"], "service_token": "t"});
    let units = units(input(), json!({"hosts": ["http://a:9200"], "bootstrap": bootstrap}));
    let outputs = outputs(&units);
    assert!(outputs.fallback == Some(bootstrap));
    assert!(super::outputs(&super::Units { output: json!({"hosts": ["h"]}), ..units }).fallback.is_none());
}

#[test]
fn verification_is_read_as_it_is_merged() {
    let units =
        units(input(), json!({"hosts": ["https://a"], "bootstrap": {"ssl": {"verification_mode": "none"}}}));
    let tls = cluster(config(&units)).tls;
    assert_eq!(tls.map(|tls| tls.verification_mode), Some(VerificationMode::None));
}

#[test]
fn an_error_names_its_key_and_belongs_to_the_unit_that_brought_it() {
    let input = json!({"type": "fleet-server", "server": {"port": 65_536}});
    let errors = read(&[], None, &units(input, json!({}))).err().expect("the port is too high");
    let (kind, text) = fault(&errors);
    assert_eq!(kind, UnitKind::Input);
    assert!(text.contains("the agent: inputs.0.server.port"), "{text}");
    let output = json!({"hosts": ["ftp://x"]});
    let errors = read(&[], None, &units(super::tests::input(), output)).err().expect("no such protocol");
    assert_eq!(fault(&errors).0, UnitKind::Output);
}

#[test]
fn names_that_policies_carry_are_not_warned_of() {
    let input = json!({"type": "fleet-server", "id": "i", "name": "n", "revision": 3, "use_output": "default",
        "meta": {"package": {"name": "fleet_server"}}, "data_stream": {"namespace": "default"}});
    let units = units(input, json!({"type": "elasticsearch", "preset": "balanced"}));
    let sent = tree(None, &units, &outputs(&units).wanted);
    let arguments = Arguments { agent_mode: true, ..Arguments::default() };
    let loaded = load_with(&arguments, Some(&sent), &|_| None, &|_| Err(io::ErrorKind::NotFound.into()));
    let loaded = loaded.unwrap_or_else(|errors| panic!("{errors}"));
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn what_is_nested_deeper_than_any_key_is_an_error_and_no_crash() {
    let deep = (0..60).fold(json!(1), |value, _| json!({ "a": value }));
    assert!(read(&[], None, &units(deep, json!({}))).is_err());
    let dotted = vec!["a"; 10_000].join(".");
    assert!(read(&[], None, &units(json!({ dotted: 1 }), json!({}))).is_err());
}
