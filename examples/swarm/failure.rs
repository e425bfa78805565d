//! What can go wrong for an agent of the swarm, in kinds that can be counted.

use std::{borrow::Cow, io};

/// A failed call or connection.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What is counted: `HTTP 429`, `connection reset`, ...
    pub(crate) kind: Cow<'static, str>,
    /// For the reader of the report; the first of each kind is kept.
    pub(crate) detail: String,
}

/// Longest detail that is kept.
const DETAIL_CHARACTERS_MAX: usize = 300;

impl Failure {
    /// The server answered with another status than 200.
    pub(crate) fn status(status: u16, body: &[u8]) -> Self {
        Self::new(format!("HTTP {status}"), &String::from_utf8_lossy(body))
    }

    /// The connection failed; TLS errors come this way too.
    pub(crate) fn connection(error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::InvalidData => "TLS".to_owned(),
            kind => kind.to_string(),
        };
        Self::new(kind, &error.to_string())
    }

    /// The server closed the connection instead of answering.
    pub(crate) fn closed() -> Self {
        Self::new("closed without an answer", "")
    }

    /// A response that is not HTTP, or a body that is not what was asked for.
    pub(crate) fn answer(detail: &str) -> Self {
        Self::new("wrong answer", detail)
    }

    /// The agent cannot make this call.
    pub(crate) fn call(detail: &str) -> Self {
        Self::new("call not possible", detail)
    }

    fn new(kind: impl Into<Cow<'static, str>>, detail: &str) -> Self {
        Self { kind: kind.into(), detail: detail.chars().take(DETAIL_CHARACTERS_MAX).collect() }
    }
}
