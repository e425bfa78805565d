//! Policies: after each change their ids are counted with the newest revision of each, and what is new is loaded. So a
//! deleted policy is seen, many revisions at once are one, and an index that was made anew needs no other way.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::answers::{self, Hit, Hits};
use super::feed::{Feed, Page, Source, Unread};
use super::progress::Reading;
use super::requests;
use crate::model::Policy;
use crate::store::Changes;

/// Policies counted in one request.
const COUNTED_PER_REQUEST_MAX: usize = 10_000;
/// More are no policies: the answers do not end.
const COUNTS_MAX: usize = 100;
/// Policies loaded in one request: a document may have a megabyte.
const LOADED_PER_REQUEST_MAX: usize = 20;

/// Follows `.fleet-policies`.
pub(super) struct Policies {
    /// The newest revision of each that was told.
    told: BTreeMap<String, i64>,
    page: Page,
}

impl Default for Policies {
    fn default() -> Self {
        Policies { told: BTreeMap::new(), page: Page::of(LOADED_PER_REQUEST_MAX) }
    }
}

/// The newest revision of each policy there is.
type Census = BTreeMap<String, i64>;

impl Feed for Policies {
    fn begin(&mut self, source: &Source<'_>, up_to: i64) -> Result<i64, Unread> {
        let census = if up_to < 0 { Census::new() } else { count(source, up_to)? };
        if census.is_empty() {
            source.tell(Changes::Policies(Vec::new()))?;
        }
        self.follow(source, &census, up_to)?;
        source.queue.policies_are_told();
        Ok(up_to)
    }

    /// What there is is compared with what was told anyway.
    fn start_over(&mut self, _source: &Source<'_>) -> Result<(), Unread> {
        Ok(())
    }

    fn read(&mut self, source: &Source<'_>, _after: i64, up_to: i64) -> Result<i64, Unread> {
        let census = count(source, up_to)?;
        self.follow(source, &census, up_to)?;
        Ok(up_to)
    }
}

impl Policies {
    /// Tells what differs from what was told. What was told stays so if the rest fails.
    fn follow(&mut self, source: &Source<'_>, census: &Census, up_to: i64) -> Result<(), Unread> {
        for policy_id in gone(&self.told, census) {
            source.tell(Changes::PolicyDeleted(policy_id.clone()))?;
            self.told.remove(&policy_id);
        }
        let mut wanted = &wanted(&self.told, census)[..];
        while !wanted.is_empty() {
            let (now, later) = wanted.split_at(self.page.size().min(wanted.len()));
            let answer = source.search_page(&requests::newest(now), up_to, &mut self.page)?;
            let policies = newest(answers::search(&answer)?.aggregations)?;
            for policy_id in now {
                // one that cannot be read, or is gone by now, is not asked for again until it changes
                self.told.insert((*policy_id).to_owned(), census[*policy_id]);
            }
            for policy in &policies {
                self.told.insert(policy.policy_id.clone(), policy.revision_idx);
            }
            source.tell(Changes::Policies(policies))?;
            wanted = later;
        }
        Ok(())
    }
}

/// Policies that were told and are not there, or not in that revision: those have started over.
fn gone(told: &BTreeMap<String, i64>, census: &Census) -> Vec<String> {
    let is_gone = |(id, idx): &(&String, &i64)| census.get(*id).is_none_or(|newest| newest < *idx);
    told.iter().filter(is_gone).map(|(policy_id, _)| policy_id.clone()).collect()
}

/// Policies of which there is a revision that was not told.
fn wanted<'a>(told: &BTreeMap<String, i64>, census: &'a Census) -> Vec<&'a str> {
    let is_wanted = |(id, newest): &(&String, &i64)| told.get(*id).is_none_or(|idx| idx < *newest);
    census.iter().filter(is_wanted).map(|(policy_id, _)| policy_id.as_str()).collect()
}

#[derive(Deserialize)]
struct Counted {
    policies: Counts,
}

#[derive(Deserialize)]
struct Counts {
    after_key: Option<Value>,
    buckets: Vec<Count>,
}

#[derive(Deserialize)]
struct Count {
    key: CountKey,
    revision_idx: Highest,
}

#[derive(Deserialize)]
struct CountKey {
    policy_id: String,
}

#[derive(Deserialize)]
struct Highest {
    /// A number with a fraction, as all sums and extremes are; null where no document has the field.
    value: Option<f64>,
}

fn count(source: &Source<'_>, up_to: i64) -> Result<Census, Unread> {
    source.refresh()?;
    let mut census = Census::new();
    let mut after = None;
    for _ in 0..COUNTS_MAX {
        let answer = source.search(&requests::census(after.as_ref(), COUNTED_PER_REQUEST_MAX), up_to);
        let counts = counts(answers::search(&answer?)?.aggregations)?;
        census.extend(counts.buckets.into_iter().map(Count::policy));
        after = counts.after_key;
        if after.is_none() {
            return Ok(census);
        }
    }
    Err(Reading::Failed("there is no end of policies".to_owned()).into())
}

