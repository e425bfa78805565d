//! Lines, their fields, and a log that cannot be written.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::queue::LOG_LINES_QUEUED_MAX;
use super::{FLUSH_WAIT_MAX, LevelFilter, LogHandle, Logger, Output, Sink, build, format, set_level};

/// A stream that keeps what was written.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Kept {
    fn lines(&self) -> Vec<String> {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap().lines().map(str::to_owned).collect()
    }
}

/// Long enough that only a hanging thread reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

fn kept(pretty: bool) -> (Logger, LogHandle, Kept) {
    let kept = Kept::default();
    let (logger, handle) = started(kept.clone(), pretty);
    (logger, handle, kept)
}

/// A log over a stream. The level is global; every test here sets the same one.
fn started(stream: impl Write + Send + 'static, pretty: bool) -> (Logger, LogHandle) {
    set_level(LevelFilter::Trace);
    build(Output { sink: Sink::Stream(Box::new(stream)), pretty }).unwrap()
}

/// The one line of a record, as JSON.
fn line(log: impl FnOnce(&Logger)) -> Value {
    let (logger, handle, kept) = kept(false);
    log(&logger);
    assert!(handle.flush(PATIENCE));
    let lines = kept.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    serde_json::from_str(&lines[0]).unwrap()
}

#[test]
fn lines_go_elsewhere_and_look_otherwise_once_the_log_is_switched() {
    let (logger, handle, first) = kept(false);
    ::log::info!(logger: &logger, "one");
    assert!(handle.flush(PATIENCE));
    let second = Kept::default();
    handle.switch_to(Output { sink: Sink::Stream(Box::new(second.clone())), pretty: true });
    ::log::info!(logger: &logger, "two");
    assert!(handle.flush(PATIENCE));
    assert_eq!((first.lines().len(), second.lines().len()), (1, 1));
    assert!(!second.lines()[0].starts_with('{'), "{:?}", second.lines());
}

#[test]
fn a_line_is_one_ecs_object() {
    let line = line(|logger| ::log::warn!(logger: logger, "hello \"you\"\nthere"));
    assert_eq!(line["log.level"], "warn");
    assert_eq!(line["message"], "hello \"you\"\nthere");
    assert_eq!(line["service.name"], "fleet-server");
    assert_eq!(line["service.type"], "fleet-server");
    assert!(line["ecs.version"].is_string());
    assert_eq!(line.get("log.logger"), None);
}

#[test]
fn key_values_become_dotted_fields_of_their_type() {
    let id = "A1";
    let line = line(|logger| {
        ::log::info!(
            logger: logger,
            "http.request.id" = id,
            "http.response.status_code" = 200_u16,
            "event.duration" = -1_i64,
            "rate" = 0.5,
            "ok" = true,
            "error.message":% = io::Error::from(io::ErrorKind::NotFound);
            "done"
        );
    });
    assert_eq!(line["http.request.id"], "A1");
    assert_eq!(line["http.response.status_code"], 200);
    assert_eq!(line["event.duration"], -1);
    assert_eq!(line["rate"], 0.5);
    assert_eq!(line["ok"], true);
    assert_eq!(line["error.message"], "entity not found");
}

#[test]
fn an_absent_value_is_no_field() {
    let id: Option<&str> = None;
    let line = line(|logger| ::log::info!(logger: logger, "fleet.agent.id" = id; "done"));
    assert_eq!(line.get("fleet.agent.id"), None);
}

#[test]
fn lines_of_other_packages_name_their_logger() {
    let line = line(|logger| ::log::info!(logger: logger, target: "rustls::server", "hello"));
    assert_eq!(line["log.logger"], "rustls::server");
}

#[test]
fn the_time_is_utc_with_milliseconds() {
    let time: SystemTime = UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456);
    let line: Value = serde_json::from_slice(&format::dropped(1, time, false)).unwrap();
    assert_eq!(line["@timestamp"], "2023-11-14T22:13:20.123Z");
}

#[test]
fn text_for_people_has_no_control_characters() {
    let (logger, handle, kept) = kept(true);
    ::log::info!(logger: logger, "http.request.id" = "a\u{1b}b"; "hello\nyou");
    assert!(handle.flush(PATIENCE));
    let lines = kept.lines();
    assert_eq!(lines.len(), 1);
    assert!(lines[0].ends_with(" INFO  hello you http.request.id=a b"), "{}", lines[0]);
}

#[test]
fn a_very_long_message_is_cut() {
    let line = line(|logger| ::log::info!(logger: logger, "{}", "é".repeat(100_000)));
    assert_eq!(line["message"].as_str().unwrap().len(), 8192);
}

/// A stream that says when it is written to and then waits to be let go on.
struct Gate {
    reached: SyncSender<()>,
    go_on: Receiver<()>,
    kept: Kept,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.reached.send(());
        // The other end is dropped to let everything through.
        let _ = self.go_on.recv();
        self.kept.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_pipe_blocks_nobody_and_the_lines_lost_are_told() {
    let (reached, is_reached) = sync_channel(1);
    let (go_on, let_go_on) = sync_channel(0);
    let kept = Kept::default();
    let gate = Gate { reached, go_on: let_go_on, kept: kept.clone() };
    let (logger, handle) = started(gate, false);
    ::log::info!(logger: logger, "first");
    is_reached.recv_timeout(PATIENCE).unwrap();
    for _ in 0..LOG_LINES_QUEUED_MAX + 5 {
        ::log::info!(logger: logger, "next");
    }
    assert_eq!(handle.dropped(), 5);
    assert!(!handle.flush(Duration::ZERO));
    drop(is_reached);
    drop(go_on);
    assert!(handle.flush(PATIENCE));
    let lines = kept.lines();
    assert_eq!(lines.len(), 1 + LOG_LINES_QUEUED_MAX + 1);
    assert!(lines.iter().any(|line| line.contains("5 log lines were dropped")));
}

/// A stream that fails once.
struct FailsOnce(bool, Kept);

impl Write for FailsOnce {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if std::mem::replace(&mut self.0, false) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_line_that_cannot_be_written_is_counted_and_the_log_goes_on() {
    let kept = Kept::default();
    let (logger, handle) = started(FailsOnce(true, kept.clone()), false);
    ::log::info!(logger: logger, "lost");
    assert!(handle.flush(PATIENCE));
    assert_eq!(handle.dropped(), 1);
    ::log::info!(logger: logger, "kept");
    assert!(handle.flush(PATIENCE));
    assert_eq!(kept.lines().len(), 2);
}

#[test]
fn dropping_the_handle_writes_what_is_queued() {
    let (logger, handle, kept) = kept(false);
    for _ in 0..100 {
        ::log::info!(logger: logger, "line");
    }
    drop(handle);
    assert_eq!(kept.lines().len(), 100);
    assert!(FLUSH_WAIT_MAX <= Duration::from_secs(1));
}

#[test]
fn lines_after_the_end_are_dropped() {
    let (logger, handle, kept) = kept(false);
    drop(handle);
    ::log::info!(logger: logger, "late");
    assert!(kept.lines().is_empty());
}
