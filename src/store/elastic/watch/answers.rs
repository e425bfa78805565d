//! What the cluster's answers mean for the watch. Pure. Nothing that is not positively known is taken as "nothing".

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::progress::{Reading, Standing};
use crate::store::elastic::client::{Response, SendError};
use crate::store::elastic::failure::Cause;

/// What an index has more than one of cannot be followed: each shard counts for itself.
const SHARDS: &str = "the index has more than one shard";

#[derive(Deserialize)]
struct Checkpoints {
    global_checkpoints: Vec<i64>,
    #[serde(default)]
    timed_out: bool,
}

/// Reads `_fleet/global_checkpoints`.
pub(super) fn checkpoints(answer: Result<Response, SendError>) -> Standing {
    let response = match answer {
        Ok(response) => response,
        Err(error) => return Standing::Failed(error.to_string()),
    };
    let cause = Cause::of(&response).unwrap_or_default();
    match response.status {
        200 => match serde_json::from_slice::<Checkpoints>(&response.body) {
            Ok(Checkpoints { global_checkpoints, timed_out }) => match global_checkpoints[..] {
                [checkpoint] => Standing::At { checkpoint, incarnation: None, waited: timed_out },
                _ => Standing::Failed(SHARDS.to_owned()),
            },
            Err(error) => Standing::Failed(format!("the checkpoint cannot be read: {error}")),
        },
        404 if cause.is_missing_index() => Standing::Missing,
        400 if cause.is_missing_route() => Standing::NoModule,
        504 => Standing::GatewayTimeout,
        status => Standing::Failed(refused(status, &cause)),
    }
}

#[derive(Deserialize)]
struct Statistics {
    #[serde(default)]
    indices: BTreeMap<String, IndexStatistics>,
}

#[derive(Deserialize)]
struct IndexStatistics {
    uuid: String,
    shards: BTreeMap<String, Vec<Copy>>,
}

#[derive(Deserialize)]
struct Copy {
    routing: Routing,
    seq_no: Option<SequenceNumbers>,
}

#[derive(Deserialize)]
struct Routing {
    primary: bool,
}

#[derive(Deserialize)]
struct SequenceNumbers {
    global_checkpoint: i64,
}

/// Reads `_stats?level=shards` of one index, which may be named by an alias.
pub(super) fn statistics(answer: Result<Response, SendError>) -> Standing {
    let response = match answer {
        Ok(response) => response,
        Err(error) => return Standing::Failed(error.to_string()),
    };
    let cause = Cause::of(&response).unwrap_or_default();
    match response.status {
        200 => match serde_json::from_slice::<Statistics>(&response.body) {
            Ok(Statistics { indices }) => of_the_only(indices.into_values().collect()),
            Err(error) => Standing::Failed(format!("the statistics cannot be read: {error}")),
        },
        404 if cause.is_missing_index() => Standing::Missing,
        status => Standing::Failed(refused(status, &cause)),
    }
}

/// Where the index of this name, or alias, stands by the statistics of several. None if they do not say so for sure: where an
/// alias is given the cluster names the index behind it, which is the same with a number (`NAME-N`).
pub(super) fn statistics_of(response: &Response, name: &str) -> Option<Standing> {
    let standing = of_the_only(those_of(response, name)?);
    matches!(standing, Standing::At { .. }).then_some(standing)
}

/// Whether the same statistics know an index of this name, or alias.
pub(super) fn tells_of(response: &Response, name: &str) -> bool {
    those_of(response, name).is_some_and(|found| !found.is_empty())
}

fn those_of(response: &Response, name: &str) -> Option<Vec<IndexStatistics>> {
    let Statistics { indices } =
        serde_json::from_slice(&response.body).ok().filter(|_| response.status == 200)?;
    let is_named = |found: &str| {
        found.strip_prefix(name).is_some_and(|rest| rest.is_empty() || is_number(rest.strip_prefix('-')))
    };
    Some(indices.into_iter().filter(|(found, _)| is_named(found)).map(|(_, index)| index).collect())
}

fn is_number(text: Option<&str>) -> bool {
    text.is_some_and(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
}

fn of_the_only(mut indices: Vec<IndexStatistics>) -> Standing {
    let Some(index) = indices.pop() else {
        // an index whose shards have all yet to start has no statistics
        return Standing::Failed("no shard of the index is active".to_owned());
    };
    if !indices.is_empty() || index.shards.len() > 1 {
        return Standing::Failed(SHARDS.to_owned());
    }
    let mut copies = index.shards.into_values().flatten();
    let primary = copies.find(|copy| copy.routing.primary).and_then(|copy| copy.seq_no);
    match primary {
        Some(SequenceNumbers { global_checkpoint }) => {
            Standing::At { checkpoint: global_checkpoint, incarnation: Some(index.uuid), waited: true }
        }
        None => Standing::Failed("the primary shard is not active".to_owned()),
    }
}

#[derive(Deserialize)]
struct SearchAnswer<'a> {
    timed_out: bool,
    #[serde(rename = "_shards")]
    shards: Shards,
    #[serde(borrow)]
    hits: Hits<'a>,
    #[serde(borrow)]
    aggregations: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Shards {
    failed: u64,
}

/// Hits as they were answered: one that cannot be read does not hide the rest.
#[derive(Deserialize)]
pub(super) struct Hits<'a> {
    #[serde(borrow)]
    pub(super) hits: Vec<&'a RawValue>,
}

