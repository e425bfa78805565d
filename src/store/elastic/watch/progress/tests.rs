//! Each case as a table: what the cluster says, what is done next.

use std::time::Duration;

use super::Standing::{Failed, GatewayTimeout, Missing, NoModule};
use super::Step::{Begin, Look, Pause, Probe, Read, StartOver, Until, Wait};
use super::*;

/// What came of a step.
enum Outcome {
    Stands(Standing),
    Has(Reading),
    Paused,
}

use Outcome::{Has, Paused, Stands};

fn at(checkpoint: i64) -> Outcome {
    Stands(Standing::At { checkpoint, incarnation: None, waited: false })
}

/// The cluster has waited in vain.
fn timed_out_at(checkpoint: i64) -> Outcome {
    Stands(Standing::At { checkpoint, incarnation: None, waited: true })
}

/// As statistics tell it.
fn index(uuid: &str, checkpoint: i64) -> Outcome {
    Stands(Standing::At { checkpoint, incarnation: Some(uuid.to_owned()), waited: true })
}

fn up_to(checkpoint: i64) -> Outcome {
    Has(Reading::UpTo(checkpoint))
}

fn fails() -> Outcome {
    Stands(Failed("503".into()))
}

fn search_fails() -> Outcome {
    Has(Reading::Failed("a shard failed".into()))
}

fn seconds(seconds: u64) -> Step {
    Pause(Duration::from_secs(seconds))
}

fn milliseconds_apart(milliseconds: u64) -> Step {
    Until { apart: Duration::from_millis(milliseconds) }
}

/// Plays a table on an index of actions: each row is the step expected and what comes of it.
fn play(progress: &mut Progress, table: Vec<(Step, Outcome)>) {
    for (row, (expected, outcome)) in table.into_iter().enumerate() {
        assert_eq!(progress.step(), expected, "row {row}");
        match outcome {
            Stands(standing) => progress.stands(standing),
            Has(reading) => progress.has_read(reading),
            Paused => {}
        }
    }
}

/// With the module, at this checkpoint, all told.
fn following(checkpoint: i64) -> Progress {
    let mut progress = Progress::new(Duration::ZERO);
    let begin = Begin { up_to: checkpoint };
    play(&mut progress, vec![(Probe, at(checkpoint)), (begin, up_to(checkpoint))]);
    progress
}

/// The same without the module, just after news.
fn looking(checkpoint: i64) -> Progress {
    let mut progress = Progress::new(Duration::ZERO);
    let begin = Begin { up_to: checkpoint };
    let table = vec![(Probe, Stands(NoModule)), (Look, index("u", checkpoint)), (begin, up_to(checkpoint))];
    play(&mut progress, table);
    // as a follower hears of news: when it is woken
    play(&mut progress, vec![(Until { apart: LOOK_PAUSE_AT_START }, Paused)]);
    progress.has_news_near();
    play(&mut progress, vec![(Look, index("u", checkpoint))]);
    progress
}

#[test]
fn the_start_tells_what_is_there_and_then_waits() {
    let mut progress = following(5);
    assert!(progress.has_module());
    play(&mut progress, vec![(Wait { after: 5 }, at(6)), (Read { after: 5, up_to: 6 }, up_to(6))]);
    assert_eq!(progress.step(), Wait { after: 6 });
}

#[test]
fn a_poll_that_timed_out_is_repeated_without_delay() {
    let mut progress = following(5);
    let again = || (Wait { after: 5 }, timed_out_at(5));
    play(&mut progress, vec![again(), again(), again(), again(), again(), again()]);
    assert_eq!(progress.step(), Wait { after: 5 });
}

#[test]
fn a_poll_that_did_not_wait_is_repeated_with_delay() {
    play(
        &mut following(5),
        vec![(Wait { after: 5 }, at(5)), (seconds(1), Paused), (Wait { after: 5 }, at(5))],
    );
}