fn counts(aggregations: Option<&RawValue>) -> Result<Counts, Reading> {
    let unreadable = || Reading::Failed("the count of policies cannot be read".to_owned());
    let counted: Counted =
        serde_json::from_str(aggregations.ok_or_else(unreadable)?.get()).map_err(|_| unreadable())?;
    Ok(counted.policies)
}

impl Count {
    fn policy(self) -> (String, i64) {
        // an integer field: the conversion saturates and is exact
        (self.key.policy_id, self.revision_idx.value.map_or(0, |value| value as i64))
    }
}

#[derive(Deserialize)]
struct Newest<'a> {
    #[serde(borrow)]
    policy_id: Buckets<'a>,
}

#[derive(Deserialize)]
struct Buckets<'a> {
    #[serde(borrow)]
    buckets: Vec<Bucket<'a>>,
}

#[derive(Deserialize)]
struct Bucket<'a> {
    #[serde(borrow)]
    revision_idx: TopHits<'a>,
}

#[derive(Deserialize)]
struct TopHits<'a> {
    #[serde(borrow)]
    hits: Hits<'a>,
}

/// The revisions found; one that cannot be read is logged and left out.
fn newest(aggregations: Option<&RawValue>) -> Result<Vec<Arc<Policy>>, Reading> {
    let unreadable = || Reading::Failed("the policies cannot be read".to_owned());
    let newest: Newest<'_> =
        serde_json::from_str(aggregations.ok_or_else(unreadable)?.get()).map_err(|_| unreadable())?;
    let hits = newest.policy_id.buckets.iter().flat_map(|bucket| &bucket.revision_idx.hits.hits);
    let read = |hit: &&RawValue| {
        let hit: Hit<'_> = serde_json::from_str(hit.get())?;
        let policy = Policy::read(hit.source.get().as_bytes())?;
        if policy.is_none() {
            ::log::warn!("the policy document {} has no data or no policy_id and is left out", hit.id);
        }
        Ok::<_, serde_json::Error>(policy.map(Arc::new))
    };
    let log = |error: &serde_json::Error| {
        ::log::warn!("a policy that was found cannot be read and is left out: {error}");
    };
    Ok(hits.filter_map(|hit| read(hit).inspect_err(log).ok().flatten()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::raw::{Raw, raw};

    fn revisions(revisions: &[(&str, i64)]) -> BTreeMap<String, i64> {
        revisions.iter().map(|(policy_id, idx)| ((*policy_id).to_owned(), *idx)).collect()
    }

    #[test]
    fn what_is_there_is_compared_with_what_was_told() {
        let told = revisions(&[("same", 8), ("newer", 1), ("gone", 3), ("started-over", 5)]);
        let census = revisions(&[("same", 8), ("newer", 4), ("new", 1), ("started-over", 1)]);
        assert_eq!(gone(&told, &census), ["gone", "started-over"]);
        assert_eq!(wanted(&told, &census), ["new", "newer"]);
    }

    fn text(json: &str) -> Raw {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn a_count_has_an_id_and_the_highest_revision_or_none() {
        let counted = text(
            r#"{"policies":{"after_key":{"policy_id":"q"},"buckets":[
                {"key":{"policy_id":"p"},"doc_count":3,"revision_idx":{"value":8.0}},
                {"key":{"policy_id":"q"},"doc_count":1,"revision_idx":{"value":null}}]}}"#,
        );
        let counts = counts(Some(&counted)).unwrap();
        assert_eq!(counts.after_key, Some(serde_json::json!({"policy_id": "q"})));
        assert_eq!(
            counts.buckets.into_iter().map(Count::policy).collect::<Census>(),
            revisions(&[("p", 8), ("q", 0)])
        );
    }

    #[test]
    fn counts_that_are_not_there_are_not_none() {
        assert!(counts(None).is_err() && newest(None).is_err());
        assert!(counts(Some(&text("{}"))).is_err() && newest(Some(&text("{}"))).is_err());
    }

    #[test]
    fn a_policy_that_cannot_be_read_does_not_hide_the_rest() {
        let bucket = |source: &str| {
            format!(
                r#"{{"key":"x","revision_idx":{{"hits":{{"hits":[{{"_id":"d","_source":{source}}}]}}}}}}"#
            )
        };
        let sources = [r#"{"policy_id":"p","revision_idx":2,"data":{}}"#, "7", r#"{"policy_id":"q"}"#, "{}"];
        let buckets = sources.map(bucket).join(",");
        let found = text(&format!(
            r#"{{"policy_id":{{"buckets":[{{"revision_idx":{{"hits":{{"hits":[7]}}}}}},{buckets}]}}}}"#
        ));
        let policies = newest(Some(&found)).unwrap();
        let read: Vec<_> =
            policies.iter().map(|policy| (policy.policy_id.as_str(), policy.revision_idx)).collect();
        assert_eq!(read, [("p", 2)]);
        assert_eq!(raw(&policies[0].data).get(), "{}");
    }
}
