//! What only a real cluster can say.

use super::*;
use crate::store::tests::elastic::on_elastic;
use crate::store::tests::{Fixture, action, seconds_later, text};

fn raw(text: &str) -> crate::model::raw::Raw {
    serde_json::value::RawValue::from_string(text.to_owned()).unwrap()
}

#[test]
fn an_agent_whose_words_the_cluster_cannot_read_fails_alone() {
    on_elastic(|fixture| {
        ["a", "b", "c"].iter().for_each(|id| drop(fixture.enroll(id)));
        let says = |agent: &str, metadata: &str| {
            let patch = Patch::new().set("local_metadata", raw(metadata));
            Operation::CheckIn { agent: agent.into(), at: NOW, patch }
        };
        let answers = fixture.store.run(vec![
            says("a", r#"{"x":1}"#),
            // the cluster takes no key twice, and refuses the whole request
            says("b", r#"{"x":1,"x":2}"#),
            says("c", r#"{"x":3}"#),
        ]);
        assert_eq!((answers[0].is_ok(), status(&answers[1]), answers[2].is_ok()), (true, 400, true));
        assert_eq!(text(&fixture.agent("c").unwrap().local_metadata), Some(r#"{"x":3}"#));
    });
}

#[test]
fn odd_values_do_not_make_a_document_unreadable() {
    on_elastic(|fixture| {
        fixture.enroll("a");
        let odd = r#"{"infinite":1e999,"half":"\ud800","long":123456789012345678901234567890}"#;
        fixture.check_in("a", NOW, Patch::new().set("local_metadata", raw(odd)));
        fixture.check_in("a", seconds_later(1), Patch::new().set("last_checkin_status", "online"));
        assert_eq!(fixture.agent("a").unwrap().last_checkin_status.as_deref(), Some("online"));
    });
}

#[test]
fn a_stored_time_that_is_none_does_not_stop_check_ins() {
    on_elastic(|fixture| {
        for odd in ["soon", "7", "{}", "null"] {
            fixture.enroll(odd);
            let value = serde_json::from_str::<Value>(odd).unwrap_or_else(|_| odd.into());
            // an object the mapping of a date refuses
            if !value.is_object() {
                fixture.update(odd, Patch::new().set("last_checkin", value));
            }
            fixture.check_in(odd, NOW, Patch::new().set("last_checkin_status", "online"));
            assert_eq!(fixture.agent(odd).unwrap().last_checkin, Some(NOW.rfc3339()), "{odd}");
        }
    });
}

#[test]
fn times_are_compared_whatever_their_form() {
    on_elastic(|fixture| {
        fixture.enroll("a");
        // as Kibana writes them: 22:13:25 in UTC
        fixture.update("a", Patch::new().set("last_checkin", "2023-11-14T23:13:25.500+01:00"));
        fixture.check_in("a", seconds_later(4), Patch::new().set("last_checkin_status", "older"));
        assert_eq!(fixture.agent("a").unwrap().last_checkin_status, None);
        fixture.check_in("a", seconds_later(5), Patch::new().set("last_checkin_status", "newer"));
        assert_eq!(fixture.agent("a").unwrap().last_checkin_status.as_deref(), Some("newer"));
    });
}

#[test]
fn a_result_that_exists_is_fine() {
    on_elastic(|fixture| {
        let result = crate::model::ActionResult {
            action_id: "x".into(),
            agent_id: "a".into(),
            timestamp: "odd".into(),
            ..Default::default()
        };
        for _ in 0..2 {
            fixture.done(Operation::CreateResult(Box::new(result.clone())));
        }
    });
}

fn lookup(fixture: &Fixture, action_id: &str) -> crate::store::ActionLookup {
    match fixture.ask(Operation::ActionById(action_id.into())) {
        Ok(Answer::Action(lookup)) => lookup,
        other => panic!("{other:?}"),
    }
}

#[test]
fn expired_actions_are_removed_and_known_by_their_answers() {
    use crate::store::ActionLookup::{Found, Gone, Unknown};
    on_elastic(|fixture| {
        let expired = |id: &str| crate::model::Action { expiration: NOW.rfc3339(), ..action(id, &["a"]) };
        for action in [expired("answered"), expired("ignored"), action("young", &["a"])] {
            assert!(fixture.ask(Operation::CreateAction(Box::new(action))).is_ok());
        }
        let result = crate::model::ActionResult {
            action_id: "answered".into(),
            agent_id: "a".into(),
            timestamp: NOW.rfc3339(),
            ..Default::default()
        };
        fixture.done(Operation::CreateResult(Box::new(result)));
        assert_eq!(fixture.clean_up(seconds_later(3_999)), 0);
        assert_eq!(fixture.clean_up(seconds_later(4_000)), 2);
        assert!(matches!(lookup(fixture, "answered"), Gone));
        assert!(matches!(lookup(fixture, "ignored"), Unknown));
        assert!(matches!(lookup(fixture, "young"), Found(_)));
    });
}

#[test]
fn housekeeping_without_an_index_has_nothing_to_do() {
    on_elastic(|fixture| assert_eq!(fixture.clean_up(NOW), 0));
}

#[test]
fn lists_longer_than_a_page_are_complete() {
    on_elastic(|fixture| {
        let create = |number| Operation::CreateAction(Box::new(action(&format!("x{}", number % 2), &["a"])));
        fixture.store.run((0..130).map(create).collect());
        let actions = |operation| match fixture.ask(operation) {
            Ok(Answer::Actions(actions)) => actions.iter().map(|action| action.seq_no).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert!(actions(Operation::Actions { limit: 120 }).into_iter().eq((10..130).rev()));
        assert!(actions(Operation::ActionDocuments("x1".into())).into_iter().eq((1..130).step_by(2)));
        let revision = |number| crate::store::tests::create_revision(&format!("p{number:03}"), 1);
        let answers = fixture.store.run((0..55).map(revision).collect());
        assert!(answers.iter().all(Result::is_ok));
        match fixture.ask(Operation::LatestPolicies) {
            Ok(Answer::Policies(policies)) => assert_eq!(policies.len(), 55),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn there_is_no_backup() {
    on_elastic(|fixture| {
        let answer = fixture.ask(Operation::Backup("x".into()));
        assert_eq!(status(&answer), 501);
    });
}
