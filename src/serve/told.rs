//! What the agent has been told of its units (agent-mode.md, "States reported"): the same of both, but where the configuration
//! of one is bad. Then that one stays FAILED until it is good again, and the other says how the server does.

use serde_json::json;

use crate::agent_mode::seam::{Control, Report, State, UnitKind};
use crate::fleet::health::{Standing, State as Health};

/// What is to be told, and to whom.
pub(super) struct Told<'a> {
    control: &'a Control,
    standing: Option<Standing>,
    /// The unit whose configuration is bad, and why.
    bad: Option<(UnitKind, String)>,
}

impl<'a> Told<'a> {
    /// Nothing yet.
    pub(super) fn new(control: &'a Control) -> Self {
        Told { control, standing: None, bad: None }
    }

    /// What is so while no server says how it does; of both units.
    pub(super) fn say(&mut self, state: State, message: &str) {
        self.standing = None;
        self.bad = None;
        self.control.report(Report::Both(state, message.to_owned(), None));
    }

    /// How the server does.
    pub(super) fn stands(&mut self, standing: Standing) {
        self.standing = Some(standing);
        self.tell();
    }

    /// The configuration of this unit is bad; what is served stays.
    pub(super) fn bad(&mut self, kind: UnitKind, text: String) {
        ::log::error!("the configuration stays as it is: {text}");
        self.bad = Some((kind, text));
        self.tell();
    }

    /// All configurations are good.
    pub(super) fn good(&mut self) {
        if self.bad.take().is_some() {
            self.tell();
        }
    }

    /// A change is under way that does not touch what is served.
    pub(super) fn configuring(&self, message: &str) {
        self.control.report(Report::Both(State::Configuring, message.to_owned(), None));
    }

    /// The same as before, after something else was said.
    pub(super) fn tell(&self) {
        let (state, message, payload) = match &self.standing {
            None => (State::Starting, "waiting for a configuration that can be used".to_owned(), None),
            Some(standing) => {
                let token = standing.enrollment_token.as_ref();
                let payload = token.map(|token| json!({ "enrollment_token": token.expose() }));
                (state(standing.state), standing.message.clone(), payload)
            }
        };
        let Some((kind, text)) = &self.bad else {
            if self.standing.is_some() {
                self.control.report(Report::Both(state, message, payload));
            }
            return;
        };
        let other = match kind {
            UnitKind::Input => UnitKind::Output,
            UnitKind::Output => UnitKind::Input,
        };
        self.control.report(Report::One(other, state, message));
        self.control.report(Report::One(*kind, State::Failed, text.clone()));
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
        let failed = Report::One(UnitKind::Input, State::Failed, "port".to_owned());
        let other = Report::One(UnitKind::Output, State::Degraded, "m".to_owned());
        assert_eq!(wire.reports(), [other, failed]);
        told.good();
        assert_eq!(wire.reports(), [Report::Both(State::Degraded, "m".to_owned(), None)]);
    }

    #[test]
    fn a_first_configuration_that_is_bad_leaves_the_other_unit_starting() {
        let (control, wire) = link(|| {});
        Told::new(&control).bad(UnitKind::Output, "hosts".to_owned());
        let reports = wire.reports();
        assert!(matches!(reports[0], Report::One(UnitKind::Input, State::Starting, _)), "{reports:?}");
        assert_eq!(reports[1], Report::One(UnitKind::Output, State::Failed, "hosts".to_owned()));
    }
}