#[test]
fn a_proxys_timeout_is_no_delay_unless_it_comes_at_once() {
    let mut progress = following(5);
    let again = || (Wait { after: 5 }, Stands(GatewayTimeout));
    play(&mut progress, vec![again(), again(), again(), again(), (seconds(1), Paused), again()]);
    assert_eq!((progress.step(), progress.trouble()), (seconds(1), None));
    play(&mut progress, vec![(Wait { after: 5 }, timed_out_at(5)), again(), again()]);
}

#[test]
fn what_failed_is_tried_again_ever_later_up_to_two_seconds() {
    let mut progress = following(5);
    play(&mut progress, vec![(Wait { after: 5 }, fails()), (seconds(1), Paused)]);
    for pause in [2, 2, 2] {
        play(&mut progress, vec![(Probe, fails()), (seconds(pause), Paused)]);
    }
    let again =
        vec![(Wait { after: 5 }, timed_out_at(5)), (Wait { after: 5 }, fails()), (seconds(1), Paused)];
    play(&mut progress, vec![(Probe, at(5)), (seconds(1), Paused)]);
    play(&mut progress, again);
}

#[test]
fn one_failure_is_no_trouble_and_two_are() {
    let mut progress = following(5);
    play(&mut progress, vec![(Wait { after: 5 }, fails()), (seconds(1), Paused)]);
    assert_eq!(progress.trouble(), None);
    play(&mut progress, vec![(Probe, fails()), (seconds(2), Paused)]);
    assert_eq!(progress.trouble(), Some("503"));
    play(&mut progress, vec![(Probe, at(5))]);
    assert_eq!(progress.trouble(), None);
}

#[test]
fn a_missing_index_is_minus_one_and_is_waited_for() {
    let mut progress = Progress::new(Duration::ZERO);
    play(
        &mut progress,
        vec![
            (Probe, Stands(Missing)),
            (Begin { up_to: -1 }, up_to(-1)),
            (Wait { after: -1 }, Stands(Missing)),
            (seconds(1), Paused),
            (Wait { after: -1 }, Stands(Missing)),
            (seconds(2), Paused),
            (Wait { after: -1 }, at(0)),
            (Read { after: -1, up_to: 0 }, up_to(0)),
        ],
    );
    assert_eq!((progress.step(), progress.trouble()), (Wait { after: 0 }, None));
}

#[test]
fn deletes_move_the_checkpoint_without_hits() {
    let mut progress = following(5);
    play(&mut progress, vec![(Wait { after: 5 }, at(9)), (Read { after: 5, up_to: 9 }, up_to(9))]);
    play(&mut progress, vec![(Wait { after: 9 }, timed_out_at(9)), (Wait { after: 9 }, timed_out_at(9))]);
}

#[test]
fn full_pages_go_on_at_once() {
    play(
        &mut following(-1),
        vec![
            (Wait { after: -1 }, at(2499)),
            (Read { after: -1, up_to: 2499 }, up_to(999)),
            (Read { after: 999, up_to: 2499 }, up_to(1999)),
            (Read { after: 1999, up_to: 2499 }, up_to(2499)),
            (Wait { after: 2499 }, timed_out_at(2499)),
        ],
    );
}

#[test]
fn a_search_that_failed_leaves_the_checkpoint_and_is_not_repeated_at_once() {
    let mut progress = following(5);
    for (asked, pause) in [(Wait { after: 5 }, 1), (Probe, 2), (Probe, 2)] {
        let read = (Read { after: 5, up_to: 9 }, search_fails());
        play(&mut progress, vec![(asked, at(9)), read, (seconds(pause), Paused)]);
    }
    assert_eq!(progress.trouble(), Some("a shard failed"));
    play(&mut progress, vec![(Probe, at(10)), (Read { after: 5, up_to: 10 }, up_to(10))]);
    assert_eq!((progress.step(), progress.trouble()), (Wait { after: 10 }, None));
}

