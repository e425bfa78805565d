//! Artifacts: what Endpoint fetches beside its policy.

use std::sync::Arc;

use super::*;
use crate::model::{ArtifactBody, ArtifactFacts, ArtifactId, NewArtifact, sha256_hex};

on_every_store! {
    an_artifact_is_found_by_its_name_and_hash_and_by_nothing_less,
    an_artifact_is_replaced_by_one_of_its_name_and_hash,
    a_body_that_is_not_what_its_document_says_is_told_from_a_good_one,
    artifacts_are_listed_without_their_bodies,
    a_deleted_artifact_is_gone,
}

fn artifact(identifier: &str, content: &[u8]) -> NewArtifact {
    let hash = sha256_hex(content);
    let facts = ArtifactFacts {
        identifier: identifier.to_owned(),
        decoded_sha256: hash.clone(),
        decoded_size: content.len() as u64,
        encoded_sha256: hash,
        encoded_size: content.len() as u64,
        compression_algorithm: "none".to_owned(),
        encryption_algorithm: "none".to_owned(),
        package_name: "endpoint".to_owned(),
        kind: "trustlist".to_owned(),
        relative_url: "/x".to_owned(),
        created: NOW.rfc3339(),
    };
    NewArtifact { facts, body: Arc::from(content) }
}

fn put(fixture: &Fixture, artifact: &NewArtifact) -> ArtifactId {
    fixture.done(Operation::PutArtifact(Box::new(artifact.clone())));
    artifact.facts.id()
}

fn body(fixture: &Fixture, id: &ArtifactId) -> Option<ArtifactBody> {
    match fixture.ask(Operation::ArtifactBody(id.clone())) {
        Ok(Answer::ArtifactBody(body)) => body,
        other => panic!("{other:?}"),
    }
}

fn listed(fixture: &Fixture) -> Vec<ArtifactFacts> {
    match fixture.ask(Operation::Artifacts) {
        Ok(Answer::Artifacts(artifacts)) => artifacts,
        other => panic!("{other:?}"),
    }
}

fn an_artifact_is_found_by_its_name_and_hash_and_by_nothing_less(fixture: &Fixture) {
    let none = ArtifactId { identifier: "a".into(), decoded_sha256: "0f".into() };
    assert!(body(fixture, &none).is_none(), "also where nobody has made an index yet");
    let all_bytes: Vec<u8> = (0..=u8::MAX).cycle().take(100_000).collect();
    let (one, two) = (put(fixture, &artifact("a", &all_bytes)), put(fixture, &artifact("b", b"")));
    let found = body(fixture, &one).unwrap();
    assert!(found.is_intact && *found.bytes == all_bytes);
    assert!(body(fixture, &two).is_some_and(|body| body.is_intact && body.bytes.is_empty()));
    let swapped = ArtifactId { identifier: "b".into(), ..one.clone() };
    let upper = ArtifactId { decoded_sha256: one.decoded_sha256.to_uppercase(), ..one.clone() };
    let odd = ArtifactId { identifier: "a\" OR \u{e4}".into(), decoded_sha256: "x".repeat(10_000) };
    for other in [swapped, upper, odd] {
        assert!(body(fixture, &other).is_none(), "{other:?}");
    }
}

fn an_artifact_is_replaced_by_one_of_its_name_and_hash(fixture: &Fixture) {
    let first = artifact("a", b"content");
    let mut second = artifact("a", b"content");
    second.body = Arc::from(&b"packed"[..]);
    second.facts.encoded_sha256 = sha256_hex(b"packed");
    let id = put(fixture, &first);
    assert_eq!(put(fixture, &second), id);
    let found = body(fixture, &id).unwrap();
    assert!(found.is_intact && *found.bytes == *b"packed");
    assert_eq!(listed(fixture), [second.facts]);
}

fn a_body_that_is_not_what_its_document_says_is_told_from_a_good_one(fixture: &Fixture) {
    let mut altered = artifact("a", b"content");
    altered.body = Arc::from(&b"c0ntent"[..]);
    let id = put(fixture, &altered);
    assert!(!body(fixture, &id).unwrap().is_intact);
    put(fixture, &artifact("a", b"content"));
    assert!(body(fixture, &id).unwrap().is_intact);
}

fn artifacts_are_listed_without_their_bodies(fixture: &Fixture) {
    assert_eq!(listed(fixture), []);
    let made = [artifact("a", b"1"), artifact("b", b"2"), artifact("c", &[b'3'; 1_000])];
    for artifact in made.iter().rev() {
        put(fixture, artifact);
    }
    assert_eq!(listed(fixture), made.map(|artifact| artifact.facts));
}

fn a_deleted_artifact_is_gone(fixture: &Fixture) {
    let (one, other) = (put(fixture, &artifact("a", b"1")), put(fixture, &artifact("a", b"2")));
    fixture.done(Operation::DeleteArtifact(one.clone()));
    assert_eq!(fixture.error(Operation::DeleteArtifact(one.clone())), StoreError::NotFound);
    assert!(body(fixture, &one).is_none() && body(fixture, &other).is_some());
}
