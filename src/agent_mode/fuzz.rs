//! Bodies of the fuzz targets; in the library so that they compile with it.

use prost::Message;

use super::chunks::Sets;
use super::messages::{CheckinExpected, CheckinObserved};
use super::seam::{Report, State};
use super::startup::StartUp;
use super::units::{Table, UNITS_MAX};

/// Any bytes are connection information, or refused with a reason.
pub fn startup(data: &[u8]) {
    if let Err(error) = StartUp::read(data) {
        assert!(!error.to_string().is_empty(), "no reason");
    }
}

/// Any messages of an agent (each after its length, a byte) lead to a table that can be told of, and echoes what came last.
pub fn expected(data: &[u8]) {
    let (mut table, mut sets, mut rest) = (Table::new(None), Sets::default(), data);
    while let Some((&bytes, after)) = rest.split_first() {
        let (message, next) = after.split_at(usize::from(bytes).min(after.len()));
        rest = next;
        let Some(whole) = CheckinExpected::decode(message).ok().and_then(|message| sets.take(message)) else {
            continue;
        };
        let (features, component) = (whole.features_idx, whole.component_idx);
        let wish = table.expected(whole);
        table.report(Report::Both(State::Healthy, String::new(), None));
        let observed = table.observed();
        assert_eq!((observed.features_idx, observed.component_idx), (features, component), "no echo");
        assert!(observed.units.len() <= UNITS_MAX, "too many units");
        let again = CheckinObserved::decode(&*observed.encode_to_vec());
        assert!(again.is_ok_and(|again| again == observed), "what is said cannot be read");
        if let Some(units) = wish.and_then(|wish| wish.units) {
            let told = units.input.is_object() && units.output.is_object();
            assert!(told, "a configuration that is none");
        }
    }
}
