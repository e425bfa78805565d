//! Which host next: round robin over those that work. Pure: time comes in as an argument.

use std::time::Duration;

/// A host is set aside for so long after its first failure, and twice as long after each further one ...
const ASIDE_FIRST: Duration = Duration::from_secs(60);
/// ... so many times.
const DOUBLINGS_MAX: u32 = 5;

/// The state of each host, by its place in the configuration.
#[derive(Debug)]
pub(super) struct Hosts {
    hosts: Vec<Health>,
    next: usize,
}

#[derive(Clone, Debug, Default)]
struct Health {
    /// Without an answer in between; those while it was set aside do not count.
    failures: u32,
    /// Set aside until then.
    aside_until: Option<Duration>,
    failed_at: Duration,
    /// It has said that it is Elasticsearch.
    known: bool,
}

impl Health {
    fn works(&self, now: Duration) -> bool {
        self.aside_until.is_none_or(|until| now >= until)
    }
}

impl Hosts {
    /// So many hosts, all of them presumed to work.
    pub(super) fn new(count: usize) -> Self {
        Hosts { hosts: vec![Health::default(); count], next: 0 }
    }

    /// The host for a request that was tried on those in `tried`. A first try always finds one: where none works, the one
    /// that failed least recently. Further tries find only hosts that work, so that a request does not wait for each dead
    /// host in turn. `None`: nothing is left, or there are no hosts.
    pub(super) fn pick(&mut self, now: Duration, tried: &[usize]) -> Option<usize> {
        let count = self.hosts.len();
        let in_turn = (self.next..self.next + count).map(|place| place % count);
        let mut working = in_turn.filter(|place| self.hosts[*place].works(now) && !tried.contains(place));
        if let Some(place) = working.next() {
            self.next = place + 1;
            return Some(place);
        }
        if !tried.is_empty() {
            return None;
        }
        (0..count).min_by_key(|place| self.hosts[*place].failed_at)
    }

    /// Whether a host works that is not among those tried.
    pub(super) fn another_works(&self, now: Duration, tried: &[usize]) -> bool {
        self.hosts.iter().enumerate().any(|(place, host)| host.works(now) && !tried.contains(&place))
    }

    /// Whether one of the hosts works, or is to be tried again.
    pub(super) fn any_works(&self, now: Duration) -> bool {
        self.hosts.iter().any(|host| host.works(now))
    }

    /// A host could not be used. Returns for how long it is set aside, if that is news.
    pub(super) fn failed(&mut self, place: usize, now: Duration) -> Option<Duration> {
        let host = self.hosts.get_mut(place)?;
        host.failed_at = now;
        if !host.works(now) {
            return None;
        }
        let aside = ASIDE_FIRST * 2_u32.pow(host.failures.min(DOUBLINGS_MAX));
        host.failures = host.failures.saturating_add(1);
        host.aside_until = Some(now + aside);
        Some(aside)
    }

    /// A host has answered. Returns whether that is news: it had failed before.
    pub(super) fn answered(&mut self, place: usize) -> bool {
        let Some(host) = self.hosts.get_mut(place) else { return false };
        let is_back = host.failures > 0;
        host.failures = 0;
        host.aside_until = None;
        is_back
    }

    /// Whether the host has said that it is Elasticsearch.
    pub(super) fn is_known(&self, place: usize) -> bool {
        self.hosts.get(place).is_some_and(|host| host.known)
    }

    /// The host has said that it is Elasticsearch.
    pub(super) fn make_known(&mut self, place: usize) {
        if let Some(host) = self.hosts.get_mut(place) {
            host.known = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn hosts_take_turns() {
        let mut hosts = Hosts::new(3);
        let picked: Vec<_> = (0..5).map(|_| hosts.pick(SECOND, &[])).collect();
        assert_eq!(picked, [Some(0), Some(1), Some(2), Some(0), Some(1)]);
    }

    #[test]
    fn a_failed_host_is_left_out_until_its_time_has_passed() {
        let mut hosts = Hosts::new(2);
        assert_eq!(hosts.failed(0, SECOND), Some(SECOND * 60));
        assert_eq!(hosts.pick(SECOND * 2, &[]), Some(1));
        assert_eq!(hosts.pick(SECOND * 60, &[]), Some(1));
        assert_eq!(hosts.pick(SECOND * 61, &[]), Some(0));
    }

    #[test]
    fn it_is_left_out_twice_as_long_each_time_but_not_for_ever() {
        let mut hosts = Hosts::new(1);
        let (mut now, mut aside) = (SECOND, Vec::new());
        for _ in 0..8 {
            let time = hosts.failed(0, now).unwrap();
            aside.push(time.as_secs());
            now += time;
        }
        assert_eq!(aside, [60, 120, 240, 480, 960, 1_920, 1_920, 1_920]);
    }

    #[test]
    fn failing_while_set_aside_neither_counts_nor_is_news() {
        let mut hosts = Hosts::new(1);
        assert_eq!(hosts.failed(0, SECOND), Some(SECOND * 60));
        assert_eq!(hosts.failed(0, SECOND * 2), None);
        assert_eq!(hosts.failed(0, SECOND * 61), Some(SECOND * 120));
    }

    #[test]
    fn where_none_works_the_least_recently_failed_is_tried() {
        let mut hosts = Hosts::new(3);
        for (place, at) in [(0, 3), (1, 1), (2, 2)] {
            hosts.failed(place, SECOND * at);
        }
        assert_eq!(hosts.pick(SECOND * 4, &[]), Some(1));
        hosts.failed(1, SECOND * 5);
        assert_eq!(hosts.pick(SECOND * 6, &[]), Some(2));
    }

    #[test]
    fn further_tries_take_other_hosts_and_only_those_that_work() {
        let mut hosts = Hosts::new(3);
        hosts.failed(2, SECOND);
        assert_eq!(hosts.pick(SECOND, &[]), Some(0));
        assert_eq!(hosts.pick(SECOND, &[0]), Some(1));
        assert_eq!(hosts.pick(SECOND, &[0, 1]), None);
    }

    #[test]
    fn an_answer_forgives_everything_and_is_news_once() {
        let mut hosts = Hosts::new(1);
        hosts.failed(0, SECOND);
        assert!(hosts.answered(0));
        assert!(!hosts.answered(0));
        assert_eq!(hosts.failed(0, SECOND * 2), Some(SECOND * 60));
    }

    #[test]
    fn without_hosts_nothing_is_found() {
        assert_eq!(Hosts::new(0).pick(SECOND, &[]), None);
    }
}
