//! `${..}` in values.

use super::{Sources, yaml};
use crate::config::{Elasticsearch, Store};

/// A file whose `fleet.host.name` is the text.
fn name(text: &str) -> Sources {
    yaml(&format!("fleet.host.name: {text}\n"))
}

fn name_of(sources: &Sources) -> Option<String> {
    sources.config().fleet.host_name
}

fn hosts(sources: &Sources) -> Vec<String> {
    match sources.config().store {
        Store::Elasticsearch(store) => Elasticsearch { ..*store }.hosts,
        Store::Embedded(_) => panic!("embedded"),
    }
}

#[test]
fn a_variable_takes_the_place_of_its_reference() {
    assert_eq!(name_of(&name("${X}").variable("X", "v")).unwrap(), "v");
    assert_eq!(name_of(&name("x${X}y").variable("X", "v")).unwrap(), "xvy");
}

#[test]
fn an_unset_or_empty_variable_is_an_error_that_names_it() {
    let error = name("${X}").error();
    assert!(error.starts_with("fleet-server.yml:1: fleet.host.name: ${X} is not set"), "{error}");
    assert!(name("${X}").variable("X", "").error().contains("${X} is not set"));
}

#[test]
fn a_default_stands_in_for_unset_and_empty() {
    assert_eq!(name_of(&name("\"${X:d}\"")).unwrap(), "d");
    assert_eq!(name_of(&name("\"${X:d}\"").variable("X", "")).unwrap(), "d");
    assert_eq!(name_of(&name("\"${X:d}\"").variable("X", "v")).unwrap(), "v");
    assert_eq!(name_of(&name("\"${X:}\"")), None);
}

#[test]
fn a_message_of_the_operators_own_is_the_error() {
    assert!(name("\"${X:?set it}\"").error().ends_with("${X}: set it"));
}

#[test]
fn a_text_only_if_the_variable_is_set() {
    assert_eq!(name_of(&name("\"${X:+yes}\"").variable("X", "v")).unwrap(), "yes");
    assert_eq!(name_of(&name("\"${X:+yes}\"")), None);
}

#[test]
fn a_doubled_dollar_keeps_the_reference_as_text() {
    assert_eq!(name_of(&name("$${X}")).unwrap(), "${X}");
}

#[test]
fn an_unclosed_reference_is_an_error() {
    assert!(name("\"${X\"").error().contains("without a closing brace"));
}

#[test]
fn another_setting_comes_before_the_environment() {
    let sources =
        yaml("fleet.host: {id: one, name: \"${fleet.host.id}\"}\n").variable("fleet.host.id", "two");
    assert_eq!(name_of(&sources).unwrap(), "one");
}

#[test]
fn a_reference_may_stand_for_a_list_or_a_section() {
    let text = "a: [x, y]\noutput.elasticsearch.hosts: \"${a}\"\n";
    assert_eq!(hosts(&yaml(text)), ["http://x:9200", "http://y:9200"]);
    let text = "b: {hosts: z}\noutput.elasticsearch: \"${b}\"\n";
    assert_eq!(hosts(&yaml(text)), ["http://z:9200"]);
}

#[test]
fn references_may_be_nested_and_lead_to_others() {
    assert_eq!(name_of(&name("\"${X:${Y:d}}\"")).unwrap(), "d");
    let sources = yaml("fleet.host.name: ${b}\nb: ${c}\nc: ${X}\n").variable("X", "v");
    assert_eq!(name_of(&sources).unwrap(), "v");
}

#[test]
fn a_reference_to_itself_is_an_error() {
    assert!(name("${fleet.host.name}").error().contains("refers to itself"));
    assert!(
        yaml("a: ${b}\nb: ${a}\nfleet.host.name: ${a}\n")
            .errors()
            .iter()
            .any(|error| { error.to_string().contains("refers to itself") })
    );
    let errors = yaml("fleet.host: {id: \"${fleet}\"}\n").errors();
    assert!(errors[0].to_string().contains("${fleet} refers to itself"));
}

#[test]
fn references_that_grow_without_end_are_an_error() {
    let mut text = format!("a0: {}\n", "x".repeat(1000));
    for level in 1..12 {
        text.push_str(&format!("a{level}: {}\n", format!("${{a{}}}", level - 1).repeat(100)));
    }
    assert!(!yaml(&text).errors().is_empty());
}

#[test]
fn a_variable_with_commas_among_others_of_a_list_is_several_of_them() {
    let sources = yaml("output.elasticsearch.hosts: [\"${X}\", c]\n").variable("X", "a,b");
    assert_eq!(hosts(&sources), ["http://a:9200", "http://b:9200", "http://c:9200"]);
}

#[test]
fn a_variable_with_commas_is_a_list_where_one_is_expected() {
    let sources = yaml("output.elasticsearch.hosts: ${X}\n");
    assert_eq!(hosts(&sources.variable("X", "a,b")), ["http://a:9200", "http://b:9200"]);
    let sources = yaml("output.elasticsearch.hosts: ${X}\n");
    assert_eq!(hosts(&sources.variable("X", "[a, b]")), ["http://a:9200", "http://b:9200"]);
}

#[test]
fn a_variable_with_commas_or_braces_stays_text_where_one_is_expected() {
    assert_eq!(name_of(&name("${X}").variable("X", "a,b")).unwrap(), "a,b");
    assert_eq!(name_of(&name("${X}").variable("X", "{a: b}")).unwrap(), "{a: b}");
}

#[test]
fn a_variable_may_be_a_number_or_a_boolean() {
    let config =
        yaml("http: {enabled: \"${E}\", port: \"${P}\"}\n").variable("E", "true").variable("P", "1").config();
    assert!(config.metrics.enabled);
    assert_eq!(
        config.metrics.endpoint,
        crate::config::Endpoint::Tcp { host: "localhost".to_owned(), port: 1 }
    );
}

#[test]
fn references_work_in_settings_too() {
    assert_eq!(name_of(&yaml("").set("fleet.host.name=${X}").variable("X", "v")).unwrap(), "v");
}

#[test]
fn references_inside_a_text_with_commas_are_replaced() {
    let sources = yaml("").set("fleet.host.name=a,${X}").variable("X", "v");
    assert_eq!(name_of(&sources).unwrap(), "a,v");
}

#[test]
fn references_that_multiply_without_growing_are_an_error() {
    let mut text = "a0: x\n".to_owned();
    for level in 1..8 {
        text.push_str(&format!("a{level}: {}\n", format!("${{a{}:+}}", level - 1).repeat(100)));
    }
    assert!(yaml(&text).errors().iter().any(|error| error.to_string().contains("too large")));
}