#[test]
fn a_later_page_that_failed_is_read_again_from_its_beginning() {
    play(
        &mut following(-1),
        vec![
            (Wait { after: -1 }, at(1500)),
            (Read { after: -1, up_to: 1500 }, up_to(999)),
            (Read { after: 999, up_to: 1500 }, search_fails()),
            (seconds(1), Paused),
            (Probe, at(1500)),
            (Read { after: 999, up_to: 1500 }, up_to(1500)),
            (Wait { after: 1500 }, timed_out_at(1500)),
        ],
    );
}

#[test]
fn a_full_page_without_a_place_to_go_on_from_is_no_progress() {
    let read = (Read { after: 5, up_to: 9 }, up_to(5));
    play(&mut following(5), vec![(Wait { after: 5 }, at(9)), read, (seconds(1), Paused), (Probe, at(9))]);
}

#[test]
fn what_is_there_at_the_start_is_told_as_soon_as_it_can_be() {
    play(
        &mut Progress::new(Duration::ZERO),
        vec![
            (Probe, fails()),
            (seconds(1), Paused),
            (Probe, at(3)),
            (Begin { up_to: 3 }, search_fails()),
            (seconds(2), Paused),
            (Probe, at(4)),
            (Begin { up_to: 4 }, up_to(4)),
            (Wait { after: 4 }, timed_out_at(4)),
        ],
    );
}

#[test]
fn an_index_made_anew_is_read_from_its_beginning() {
    play(
        &mut following(40),
        vec![
            (Wait { after: 40 }, at(2)),
            (StartOver, Paused),
            (Read { after: -1, up_to: 2 }, search_fails()),
            (seconds(1), Paused),
            (Probe, at(2)),
            (Read { after: -1, up_to: 2 }, up_to(2)),
            (Wait { after: 2 }, timed_out_at(2)),
        ],
    );
}

#[test]
fn an_index_that_went_and_came_again_is_read_even_if_nothing_is_in_it() {
    play(
        &mut following(40),
        vec![
            (Wait { after: 40 }, Stands(Missing)),
            (seconds(1), Paused),
            (Wait { after: -1 }, timed_out_at(-1)),
            (StartOver, Paused),
            (Read { after: -1, up_to: -1 }, search_fails()),
            (seconds(1), Paused),
            (Probe, at(-1)),
            (Read { after: -1, up_to: -1 }, up_to(-1)),
            (Wait { after: -1 }, timed_out_at(-1)),
            (Wait { after: -1 }, timed_out_at(-1)),
        ],
    );
}

#[test]
fn an_index_made_anew_while_a_poll_fails_is_not_waited_for_until_the_next_poll_is_over() {
    play(
        &mut following(40),
        vec![
            (Wait { after: 40 }, fails()),
            (seconds(1), Paused),
            (Probe, at(2)),
            (StartOver, Paused),
            (Read { after: -1, up_to: 2 }, up_to(2)),
            (Wait { after: 2 }, timed_out_at(2)),
        ],
    );
}

#[test]
fn a_poll_that_somebody_cuts_each_time_hides_no_news() {
    let mut progress = following(5);
    for _ in 0..3 {
        let cut = (Wait { after: 5 }, fails());
        play(&mut progress, vec![cut, (seconds(1), Paused), (Probe, at(5)), (seconds(1), Paused)]);
        assert_eq!(progress.trouble(), None);
    }
    play(
        &mut progress,
        vec![
            (Wait { after: 5 }, fails()),
            (seconds(1), Paused),
            (Probe, at(6)),
            (Read { after: 5, up_to: 6 }, up_to(6)),
            (Wait { after: 6 }, timed_out_at(6)),
        ],
    );
}

#[test]
fn an_index_that_goes_while_it_is_read_is_missing() {
    play(
        &mut following(5),
        vec![
            (Wait { after: 5 }, at(9)),
            (Read { after: 5, up_to: 9 }, Has(Reading::Missing)),
            (seconds(1), Paused),
            (Wait { after: -1 }, at(0)),
            (StartOver, Paused),
            (Read { after: -1, up_to: 0 }, up_to(0)),
        ],
    );
}

