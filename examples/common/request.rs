//! The heads of an agent's requests.

/// What the agent sends as `User-Agent`.
pub(crate) const USER_AGENT: &str = "elastic agent 9.6.0";
/// The one version of the API there is.
const API_VERSION: &str = "2023-06-01";

/// `POST` of JSON. `api_key` is what follows `ApiKey `: the enrollment token, or the agent's access key, as
/// they are given out (base64 of `id:key`). `gzip` says that `body` is compressed.
pub(crate) fn post(authority: &str, path: &str, api_key: &str, gzip: bool, body: &[u8]) -> Vec<u8> {
    let encoding = if gzip { "Content-Encoding: gzip\r\n" } else { "" };
    let head = format!(
        "POST {path} HTTP/1.1\r\n\
         Host: {authority}\r\n\
         User-Agent: {USER_AGENT}\r\n\
         Authorization: ApiKey {api_key}\r\n\
         Elastic-Api-Version: {API_VERSION}\r\n\
         Accept-Encoding: gzip\r\n\
         Content-Type: application/json\r\n\
         kbn-xsrf: 1\r\n\
         {encoding}Content-Length: {}\r\n\r\n",
        body.len()
    );
    let mut request = Vec::with_capacity(head.len() + body.len());
    request.extend_from_slice(head.as_bytes());
    request.extend_from_slice(body);
    request
}

/// Path of one of an agent's own routes: `checkin`, `acks`.
pub(crate) fn agent_path(agent_id: &str, route: &str) -> String {
    format!("/api/fleet/agents/{agent_id}/{route}")
}

/// Path that enrols.
pub(crate) const ENROLL_PATH: &str = "/api/fleet/agents/enroll";
