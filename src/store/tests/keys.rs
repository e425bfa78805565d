//! API keys and enrollment tokens.

use super::*;

on_every_store! {
    a_wrong_secret_is_rejected,
    an_unknown_key_is_rejected,
    an_invalidated_key_is_rejected,
    invalidating_unknown_keys_is_fine,
    a_new_token_works_and_shows_its_key,
    a_token_is_found_by_its_key,
    tokens_are_listed_oldest_first,
    a_revoked_token_is_inactive_and_its_key_bad,
    revoking_an_unknown_token_is_not_found,
}

fn a_wrong_secret_is_rejected(fixture: &Fixture) {
    let key = fixture.enroll("a");
    assert!(!fixture.is_good(&ApiKey { secret: "wrong".into(), ..key.clone() }));
    assert!(!fixture.is_good(&ApiKey { secret: String::new(), ..key.clone() }));
    assert!(!fixture.is_good(&ApiKey { secret: fixture.enroll("b").secret, ..key }));
}

fn an_unknown_key_is_rejected(fixture: &Fixture) {
    let key = fixture.enroll("a");
    let error = fixture.error(Operation::Authenticate(ApiKey { id: "unknown".into(), ..key }));
    assert_eq!(error, StoreError::KeyRejected);
}

fn an_invalidated_key_is_rejected(fixture: &Fixture) {
    let (first, second) = (fixture.enroll("a"), fixture.enroll("b"));
    fixture.done(Operation::InvalidateKeys(vec![first.id.clone()]));
    assert!(!fixture.is_good(&first) && fixture.is_good(&second));
}

fn invalidating_unknown_keys_is_fine(fixture: &Fixture) {
    fixture.done(Operation::InvalidateKeys(vec!["unknown".into(), String::new()]));
    fixture.done(Operation::InvalidateKeys(Vec::new()));
}

fn a_new_token_works_and_shows_its_key(fixture: &Fixture) {
    use base64::Engine;
    let token = fixture.token("p");
    let bytes = base64::engine::general_purpose::STANDARD.decode(&token.api_key).unwrap();
    let (id, secret) = std::str::from_utf8(&bytes).unwrap().split_once(':').unwrap();
    assert_eq!(id, token.api_key_id);
    assert!(fixture.is_good(&ApiKey { id: id.to_owned(), secret: secret.to_owned() }));
    assert_eq!((token.policy_id.as_str(), token.name.as_str(), token.active), ("p", "n", true));
    assert_eq!(token.created_at, NOW.rfc3339());
}

fn by_key(fixture: &Fixture, key_id: &str) -> Option<EnrollmentToken> {
    match fixture.ask(Operation::TokenByKey(key_id.to_owned())) {
        Ok(Answer::Token(token)) => token.map(|token| *token),
        other => panic!("{other:?}"),
    }
}

fn a_token_is_found_by_its_key(fixture: &Fixture) {
    let token = fixture.token("p");
    let found = by_key(fixture, &token.api_key_id).unwrap();
    assert_eq!((found.policy_id.as_str(), found.api_key), ("p", token.api_key));
    assert!(by_key(fixture, "unknown").is_none());
}

fn tokens_are_listed_oldest_first(fixture: &Fixture) {
    let made: Vec<_> = ["p", "q", "p"].iter().map(|policy| fixture.token(policy).api_key_id).collect();
    let Ok(Answer::Tokens(listed)) = fixture.ask(Operation::Tokens) else { panic!("no tokens") };
    let listed: Vec<_> = listed.into_iter().map(|token| token.api_key_id).collect();
    assert!(listed.ends_with(&made), "{listed:?} {made:?}");
}

fn a_revoked_token_is_inactive_and_its_key_bad(fixture: &Fixture) {
    let token = fixture.token("p");
    for _ in 0..2 {
        fixture.done(Operation::RevokeToken(token.api_key_id.clone()));
        let revoked = by_key(fixture, &token.api_key_id).unwrap();
        assert!(!revoked.active && revoked.api_key == token.api_key);
    }
    assert!(!fixture.is_good(&key_of(&token)));
}

fn revoking_an_unknown_token_is_not_found(fixture: &Fixture) {
    assert_eq!(fixture.error(Operation::RevokeToken("unknown".into())), StoreError::NotFound);
}

pub(super) fn key_of(token: &EnrollmentToken) -> ApiKey {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.decode(&token.api_key).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (id, secret) = text.split_once(':').unwrap();
    ApiKey { id: id.to_owned(), secret: secret.to_owned() }
}
