//! What the agent has been told of its units (agent-mode.md, "States reported"): the same of both, but where the configuration
//! of one is bad. Then that one stays FAILED until it is good again, and the other says how the server does.

use serde_json::{Value, json};

use crate::agent_mode::seam::{Control, Report, State, UnitKind};
use crate::fleet::health::{Standing, State as Health};

/// What is to be told, and to whom.
pub(super) struct Told<'a> {
    control: &'a Control,
    word: Option<Word>,
    /// The unit whose configuration is bad, and why.
    bad: Option<(UnitKind, String)>,
}

/// How the server does.
struct Word {
    state: State,
    message: String,
    payload: Option<Value>,
}

impl Word {
    fn new(state: State, message: &str) -> Self {
        Word { state, message: message.to_owned(), payload: None }
    }
}

impl<'a> Told<'a> {
    /// Nothing yet.
    pub(super) fn new(control: &'a Control) -> Self {
        Told { control, word: None, bad: None }
    }

    /// What is so while no server says how it does, of both units: all that was said before is over.
    pub(super) fn say(&mut self, state: State, message: &str) {
        (self.word, self.bad) = (None, None);
        self.control.report(Report::Both(state, message.to_owned(), None));
    }

    /// The server could not begin, or go on. What is bad is bad still.
    pub(super) fn fails(&mut self, message: &str) {
        self.word = Some(Word::new(State::Failed, message));
        self.tell();
    }

    /// How the server does.
    pub(super) fn stands(&mut self, standing: Standing) {
        let token = standing.enrollment_token.as_ref();
        let payload = token.map(|token| json!({ "enrollment_token": token.expose() }));
        self.word = Some(Word { state: state(standing.state), message: standing.message, payload });
        self.tell();
    }

    /// The configuration of this unit is bad; what is served stays.
    pub(super) fn bad(&mut self, kind: UnitKind, text: String) {
        self.bad = Some((kind, text));
        self.tell();
    }

    /// All configurations are good; what was said of the server is said again.
    pub(super) fn good(&mut self) {
        self.bad = None;
        self.tell();
    }

    /// A change is under way to a configuration that can be read.
    pub(super) fn configuring(&mut self, message: &str) {
        self.bad = None;
        self.control.report(Report::Both(State::Configuring, message.to_owned(), None));
    }

    fn tell(&self) {
        let waiting = Word::new(State::Starting, "waiting for a configuration that can be used");
        let Word { state, message, payload } = match (&self.word, &self.bad) {
            (Some(word), _) => word,
            (None, Some(_)) => &waiting,
            (None, None) => return,
        };
        let Some((kind, text)) = &self.bad else {
            return self.control.report(Report::Both(*state, message.clone(), payload.clone()));
        };
        let other = match kind {
            UnitKind::Input => UnitKind::Output,
            UnitKind::Output => UnitKind::Input,
        };
        self.control.report(Report::One(other, *state, message.clone(), payload.clone()));
        self.control.report(Report::One(*kind, State::Failed, text.clone(), None));
    }
}

fn state(health: Health) -> State {
    match health {
        Health::Starting => State::Starting,
        Health::Healthy => State::Healthy,
        Health::Degraded => State::Degraded,
        Health::Stopping => State::Stopping,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent_mode::seam::link;
    use crate::config::Secret;

    fn standing(state: Health, token: Option<&str>) -> Standing {
        Standing { state, message: "m".to_owned(), enrollment_token: token.map(Secret::new) }
    }

    #[test]
    fn both_units_say_how_the_server_does_with_the_token_to_enrol_by() {
        let (control, wire) = link(|| {});
        Told::new(&control).stands(standing(Health::Degraded, Some("t")));
        let payload = Some(json!({ "enrollment_token": "t" }));
        assert_eq!(wire.reports(), [Report::Both(State::Degraded, "m".to_owned(), payload)]);
    }

    #[test]
    fn a_bad_unit_stays_failed_while_the_other_says_how_the_server_does() {
        let (control, wire) = link(|| {});
        let mut told = Told::new(&control);
        told.stands(standing(Health::Healthy, None));
        told.bad(UnitKind::Input, "port".to_owned());
        wire.reports();
        told.stands(standing(Health::Degraded, None));
        let failed = Report::One(UnitKind::Input, State::Failed, "port".to_owned(), None);
        let other = Report::One(UnitKind::Output, State::Degraded, "m".to_owned(), None);
        assert_eq!(wire.reports(), [other, failed]);
        told.good();
        assert_eq!(wire.reports(), [Report::Both(State::Degraded, "m".to_owned(), None)]);
    }

    #[test]
    fn a_first_configuration_that_is_bad_leaves_the_other_unit_starting() {
        let (control, wire) = link(|| {});
        Told::new(&control).bad(UnitKind::Output, "hosts".to_owned());
        let reports = wire.reports();
        assert!(matches!(reports[0], Report::One(UnitKind::Input, State::Starting, ..)), "{reports:?}");
        assert_eq!(reports[1], Report::One(UnitKind::Output, State::Failed, "hosts".to_owned(), None));
    }

    #[test]
    fn what_was_bad_is_over_with_a_change_to_what_is_good() {
        let (control, wire) = link(|| {});
        let mut told = Told::new(&control);
        told.bad(UnitKind::Input, "port".to_owned());
        told.configuring("anew");
        wire.reports();
        told.stands(standing(Health::Healthy, None));
        assert_eq!(wire.reports(), [Report::Both(State::Healthy, "m".to_owned(), None)]);
    }

    #[test]
    fn a_bad_output_does_not_take_the_token_to_enrol_by_from_the_input() {
        let (control, wire) = link(|| {});
        let mut told = Told::new(&control);
        told.stands(standing(Health::Degraded, Some("t")));
        told.bad(UnitKind::Output, "hosts".to_owned());
        let payload = Some(json!({ "enrollment_token": "t" }));
        let input = Report::One(UnitKind::Input, State::Degraded, "m".to_owned(), payload);
        assert_eq!(
            wire.reports()[1..],
            [input, Report::One(UnitKind::Output, State::Failed, "hosts".to_owned(), None)]
        );
    }

    #[test]
    fn after_the_end_of_a_server_a_bad_configuration_leaves_the_other_unit_starting() {
        let (control, wire) = link(|| {});
        let mut told = Told::new(&control);
        told.stands(standing(Health::Healthy, None));
        told.say(State::Stopped, "stopped");
        told.bad(UnitKind::Output, "hosts".to_owned());
        let reports = wire.reports();
        assert!(matches!(reports[1], Report::One(UnitKind::Input, State::Starting, ..)), "{reports:?}");
    }

    #[test]
    fn a_server_that_fails_mends_no_configuration() {
        let (control, wire) = link(|| {});
        let mut told = Told::new(&control);
        told.bad(UnitKind::Input, "port".to_owned());
        told.fails("in use");
        let failed = |kind, text: &str| Report::One(kind, State::Failed, text.to_owned(), None);
        assert_eq!(
            wire.reports()[2..],
            [failed(UnitKind::Output, "in use"), failed(UnitKind::Input, "port")]
        );
    }
}