/// A document in a hit.
#[derive(Deserialize)]
pub(super) struct Hit<'a> {
    #[serde(rename = "_id")]
    pub(super) id: String,
    /// Only where it was asked for.
    #[serde(rename = "_seq_no")]
    pub(super) seq_no: Option<i64>,
    #[serde(rename = "_source", borrow)]
    pub(super) source: &'a RawValue,
}

/// What a search found that truly succeeded.
pub(super) struct Found<'a> {
    pub(super) hits: Vec<&'a RawValue>,
    /// As answered, if any were asked for.
    pub(super) aggregations: Option<&'a RawValue>,
}

/// Reads a search. Whatever is not a whole success is a [`Reading`] that says what it is.
pub(super) fn search(response: &Response) -> Result<Found<'_>, Reading> {
    if response.status != 200 {
        let cause = Cause::of(response).unwrap_or_default();
        let missing = response.status == 404 && cause.is_missing_index();
        return Err(if missing {
            Reading::Missing
        } else {
            Reading::Failed(refused(response.status, &cause))
        });
    }
    let answer: SearchAnswer<'_> = serde_json::from_slice(&response.body)
        .map_err(|error| Reading::Failed(format!("the answer to a search cannot be read: {error}")))?;
    if answer.timed_out {
        return Err(Reading::Failed("the search timed out".to_owned()));
    }
    if answer.shards.failed > 0 {
        return Err(Reading::Failed("the search failed on a shard".to_owned()));
    }
    Ok(Found { hits: answer.hits.hits, aggregations: answer.aggregations })
}

/// Whether a refresh went through.
pub(super) fn refresh(response: &Response) -> Result<(), Reading> {
    #[derive(Deserialize)]
    struct Refreshed {
        #[serde(rename = "_shards")]
        shards: Shards,
    }
    let cause = Cause::of(response).unwrap_or_default();
    match (response.status, serde_json::from_slice::<Refreshed>(&response.body)) {
        (200, Ok(Refreshed { shards: Shards { failed: 0 } })) => Ok(()),
        (404, _) if cause.is_missing_index() => Err(Reading::Missing),
        (status, _) => Err(Reading::Failed(format!("the refresh failed: {}", refused(status, &cause)))),
    }
}

