//! Single keys: ranges, defaults, special values.

use std::path::PathBuf;
use std::time::Duration;

use log::LevelFilter;

use super::{Sources, nothing, server, yaml};
use crate::config::{Endpoint, Server};

fn of(sources: &Sources) -> Server {
    sources.config().server
}

#[test]
fn two_inputs_and_none_are_errors() {
    let two = yaml("inputs:\n  - type: fleet-server\n  - type: fleet-server\n").error();
    assert_eq!(two, "fleet-server.yml:1: inputs: exactly one input is expected, found 2");
    assert!(yaml("inputs: []").error().ends_with("exactly one input is expected, found 0"));
}

#[test]
fn an_input_of_another_type_is_an_error() {
    assert!(yaml("inputs: [{type: other}]").error().contains("inputs.0.type: expected one of fleet-server"));
}

#[test]
fn an_unknown_level_is_an_error() {
    assert!(yaml("logging.level: verbose").error().contains("logging.level: expected one of trace, debug"));
}

#[test]
fn levels_in_any_case() {
    assert_eq!(yaml("logging.level: WARNING").config().logging.level, LevelFilter::Warn);
}

#[test]
fn a_port_beyond_the_last_one_is_an_error() {
    assert!(
        server("port: 65536").error().ends_with("expected a whole number from 0 to 65535, found `65536`")
    );
}

#[test]
fn a_port_as_agents_send_it() {
    assert_eq!(of(&server("port: 8220.0")).port, 8220);
}

#[test]
fn equal_addresses_are_one_listener() {
    assert_eq!(of(&server("host: localhost\nport: 8221")).addresses(), ["localhost:8221"]);
    for host in ["127.0.0.1", "0.0.0.0", "LOCALHOST", "'::'", "'::1'"] {
        assert_eq!(of(&server(&format!("host: {host}\nport: 8221"))).addresses().len(), 1, "{host}");
    }
    assert_eq!(of(&server("host: 192.0.2.1\nport: 8221")).addresses().len(), 2);
    assert_eq!(of(&nothing()).addresses(), ["0.0.0.0:8220", "localhost:8221"]);
}

#[test]
fn an_internal_port_of_zero_is_8221() {
    assert_eq!(of(&server("internal_port: 0")).internal_port, 8221);
}

#[test]
fn ipv6_addresses_get_brackets() {
    assert_eq!(of(&server("host: '::1'")).addresses()[0], "[::1]:8220");
    assert_eq!(of(&server("host: '[::1]'")).addresses()[0], "[::1]:8220");
}

#[test]
fn a_bare_number_is_seconds() {
    assert_eq!(of(&server("timeouts.idle: 35")).timeouts.idle, Duration::from_secs(35));
}

#[test]
fn a_jitter_of_zero_is_none() {
    assert_eq!(of(&server("timeouts.checkin_jitter: 0")).timeouts.checkin_jitter, Duration::ZERO);
}

#[test]
fn the_longest_poll_is_at_least_a_minute() {
    assert_eq!(
        of(&server("timeouts.checkin_max_poll: 5s")).timeouts.checkin_max_poll,
        Duration::from_secs(60)
    );
}

#[test]
fn what_is_no_duration_is_an_error() {
    assert!(server("timeouts.read: soon").error().contains("expected a duration such as"));
    assert!(server("timeouts.read: -5s").error().contains("expected a duration such as"));
}

#[test]
fn too_few_iterations_are_an_error() {
    assert!(server("pdkdf2.iterations: 999").error().contains("inputs.0.server.pdkdf2.iterations"));
    assert_eq!(server("pdkdf2: {key_length: 13, salt_length: 15}").errors().len(), 2);
}

#[test]
fn what_may_wait_for_the_store_is_bounded_by_the_operator() {
    let sources = server("bulk.max_pending_bulk_dispatches: 7");
    assert_eq!(of(&sources).bulk.dispatches_pending_max, 7);
    assert!(sources.warnings().is_empty());
}

#[test]
fn bulk_keys_that_say_when_writes_leave_have_no_effect_and_a_warning_each() {
    let sources =
        server("bulk: {flush_interval: 1ms, flush_threshold_cnt: 7, enroll.flush_threshold_cnt: 3}");
    let warnings = sources.warnings();
    assert_eq!(warnings.len(), 3);
    assert!(warnings[0].contains("inputs.0.server.bulk.flush_interval"), "{warnings:?}");
}

#[test]
fn keys_for_elasticsearch_alone_get_a_warning_on_the_embedded_store() {
    let keys = "monitor: {poll_timeout: 1m, policy_debounce_time: 0s}, \
                server.gc.cleanup_after_expired_interval: 7d";
    let embedded = yaml(&format!("inputs: [{{{keys}}}]"));
    assert_eq!(embedded.warnings().len(), 3, "{:?}", embedded.warnings());
    let elasticsearch =
        yaml(&format!("inputs: [{{{keys}}}]\noutput.elasticsearch: {{hosts: [h], service_token: t}}"));
    assert!(elasticsearch.warnings().is_empty(), "{:?}", elasticsearch.warnings());
}

#[test]
fn a_malformed_clean_up_time_is_thirty_days_with_a_warning() {
    let sources = server("gc: {schedule_interval: 0, cleanup_after_expired_interval: soon}");
    assert_eq!(of(&sources).gc, crate::config::Gc::default());
    assert!(sources.warnings().iter().any(|warning| warning.contains("`soon` is not a time such as 30d")));
    let gc = of(&server("gc.cleanup_after_expired_interval: 7d")).gc;
    assert_eq!(gc.cleanup_after_expired, Duration::from_secs(7 * 86_400));
}

