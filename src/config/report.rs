//! What is wrong with a configuration, and where: errors that refuse it, warnings that do not.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Errors beyond this number are counted, not listed.
const ERRORS_MAX: usize = 100;

/// Warnings beyond this number are left out.
pub(super) const WARNINGS_MAX: usize = 100;

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A line, counted from 1, of a configuration file.
    File {
        /// The file as the operator named it.
        name: Arc<str>,
        /// The line.
        line: usize,
    },
    /// A `-E` setting, by its key.
    Setting(Arc<str>),
    /// An environment variable, by its name.
    Environment(&'static str),
    /// What the agent sent, under which we run.
    Agent,
    /// Nowhere: the key is absent, or the trouble is with the whole.
    Nowhere,
}

/// Why a configuration is refused: one fault with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Where the value was set.
    pub origin: Origin,
    /// The full key, `inputs.0.server.port`; empty when it concerns no key.
    pub key: String,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a key, a setting or a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// expected {expected}, found {found}
    #[error("expected {expected}, found {found}")]
    Type {
        /// The type and range, in words.
        expected: String,
        /// What stands there, in words; never a secret.
        found: String,
    },
    /// {0} is missing
    #[error("{0} is missing")]
    Missing(&'static str),
    /// unknown output; only elasticsearch and embedded exist
    #[error("unknown output; only `elasticsearch` and `embedded` exist")]
    Output,
    /// only one output may be set
    #[error("only one output may be set")]
    Outputs,
    /// exactly one input is expected, found {0}
    #[error("exactly one input is expected, found {0}")]
    Inputs(usize),
    /// this key exists on Windows only
    #[error("this exists on Windows only")]
    WindowsOnly,
    /// {0}
    #[error("{0}")]
    Reference(ReferenceFault),
    /// not valid YAML: {0}
    #[error("not valid YAML: {0}")]
    Yaml(String),
    /// not a setting
    #[error("not a setting: expected key=value")]
    Setting,
    /// cannot read {file}: {reason}
    #[error("cannot read {file}: {reason}")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system said.
        reason: String,
    },
    /// none of the listed names can be used here
    #[error("none of the names listed can be used: {0}")]
    NothingUsable(String),
    /// errors beyond the first ones
    #[error("{0} further errors")]
    Further(usize),
}

/// What is wrong with a `${..}`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceFault {
    /// neither a setting nor an environment variable of this name, or it is empty
    #[error("${{{0}}} is not set: neither as a setting nor in the environment, and it has no default")]
    Unset(String),
    /// the operator's own message
    #[error("${{{name}}}: {message}")]
    Required {
        /// The name.
        name: String,
        /// The text after `:?`.
        message: String,
    },
    /// no closing brace
    #[error("${{ without a closing brace")]
    Unclosed,
    /// it leads back to itself
    #[error("${{{0}}} refers to itself")]
    Circle(String),
    /// a list or section inside a text
    #[error("${{{0}}} is not a text")]
    NotText(String),
    /// references of references, too many or too large
    #[error("references grow too large")]
    TooLarge,
}

/// What does not stop a start, but is probably not what the operator wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Where the value was set.
    pub origin: Origin,
    /// The full key.
    pub key: String,
    /// What about it.
    pub message: String,
}

/// All that is wrong with a configuration, and the warnings that came before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errors {
    /// At least one.
    pub errors: Vec<Error>,
    /// Found on the way.
    pub warnings: Vec<Warning>,
    /// What was read, or would have been had it been there: a change in one of these may mend it.
    pub files: Vec<PathBuf>,
}

/// Gathers errors and warnings while a configuration is read.
#[derive(Default)]
pub(super) struct Report {
    errors: Vec<Error>,
    errors_left_out: usize,
    warnings: Vec<Warning>,
}

impl Report {
    pub(super) fn error(&mut self, origin: &Origin, key: impl Into<String>, fault: Fault) {
        if self.errors.len() < ERRORS_MAX {
            self.errors.push(Error { origin: origin.clone(), key: key.into(), fault });
        } else {
            self.errors_left_out += 1;
        }
    }

    pub(super) fn warn(&mut self, origin: &Origin, key: impl Into<String>, message: impl Into<String>) {
        if self.warnings.len() < WARNINGS_MAX {
            self.warnings.push(Warning { origin: origin.clone(), key: key.into(), message: message.into() });
        }
    }

    /// The warnings if there was no error, else everything.
    pub(super) fn finish(mut self) -> Result<Vec<Warning>, Errors> {
        if self.errors_left_out > 0 {
            self.errors.push(Error {
                origin: Origin::Nowhere,
                key: String::new(),
                fault: Fault::Further(self.errors_left_out),
            });
        }
        if self.errors.is_empty() {
            Ok(self.warnings)
        } else {
            Err(Errors { errors: self.errors, warnings: self.warnings, files: Vec::new() })
        }
    }
}

/// `fleet-server.yml:12: inputs.0.server.port: expected ..`
fn place(formatter: &mut fmt::Formatter<'_>, origin: &Origin, key: &str) -> fmt::Result {
    match origin {
        Origin::Nowhere => {}
        Origin::Setting(setting) if **setting == *key => return write!(formatter, "-E {key}: "),
        origin => write!(formatter, "{origin}: ")?,
    }
    if key.is_empty() { Ok(()) } else { write!(formatter, "{key}: ") }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, line } => write!(formatter, "{name}:{line}"),
            Self::Setting(key) => write!(formatter, "-E {key}"),
            Self::Environment(name) => write!(formatter, "environment variable {name}"),
            Self::Agent => formatter.write_str("the agent"),
            Self::Nowhere => formatter.write_str("default"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(formatter, &self.origin, &self.key)?;
        write!(formatter, "{}", self.fault)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(formatter, &self.origin, &self.key)?;
        formatter.write_str(&self.message)
    }
}

/// One error a line.
impl fmt::Display for Errors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(formatter, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.fault)
    }
}

impl std::error::Error for Errors {}