fn refused(status: u16, cause: &Cause) -> String {
    format!("{status} {}", cause.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, body: &str) -> Response {
        Response { status, body: body.into() }
    }

    fn checkpoint(status: u16, body: &str) -> Standing {
        checkpoints(Ok(response(status, body)))
    }

    fn is_failed(standing: &Standing) -> bool {
        matches!(standing, Standing::Failed(_))
    }

    #[test]
    fn a_checkpoint_is_one_number() {
        let at = |checkpoint, waited| Standing::At { checkpoint, incarnation: None, waited };
        assert_eq!(checkpoint(200, r#"{"global_checkpoints":[7],"timed_out":false}"#), at(7, false));
        assert_eq!(checkpoint(200, r#"{"global_checkpoints":[-1],"timed_out":true}"#), at(-1, true));
        for odd in ["", "{}", "[7]", r#"{"global_checkpoints":[]}"#, r#"{"global_checkpoints":[1,2]}"#] {
            assert!(is_failed(&checkpoint(200, odd)), "{odd}");
        }
    }

    #[test]
    fn no_module_and_more_than_one_shard_are_told_apart() {
        let no_module =
            r#"{"error":"no handler found for uri [/x/_fleet/global_checkpoints] and method [GET]"}"#;
        assert_eq!(checkpoint(400, no_module), Standing::NoModule);
        let shards = r#"{"error":{"type":"status_exception","reason":"more than one shard"},"status":400}"#;
        assert!(is_failed(&checkpoint(400, shards)));
    }

    #[test]
    fn only_a_positive_word_says_that_an_index_is_missing() {
        let missing =
            r#"{"error":{"type":"index_not_found_exception","reason":"no such index [x]"},"status":404}"#;
        assert_eq!(checkpoint(404, missing), Standing::Missing);
        assert_eq!(statistics(Ok(response(404, missing))), Standing::Missing);
        assert_eq!(search(&response(404, missing)).err(), Some(Reading::Missing));
        assert_eq!(refresh(&response(404, missing)).err(), Some(Reading::Missing));
        for other in ["", "<html>", r#"{"error":{"type":"other"}}"#] {
            assert!(is_failed(&checkpoint(404, other)), "{other}");
            assert!(is_failed(&statistics(Ok(response(404, other)))), "{other}");
            assert!(matches!(search(&response(404, other)).err(), Some(Reading::Failed(_))), "{other}");
        }
    }

    #[test]
    fn refusals_are_unknown_and_a_proxys_timeout_is_its_own() {
        for status in [401, 403, 429, 500, 502, 503] {
            assert!(is_failed(&checkpoint(status, "")), "{status}");
        }
        assert_eq!(checkpoint(504, "<html>"), Standing::GatewayTimeout);
    }

    fn shard(uuid: &str, copies: &str) -> Standing {
        let body =
            format!(r#"{{"indices":{{".fleet-x-7":{{"uuid":"{uuid}","shards":{{"0":[{copies}]}}}}}}}}"#);
        statistics(Ok(response(200, &body)))
    }

    #[test]
    fn statistics_are_those_of_the_primary_shard() {
        let replica = r#"{"routing":{"primary":false},"seq_no":{"global_checkpoint":5}}"#;
        let primary = r#"{"routing":{"primary":true},"seq_no":{"global_checkpoint":7}}"#;
        let at = Standing::At { checkpoint: 7, incarnation: Some("u".into()), waited: true };
        assert_eq!(shard("u", &format!("{replica},{primary}")), at);
        assert!(is_failed(&shard("u", replica)));
        assert!(is_failed(&shard("u", r#"{"routing":{"primary":true}}"#)));
        for unknown in ["{}", r#"{"indices":{}}"#, "[]", r#"{"indices":{"x":{"uuid":"u","shards":{}}}}"#] {
            assert!(is_failed(&statistics(Ok(response(200, unknown)))), "{unknown}");
        }
    }

    #[test]
    fn statistics_of_several_shards_or_indices_are_none() {
        let copies = r#"[{"routing":{"primary":true},"seq_no":{"global_checkpoint":7}}]"#;
        let shards =
            format!(r#"{{"indices":{{"x":{{"uuid":"u","shards":{{"0":{copies},"1":{copies}}}}}}}}}"#);
        assert!(is_failed(&statistics(Ok(response(200, &shards)))));
        let index = format!(r#"{{"uuid":"u","shards":{{"0":{copies}}}}}"#);
        let indices = format!(r#"{{"indices":{{"x":{index},"y":{index}}}}}"#);
        assert!(is_failed(&statistics(Ok(response(200, &indices)))));
    }

    #[test]
    fn of_several_indices_the_one_of_that_name_counts() {
        let copies = r#"[{"routing":{"primary":true},"seq_no":{"global_checkpoint":7}}]"#;
        let of = |names: &[&str]| {
            let index = format!(r#"{{"uuid":"u","shards":{{"0":{copies}}}}}"#);
            let indices: Vec<String> = names.iter().map(|name| format!(r#""{name}":{index}"#)).collect();
            let body = format!(r#"{{"indices":{{{}}}}}"#, indices.join(","));
            statistics_of(&response(200, &body), ".fleet-actions")
        };
        for known in [[".fleet-actions-7", ".fleet-policies-7"], [".fleet-actions", ".fleet-actions-results"]]
        {
            assert!(matches!(of(&known), Some(Standing::At { checkpoint: 7, .. })), "{known:?}");
        }
        for unknown in [
            &[][..],
            &[".fleet-policies-7"],
            &[".fleet-actions-x"],
            &[".fleet-actions-7", ".fleet-actions-8"],
        ] {
            assert_eq!(of(unknown), None, "{unknown:?}");
        }
        assert_eq!(statistics_of(&response(503, "{}"), ".fleet-actions"), None);
    }

    #[test]
    fn only_a_search_that_succeeded_has_found_nothing() {
        let nothing = r#"{"timed_out":false,"_shards":{"failed":0},"hits":{"hits":[]}}"#;
        assert!(search(&response(200, nothing)).unwrap().hits.is_empty());
        for (status, unknown) in [
            (200, "{}"),
            (200, r#"{"timed_out":true,"_shards":{"failed":0},"hits":{"hits":[]}}"#),
            (200, r#"{"timed_out":false,"_shards":{"failed":1},"hits":{"hits":[]}}"#),
            (200, r#"{"timed_out":false,"hits":{"hits":[]}}"#),
            (200, r#"{"_shards":{"failed":0},"hits":{"hits":[]}}"#),
            (200, r#"{"timed_out":false,"_shards":{"failed":0}}"#),
            (503, nothing),
            (429, r#"{"error":{"type":"circuit_breaking_exception"}}"#),
        ] {
            let found = search(&response(status, unknown)).err();
            assert!(matches!(found, Some(Reading::Failed(_))), "{status} {unknown}");
        }
    }

    #[test]
    fn a_refresh_that_failed_on_a_shard_is_none() {
        assert_eq!(refresh(&response(200, r#"{"_shards":{"total":2,"successful":1,"failed":0}}"#)), Ok(()));
        for (status, body) in [(200, r#"{"_shards":{"failed":1}}"#), (200, "{}"), (503, "")] {
            assert!(matches!(refresh(&response(status, body)), Err(Reading::Failed(_))), "{status} {body}");
        }
    }
}
