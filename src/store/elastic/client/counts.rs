//! How many requests were sent, by the API of the cluster that they are for. Nothing of what is in them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// APIs by the part of the path that names them. The first that is in a path counts.
const APIS: [&str; 12] = [
    "_bulk",
    "_fleet_msearch",
    "_fleet_search",
    "_msearch",
    "_mget",
    "_search",
    "_delete_by_query",
    "global_checkpoints",
    "_refresh",
    "_security",
    "_doc",
    "_create",
];
/// All others.
const OTHER: &str = "other";

/// Sent requests, and those of them that got no answer.
#[derive(Default)]
pub(super) struct Counts(Mutex<BTreeMap<&'static str, (u64, u64)>>);

impl Counts {
    /// A request to this path was sent; whether it was `answered`.
    pub(super) fn count(&self, path: &str, answered: bool) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (sent, failed) = counts.entry(api(path)).or_default();
        *sent += 1;
        *failed += u64::from(!answered);
    }

    /// By API: how many were sent, and how many of those got no answer.
    pub(super) fn all(&self) -> Vec<(&'static str, u64, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|(api, (sent, failed))| (*api, *sent, *failed)).collect()
    }
}

fn api(path: &str) -> &'static str {
    let path = path.split('?').next().unwrap_or_default();
    let is_part = |api: &&&str| path.split('/').any(|part| part == **api);
    APIS.iter().find(is_part).map_or(OTHER, |api| api.trim_start_matches('_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_what_they_are_for_and_not_by_whom() {
        let counts = Counts::default();
        counts.count("/_bulk?filter_path=errors", true);
        counts.count("/.fleet-agents/_doc/some-agent", true);
        counts.count("/.fleet-agents/_doc/_bulk-like", false);
        counts.count("/", true);
        assert_eq!(counts.all(), [("bulk", 1, 0), ("doc", 2, 1), ("other", 1, 0)]);
    }
}
