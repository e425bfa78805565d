//! Counts and times of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::failure::Failure;

/// More times than this are counted but not kept.
const TIMES_MAX: usize = 8_000_000;

/// What a shard counts in every phase.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// By kind; with the first one's detail.
    pub(crate) failures: BTreeMap<String, (u64, String)>,
    /// Agents that gave up: their retries are used up.
    pub(crate) lost: u64,
    pub(crate) calls: u64,
    pub(crate) answers: u64,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
}

impl Tally {
    /// Counts a failure.
    pub(crate) fn failed(&mut self, failure: &Failure) {
        let first = || (0, failure.detail.clone());
        self.failures.entry(failure.kind.to_string()).or_insert_with(first).0 += 1;
    }

    /// Adds another shard's counts.
    pub(crate) fn add(&mut self, other: &Self) {
        for (kind, (count, detail)) in &other.failures {
            self.failures.entry(kind.clone()).or_insert_with(|| (0, detail.clone())).0 += count;
        }
        self.lost += other.lost;
        self.calls += other.calls;
        self.answers += other.answers;
        self.request_bytes += other.request_bytes;
        self.response_bytes += other.response_bytes;
    }

    /// Forgets what was sent and received so far: the sizes are to be those of what follows.
    pub(crate) fn forget_sizes(&mut self) {
        (self.calls, self.answers, self.request_bytes, self.response_bytes) = (0, 0, 0, 0);
    }

    /// Mean size of a request and of a response body, for the machine's floor.
    pub(crate) fn mean_sizes(&self) -> (usize, usize) {
        let mean = |bytes: u64, count: u64| usize::try_from(bytes / count.max(1)).unwrap_or_default().max(1);
        (mean(self.request_bytes, self.calls), mean(self.response_bytes, self.answers))
    }

    /// Answers with another status than 200, in all.
    pub(crate) fn refusals(&self) -> u64 {
        self.failures.iter().filter(|(kind, _)| kind.starts_with("HTTP ")).map(|(_, (count, _))| count).sum()
    }
}

/// Times of one kind of event.
#[derive(Debug, Default)]
pub(crate) struct Times {
    microseconds: Vec<u32>,
    beyond: u64,
}

impl Times {
    /// Notes one time.
    pub(crate) fn note(&mut self, time: Duration) {
        if self.microseconds.len() < TIMES_MAX {
            self.microseconds.push(u32::try_from(time.as_micros()).unwrap_or(u32::MAX));
        } else {
            self.beyond += 1;
        }
    }

    /// Takes over another shard's times.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.microseconds.append(&mut other.microseconds);
        self.beyond += other.beyond;
    }

    /// How many were noted.
    pub(crate) fn count(&self) -> u64 {
        self.microseconds.len() as u64 + self.beyond
    }

    /// Milliseconds that the fraction `part` (0 to 1) of the events did not exceed; None without events.
    pub(crate) fn percentile(&mut self, part: f64) -> Option<f64> {
        self.microseconds.sort_unstable();
        let last = self.microseconds.len().checked_sub(1)?;
        // Nearest rank; the counts are far below 2^52.
        let rank = ((last as f64) * part).round() as usize;
        self.microseconds.get(rank).map(|&time| f64::from(time) / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let mut times = Times::default();
        for milliseconds in [5, 1, 4, 2, 3] {
            times.note(Duration::from_millis(milliseconds));
        }
        assert_eq!(times.percentile(0.5), Some(3.0));
        assert_eq!(times.percentile(1.0), Some(5.0));
    }

    #[test]
    fn no_events_have_no_percentile() {
        assert_eq!(Times::default().percentile(0.5), None);
    }
}
