//! The figures by fleet size (config.md, Limits): nine columns, the first the default one.

use std::time::Duration;

/// Number of columns: the default one and eight fleet sizes.
const COLUMNS: usize = 9;

/// The largest `max_agents` of the columns 1 to 7; column 8 takes whatever is larger.
const AGENTS_MAX: [i64; COLUMNS - 2] = [500, 1000, 2500, 5000, 10_000, 20_000, 40_000];

/// The column for a number of agents; none and negative numbers take the default column.
pub(in crate::config) fn column(max_agents: Option<i64>) -> usize {
    match max_agents {
        Some(agents) if agents > 0 => 1 + AGENTS_MAX.iter().take_while(|most| agents > **most).count(),
        _ => 0,
    }
}

/// Time per token, tokens saved up, requests at once.
#[derive(Clone, Copy)]
pub(super) struct Rate {
    pub(super) interval: Duration,
    pub(super) burst: u32,
    pub(super) max: u32,
}

/// A route's rates by column and its body size, the same in every column.
pub(super) struct Route {
    pub(super) rates: [Rate; COLUMNS],
    pub(super) body_bytes_max: u64,
}

const fn rate(microseconds: u64, burst: u32, max: u32) -> Rate {
    Rate { interval: Duration::from_micros(microseconds), burst, max }
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

pub(super) const CHECKIN_DECOMPRESSED_BYTES_MAX: u64 = 20 * MIB;

/// `max_connections` by column.
pub(super) const CONNECTIONS_MAX: [u32; COLUMNS] = [0, 1500, 3000, 7000, 12_000, 22_000, 42_000, 0, 0];

/// `cache.num_counters` by column.
pub(in crate::config) const CACHE_COUNTERS: [u64; COLUMNS] =
    [500_000, 5000, 10_000, 20_000, 40_000, 80_000, 1_600_000, 1_600_000, 6_400_000];

/// `cache.max_cost` in bytes by column.
pub(in crate::config) const CACHE_BYTES_MAX: [u64; COLUMNS] =
    [50 * MIB, 50 * MIB, 50 * MIB, 50 * MIB, 50 * MIB, 50 * MIB, 128 * MIB, 256 * MIB, 512 * MIB];

#[rustfmt::skip]
pub(super) const ACTION: [Rate; COLUMNS] = [
    rate(0, 5, 0), rate(5000, 1, 0), rate(5000, 1, 0), rate(5000, 1, 0), rate(5000, 5, 0),
    rate(1000, 10, 0), rate(1000, 100, 0), rate(500, 100, 0), rate(250, 100, 0),
];

#[rustfmt::skip]
pub(super) const POLICY: [Rate; COLUMNS] = [
    rate(5000, 1, 0), rate(5000, 1, 0), rate(5000, 1, 0), rate(5000, 1, 0), rate(5000, 1, 0),
    rate(5000, 1, 0), rate(5000, 1, 0), rate(2000, 1, 0), rate(250, 1, 0),
];

#[rustfmt::skip]
pub(super) const CHECKIN: Route = Route {
    rates: [
        rate(1000, 1000, 0), rate(5000, 100, 500), rate(5000, 200, 1000), rate(5000, 500, 2500),
        rate(2000, 1000, 5000), rate(1000, 2000, 10_000), rate(500, 4000, 20_000),
        rate(500, 4000, 40_000), rate(250, 8000, 80_000),
    ],
    body_bytes_max: MIB,
};

#[rustfmt::skip]
const ARTIFACT_RATES: [Rate; COLUMNS] = [
    rate(5000, 25, 50), rate(5000, 100, 200), rate(5000, 200, 400), rate(5000, 500, 1000),
    rate(2000, 1000, 2000), rate(1000, 2000, 4000), rate(500, 4000, 8000), rate(500, 4000, 8000),
    rate(250, 8000, 16_000),
];

pub(super) const ARTIFACT: Route = Route { rates: ARTIFACT_RATES, body_bytes_max: 0 };

pub(super) const PGP_RETRIEVAL: Route = Route { rates: ARTIFACT_RATES, body_bytes_max: 0 };

#[rustfmt::skip]
pub(super) const ENROLL: Route = Route {
    rates: [
        rate(10_000, 50, 100), rate(10_000, 10, 20), rate(10_000, 20, 40), rate(10_000, 50, 100),
        rate(10_000, 100, 200), rate(10_000, 100, 200), rate(10_000, 100, 200),
        rate(10_000, 100, 200), rate(10_000, 200, 400),
    ],
    body_bytes_max: 512 * KIB,
};

#[rustfmt::skip]
const ACK_RATES: [Rate; COLUMNS] = [
    rate(10_000, 50, 100), rate(4000, 100, 200), rate(4000, 200, 400), rate(4000, 500, 1000),
    rate(2000, 1000, 2000), rate(1000, 2000, 4000), rate(500, 4000, 8000), rate(500, 4000, 8000),
    rate(250, 8000, 16_000),
];

pub(super) const ACK: Route = Route { rates: ACK_RATES, body_bytes_max: 2 * MIB };

pub(super) const AUDIT_UNENROLL: Route = Route { rates: ACK_RATES, body_bytes_max: KIB };

#[rustfmt::skip]
pub(super) const STATUS: Route = Route {
    rates: [
        rate(5000, 25, 50), rate(5000, 10, 20), rate(5000, 20, 40), rate(5000, 50, 100),
        rate(5000, 100, 200), rate(5000, 200, 400), rate(5000, 200, 400), rate(5000, 200, 400),
        rate(5000, 200, 400),
    ],
    body_bytes_max: 0,
};

pub(super) const OPAMP: Route = Route { rates: [rate(1000, 1000, 0); COLUMNS], body_bytes_max: 3 * MIB };

/// Rates of the file routes: burst and max are the same for all, the interval is not.
#[rustfmt::skip]
const fn file_rates(microseconds: u64) -> [Rate; COLUMNS] {
    [
        rate(microseconds, 5, 10), rate(microseconds, 5, 5), rate(microseconds, 5, 10),
        rate(microseconds, 10, 20), rate(microseconds, 20, 40), rate(microseconds, 40, 80),
        rate(microseconds, 40, 80), rate(microseconds, 40, 80), rate(microseconds, 40, 80),
    ]
}

pub(super) const UPLOAD_START: Route = Route { rates: file_rates(2_000_000), body_bytes_max: 5 * MIB };

pub(super) const UPLOAD_CHUNK: Route = Route { rates: file_rates(3000), body_bytes_max: 4 * MIB };

pub(super) const UPLOAD_END: Route = Route { rates: file_rates(2_000_000), body_bytes_max: KIB };

pub(super) const FILE_DELIVERY: Route = Route { rates: file_rates(100_000), body_bytes_max: 0 };

#[cfg(test)]
mod tests {
    use super::column;

    #[test]
    fn a_fleet_size_takes_the_first_column_that_holds_it() {
        assert_eq!(column(Some(1)), 1);
        assert_eq!(column(Some(500)), 1);
        assert_eq!(column(Some(501)), 2);
        assert_eq!(column(Some(40_000)), 7);
        assert_eq!(column(Some(40_001)), 8);
    }

    #[test]
    fn no_fleet_size_and_a_negative_one_take_the_default_column() {
        assert_eq!(column(None), 0);
        assert_eq!(column(Some(-1)), 0);
    }
}