#[test]
fn static_tokens_count_while_enabled() {
    let tokens = "policy_tokens: [{token_key: k, policy_id: p}]";
    let enabled =
        of(&server(&format!("static_policy_tokens: {{enabled: true, {tokens}}}"))).static_policy_tokens;
    assert_eq!((enabled[0].token_key.expose(), enabled[0].policy_id.as_str()), ("k", "p"));
    assert!(of(&server(&format!("static_policy_tokens: {{{tokens}}}"))).static_policy_tokens.is_empty());
}

#[test]
fn a_static_token_without_its_policy_is_an_error() {
    let error = server("static_policy_tokens: {enabled: true, policy_tokens: [{token_key: k}]}").error();
    assert!(error.ends_with("static_policy_tokens.policy_tokens.0: policy_id is missing"), "{error}");
}

#[test]
fn feature_flags_that_are_set() {
    let flags = of(&server(
        "feature_flags: {enable_opamp: false, graceful_force_unenroll: {enabled: true, max_bytes: 0}}",
    ));
    assert!(!flags.feature_flags.enable_opamp);
    assert!(flags.feature_flags.graceful_force_unenroll.enabled);
    assert_eq!(flags.feature_flags.graceful_force_unenroll.bytes_max, 50_000_000);
}

#[test]
fn compression_takes_the_levels_of_go() {
    assert_eq!(of(&server("compression_level: -1")).compression_level, 6);
    assert_eq!(of(&server("compression_level: 0")).compression_level, 0);
    assert_eq!(server("compression_level: 10").errors().len(), 1);
}

#[test]
fn a_cache_time_of_zero_is_the_default() {
    let cache = yaml("inputs: [{cache: {ttl_api_key: 0, ttl_action: 1s}}]").config().server.cache;
    assert_eq!((cache.ttl_api_key, cache.ttl_action), (Duration::from_secs(900), Duration::from_secs(1)));
}

#[test]
fn permissions_are_octal() {
    assert_eq!(yaml("logging.files.permissions: 0640").config().logging.files.permissions, 0o640);
    assert_eq!(yaml("logging.files.permissions: 0999").errors().len(), 1);
}

#[test]
fn log_files_have_bounds() {
    assert!(yaml("logging.files.keepfiles: 1025").error().contains("from 0 to 1024"));
    assert_eq!(yaml("logging.files.rotateeverybytes: 0").errors().len(), 1);
    assert_eq!(yaml("logging.files.name: a/b").errors().len(), 1);
}

#[test]
fn the_metrics_endpoint_may_be_a_socket_or_a_url() {
    let endpoint = |text: &str| yaml(&format!("http.host: {text}")).config().metrics.endpoint;
    assert_eq!(endpoint("unix:///tmp/s.sock"), Endpoint::Unix(PathBuf::from("/tmp/s.sock")));
    assert_eq!(endpoint("http://h:1"), Endpoint::Tcp { host: "h".to_owned(), port: 1 });
    assert_eq!(endpoint("'::1'"), Endpoint::Tcp { host: "::1".to_owned(), port: 5066 });
    assert!(yaml("http.host: 'http://h:x'").error().contains("http.host"));
}

#[test]
fn an_endpoint_that_was_asked_for_is_not_by_default() {
    assert!(!nothing().set("http.enabled=true").config().metrics.by_default);
    assert!(!nothing().set("http.port=1").config().metrics.by_default);
}

#[test]
fn instrumentation_from_the_file_and_its_gaps_from_the_environment() {
    let sources =
        server("instrumentation: {enabled: true, hosts: [a], api_key_path: k, global_labels: 'a=b,c=d'}")
            .file("/srv/k", "key\n")
            .variable("ELASTIC_APM_ENVIRONMENT", "test")
            .variable("ELASTIC_APM_SERVER_URL", "unused");
    let instrumentation = sources.config().instrumentation;
    assert!(instrumentation.enabled);
    assert_eq!(instrumentation.hosts, ["a"]);
    assert_eq!(instrumentation.api_key.unwrap().expose(), "key");
    assert_eq!(instrumentation.environment.unwrap(), "test");
    assert_eq!(instrumentation.global_labels[1], ("c".to_owned(), "d".to_owned()));
}

#[test]
fn the_environment_switches_instrumentation_on() {
    let sources = nothing().variable("ELASTIC_APM_ACTIVE", "true").variable("ELASTIC_APM_SERVER_URLS", "a,b");
    let instrumentation = sources.config().instrumentation;
    assert!(instrumentation.enabled);
    assert_eq!(instrumentation.hosts, ["a", "b"]);
}

#[test]
fn a_sample_rate_is_from_zero_to_one() {
    assert_eq!(
        server("instrumentation.transaction_sample_rate: '0.5'")
            .config()
            .instrumentation
            .transaction_sample_rate,
        0.5
    );
    assert_eq!(server("instrumentation.transaction_sample_rate: 2").errors().len(), 1);
    let error = nothing().variable("ELASTIC_APM_TRANSACTION_SAMPLE_RATE", "all").error();
    assert!(error.starts_with("environment variable ELASTIC_APM_TRANSACTION_SAMPLE_RATE: "), "{error}");
}

#[test]
fn a_place_of_the_pgp_key_that_is_no_url_is_a_warning() {
    let warnings = |url: &str| server(&format!("pgp: {{upstream_url: '{url}'}}")).warnings();
    for good in ["https://example.com/key", "HTTP://[::1]:8080"] {
        assert!(warnings(good).is_empty(), "{good}");
    }
    for bad in ["example.com/key", "ftp://example.com/key", "https://", "https:///key", "https://a b"] {
        let warnings = warnings(bad);
        assert!(
            warnings[0].contains("server.pgp.upstream_url: is no http or https URL"),
            "{bad}: {warnings:?}"
        );
    }
}
