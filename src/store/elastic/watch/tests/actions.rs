//! Actions that come, and a checkpoint that moves without them.

use super::*;

both_ways! {
    actions_from_before_the_start_are_not_told,
    new_actions_are_told_in_order_with_their_agents_but_not_expired_ones,
    many_actions_are_told_completely,
    deletes_move_the_checkpoint_without_actions,
    an_index_that_is_missing_is_waited_for,
    actions_of_an_index_made_anew_are_told,
    what_is_told_can_be_found,
}

fn actions_from_before_the_start_are_not_told(field: &mut Field) {
    field.make(Index::Actions);
    field.write_action("before");
    assert_eq!(field.start(), (vec![], 0));
    field.write_action("after");
    assert_eq!(field.actions(), (vec!["after".to_owned()], 1));
}

fn new_actions_are_told_in_order_with_their_agents_but_not_expired_ones(field: &mut Field) {
    field.make(Index::Actions);
    field.start();
    let late = "2100-01-01T00:00:00Z";
    field.write(
        Index::Actions,
        &[action("x", late), action("expired", "2001-01-01T00:00:00Z"), action("y", late)],
    );
    let Changes::Actions { actions, checkpoint } = field.next_but_health() else { panic!("no actions") };
    let told: Vec<_> = actions.iter().map(|action| (action.action_id.as_str(), action.seq_no)).collect();
    assert_eq!((told, checkpoint), (vec![("x", 0), ("y", 2)], 2));
    assert_eq!(
        (&actions[0].agents[..], actions[0].document_id.as_str()),
        (&["b".to_owned(), "a".to_owned()][..], "document-of-x")
    );
}

fn many_actions_are_told_completely(field: &mut Field) {
    field.make(Index::Actions);
    field.start();
    let actions: Vec<_> =
        (0..2500).map(|number| action(&format!("x{number:04}"), "2100-01-01T00:00:00Z")).collect();
    field.write(Index::Actions, &actions);
    let (mut told, mut told_up_to) = (Vec::new(), -1);
    while told_up_to < 2499 {
        let (actions, checkpoint) = field.actions();
        assert!(checkpoint > told_up_to && actions.len() <= 1000);
        told.extend(actions);
        told_up_to = checkpoint;
        assert_eq!(i64::try_from(told.len()), Ok(told_up_to + 1));
    }
    assert!(told.into_iter().eq((0..2500).map(|number| format!("x{number:04}"))));
}

fn deletes_move_the_checkpoint_without_actions(field: &mut Field) {
    field.make(Index::Actions);
    (0..4).for_each(|number| field.write_action(&number.to_string()));
    assert_eq!(field.start(), (vec![], 3));
    (0..4).for_each(|number| field.delete(Index::Actions, &format!("document-of-{number}")));
    let mut checkpoint = 3;
    while checkpoint < 7 {
        checkpoint = field.no_actions();
    }
    field.write_action("next");
    assert_eq!(field.actions(), (vec!["next".to_owned()], 8));
}

fn an_index_that_is_missing_is_waited_for(field: &mut Field) {
    assert_eq!(field.start(), (vec![], -1));
    field.make(Index::Actions);
    field.write_action("first");
    assert_eq!(field.told_until("first"), 0);
    field.make(Index::Policies);
    field.write_revision("p", 1);
    assert_eq!(field.policies_until_some(), [("p".to_owned(), 1)]);
}

fn actions_of_an_index_made_anew_are_told(field: &mut Field) {
    field.make(Index::Actions);
    (0..=40).for_each(|number| field.write_action(&number.to_string()));
    assert_eq!(field.start(), (vec![], 40));
    field.remove(Index::Actions);
    field.make(Index::Actions);
    let new: Vec<_> = ["a", "b", "c"].map(|action_id| action(action_id, "2100-01-01T00:00:00Z")).into();
    field.write(Index::Actions, &new);
    let told = field.next_but_health();
    assert!(matches!(told, Changes::ActionsStartOver), "{told:?}");
    assert_eq!(field.told_until("c"), 2);
}

fn what_is_told_can_be_found(field: &mut Field) {
    field.make(Index::Actions);
    field.start();
    field.write_action("x");
    assert_eq!(field.actions().1, 0);
    let path = format!("/{}/_search", field.name(Index::Actions));
    let (_, found) = field.cluster.admin("POST", &path, &json!({"query": {"term": {"agents": "a"}}}));
    assert_eq!(found["hits"]["hits"][0]["_source"]["action_id"], "x");
}

impl Field<'_> {
    /// Takes actions up to this one; the checkpoint told with it.
    fn told_until(&self, action_id: &str) -> i64 {
        loop {
            let (actions, checkpoint) = self.actions();
            if actions.iter().any(|told| told == action_id) {
                return checkpoint;
            }
        }
    }

    fn policies_until_some(&self) -> Vec<(String, i64)> {
        loop {
            let policies = self.policies();
            if !policies.is_empty() {
                return policies;
            }
        }
    }
}

#[test]
fn deletes_cause_one_search_and_no_spinning() {
    let Some(cluster) = Cluster::shared() else { return };
    let mut field = Field::new(cluster, true);
    field.make(Index::Actions);
    (0..6).for_each(|number| field.write_action(&number.to_string()));
    assert_eq!(field.start(), (vec![], 5));
    let searches = format!("{}/_fleet/_fleet_search", field.name(Index::Actions));
    let polls = format!("{}/_fleet/global_checkpoints?wait_for_advance", field.name(Index::Actions));
    let query = json!({"query": {"ids": {"values": ["document-of-0", "document-of-1", "document-of-2", "document-of-3"]}}});
    field.cluster.admin("POST", &format!("/{}/_refresh", field.name(Index::Actions)), &Value::Null);
    let path = format!("/{}/_delete_by_query", field.name(Index::Actions));
    assert_eq!(field.cluster.admin("POST", &path, &query).1["deleted"], 4);
    while field.no_actions() < 9 {}
    let (searched, polled) = (field.stand_in().count(&searches), field.stand_in().count(&polls));
    assert!(searched <= 4, "{searched}");
    // two polls more end with no news
    while field.stand_in().count(&polls) < polled + 2 {
        cluster::pause(Duration::from_millis(100));
    }
    assert_eq!(field.stand_in().count(&searches), searched);
}
