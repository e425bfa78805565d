//! One file of any host by a plain GET, with this client's TLS and proxies: for what belongs to no cluster.

use std::time::Duration;

use ureq::Agent;
use ureq::http::Uri;
use ureq::http::header::USER_AGENT;

use super::cluster::{ANSWER_HEAD_BYTES_MAX, dialer};
use super::dial::{Later, Waits};
use super::error::Failure;
use super::{answer, clock, headers};
use crate::config::{Elasticsearch, Proxy};

/// Redirects that are followed.
const REDIRECTS_MAX: u32 = 5;

/// Why there is no file. The text names the cause, not the URL, which may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Neither http nor https, or without a host.
    #[error("it is no http or https URL")]
    Url,
    /// A proxy of the environment, or who the system trusts.
    #[error("{0}")]
    Settings(String),
    /// Nobody answers, or not in time.
    #[error("{0}")]
    Unanswered(String),
    /// Another status than 200.
    #[error("the answer is {0}")]
    Status(u16),
    /// An answer that is cut off or too large.
    #[error("{0}")]
    Answer(String),
}

/// GETs `url`, which must answer 200 with at most `bytes_max`, all within `wait_max`. From https it is not led to http.
/// Blocks.
pub fn fetch(url: &str, proxy: &Proxy, bytes_max: u64, wait_max: Duration) -> Result<Vec<u8>, FetchError> {
    let uri: Uri = url.parse().map_err(|_| FetchError::Url)?;
    let (true, Some(host)) = (matches!(uri.scheme_str(), Some("http" | "https")), uri.host()) else {
        return Err(FetchError::Url);
    };
    let settings =
        Elasticsearch { hosts: vec![url.to_owned()], proxy: proxy.clone(), ..Elasticsearch::default() };
    let dialer = dialer(&settings, &clock::from_now(), Waits::default())
        .map_err(|error| FetchError::Settings(error.to_string()))?;
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(REDIRECTS_MAX)
        .https_only(uri.scheme_str() == Some("https"))
        // ours; without this ureq would take those of the environment as well
        .proxy(None)
        .max_response_header_size(ANSWER_HEAD_BYTES_MAX)
        .timeout_global(Some(wait_max))
        .build();
    let agent = Agent::with_parts(config, dialer, Later);
    let unanswered = |error| FetchError::Unanswered(Failure::of(error, host).error.to_string());
    let response =
        agent.get(url).header(USER_AGENT, headers::user_agent(headers::OWN)).call().map_err(unanswered)?;
    let (head, body) = response.into_parts();
    if head.status.as_u16() != 200 {
        return Err(FetchError::Status(head.status.as_u16()));
    }
    answer::read(&head.headers, body, bytes_max).map_err(|error| FetchError::Answer(error.to_string()))
}
