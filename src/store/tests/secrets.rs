//! Secrets that policies and actions refer to.

use super::*;
use crate::config::Secret;
use crate::model::{NewSecret, RetiredKey, Secrets};

on_every_store! {
    a_secret_is_found_by_its_id_and_others_are_left_out,
    a_secret_may_be_set_anew_under_its_id,
    retired_keys_are_bad_and_their_secrets_gone,
}

fn set(fixture: &Fixture, id: Option<&str>, value: &str) -> String {
    let secret = NewSecret { id: id.map(str::to_owned), value: Secret::new(value) };
    match fixture.ask(Operation::SetSecret(secret)) {
        Ok(Answer::SecretId(id)) => id,
        other => panic!("{other:?}"),
    }
}

pub(super) fn secrets(fixture: &Fixture, ids: &[&str]) -> Secrets {
    match fixture.ask(Operation::Secrets(ids.iter().map(|id| (*id).to_owned()).collect())) {
        Ok(Answer::Secrets(secrets)) => secrets,
        other => panic!("{other:?}"),
    }
}

pub(in crate::store) fn a_secret_is_found_by_its_id_and_others_are_left_out(fixture: &Fixture) {
    let (one, two) = (set(fixture, None, "v\u{e4}lue \"1\"\n"), set(fixture, None, ""));
    assert_ne!(one, two);
    let found = secrets(fixture, &["unknown", &one, "", &two, "../x", &one]);
    assert_eq!((found.get(&one), found.get(&two), found.len()), (Some("v\u{e4}lue \"1\"\n"), Some(""), 2));
    assert!(secrets(fixture, &[]).is_empty());
}

fn a_secret_may_be_set_anew_under_its_id(fixture: &Fixture) {
    for value in ["first", "second"] {
        assert_eq!(set(fixture, Some("mine"), value), "mine");
        assert_eq!(secrets(fixture, &["mine"]).get("mine"), Some(value));
    }
}

pub(in crate::store) fn retired_keys_are_bad_and_their_secrets_gone(fixture: &Fixture) {
    let (key, other) = (fixture.enroll("a"), fixture.enroll("b"));
    let (secret_id, stays) = (set(fixture, None, "x"), set(fixture, None, "y"));
    let retired = RetiredKey { id: key.id.clone(), secret_id: secret_id.clone(), ..RetiredKey::default() };
    let unknown = RetiredKey { id: "unknown".into(), secret_id: "unknown".into(), ..RetiredKey::default() };
    for _ in 0..2 {
        fixture.done(Operation::RetireKeys(vec![retired.clone(), unknown.clone()]));
    }
    fixture.done(Operation::RetireKeys(Vec::new()));
    assert!(!fixture.is_good(&key) && fixture.is_good(&other));
    let found = secrets(fixture, &[&secret_id, &stays]);
    assert_eq!((found.get(&secret_id), found.get(&stays)), (None, Some("y")));
}
