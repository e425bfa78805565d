use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::thread;

use serde_json::json;

use super::*;
use crate::agent_mode::seam::{Apm, Control, link};
use crate::config::{self, Arguments, Elasticsearch};

/// A cluster of this version that answers each request, as long as the process lives.
fn cluster(version: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            lines.take_while(|line| !line.is_empty()).count();
            let body = json!({"version": {"number": version}}).to_string();
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nX-Elastic-Product: Elasticsearch\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
        }
    };
    thread::Builder::new().spawn(answer).unwrap();
    url
}

/// Nobody listens there.
fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn load(sent: &Value) -> Result<Loaded, Errors> {
    let arguments =
        Arguments { agent_mode: true, working_directory: PathBuf::from("/"), ..Arguments::default() };
    config::load_with(&arguments, Some(sent), &|_| None, &|path| std::fs::read_to_string(path))
}

fn wish(id: &str, host: &str, bootstrap: Option<&str>) -> Wish {
    let mut output = json!({"hosts": [host]});
    if let Some(host) = bootstrap {
        output["bootstrap"] = json!({"hosts": [host], "service_token": "t"});
    }
    let input = json!({"type": "fleet-server"});
    let units = Units { input, output, level: log::LevelFilter::Info, apm: None, revisions: (1, 1) };
    Wish { agent: Some(Agent { id: id.to_owned(), version: "9.6.0".to_owned() }), units: Some(units) }
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What follows once a test has ended.
fn after_test(control: &Control, wishes: &mut Wishes<'_>, now: Duration) -> Next {
    loop {
        control.listen(None);
        match wishes.go_on(now) {
            Next::Nothing => {}
            next => return next,
        }
    }
}

fn served(next: Next) -> Elasticsearch {
    let Next::Serve(wanted) = next else { panic!("nothing is served") };
    let Store::Elasticsearch(settings) = wanted.loaded.config.store else { panic!("a cluster") };
    *settings
}

const BOOTSTRAP: &str = "http://bootstrap:9200";

#[test]
fn an_output_without_bootstrap_is_used_as_it_is() {
    let (control, _wire) = link(|| {});
    let mut wishes = Wishes::new(&load, control.bell());
    let host = nowhere();
    assert_eq!(served(wishes.take(wish("a", &host, None))).hosts, [host]);
}

#[test]
fn an_output_that_answers_is_used_with_what_it_lacked() {
    let (control, _wire) = link(|| {});
    let mut wishes = Wishes::new(&load, control.bell());
    let host = cluster(crate::version::STACK_VERSION);
    assert!(matches!(wishes.take(wish("a", &host, Some(BOOTSTRAP))), Next::Testing));
    let settings = served(after_test(&control, &mut wishes, at(0)));
    assert_eq!(settings.hosts, [host]);
    assert!(settings.service_token.is_some());
}

#[test]
fn an_output_that_fails_is_tested_every_minute_and_used_when_it_works() {
    let (control, _wire) = link(|| {});
    let mut wishes = Wishes::new(&load, control.bell());
    let host = nowhere();
    assert!(matches!(wishes.take(wish("a", &host, Some(BOOTSTRAP))), Next::Testing));
    assert_eq!(served(after_test(&control, &mut wishes, at(0))).hosts, [BOOTSTRAP]);
    assert!(matches!(wishes.go_on(at(59)), Next::Nothing));
    assert_eq!(wishes.test, 2, "the wish's own number, and that of its only test");
    // a cluster has come there
    let listener = TcpListener::bind(host.trim_start_matches("http://")).unwrap();
    let answer = move || {
        let (mut stream, _) = listener.accept().unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
        lines.take_while(|line| !line.is_empty()).count();
        let body = r#"{"version":{"number":"99.0.0"}}"#;
        let head = "HTTP/1.1 200 OK\r\nX-Elastic-Product: Elasticsearch\r\nContent-Length:";
        write!(stream, "{head} {}\r\n\r\n{body}", body.len()).unwrap();
    };
    thread::Builder::new().spawn(answer).unwrap();
    assert!(matches!(wishes.go_on(at(60)), Next::Nothing));
    assert_eq!(served(after_test(&control, &mut wishes, at(60))).hosts, [host]);
}

#[test]
fn an_output_that_is_too_old_is_not_used_and_not_tested_again() {
    let (control, _wire) = link(|| {});
    let mut wishes = Wishes::new(&load, control.bell());
    wishes.take(wish("a", &cluster("8.0.0"), Some(BOOTSTRAP)));
    assert_eq!(served(after_test(&control, &mut wishes, at(0))).hosts, [BOOTSTRAP]);
    let test = wishes.test;
    assert!(matches!(wishes.go_on(at(3_600)), Next::Nothing));
    assert_eq!(wishes.test, test);
}

#[test]
fn another_configuration_cancels_the_test() {
    let (control, _wire) = link(|| {});
    let mut wishes = Wishes::new(&load, control.bell());
    wishes.take(wish("a", &nowhere(), Some(BOOTSTRAP)));
    let host = cluster(crate::version::STACK_VERSION);
    wishes.take(wish("a", &host, Some("http://other:9200")));
    assert_eq!(served(after_test(&control, &mut wishes, at(0))).hosts, [host]);
}

#[test]
fn what_is_known_of_the_output_is_known_still_when_the_agent_gets_its_id() {
    let (control, _wire) = link(|| {});
    let mut wishes = Wishes::new(&load, control.bell());
    let host = cluster(crate::version::STACK_VERSION);
    wishes.take(wish("", &host, Some(BOOTSTRAP)));
    served(after_test(&control, &mut wishes, at(0)));
    let Next::Serve(wanted) = wishes.take(wish("a", &host, Some(BOOTSTRAP))) else {
        panic!("it is tested again")
    };
    assert_eq!(wanted.loaded.config.fleet.agent_id.as_deref(), Some("a"));
}

#[test]
fn a_bad_configuration_is_its_units_and_the_next_is_taken() {
    let (control, _wire) = link(|| {});
    let mut wishes = Wishes::new(&load, control.bell());
    let host = cluster(crate::version::STACK_VERSION);
    let mut bad = wish("a", &host, Some(BOOTSTRAP));
    if let Some(units) = &mut bad.units {
        units.input = json!({"type": "fleet-server", "server.port": 70_000});
    }
    let Next::Bad(UnitKind::Input, text) = wishes.take(bad) else { panic!("it is taken") };
    assert!(text.contains("inputs.0.server.port"), "{text}");
    assert!(matches!(wishes.take(wish("a", &host, Some(BOOTSTRAP))), Next::Testing));
    assert_eq!(served(after_test(&control, &mut wishes, at(0))).hosts, [host]);
}

#[test]
fn units_that_are_gone_end_it_and_cancel_the_test() {
    let (control, _wire) = link(|| {});
    let mut wishes = Wishes::new(&load, control.bell());
    wishes.take(wish("a", &nowhere(), Some(BOOTSTRAP)));
    assert!(matches!(wishes.take(Wish::default()), Next::Gone));
    control.listen(None);
    assert!(matches!(wishes.go_on(at(0)), Next::Nothing));
}

/// An output whose cluster takes connections and says nothing; its connections end with the listener.
fn silent(number: usize) -> (TcpListener, Wish) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("http://{}/{number}", listener.local_addr().unwrap());
    (listener, wish("a", &host, Some(BOOTSTRAP)))
}

