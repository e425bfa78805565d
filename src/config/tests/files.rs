//! The file: YAML, dotted keys, places of errors.

use super::yaml;

#[test]
fn dotted_keys_and_nested_maps_are_one() {
    let dotted = yaml("logging.files.keepfiles: 3\nlogging:\n  files.name: a.log\n").config();
    assert_eq!((dotted.logging.files.keep_files, dotted.logging.files.name.as_str()), (3, "a.log"));
}

#[test]
fn of_two_equal_keys_the_last_one_wins() {
    let config = yaml("fleet.host.id: one\nfleet:\n  host: {id: two}\n").config();
    assert_eq!(config.fleet.host_id.unwrap(), "two");
    let config = yaml("logging: {level: debug}\nlogging: {level: error}\n").config();
    assert_eq!(config.logging.level, log::LevelFilter::Error);
}

#[test]
fn an_empty_file_is_a_configuration() {
    for text in ["", "---\n", "# nothing\n", "null\n"] {
        assert!(yaml(text).loaded().source.is_some());
    }
}

#[test]
fn broken_yaml_is_an_error_with_its_line() {
    let error = yaml("logging:\n  level: [info\nhttp: {}\n").error();
    assert!(error.starts_with("fleet-server.yml:"), "{error}");
    assert!(error.contains("not valid YAML"), "{error}");
}

#[test]
fn a_file_that_is_no_map_is_an_error() {
    assert!(yaml("- a\n").error().starts_with("fleet-server.yml:1: not valid YAML"));
}

#[test]
fn more_than_one_document_is_an_error() {
    assert!(yaml("a: 1\n---\nb: 2\n").error().contains("more than one document"));
}

#[test]
fn nesting_without_end_is_an_error() {
    for open in ["[", "{a: ", "- "] {
        let text = format!("a:\n  {}", open.repeat(50_000));
        let error = yaml(&text).error();
        assert!(error.contains("nested deeper") || error.contains("recursion limit"), "{open}: {error}");
    }
    assert!(yaml(&format!("{}a: 1", "a.".repeat(100))).error().contains("nested deeper"));
}

#[test]
fn aliases_that_grow_without_end_are_an_error() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    assert!(yaml(&text).error().contains("too large"));
}

#[test]
fn anchors_and_merge_keys_work() {
    let text = "http: &base {enabled: true, port: 1}\nfleet: {host: {id: &id one, name: *id}}\n";
    assert_eq!(yaml(text).config().fleet.host_name.unwrap(), "one");
    let text = "x: &base {level: debug, pretty: true}\nlogging: {<<: *base, level: error}\n";
    let logging = yaml(text).config().logging;
    assert!(logging.pretty && logging.level == log::LevelFilter::Error);
}

#[test]
fn all_errors_are_found_in_one_go() {
    let text = "logging:\n  level: verbose\n  files:\n    keepfiles: 1025\nhttp:\n  port: many\n\
                inputs:\n  - server: {port: 65536}\n";
    let errors = yaml(text).set("logging.pretty=maybe").errors();
    let places: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(places.len(), 5, "{places:?}");
    for place in [
        "fleet-server.yml:2: logging.level: expected one of trace",
        "fleet-server.yml:4: logging.files.keepfiles: expected a whole number from 0 to 1024, found `1025`",
        "fleet-server.yml:6: http.port: ",
        "fleet-server.yml:8: inputs.0.server.port: ",
        "-E logging.pretty: expected true or false, found `maybe`",
    ] {
        assert!(places.iter().any(|error| error.starts_with(place)), "{place} in {places:?}");
    }
}

#[test]
fn errors_come_with_the_warnings_found_on_the_way() {
    let Err(errors) = yaml("loging: {}\nhttp.port: x\n").load() else { panic!("accepted") };
    assert_eq!((errors.errors.len(), errors.warnings.len()), (1, 1));
}

#[test]
fn a_text_where_a_section_belongs_is_an_error() {
    assert_eq!(
        yaml("logging: debug\n").error(),
        "fleet-server.yml:1: logging: expected a section, found `debug`"
    );
}
