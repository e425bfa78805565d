//! The program as an agent starts it: with connection information on its standard input. Ends with the test.

use std::io::Write;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

use tempfile::TempDir;

use crate::support::{Output, eventually, executable};

/// The process.
pub(crate) struct Program {
    child: Child,
    input: Option<ChildStdin>,
    pub(crate) stderr: Output,
    pub(crate) directory: TempDir,
}

impl Program {
    /// Started as agents start it, with these settings more. Nothing was said to it yet.
    pub(crate) fn start(settings: &[String]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = format!("path.data={}", directory.path().join("data").display());
        let mut command = Command::new(executable());
        command.arg("--agent-mode").current_dir(directory.path());
        // what it does not know, or has no use for, must not stop it
        let fixed = [
            "logging.level=debug",
            "logging.to_stderr=true",
            "logging.metrics.enabled=false",
            "gc_percent=90",
        ];
        for setting in fixed.iter().copied().chain([data.as_str()]).chain(settings.iter().map(String::as_str))
        {
            command.arg("-E").arg(setting);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = Output::of(child.stderr.take().unwrap());
        let input = child.stdin.take();
        Program { child, input, stderr, directory }
    }

    /// Writes to its standard input.
    pub(crate) fn say(&mut self, bytes: &[u8]) {
        // one that has ended hears nothing
        let _ = self.input.as_mut().unwrap().write_all(bytes);
    }

    /// Closes its standard input.
    pub(crate) fn close(&mut self) {
        self.input = None;
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        eventually("the program ends", || self.ended())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // it may have ended before
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
