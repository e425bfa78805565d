//! A token bucket: full at the start, one more token each interval.

use std::time::Duration;

use crate::config::limits::Pace;

/// Tokens of one limit (http-api.md, "Rate limits").
#[derive(Debug, Clone)]
pub struct Bucket {
    limit: Pace,
    tokens: u64,
    /// When the last token was added.
    filled_at: Duration,
}

impl Bucket {
    /// A full bucket.
    pub fn new(limit: Pace) -> Self {
        Bucket { tokens: u64::from(limit.burst), limit, filled_at: Duration::ZERO }
    }

    /// Another limit: what was spent stays spent, as far as the burst goes. An unchanged one changes nothing.
    pub fn set_limit(&mut self, limit: Pace) {
        if limit != self.limit {
            // one that was not limited has spent nothing
            let spent = match self.limit.interval.is_zero() {
                true => 0,
                false => u64::from(self.limit.burst).saturating_sub(self.tokens),
            };
            self.tokens = u64::from(limit.burst).saturating_sub(spent);
            self.limit = limit;
        }
    }

    /// Takes a token; false if there is none. Without an interval there is always one.
    pub fn take(&mut self, now: Duration) -> bool {
        if self.limit.interval.is_zero() {
            return true;
        }
        self.fill(now);
        let taken = self.tokens > 0;
        self.tokens -= u64::from(taken);
        taken
    }

    /// Puts a token back that was not used.
    pub fn refund(&mut self) {
        self.tokens = (self.tokens + 1).min(u64::from(self.limit.burst));
    }

    /// When there is a token.
    pub fn next_at(&self, now: Duration) -> Duration {
        if self.tokens > 0 || self.limit.interval.is_zero() {
            now
        } else {
            (self.filled_at + self.limit.interval).max(now)
        }
    }

    fn fill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.filled_at);
        let more = u64::try_from(passed.as_nanos() / self.limit.interval.as_nanos()).unwrap_or(u64::MAX);
        if more == 0 {
            return;
        }
        self.tokens = self.tokens.saturating_add(more).min(u64::from(self.limit.burst));
        // what is left of an interval counts for the next token
        let rest = passed.as_nanos() % self.limit.interval.as_nanos();
        self.filled_at = now.saturating_sub(Duration::from_nanos(u64::try_from(rest).unwrap_or(0)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(interval_ms: u64, burst: u32) -> Bucket {
        Bucket::new(Pace { interval: Duration::from_millis(interval_ms), burst })
    }

    #[test]
    fn a_burst_passes_and_then_one_each_interval() {
        let mut bucket = bucket(10, 2);
        let ms = Duration::from_millis;
        assert!(bucket.take(ms(0)) && bucket.take(ms(0)) && !bucket.take(ms(9)));
        assert_eq!(bucket.next_at(ms(9)), ms(10));
        assert!(bucket.take(ms(15)) && !bucket.take(ms(19)) && bucket.take(ms(20)));
    }

    #[test]
    fn without_an_interval_everything_passes_and_without_a_burst_nothing() {
        assert!((0..100).all(|_| bucket(0, 0).take(Duration::ZERO)));
        assert!(!bucket(1, 0).take(Duration::from_secs(9)));
    }

    #[test]
    fn another_limit_gives_no_tokens_back() {
        let mut bucket = bucket(1_000, 3);
        let at = Duration::from_secs;
        assert!(bucket.take(at(0)) && bucket.take(at(0)));
        bucket.set_limit(Pace { interval: at(1), burst: 3 });
        assert!(bucket.take(at(0)) && !bucket.take(at(0)), "it is the same");
        bucket.set_limit(Pace { interval: at(2), burst: 4 });
        assert!(bucket.take(at(0)) && !bucket.take(at(0)));
        assert!(!bucket.take(at(1)) && bucket.take(at(2)));
    }

    #[test]
    fn it_never_holds_more_than_its_burst() {
        let mut bucket = bucket(1, 3);
        let later = Duration::from_secs(3_600);
        assert_eq!((0..10).filter(|_| bucket.take(later)).count(), 3);
    }
}