#[test]
fn only_so_many_outputs_are_tested_at_once_and_the_newest_gets_its_turn() {
    let (control, _wire) = link(|| {});
    let mut wishes = Wishes::new(&load, control.bell());
    let mut listeners = Vec::new();
    for number in 0..TESTS_MAX + 3 {
        let (listener, wish) = silent(number);
        listeners.push(listener);
        assert!(matches!(wishes.take(wish), Next::Testing));
        assert!(Arc::strong_count(&wishes.tests) <= TESTS_MAX + 1);
    }
    let host = cluster(crate::version::STACK_VERSION);
    assert!(matches!(wishes.take(wish("a", &host, Some(BOOTSTRAP))), Next::Testing));
    assert!(matches!(wishes.go_on(at(0)), Next::Nothing));
    drop(listeners);
    loop {
        if let Next::Serve(wanted) = after_test(&control, &mut wishes, at(0)) {
            assert_eq!(served(Next::Serve(wanted)).hosts, [host]);
            break;
        }
    }
}

#[test]
fn a_file_that_comes_later_mends_what_was_bad() {
    let (control, _wire) = link(|| {});
    let mut wishes = Wishes::new(&load, control.bell());
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    let mut bad = wish("a", "http://a:9200", None);
    if let Some(units) = &mut bad.units {
        units.output["service_token_path"] = json!(token);
    }
    assert!(matches!(wishes.take(bad), Next::Bad(UnitKind::Output, _)));
    assert!(matches!(wishes.go_on(at(0)), Next::Nothing));
    assert_eq!(wishes.wait(at(0)), Some(LOOK_EVERY));
    std::fs::write(&token, "t\n").unwrap();
    assert!(served(wishes.go_on(at(0))).service_token.is_some());
    assert_eq!(wishes.wait(at(0)), None);
}

#[test]
fn a_file_that_comes_later_lets_the_test_begin() {
    let (control, _wire) = link(|| {});
    let mut wishes = Wishes::new(&load, control.bell());
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    let host = cluster(crate::version::STACK_VERSION);
    let mut bad = wish("a", &host, Some(BOOTSTRAP));
    if let Some(units) = &mut bad.units {
        units.output["service_token_path"] = json!(token);
        units.output["bootstrap"] = json!({"hosts": [BOOTSTRAP]});
    }
    assert!(matches!(wishes.take(bad), Next::Bad(UnitKind::Output, _)));
    std::fs::write(&token, "t").unwrap();
    assert!(matches!(wishes.go_on(at(0)), Next::Testing));
    assert_eq!(served(after_test(&control, &mut wishes, at(0))).hosts, [host]);
}

#[test]
fn while_nothing_can_be_served_the_output_is_tested_again_all_the_same() {
    let (control, _wire) = link(|| {});
    let mut wishes = Wishes::new(&load, control.bell());
    wishes.take(wish("a", &nowhere(), Some("ftp://bad")));
    assert!(matches!(after_test(&control, &mut wishes, at(5)), Next::Bad(UnitKind::Output, _)));
    assert_eq!(wishes.wait(at(5)), Some(TEST_EVERY));
    assert_eq!(wishes.wait(at(66)), Some(Duration::ZERO));
}

#[test]
fn what_is_wrong_with_apm_is_left_out() {
    let (control, _wire) = link(|| {});
    let mut wishes = Wishes::new(&load, control.bell());
    let mut odd = wish("a", "http://a:9200", None);
    if let Some(units) = &mut odd.units {
        units.apm = Some(Apm { global_labels: "no label".to_owned(), ..Apm::default() });
    }
    assert_eq!(served(wishes.take(odd)).hosts, ["http://a:9200"]);
    let mut bad = wish("a", "http://a:9200", None);
    if let Some(units) = &mut bad.units {
        units.apm = Some(Apm { global_labels: "no label".to_owned(), ..Apm::default() });
        units.input = json!({"type": "fleet-server", "server.port": 70_000});
    }
    assert!(matches!(wishes.take(bad), Next::Bad(UnitKind::Input, _)));
}
