//! `/api/fleet/artifacts` (ours): what Endpoint fetches beside its policy, in the documents that Kibana writes. Kibana makes
//! them of its lists; here they are files of the operator's.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde_json::json;

use super::error::Refusal;
use super::query::Query;
use super::{Answered, answer, body};
use crate::handlers::Request;
use crate::model::{ArtifactFacts, ArtifactId, NewArtifact, sha256_hex};
use crate::store::{Answer, Operation};
use crate::task::Cx;
use crate::time::Timestamp;

/// Bytes of an artifact's content: in base64 it fits into a request to a cluster.
pub const CONTENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Characters of an identifier.
const IDENTIFIER_CHARACTERS_MAX: usize = 256;
/// Whose artifacts agents fetch.
const PACKAGE: &str = "endpoint";

/// Keeps the body of the request as an artifact, compressed if the query wants it.
pub(super) async fn add(cx: Cx, request: Request) -> Answered {
    let query = Query::read(&request.head, &["identifier", "compress"])?;
    let identifier = query.text("identifier").unwrap_or_default().to_owned();
    check_identifier(&identifier)?;
    let with_zlib = match query.text("compress") {
        None | Some("none") => false,
        Some("zlib") => true,
        Some(_) => return Err(Refusal::BadRequest("query parameter compress: zlib or none".to_owned())),
    };
    // boxed: what the query said would be held beside all of it
    Box::pin(keep(cx, identifier, with_zlib)).await
}

async fn keep(cx: Cx, identifier: String, with_zlib: bool) -> Answered {
    let content = body(&cx, CONTENT_BYTES_MAX).await?;
    let created = cx.now().wall;
    let made = cx.work(move || artifact(identifier, content, with_zlib, created)).await.flatten();
    let artifact = made.ok_or(Refusal::Internal)?;
    let facts = artifact.facts.clone();
    cx.store(Operation::PutArtifact(Box::new(artifact))).await?;
    cx.fleet(|fleet| fleet.artifacts.forget(&facts.id()));
    answer(&json!({ "item": facts }))
}

/// All artifacts, without their bodies.
pub(super) async fn list(cx: Cx, request: Request) -> Answered {
    let page = Query::read(&request.head, &["page", "perPage"])?.page()?;
    let Answer::Artifacts(artifacts) = cx.store(Operation::Artifacts).await? else {
        return Err(Refusal::Internal);
    };
    let items: Vec<&ArtifactFacts> = artifacts.iter().skip(page.skipped()).take(page.size).collect();
    answer(&json!({ "items": items, "total": artifacts.len(), "page": page.number, "perPage": page.size }))
}

/// Removes an artifact.
pub(super) async fn delete(cx: Cx, request: Request) -> Answered {
    let query = Query::read(&request.head, &["decoded_sha256"])?;
    let decoded_sha256 = query.text("decoded_sha256").unwrap_or_default().to_owned();
    let id = ArtifactId { identifier: request.id, decoded_sha256 };
    cx.store(Operation::DeleteArtifact(id.clone())).await?;
    cx.fleet(|fleet| fleet.artifacts.forget(&id));
    answer(&json!({ "identifier": id.identifier, "decoded_sha256": id.decoded_sha256 }))
}

fn check_identifier(identifier: &str) -> Result<(), Refusal> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    let is_good =
        (1..=IDENTIFIER_CHARACTERS_MAX).contains(&identifier.len()) && identifier.chars().all(allowed);
    if is_good {
        return Ok(());
    }
    let reason = "an identifier has letters, digits, `-`, `_` and `.`, at least one and at most";
    Err(Refusal::BadRequest(format!("{reason} {IDENTIFIER_CHARACTERS_MAX}")))
}

/// The document and the body; none if it cannot be compressed.
fn artifact(
    identifier: String,
    content: Vec<u8>,
    with_zlib: bool,
    created: Timestamp,
) -> Option<NewArtifact> {
    let (decoded_sha256, decoded_size) = (sha256_hex(&content), content.len() as u64);
    let body = if with_zlib { zlib(&content)? } else { content };
    let facts = ArtifactFacts {
        relative_url: format!("/api/fleet/artifacts/{identifier}/{decoded_sha256}"),
        kind: kind_of(&identifier).to_owned(),
        identifier,
        decoded_sha256,
        decoded_size,
        encoded_sha256: sha256_hex(&body),
        encoded_size: body.len() as u64,
        compression_algorithm: if with_zlib { "zlib" } else { "none" }.to_owned(),
        encryption_algorithm: "none".to_owned(),
        package_name: PACKAGE.to_owned(),
        created: created.rfc3339(),
    };
    Some(NewArtifact { facts, body: body.into() })
}

/// `trustlist` of `endpoint-trustlist-linux-v1`; an identifier of another form is its own kind.
fn kind_of(identifier: &str) -> &str {
    match identifier.split('-').collect::<Vec<_>>()[..] {
        [PACKAGE, kind, _, _] => kind,
        _ => identifier,
    }
}

fn zlib(content: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).ok()?;
    encoder.finish().ok()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::ZlibDecoder;

    use super::*;

    #[test]
    fn a_document_says_of_its_body_what_kibana_would() {
        let content = b"{\"entries\":[]}".repeat(10);
        for (with_zlib, algorithm) in [(false, "none"), (true, "zlib")] {
            let made =
                artifact("endpoint-trustlist-linux-v1".into(), content.clone(), with_zlib, Timestamp(0));
            let NewArtifact { facts, body } = made.unwrap();
            assert_eq!(facts.decoded_sha256, sha256_hex(&content));
            assert_eq!((facts.decoded_size, facts.encoded_size), (content.len() as u64, body.len() as u64));
            assert_eq!(facts.encoded_sha256, sha256_hex(&body));
            assert_eq!((facts.compression_algorithm.as_str(), facts.kind.as_str()), (algorithm, "trustlist"));
            let url = format!("/api/fleet/artifacts/endpoint-trustlist-linux-v1/{}", facts.decoded_sha256);
            assert_eq!((facts.relative_url, facts.created.as_str()), (url, "1970-01-01T00:00:00Z"));
            let mut decoded = Vec::new();
            match with_zlib {
                true => drop(ZlibDecoder::new(&body[..]).read_to_end(&mut decoded).unwrap()),
                false => decoded = body.to_vec(),
            }
            assert_eq!(decoded, content);
        }
    }

    #[test]
    fn an_identifier_of_another_form_is_its_own_kind() {
        assert_eq!(kind_of("mine"), "mine");
        assert_eq!(kind_of("endpoint-a-b-c-d"), "endpoint-a-b-c-d");
    }

    #[test]
    fn an_identifier_that_is_no_segment_of_a_path_is_refused() {
        for identifier in ["", "a/b", "a b", "ä", "a?", &"x".repeat(257)] {
            assert!(check_identifier(identifier).is_err(), "{identifier}");
        }
        assert!(check_identifier("endpoint-trustlist-linux-v1").is_ok());
    }
}