#[test]
fn rounds_of_policies_are_apart() {
    let mut progress = Progress::new(Duration::from_secs(1));
    play(
        &mut progress,
        vec![
            (Probe, at(3)),
            (Begin { up_to: 3 }, up_to(3)),
            (seconds(1), Paused),
            (Wait { after: 3 }, at(4)),
            (Read { after: 3, up_to: 4 }, up_to(4)),
            (seconds(1), Paused),
            (Wait { after: 4 }, timed_out_at(4)),
        ],
    );
}

#[test]
fn without_the_module_the_statistics_are_looked_at() {
    let mut progress = looking(5);
    assert!(!progress.has_module());
    play(
        &mut progress,
        vec![
            (milliseconds_apart(200), Paused),
            (Look, index("u", 5)),
            (milliseconds_apart(200), Paused),
            (Look, index("u", 7)),
            (Read { after: 5, up_to: 7 }, up_to(7)),
            (milliseconds_apart(200), Paused),
            (Look, fails()),
            (seconds(1), Paused),
            (Look, fails()),
            (seconds(2), Paused),
            (Look, Stands(Missing)),
            (milliseconds_apart(200), Paused),
            (Look, index("v", 9)),
            (StartOver, Paused),
            (Read { after: -1, up_to: 9 }, up_to(9)),
        ],
    );
}

#[test]
fn a_server_that_starts_and_has_no_news_looks_rarely_after_half_a_minute() {
    let mut progress = Progress::new(Duration::ZERO);
    let begin = (Begin { up_to: 5 }, up_to(5));
    play(&mut progress, vec![(Probe, Stands(NoModule)), (Look, index("u", 5)), begin]);
    for _ in 0..LOOKS_AT_START {
        play(&mut progress, vec![(Until { apart: LOOK_PAUSE_AT_START }, Paused), (Look, index("u", 5))]);
    }
    play(&mut progress, vec![(Until { apart: LOOK_PAUSE_MAX }, Paused), (Look, index("u", 6))]);
    play(&mut progress, vec![(Read { after: 5, up_to: 6 }, up_to(6)), (milliseconds_apart(200), Paused)]);
}

#[test]
fn looks_at_a_quiet_index_are_rare_and_those_after_news_are_not() {
    let mut progress = looking(5);
    let mut pauses = Vec::new();
    for _ in 0..500 {
        let Until { apart: pause } = progress.step() else { panic!("no pause") };
        pauses.push(pause);
        play(&mut progress, vec![(Look, index("u", 5))]);
    }
    assert!(pauses.is_sorted());
    let after = |silence: u64| {
        let mut passed = Duration::ZERO;
        let passes = |pause: &&Duration| {
            passed += **pause;
            passed > Duration::from_secs(silence)
        };
        pauses.iter().find(passes).unwrap().as_millis()
    };
    assert_eq!([0, 20, 60, 120, 300, 460].map(after), [200, 400, 800, 1000, 1600, 2000]);
    play(&mut progress, vec![(Until { apart: LOOK_PAUSE_MAX }, Paused), (Look, index("u", 6))]);
    play(&mut progress, vec![(Read { after: 5, up_to: 6 }, up_to(6)), (milliseconds_apart(200), Paused)]);
}

#[test]
fn another_index_of_the_name_is_read_from_its_beginning_however_full_it_is() {
    play(
        &mut looking(5),
        vec![
            (milliseconds_apart(200), Paused),
            (Look, index("v", 8)),
            (StartOver, Paused),
            (Read { after: -1, up_to: 8 }, up_to(8)),
            (milliseconds_apart(200), Paused),
            (Look, index("v", 8)),
        ],
    );
}

#[test]
fn an_index_that_was_out_of_sight_and_is_the_same_is_read_again_but_does_not_start_over() {
    play(
        &mut looking(5),
        vec![
            (milliseconds_apart(200), Paused),
            (Look, Stands(Missing)),
            (milliseconds_apart(200), Paused),
            (Look, index("u", 5)),
            (Read { after: -1, up_to: 5 }, up_to(5)),
            (milliseconds_apart(200), Paused),
        ],
    );
}
