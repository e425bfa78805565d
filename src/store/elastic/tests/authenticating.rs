//! Keys: checking them, and invalidating what the cluster does not show yet.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn key() -> ApiKey {
    ApiKey { id: "id".into(), secret: "s3cret".into() }
}

fn security_exception(text: &str) -> Value {
    json!({"error": {"type": "security_exception", "reason": "unable to authenticate",
        "additional_unsuccessful_credentials": text}, "status": 401})
}

#[test]
fn a_key_is_rejected_only_if_the_cluster_says_so() {
    let rejected = |status: u16, body: String| {
        let cluster = Scripted::text(move |_| (status, body.clone()));
        one(&store(&cluster), Operation::Authenticate(key()))
    };
    let bad = security_exception("API key: unable to find apikey with id id").to_string();
    assert_eq!(rejected(401, bad.clone()).unwrap_err(), StoreError::KeyRejected);
    // what a cluster says of every key while it starts
    let starting = security_exception("API key: apikey authentication for id id encountered a failure");
    assert_eq!(status(&rejected(401, starting.to_string())), 401);
    assert_eq!(status(&rejected(401, "<html>a proxy</html>".into())), 401);
    assert_eq!(status(&rejected(503, bad.clone())), 503);
    assert_eq!(status(&rejected(403, bad)), 403);
    assert!(matches!(rejected(200, "<html>".into()), Err(StoreError::Unreachable(_))));
    assert!(matches!(
        rejected(200, r#"{"enabled":false}"#.into()),
        Ok(Answer::Authenticated { enabled: false })
    ));
}

#[test]
fn a_cluster_that_limits_authentication_is_not_asked_again() {
    let cluster = Scripted::json(|_| (429, json!({})));
    let answer = one(&store(&cluster), Operation::Authenticate(key()));
    assert_eq!(answer.unwrap_err(), StoreError::AuthenticationLimited);
    assert_eq!(cluster.asked().len(), 1);
}

#[test]
fn a_cluster_that_cannot_be_reached_has_not_rejected_the_key() {
    let settings = Elasticsearch { hosts: vec!["http://127.0.0.1:1".into()], ..Elasticsearch::default() };
    let store = Elastic::open(&settings, Indices::default(), std::time::Duration::ZERO).unwrap();
    let store = Elastic { patience: Patience::without_waits(), ..store };
    let answer = one(&store, Operation::Authenticate(key()));
    assert!(matches!(answer, Err(StoreError::Unreachable(_))), "{answer:?}");
}

/// A cluster that shows a key from its third look on.
fn lagging(hidden: (u16, Value)) -> Scripted {
    let looks = AtomicUsize::new(0);
    Scripted::json(move |asked| {
        let invalidated = |ids: &[&str]| json!({"invalidated_api_keys": ids, "error_count": 0});
        if asked.is("GET", "/_security/api_key") {
            looks.fetch_add(1, Ordering::SeqCst);
            return hidden.clone();
        }
        match asked.is("DELETE", "/_security/api_key") {
            true if looks.load(Ordering::SeqCst) < 2 => (200, invalidated(&[])),
            true => (200, invalidated(&["id"])),
            false => all_written(asked),
        }
    })
}

fn undo() -> Operation {
    Operation::UndoEnrollment { agent: "a".into(), access_key: "id".into(), created: true }
}

#[test]
fn a_key_just_made_is_invalidated_once_the_cluster_shows_it() {
    let cluster = lagging((404, json!({"api_keys": []})));
    assert!(matches!(one(&store(&cluster), undo()), Ok(Answer::Done)));
    assert_eq!(cluster.asked_of("DELETE", "/_security/api_key").len(), 3);
    assert_eq!(cluster.asked_of("GET", "/_security/api_key").len(), 2);
}

#[test]
fn trouble_while_looking_for_a_key_does_not_make_it_unknown() {
    let cluster = lagging((503, json!({"error": {"type": "t"}})));
    assert_eq!(status(&one(&store(&cluster), undo())), 503);
}

#[test]
fn a_key_that_nobody_knows_is_looked_for_for_a_minute() {
    let cluster = Scripted::json(|asked| match asked.method.as_str() {
        "DELETE" => (200, json!({"invalidated_api_keys": [], "error_count": 0})),
        "GET" => (404, json!({"api_keys": []})),
        _ => all_written(asked),
    });
    assert!(matches!(one(&store(&cluster), undo()), Ok(Answer::Done)));
    assert_eq!(cluster.asked_of("GET", "/_security/api_key").len(), 61);
}

#[test]
fn a_key_that_is_invalid_already_is_not_waited_for() {
    let cluster = Scripted::json(|asked| match asked.method.as_str() {
        "DELETE" => (200, json!({"invalidated_api_keys": [], "error_count": 0})),
        "GET" => (200, json!({"api_keys": [{"id": "id", "invalidated": true}]})),
        _ => all_written(asked),
    });
    assert!(matches!(one(&store(&cluster), undo()), Ok(Answer::Done)));
    assert_eq!(cluster.asked_of("DELETE", "/_security/api_key").len(), 1);
}

#[test]
fn keys_are_invalidated_many_at_once_and_errors_are_told() {
    let cluster = Scripted::json(|_| (200, json!({"invalidated_api_keys": [], "error_count": 0})));
    let ids: Vec<String> = (0..1_200).map(|number| number.to_string()).collect();
    assert!(one(&store(&cluster), Operation::InvalidateKeys(ids)).is_ok());
    assert_eq!(cluster.asked().len(), 3);
    let cluster = Scripted::json(|_| (200, json!({"invalidated_api_keys": [], "error_count": 2})));
    assert_eq!(status(&one(&store(&cluster), Operation::InvalidateKeys(vec!["x".into()]))), 500);
}

#[test]
fn no_secret_is_in_an_error() {
    let cluster = Scripted::text(|_| (500, "<html>".into()));
    let error = one(&store(&cluster), Operation::Authenticate(key())).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"));
}
