//! Why a subcommand fails, and with which exit code.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::Errors;

/// Exit code of most failures.
pub(super) const FAILURE: u8 = 1;
/// Exit code where no server is running.
pub(super) const NO_SERVER: u8 = 3;

/// Why a subcommand fails. The text is what the operator sees.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// no server is running on {0}
    #[error("no server is running on {}", .0.display())]
    NoServer(PathBuf),
    /// the server on {directory} does not answer
    #[error("the server on {} does not answer: {source}", directory.display())]
    Silent {
        /// Its data directory.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// the socket cannot be used
    #[error("{} cannot be used: {source}", socket.display())]
    Socket {
        /// The socket.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// the answer is no HTTP of ours
    #[error("the server's answer cannot be read: {0}")]
    Answer(String),
    /// what the server says
    #[error("{message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// For people.
        message: String,
    },
    /// the configuration
    #[error("{0}")]
    Configuration(#[from] Errors),
    /// a file
    #[error("{}: {source}", file.display())]
    File {
        /// As the operator named it.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// a file's content
    #[error("{}: {message}", file.display())]
    Content {
        /// As the operator named it.
        file: PathBuf,
        /// With the line where there is one.
        message: String,
    },
    /// diagnostics that do not come
    #[error("{0}")]
    Diagnostics(String),
    /// standard input
    #[error("standard input: {0}")]
    Input(io::Error),
    /// standard output
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    /// Whether whoever reads our output has seen enough, which is no failure.
    pub(super) fn is_broken_pipe(&self) -> bool {
        matches!(self, Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Whether nobody answers.
    pub(super) fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Failure::NoServer(_) | Failure::Silent { .. } | Failure::Socket { .. } | Failure::Answer(_)
        )
    }

    /// The process's exit code.
    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Failure::NoServer(_) => ExitCode::from(NO_SERVER),
            failure if failure.is_broken_pipe() => ExitCode::SUCCESS,
            _ => ExitCode::from(FAILURE),
        }
    }
}
