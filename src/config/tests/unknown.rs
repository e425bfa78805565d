//! Unknown keys, keys of Windows, keys without effect.

use super::{nothing, server, yaml};

#[test]
fn an_unknown_key_is_a_warning_with_the_nearest_known_one() {
    let sources = yaml("logging:\n  levle: debug\n");
    assert_eq!(
        sources.warnings(),
        ["fleet-server.yml:2: logging.levle: unknown key; the nearest known key is logging.level"]
    );
}

#[test]
fn an_unknown_section_is_one_warning() {
    let warnings = yaml("loging:\n  level: debug\n  pretty: true\n").warnings();
    assert_eq!(warnings, ["fleet-server.yml:1: loging: unknown key; the nearest known key is logging"]);
}

#[test]
fn an_unknown_key_of_the_server_is_named_with_its_path() {
    let warnings = server("timeouts: {drian: 5s}").warnings();
    assert!(warnings[0].contains("inputs.0.server.timeouts.drian: unknown key"), "{warnings:?}");
    assert!(warnings[0].ends_with("inputs.0.server.timeouts.drain"), "{warnings:?}");
}

#[test]
fn a_section_of_the_input_at_the_top_is_pointed_to_its_place() {
    let warnings = yaml("server.port: 9000\ncache: {ttl_action: 1h}\n").warnings();
    assert_eq!(
        warnings,
        [
            "fleet-server.yml:1: server: unknown key; the nearest known key is inputs.0.server",
            "fleet-server.yml:2: cache: unknown key; the nearest known key is inputs.0.cache"
        ]
    );
}

#[test]
fn an_unknown_setting_is_a_warning() {
    let warnings = nothing().set("htp.enabled=true").warnings();
    assert_eq!(warnings, ["-E htp.enabled: htp: unknown key; the nearest known key is http"]);
}

#[test]
fn keys_of_windows_are_errors_that_say_so() {
    assert!(yaml("http.host: npipe:///fleet").error().contains("exists on Windows only"));
    let error = yaml("http.named_pipe: {user: me, security_descriptor: D}").error();
    assert!(error.starts_with("fleet-server.yml:1: http.named_pipe: "), "{error}");
    assert!(error.contains("exists on Windows only"), "{error}");
}

#[test]
fn profiler_and_runtime_say_that_they_have_no_effect() {
    let warnings = server("profiler.enabled: true\nruntime.gc_percent: 50").warnings();
    assert_eq!(
        warnings,
        [
            "fleet-server.yml:3: inputs.0.server.profiler: has no effect",
            "fleet-server.yml:4: inputs.0.server.runtime: has no effect"
        ]
    );
}

#[test]
fn the_agents_own_log_level_has_no_effect_and_is_checked() {
    assert!(yaml("fleet.agent.logging.level: info").warnings()[0].contains("has no effect"));
    assert!(yaml("fleet.agent.logging.level: loud").error().contains("fleet.agent.logging.level"));
}

#[test]
fn a_flood_of_unknown_keys_is_cut_off() {
    let text: String = (0..10_000).map(|number| format!("key{number}: 1\n")).collect();
    assert_eq!(yaml(&text).warnings().len(), 100);
}

#[test]
fn a_flood_of_errors_is_cut_off_and_counted() {
    let pins = vec!["x"; 500].join(", ");
    let errors = server(&format!("ssl: {{certificate: a, key: b, ca_sha256: [{pins}]}}")).errors();
    assert_eq!(errors.len(), 101);
    assert_eq!(errors[100].to_string(), "400 further errors");
}
