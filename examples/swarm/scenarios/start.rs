//! How long a server takes from its start to its first answer: its process is started and stopped again and again.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::args::StartOptions;
use crate::client::Client;
use crate::report::{Report, Section};
use crate::run::loopback;
use crate::tally::Times;
use crate::target::Target;
use crate::tls;

/// A server that has not answered by then does not start.
const ANSWER_AFTER_MAX: Duration = Duration::from_secs(30);
/// Between two tries to connect: a hundredth of what is measured.
const TRY_EVERY: Duration = Duration::from_millis(1);

/// Starts `--server` `--rounds` times; each time counts from just before the process is made to the last byte of a 200.
pub(crate) fn run(options: &StartOptions) -> Result<bool, String> {
    let target = Target::parse(&options.url)?;
    loopback(&target)?;
    let mut times = Times::default();
    for _ in 0..options.rounds {
        times.note(once(options, &target)?);
    }
    let mut section = Section::new("start");
    section.set("rounds", json!(options.rounds));
    section.times("first_answer", &mut times);
    let mut report = Report::new("start");
    report.add(section);
    report.print(options.json).map_err(|error| error.to_string())?;
    Ok(true)
}

fn once(options: &StartOptions, target: &Target) -> Result<Duration, String> {
    let tls = tls::for_target(target, None, true, options.key_exchange)?;
    let request = format!("GET /api/status HTTP/1.1\r\nHost: {}\r\n\r\n", target.authority());
    let started = Instant::now();
    let mut server = spawn(&options.server)?;
    let answered = loop {
        let mut client = Client::new(target.clone(), tls.clone(), ANSWER_AFTER_MAX);
        if client.exchange(request.as_bytes()).is_ok_and(|response| response.status == 200) {
            break Ok(started.elapsed());
        }
        if started.elapsed() > ANSWER_AFTER_MAX || server.try_wait().is_ok_and(|ended| ended.is_some()) {
            break Err("--server: no answer with status 200".to_owned());
        }
        pause();
    };
    stop(&mut server)?;
    answered
}

#[expect(clippy::disallowed_methods, reason = "nothing tells when another process listens")]
fn pause() {
    thread::sleep(TRY_EVERY);
}

fn spawn(command: &str) -> Result<Child, String> {
    let mut shell = Command::new("sh");
    // exec: the id is the server's own
    shell.arg("-c").arg(format!("exec {command}")).stdin(Stdio::null()).stdout(Stdio::null());
    shell.spawn().map_err(|error| format!("--server: {error}"))
}

fn stop(server: &mut Child) -> Result<(), String> {
    let id = i32::try_from(server.id()).ok().and_then(Pid::from_raw).ok_or("--server: no process id")?;
    // one that has ended already is waited for all the same
    let _ = kill_process(id, Signal::TERM);
    server.wait().map(drop).map_err(|error| format!("--server: {error}"))
}
