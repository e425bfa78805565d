//! `output`.

use std::time::Duration;

use super::{Sources, nothing, yaml};
use crate::config::{Elasticsearch, Proxy, Store};

fn elasticsearch(sources: &Sources) -> Elasticsearch {
    match sources.config().store {
        Store::Elasticsearch(store) => *store,
        Store::Embedded(_) => panic!("embedded"),
    }
}

/// `output.elasticsearch` with these lines.
fn output(lines: &str) -> Sources {
    let lines = lines.lines().map(|line| format!("    {line}\n"));
    yaml(&format!("output:\n  elasticsearch:\n{}", lines.collect::<String>()))
}

#[test]
fn output_elasticsearch_is_elasticsearch_without_our_certificate() {
    let config = output("hosts: es").config();
    assert!(matches!(config.store, Store::Elasticsearch(_)));
    assert!(!config.server.own_certificate && config.server.tls.is_none());
}

#[test]
fn output_embedded_or_none_is_the_embedded_store() {
    for text in ["output.embedded: {}", "output:\n  embedded:\n", "output: {}", "output:\n", ""] {
        assert!(matches!(yaml(text).config().store, Store::Embedded(_)), "{text}");
    }
}

#[test]
fn any_other_output_is_an_error() {
    assert!(
        yaml("output.logstash: {}")
            .error()
            .starts_with("fleet-server.yml:1: output.logstash: unknown output")
    );
    assert_eq!(yaml("output: {elasticsearch: {}, kafka: {}}").errors().len(), 1);
}

#[test]
fn two_outputs_are_an_error() {
    assert!(yaml("output: {elasticsearch: {}, embedded: {}}").error().contains("only one output"));
}

#[test]
fn retention_of_the_embedded_store_can_be_set() {
    let text =
        "output.embedded.retention: {action_results: 24h, expired_actions: 7d, policy_revisions_kept: 3}";
    let Store::Embedded(store) = yaml(text).config().store else { panic!("not embedded") };
    assert_eq!(store.retention.action_results, Duration::from_secs(86_400));
    assert_eq!(store.retention.expired_actions, Duration::from_secs(7 * 86_400));
    assert_eq!(store.retention.unenrolled_agents, Duration::from_secs(30 * 86_400));
    assert_eq!(store.retention.policy_revisions_kept, 3);
}

#[test]
fn elasticsearch_has_the_defaults_of_go() {
    assert!(elasticsearch(&yaml("output.elasticsearch: {}")) == Elasticsearch::default());
}

#[test]
fn an_https_host_without_port_takes_9200() {
    assert_eq!(elasticsearch(&output("hosts: https://es")).hosts, ["https://es:9200"]);
}

#[test]
fn protocol_and_path_complete_the_hosts() {
    let store = elasticsearch(&output("protocol: https\npath: /p\nhosts: [a, 'http://b:1/q']"));
    assert_eq!(store.hosts, ["https://a:9200/p", "http://b:1/q"]);
}

#[test]
fn a_host_that_is_none_is_an_error() {
    assert!(
        output("hosts: 'ftp://es'").error().contains("output.elasticsearch.hosts: expected hosts such as")
    );
}

#[test]
fn credentials_in_a_host_are_left_out_with_a_warning() {
    let sources = output("hosts: 'https://u:p@es'");
    assert_eq!(elasticsearch(&sources).hosts, ["https://es:9200"]);
    assert_eq!(sources.warnings().len(), 1);
}

#[test]
fn a_token_file_with_a_trailing_newline_works() {
    let sources = output("service_token_path: token").file("/srv/token", "AAEA\n");
    assert_eq!(elasticsearch(&sources).service_token.unwrap().expose(), "AAEA");
}

#[test]
fn the_token_itself_wins_over_its_file() {
    let sources = output("service_token: direct\nservice_token_path: token").file("/srv/token", "AAEA\n");
    assert_eq!(elasticsearch(&sources).service_token.unwrap().expose(), "direct");
}

#[test]
fn a_token_file_that_cannot_be_read_is_an_error() {
    let error = output("service_token_path: token").error();
    assert!(error.contains("output.elasticsearch.service_token_path: cannot read /srv/token"), "{error}");
}

#[test]
fn a_token_that_looks_like_a_number_stays_text() {
    assert_eq!(elasticsearch(&output("service_token: 007")).service_token.unwrap().expose(), "007");
}

#[test]
fn headers_keep_dots_in_their_names() {
    let store = elasticsearch(&output("headers: {X-A: 1, X.B.C: 'two'}"));
    let headers: Vec<_> =
        store.headers.iter().map(|header| (header.name.as_str(), header.value.expose())).collect();
    assert_eq!(headers, [("X.B.C", "two"), ("X-A", "1")]);
}

#[test]
fn a_header_that_would_break_the_request_is_an_error() {
    assert_eq!(output("headers: {X-A: \"a\\r\\nb: c\"}").errors().len(), 1);
    assert_eq!(output("headers: {'X A': b}").errors().len(), 1);
}

#[test]
fn a_proxy_url_wins_over_the_environment() {
    let store = elasticsearch(&output("proxy_url: http://p:1").variable("HTTP_PROXY", "http://q"));
    assert!(matches!(store.proxy, Proxy::Url(url) if url.expose() == "http://p:1"));
}

#[test]
fn the_environments_proxies_are_taken() {
    let sources = output("hosts: es").variable("HTTPS_PROXY", "http://q").variable("no_proxy", "a, .b");
    let Proxy::Environment(proxies) = elasticsearch(&sources).proxy else { panic!("not of the environment") };
    assert!(proxies.http.is_none());
    assert_eq!(proxies.https.unwrap().expose(), "http://q");
    assert_eq!(proxies.except, ["a", ".b"]);
}

#[test]
fn a_disabled_proxy_is_none() {
    let sources = output("proxy_url: http://p\nproxy_disable: true").variable("HTTP_PROXY", "http://q");
    assert!(matches!(elasticsearch(&sources).proxy, Proxy::None));
}

#[test]
fn elasticsearch_keys_that_are_set() {
    let store =
        elasticsearch(&output("timeout: 5s\nmax_conn_per_host: 3\nmax_content_length: 1000\nmax_retries: 5"));
    assert_eq!(store.timeout, Duration::from_secs(5));
    assert_eq!((store.connections_per_host_max, store.request_bytes_max), (3, 1000));
}

#[test]
fn without_configuration_the_environment_alone_chooses_no_store() {
    let sources = nothing().variable("ELASTICSEARCH_HOSTS", "https://es");
    assert!(matches!(sources.config().store, Store::Embedded(_)));
}
