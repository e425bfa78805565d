//! Time as data: [`Now`] comes in with every event, nothing here reads a clock.

use std::time::Duration;

use ::time::OffsetDateTime;
use ::time::format_description::well_known::Rfc3339;
use ::time::macros::format_description;

/// One reading of both clocks, taken by the reactor once per turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time since the process started: for every wait and deadline.
    pub mono: Duration,
    /// Wall clock: for what is stored or sent.
    pub wall: Timestamp,
}

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// The time of answers as HTTP tells it, written once a second.
#[derive(Debug, Default)]
pub struct HttpDate {
    second: i64,
    text: String,
}

impl HttpDate {
    /// The text for this moment.
    pub fn at(&mut self, wall: Timestamp) -> &str {
        let second = wall.0.div_euclid(1_000);
        if self.text.is_empty() || second != self.second {
            self.second = second;
            self.text = wall.http_date();
        }
        &self.text
    }
}

/// The last moment that RFC 3339 can write: the end of the year 9999.
const LAST: Timestamp = Timestamp(253_402_300_799_999);

/// A time that never comes: the deadline of what has none.
pub const NEVER: Duration = Duration::MAX;

impl Timestamp {
    /// RFC 3339, UTC, whole seconds: how the Fleet documents hold times (checkin.md).
    pub fn rfc3339(self) -> String {
        let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
        self.date_time().format(format).unwrap_or_default()
    }

    /// RFC 3339, UTC, with milliseconds: how log lines hold times.
    pub fn rfc3339_millis(self) -> String {
        let format =
            format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
        self.date_time().format(format).unwrap_or_default()
    }

    /// How HTTP tells the time of an answer (IMF-fixdate, RFC 9110, 5.6.7).
    fn http_date(self) -> String {
        let format = format_description!(
            "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
        );
        self.date_time().format(format).unwrap_or_default()
    }

    /// Reads RFC 3339 with any offset and precision; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        i64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok().map(Timestamp)
    }

    /// This time plus `duration`, saturating.
    pub fn plus(self, duration: Duration) -> Self {
        Timestamp(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This time minus `duration`, saturating.
    pub fn minus(self, duration: Duration) -> Self {
        Timestamp(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// What is later than RFC 3339 can write is its last moment: never does it become the past.
    fn date_time(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.min(LAST).0) * 1_000_000)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_seconds_in_utc() {
        assert_eq!(Timestamp(1_700_000_000_999).rfc3339(), "2023-11-14T22:13:20Z");
        assert_eq!(Timestamp(1_700_000_000_999).rfc3339_millis(), "2023-11-14T22:13:20.999Z");
    }

    #[test]
    fn a_date_as_http_has_it() {
        assert_eq!(Timestamp(784_111_777_000).http_date(), "Sun, 06 Nov 1994 08:49:37 GMT");
        let mut date = HttpDate::default();
        assert_eq!(date.at(Timestamp(784_111_777_999)), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date.at(Timestamp(784_111_778_000)), "Sun, 06 Nov 1994 08:49:38 GMT");
    }

    #[test]
    fn parse_honours_the_offset() {
        assert_eq!(Timestamp::parse("2023-11-14T23:13:20+01:00"), Some(Timestamp(1_700_000_000_000)));
        assert_eq!(Timestamp::parse("2023-11-14T22:13:20.5Z"), Some(Timestamp(1_700_000_000_500)));
        assert_eq!(Timestamp::parse("yesterday"), None);
        // its UTC is in the year 10000
        assert!(Timestamp::parse("9999-12-31T23:59:59-01:00").is_some());
    }

    #[test]
    fn a_time_out_of_range_is_the_last_that_can_be_written() {
        assert_eq!(LAST.plus(Duration::from_millis(1)).rfc3339(), "9999-12-31T23:59:59Z");
        assert_eq!(Timestamp(i64::MAX).rfc3339(), "9999-12-31T23:59:59Z");
        assert_eq!(Timestamp(i64::MIN).rfc3339(), "1970-01-01T00:00:00Z");
        assert_eq!(Timestamp(i64::MAX).plus(Duration::MAX), Timestamp(i64::MAX));
    }
}
