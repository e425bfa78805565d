//! The forms of a target, and percent-decoding.

use super::*;

fn target(target: &str) -> Box<RequestHead> {
    accepted(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"))
}

fn bad_target(method: &str, target: &str) -> BadRequest {
    refused(format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n"))
}

#[test]
fn the_query_begins_at_the_first_question_mark() {
    let head = target("/a?b=c?d");
    assert_eq!((head.path(), head.query()), ("/a", Some("b=c?d")));
}

#[test]
fn a_target_without_a_question_mark_has_no_query() {
    assert_eq!(target("/a").query(), None);
}

#[test]
fn a_lone_question_mark_is_an_empty_query() {
    assert_eq!(target("/api/status?").query(), Some(""));
}

#[test]
fn the_path_stays_as_sent() {
    assert_eq!(target("/a%2Fb//./../c").path(), "/a%2Fb//./../c");
}

#[test]
fn of_an_absolute_form_the_path_counts() {
    let head = target("http://example.org:8220/api/status?x");
    assert_eq!((head.path(), head.query()), ("/api/status", Some("x")));
    assert_eq!(target("HTTPS://[::1]/a").path(), "/a");
}

#[test]
fn an_absolute_form_without_a_path_is_the_root() {
    let head = target("http://example.org");
    assert_eq!((head.path(), head.query()), ("/", None));
    let head = target("http://example.org?q");
    assert_eq!((head.path(), head.query()), ("/", Some("q")));
}

#[test]
fn an_absolute_form_needs_a_host_header_all_the_same() {
    assert_eq!(refused("GET http://a/ HTTP/1.1\r\n\r\n"), BadRequest::Host);
}

#[test]
fn absolute_forms_of_other_schemes_or_without_an_authority_are_refused() {
    for target in ["ftp://a/", "http:/a", "http:///a", "http://u@a/", "mailto:a", "://a/"] {
        assert_eq!(bad_target("GET", target), BadRequest::Target, "{target}");
    }
}

#[test]
fn a_target_without_a_slash_is_refused() {
    assert_eq!(bad_target("GET", "api/status"), BadRequest::Target);
    assert_eq!(bad_target("GET", "?q"), BadRequest::Target);
}

#[test]
fn a_target_that_is_not_ascii_is_refused() {
    assert_eq!(bad_target("GET", "/\u{e9}"), BadRequest::Target);
}

#[test]
fn the_asterisk_is_for_options_alone() {
    assert_eq!(accepted("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").path(), "*");
    assert_eq!(bad_target("GET", "*"), BadRequest::Target);
    assert_eq!(bad_target("OPTIONS", "*x"), BadRequest::Target);
}

#[test]
fn connect_is_refused_and_never_becomes_a_tunnel() {
    assert_eq!(bad_target("CONNECT", "example.org:443"), BadRequest::Connect);
    assert_eq!(bad_target("CONNECT", "/"), BadRequest::Connect);
    assert_eq!(BadRequest::Connect.status(), 501);
}

#[test]
fn a_segment_without_an_escape_is_not_copied() {
    assert!(matches!(percent_decode("a+b~c"), Some(std::borrow::Cow::Borrowed("a+b~c"))));
}

#[test]
fn escapes_are_decoded_in_either_case() {
    assert_eq!(percent_decode("%61%2F%2f%C3%A9z").as_deref(), Some("a//\u{e9}z"));
    assert_eq!(percent_decode("100%25").as_deref(), Some("100%"));
    assert_eq!(percent_decode("%2541").as_deref(), Some("%41"), "once, not twice");
}

#[test]
fn bad_escapes_give_nothing() {
    for segment in ["%", "a%", "%1", "%zz", "%1g", "%g1", "% 1", "%+1", "%%31"] {
        assert_eq!(percent_decode(segment), None, "{segment}");
    }
}

#[test]
fn escapes_that_are_not_utf_8_give_nothing() {
    assert_eq!(percent_decode("%ff"), None);
    assert_eq!(percent_decode("%C3"), None);
}
