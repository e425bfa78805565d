//! What needs a process of its own: signals, and running out of descriptors. The test runs itself as a child.

use std::io::{BufRead, BufReader, IoSlice, Read, Write};
use std::process::{Child, ChildStderr, Command as Process, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, setrlimit};

use super::support::{NoJobs, PATIENCE, connect, settings, start};
use crate::reactor::{Core, Hooks, Reactor, Reload};
use crate::server::{ConnectionId, Effect, Event};
use crate::time::Now;

const CHILD: &str = "REACTOR_TEST_CHILD";

/// The child of a test; killed when dropped.
struct Kid {
    process: Child,
    lines: BufReader<ChildStderr>,
}

/// In the child: None. In the parent: the child that runs the test of this name.
fn kid(test: &str) -> Option<Kid> {
    if std::env::var_os(CHILD).is_some() {
        return None;
    }
    let mut process = Process::new(std::env::current_exe().unwrap())
        .args([&format!("reactor::tests::process::{test}"), "--exact", "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(process.stderr.take().unwrap());
    Some(Kid { process, lines })
}

impl Kid {
    /// Reads the child's lines up to the one that begins with `start`; returns its rest.
    fn wait_for(&mut self, start: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "the child ended before it said {start:?}");
            if let Some(rest) = line.strip_prefix(start) {
                return rest.trim().to_owned();
            }
        }
    }

    fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(i32::try_from(self.process.id()).unwrap()).unwrap();
        kill_process(id, signal).unwrap();
    }
}

impl Drop for Kid {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Says what it hears; stops only if it is not stubborn.
struct Speaker {
    stubborn: bool,
    exit: bool,
}

impl Core for Speaker {
    fn handle(&mut self, _now: Now, event: Event<'_>) {
        if let Event::Stop = event {
            eprintln!("stop");
            self.exit = !self.stubborn;
        }
    }
    fn tick(&mut self, _now: Now) {}
    fn poll(&mut self) -> Option<Effect> {
        std::mem::take(&mut self.exit).then_some(Effect::Exit)
    }
    fn wake_at(&self) -> Option<Duration> {
        None
    }
    fn wants_input(&mut self, _connection: ConnectionId, _: impl FnOnce() -> usize) -> bool {
        true
    }
    fn output<'a>(&'a self, _connection: ConnectionId, _slices: &mut [IoSlice<'a>]) -> usize {
        0
    }
}

struct SpeakingHooks;

impl Hooks for SpeakingHooks {
    fn reload(&mut self, _now: Now) -> Option<Reload> {
        eprintln!("reload");
        None
    }
}

fn speak(stubborn: bool) {
    let mut settings = settings();
    settings.signals = true;
    let reactor = Reactor::new(settings).unwrap();
    eprintln!("ready");
    reactor.run(&mut Speaker { stubborn, exit: false }, &mut NoJobs, &mut SpeakingHooks).unwrap();
}

#[test]
fn a_hang_up_reloads_and_a_termination_stops() {
    let Some(mut kid) = kid("a_hang_up_reloads_and_a_termination_stops") else { return speak(false) };
    kid.wait_for("ready");
    kid.signal(Signal::HUP);
    kid.wait_for("reload");
    kid.signal(Signal::TERM);
    kid.wait_for("stop");
    assert_eq!(kid.process.wait().unwrap().code(), Some(0));
}

#[test]
fn a_second_termination_exits_at_once() {
    let Some(mut kid) = kid("a_second_termination_exits_at_once") else { return speak(true) };
    kid.wait_for("ready");
    kid.signal(Signal::INT);
    kid.wait_for("stop");
    kid.signal(Signal::TERM);
    assert_eq!(kid.process.wait().unwrap().code(), Some(1));
}

struct StandardError;

impl log::Log for StandardError {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        eprintln!("log {}", record.args());
    }
    fn flush(&self) {}
}

/// A server that may have few files open; ends when its standard input does.
fn serve_with_few_descriptors() {
    log::set_logger(&StandardError).unwrap();
    log::set_max_level(log::LevelFilter::Info);
    setrlimit(Resource::Nofile, Rlimit { current: Some(40), maximum: Some(40) }).unwrap();
    let running = start(settings());
    eprintln!("at {}", running.external);
    // until the parent kills this process
    let _ = running.seen.recv_timeout(PATIENCE * 10);
    std::thread::park_timeout(PATIENCE);
}

#[test]
fn without_descriptors_accepting_waits_says_so_once_and_goes_on() {
    let Some(mut kid) = kid("without_descriptors_accepting_waits_says_so_once_and_goes_on") else {
        return serve_with_few_descriptors();
    };
    let address = kid.wait_for("at ").parse().unwrap();
    let mut clients: Vec<_> = (0..60).map(|_| connect(address)).collect();
    kid.wait_for("log connections wait until one closes");
    // those in the backlog are served as others go, in their order
    for mut client in clients.drain(..) {
        client.write_all(b"x").unwrap();
        client.read_exact(&mut [0]).unwrap();
    }
    let mut line = String::new();
    kid.lines.read_line(&mut line).unwrap();
    assert_eq!(line.trim(), "log connections are accepted again", "nothing else was said meanwhile");
}
