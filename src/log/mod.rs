//! The log: ECS JSON lines over the `log` crate, written by one thread of its own.
//!
//! A caller formats its line and puts it into a bounded queue; it never waits for a file or pipe.
//! What finds no room is dropped and counted. Nothing here knows what is logged. Structured fields
//! are the key values of the `log` macros, with dotted ECS names as literals:
//!
//! ```
//! use fleet_server::config::{LogFiles, Logging};
//!
//! # fn main() -> std::io::Result<()> {
//! let directory = tempfile::tempdir()?;
//! let files = LogFiles { path: directory.path().to_owned(), ..LogFiles::default() };
//! let logging = Logging { to_stderr: false, to_files: true, files, ..Logging::default() };
//! let handle = fleet_server::log::start(&logging, false, false)?;
//! log::info!("http.request.id" = "A1", "event.duration" = 1_500_u64; "answered");
//! log::debug!("not at this level");
//! fleet_server::log::set_level(log::LevelFilter::Debug);
//! log::debug!("at this one");
//! drop(handle);
//! let written = std::fs::read_to_string(directory.path().join("fleet-server.log"))?;
//! assert_eq!(written.lines().count(), 2);
//! assert!(written.contains(r#""http.request.id":"A1","event.duration":1500}"#));
//! # Ok(())
//! # }
//! ```

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ::log::LevelFilter;
use env_logger::{Builder, Logger, Target, WriteStyle};

use crate::config::Logging;
pub use queue::LOG_LINES_QUEUED_MAX;
use queue::{Queue, QueueWriter};
use sink::{RotatingFile, Sink};

mod format;
mod queue;
mod sink;

/// How long a dropped [`LogHandle`] waits for lines that are still queued.
pub const FLUSH_WAIT_MAX: Duration = Duration::from_secs(1);

/// Starts the log thread and makes it the receiver of the `log` macros.
///
/// `terminal`: standard error is one; `no_file`: nothing was configured. Both together give text
/// for people, as `logging.pretty` does on standard error.
///
/// # Errors
/// A log file that cannot be opened, no thread, or a log that was started before.
pub fn start(logging: &Logging, terminal: bool, no_file: bool) -> io::Result<LogHandle> {
    let (logger, handle) = build(Output::open(logging, terminal, no_file)?)?;
    ::log::set_boxed_logger(Box::new(logger)).map_err(io::Error::other)?;
    set_level(logging.level);
    Ok(handle)
}

/// Sets the level in place; nothing is reopened.
pub fn set_level(level: LevelFilter) {
    ::log::set_max_level(level);
}

/// Where lines go and how they look, opened and ready to be used.
pub struct Output {
    sink: Sink,
    pretty: bool,
}

impl Output {
    /// Opens what `logging` names; for `terminal` and `no_file` see [`start`].
    ///
    /// # Errors
    /// A log file that cannot be opened.
    pub fn open(logging: &Logging, terminal: bool, no_file: bool) -> io::Result<Self> {
        let pretty = logging.to_stderr && (logging.pretty || (terminal && no_file));
        Ok(Output { sink: sink(logging)?, pretty })
    }
}

/// The running log. Dropping it writes what is queued, for at most [`FLUSH_WAIT_MAX`], and ends the
/// thread; lines after that are dropped.
pub struct LogHandle {
    queue: Arc<Queue>,
}

impl LogHandle {
    /// Lines dropped so far, for want of room or because writing failed.
    pub fn dropped(&self) -> u64 {
        self.queue.dropped()
    }

    /// Lines that wait to be written.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Writes to another place from here on; lines that are queued go there too.
    pub fn switch_to(&self, output: Output) {
        self.queue.switch_to(output);
    }

    /// Waits until everything is written, at most so long; false when it is not.
    pub fn flush(&self, wait_max: Duration) -> bool {
        self.queue.wait_until_written(wait_max)
    }
}

impl Drop for LogHandle {
    fn drop(&mut self) {
        self.queue.close();
        self.flush(FLUSH_WAIT_MAX);
    }
}

/// Where the lines go; `to_stderr` wins, with neither they go nowhere.
fn sink(logging: &Logging) -> io::Result<Sink> {
    if logging.to_stderr {
        // A descriptor of our own: a full pipe must not hold the lock of std's stderr, which a
        // panic message needs.
        let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        Ok(Sink::Stream(Box::new(stderr)))
    } else if logging.to_files {
        Ok(Sink::Files(Box::new(RotatingFile::open(&logging.files, format::now())?)))
    } else {
        Ok(Sink::Stream(Box::new(io::sink())))
    }
}

/// A logger that takes every level (the macros hold the level themselves), and its thread.
fn build(output: Output) -> io::Result<(Logger, LogHandle)> {
    let queue = Arc::new(Queue::new(output.pretty));
    let formatting = Arc::clone(&queue);
    let logger = Builder::new()
        .filter_level(LevelFilter::Trace)
        .write_style(WriteStyle::Never)
        .format(move |line, record| format::record(line, record, format::now(), formatting.is_pretty()))
        .target(Target::Pipe(Box::new(QueueWriter(Arc::clone(&queue)))))
        .build();
    let lines = Arc::clone(&queue);
    thread::Builder::new().name("log".to_owned()).spawn(move || write_lines(&lines, output.sink))?;
    Ok((logger, LogHandle { queue }))
}

/// The log thread: writes batches until the queue is closed and empty.
fn write_lines(queue: &Queue, mut sink: Sink) {
    let mut batch = Vec::new();
    let mut told = 0;
    while let Some(lines) = queue.take(&mut batch) {
        if let Some(next) = queue.take_sink() {
            sink = next;
        }
        match sink.write(&batch, format::now()) {
            Ok(()) => told = tell_dropped(queue, &mut sink, told),
            // Nobody is left to tell; it shows in the count once writing works again.
            Err(_) => queue.count_dropped(lines),
        }
        queue.written();
    }
}

/// Writes a line about the lines dropped since the last such line; returns how many were told of.
fn tell_dropped(queue: &Queue, sink: &mut Sink, told: u64) -> u64 {
    let dropped = queue.dropped();
    if dropped == told {
        return told;
    }
    let line = format::dropped(dropped - told, format::now(), queue.is_pretty());
    if sink.write(&line, format::now()).is_ok() { dropped } else { told }
}

#[cfg(test)]
mod tests;
