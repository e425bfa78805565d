//! What a process writes to a pipe, line by line as it comes.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use super::PATIENCE;

/// Lines written so far; a thread of its own reads them, so that the process never blocks.
#[derive(Clone, Default)]
pub(crate) struct Output {
    shared: Arc<(Mutex<Lines>, Condvar)>,
}

#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    ended: bool,
}

impl Output {
    /// Reads `pipe` until its end.
    pub(crate) fn of(pipe: impl Read + Send + 'static) -> Self {
        let output = Output::default();
        let follower = output.clone();
        let follow = move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
                follower
                    .change(|lines| lines.lines.push(String::from_utf8_lossy(&line).trim_end().to_owned()));
                line.clear();
            }
            follower.change(|lines| lines.ended = true);
        };
        thread::Builder::new().name("output".into()).spawn(follow).unwrap();
        output
    }

    fn change(&self, change: impl FnOnce(&mut Lines)) {
        change(&mut self.shared.0.lock().unwrap());
        self.shared.1.notify_all();
    }

    /// The first line for which `find` gives something; none if the pipe ends without one.
    pub(crate) fn find<T>(&self, what: &str, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        let found = |lines: &Lines| lines.lines.iter().find_map(|line| find(line));
        let lines = self.shared.0.lock().unwrap();
        let wait = |lines: &mut Lines| !lines.ended && found(lines).is_none();
        let (lines, timeout) = self.shared.1.wait_timeout_while(lines, PATIENCE, wait).unwrap();
        assert!(!timeout.timed_out(), "no line {what} in:\n{}", lines.lines.join("\n"));
        found(&lines)
    }

    /// Waits for a line that contains `part`.
    pub(crate) fn wait_for(&self, part: &str) -> String {
        let line = self.find(part, |line| line.contains(part).then(|| line.to_owned()));
        line.unwrap_or_else(|| panic!("it ended without a line with {part:?}:\n{}", self.text()))
    }

    /// Waits for the end; everything that was written.
    pub(crate) fn whole(&self) -> String {
        self.find::<()>("at the end", |_| None);
        self.text()
    }

    /// The lines so far that warn, or are worse; but not of the version of the test cluster, which is what it is.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let warns =
            |line: &&String| ["\"warn", "\"error", "WARN", "ERROR"].iter().any(|level| line.contains(level));
        let of_version = |line: &&String| line.contains("than this server (");
        let lines = self.shared.0.lock().unwrap();
        lines.lines.iter().filter(warns).filter(|line| !of_version(line)).cloned().collect()
    }

    /// Everything written so far.
    pub(crate) fn text(&self) -> String {
        self.shared.0.lock().unwrap().lines.join("\n")
    }
}
