//! A hierarchical timer wheel: constant time to set, no allocation per timer once warm, never an early ring.
//!
//! Timers are not cancelled: the owner finds a ring stale (generations, moved deadlines) and ignores it.

use std::time::Duration;

/// Length of the finest slot.
const TICK: Duration = Duration::from_millis(10);
const SLOTS: u64 = 64;
/// 64^4 ticks of 10 ms are 46 hours; what is further away waits in the last slot and is put back.
const LEVELS: usize = 4;

/// Timers that carry a `T` each.
#[derive(Debug)]
pub struct Timers<T> {
    levels: Vec<Level<T>>,
    /// Ticks gone by: everything due before is rung.
    now_ticks: u64,
    len: usize,
}

#[derive(Debug)]
struct Level<T> {
    slots: Vec<Vec<(u64, T)>>,
    /// A bit per slot that holds something.
    occupied: u64,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        let level = || Level { slots: (0..SLOTS).map(|_| Vec::new()).collect(), occupied: 0 };
        Timers { levels: (0..LEVELS).map(|_| level()).collect(), now_ticks: 0, len: 0 }
    }
}

impl<T> Timers<T> {
    /// Rings `value` at `at` or up to one tick (10 ms) later.
    pub fn set(&mut self, at: Duration, value: T) {
        let due_ticks = at.as_nanos().div_ceil(TICK.as_nanos());
        let due_ticks = u64::try_from(due_ticks).unwrap_or(u64::MAX).max(self.now_ticks + 1);
        self.place(due_ticks, value);
        self.len += 1;
    }

    /// Takes everything due at `now` into `due`.
    pub fn advance(&mut self, now: Duration, due: &mut Vec<T>) {
        let target = u64::try_from(now.as_nanos() / TICK.as_nanos()).unwrap_or(u64::MAX);
        while self.now_ticks < target {
            if self.len == 0 {
                self.now_ticks = target;
                return;
            }
            self.now_ticks = self.next_stop().min(target);
            self.turn(due);
        }
    }

    /// When [`Timers::advance`] has something to do next.
    pub fn wake_at(&self) -> Option<Duration> {
        (self.len > 0).then(|| {
            let nanos = u128::from(self.next_stop()) * TICK.as_nanos();
            Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
        })
    }

    /// How many timers are set.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no timer is set.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first tick at which a slot that holds something comes up.
    fn next_stop(&self) -> u64 {
        (0..LEVELS).filter_map(|level| self.next_stop_of(level)).min().unwrap_or(u64::MAX)
    }

    fn next_stop_of(&self, level: usize) -> Option<u64> {
        let span = SLOTS.pow(level as u32);
        let position = self.now_ticks / span;
        let rotated = self.levels[level].occupied.rotate_right(((position + 1) % SLOTS) as u32);
        (rotated != 0).then(|| (position + 1 + u64::from(rotated.trailing_zeros())).saturating_mul(span))
    }

    /// Rings or moves down what the slots at the present tick hold, coarsest level first.
    fn turn(&mut self, due: &mut Vec<T>) {
        for level in (0..LEVELS).rev() {
            let span = SLOTS.pow(level as u32);
            if !self.now_ticks.is_multiple_of(span) {
                continue;
            }
            let slot = (self.now_ticks / span % SLOTS) as usize;
            let entries = std::mem::take(&mut self.levels[level].slots[slot]);
            self.levels[level].occupied &= !(1 << slot);
            for (due_ticks, value) in entries {
                if due_ticks <= self.now_ticks {
                    self.len -= 1;
                    due.push(value);
                } else {
                    self.place(due_ticks, value);
                }
            }
        }
    }

    fn place(&mut self, due_ticks: u64, value: T) {
        let distance = due_ticks - self.now_ticks;
        let level =
            (0..LEVELS - 1).find(|level| distance < SLOTS.pow(*level as u32 + 1)).unwrap_or(LEVELS - 1);
        let span = SLOTS.pow(level as u32);
        // beyond the horizon: the furthest slot, from where it is placed anew
        let position = (due_ticks / span).min(self.now_ticks / span + SLOTS - 1);
        let slot = (position % SLOTS) as usize;
        self.levels[level].slots[slot].push((due_ticks, value));
        self.levels[level].occupied |= 1 << slot;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rung_at(timers: &mut Timers<u64>, now_ms: u64) -> Vec<u64> {
        let mut due = Vec::new();
        timers.advance(Duration::from_millis(now_ms), &mut due);
        due
    }

    #[test]
    fn rings_at_its_time_and_once() {
        let mut timers = Timers::default();
        timers.set(Duration::from_millis(25), 1);
        assert_eq!(rung_at(&mut timers, 24), [0u64; 0]);
        assert_eq!(rung_at(&mut timers, 30), [1]);
        assert_eq!(rung_at(&mut timers, 40), [0u64; 0]);
        assert_eq!(timers.wake_at(), None);
    }

    #[test]
    fn every_distance_rings_neither_early_nor_late() {
        let mut state = 1u64;
        for _ in 0..2_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let start = state >> 40;
            let distance = (state >> 8) % (1 << (state % 34));
            let mut timers = Timers::default();
            rung_at(&mut timers, start);
            timers.set(Duration::from_millis(start + distance), 7);
            let mut stops = 0;
            let mut last = start;
            while let Some(at) = timers.wake_at() {
                let at_ms = at.as_millis() as u64;
                assert!(at_ms >= last, "time goes on");
                last = at_ms;
                let due = rung_at(&mut timers, at_ms);
                assert!(due.is_empty() || at_ms >= start + distance, "never early");
                stops += 1;
                assert!(stops < 2_000, "no spin");
            }
            assert!(last <= start + distance + 20, "not late: {last} for {start} + {distance}");
        }
    }

    #[test]
    fn a_jump_of_time_rings_everything_passed() {
        let mut timers = Timers::default();
        for at in [5, 500, 50_000, 5_000_000] {
            timers.set(Duration::from_millis(at), at);
        }
        assert_eq!(rung_at(&mut timers, 6_000_000), [5, 500, 50_000, 5_000_000]);
    }

    #[test]
    fn what_is_set_for_the_past_rings_at_the_next_tick() {
        let mut timers = Timers::default();
        rung_at(&mut timers, 1_000);
        timers.set(Duration::ZERO, 3);
        assert_eq!(rung_at(&mut timers, 1_010), [3]);
    }
}
