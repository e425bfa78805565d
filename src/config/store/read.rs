//! Reads the `output` section.

use super::host::{self, Defaults};
use super::{
    Elasticsearch, EmbeddedStore, EnvironmentProxies, Header, INDEX_SUFFIX_BYTES_MAX, Proxy, Retention,
    Store, is_index_suffix,
};
use crate::config::report::Fault;
use crate::config::scalar;
use crate::config::secret::Secret;
use crate::config::section::{REDACTED, Section};
use crate::config::tls;

/// `output`: Elasticsearch when it is named, the embedded store when that or nothing is.
pub(in crate::config) fn store(section: &mut Section<'_, '_>) -> Store {
    for name in section.each_key() {
        if !matches!(name, "elasticsearch" | "embedded") {
            section.error(name, Fault::Output);
        }
    }
    section.knows_all();
    let elasticsearch = section.each_key().contains(&"elasticsearch");
    if elasticsearch && section.each_key().contains(&"embedded") {
        section.error("embedded", Fault::Outputs);
    }
    if elasticsearch {
        return Store::Elasticsearch(Box::new(section.section("elasticsearch", read_elasticsearch)));
    }
    let retention = |section: &mut Section<'_, '_>| section.section("retention", retention);
    Store::Embedded(EmbeddedStore { retention: section.section("embedded", retention) })
}

fn retention(section: &mut Section<'_, '_>) -> Retention {
    let default = Retention::default();
    let mut duration = |key, default| section.duration_by(key, default, scalar::duration_with_days);
    Retention {
        action_results: duration("action_results", default.action_results),
        policy_revisions: duration("policy_revisions", default.policy_revisions),
        unenrolled_agents: duration("unenrolled_agents", default.unenrolled_agents),
        expired_actions: duration("expired_actions", default.expired_actions),
        uploads: duration("uploads", default.uploads),
        policy_revisions_kept: section.number(
            "policy_revisions_kept",
            default.policy_revisions_kept,
            1,
            u32::MAX,
        ),
    }
}

fn read_elasticsearch(section: &mut Section<'_, '_>) -> Elasticsearch {
    let default = Elasticsearch::default();
    // Go has it, without effect there as here: no word, since policies of Kibana may carry it.
    section.ignore("max_retries");
    Elasticsearch {
        hosts: hosts(section),
        headers: headers(section, "headers"),
        service_token: section.secret_or_file("service_token", "service_token_path"),
        proxy: proxy(section),
        proxy_headers: headers(section, "proxy_headers"),
        timeout: section.nonzero_duration("timeout", default.timeout),
        connections_per_host_max: section.nonzero(
            "max_conn_per_host",
            default.connections_per_host_max,
            u32::MAX,
        ),
        request_bytes_max: section.nonzero("max_content_length", default.request_bytes_max, u64::MAX),
        index_suffix: index_suffix(section),
        tls: if section.has("ssl") {
            section.section("ssl", tls::read::client)
        } else {
            section.ignore("ssl");
            None
        },
    }
}

fn index_suffix(section: &mut Section<'_, '_>) -> String {
    const KEY: &str = "index_suffix";
    let suffix = section.text(KEY, "");
    if !suffix.is_empty() && !is_index_suffix(&suffix) {
        let expected = format!("at most {INDEX_SUFFIX_BYTES_MAX} of a-z, 0-9, - and _");
        section.error(KEY, Fault::Type { expected, found: format!("`{suffix}`") });
    }
    suffix
}

/// The hosts as whole URLs; none listed: localhost.
fn hosts(section: &mut Section<'_, '_>) -> Vec<String> {
    let protocol = section.choice("protocol", "http", &[("http", "http"), ("https", "https")]);
    let path = section.text("path", "");
    let mut listed = section.unshown_texts("hosts");
    if listed.is_empty() {
        listed.push("localhost:9200".to_owned());
    }
    let mut hosts = Vec::new();
    for text in &listed {
        match host::complete(text.trim(), &Defaults { protocol, path: &path }) {
            Some(host) => {
                if host.had_credentials {
                    section
                        .warn("hosts", "user name and password of a host have no effect; use service_token");
                }
                hosts.push(host.url);
            }
            None => {
                let expected = "hosts such as https://elasticsearch:9200".to_owned();
                // The text may hold a password.
                let found =
                    if text.contains('@') { "something else".to_owned() } else { format!("`{text}`") };
                section.error("hosts", Fault::Type { expected, found });
            }
        }
    }
    section.show("hosts", hosts.clone());
    hosts
}

/// Header fields; values whose name speaks of a credential are shown redacted.
fn headers(section: &mut Section<'_, '_>, key: &'static str) -> Vec<Header> {
    let mut shown = serde_json::Map::new();
    let mut headers = Vec::new();
    for (name, value) in section.names_and_texts(key) {
        if !is_field(&name, &value) {
            let expected = "header names with values of visible characters".to_owned();
            section.error(key, Fault::Type { expected, found: format!("`{name}`") });
            continue;
        }
        let value_shown = if is_credential(&name) { REDACTED } else { value.as_str() };
        shown.insert(name.clone(), value_shown.into());
        headers.push(Header { name, value: Secret::new(value) });
    }
    if !shown.is_empty() {
        section.show(key, shown);
    }
    headers
}

fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["auth", "token", "key", "bearer"].iter().any(|part| name.contains(part))
}

/// RFC 9110, section 5: a token, and a value without control characters.
fn is_field(name: &str, value: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty()
        && name.bytes().all(token)
        && value.bytes().all(|byte| byte == b'\t' || byte >= b' ' && byte != 127)
}

fn proxy(section: &mut Section<'_, '_>) -> Proxy {
    let url = section.secret("proxy_url");
    if section.boolean("proxy_disable", false) {
        return Proxy::None;
    }
    match url {
        Some(url) => Proxy::Url(url),
        None if section.has("proxy_url") && section.has_content("proxy_url") => Proxy::None,
        None => proxies_of_environment(section),
    }
}

/// The variables in capitals come first, as in Go.
pub(in crate::config) fn proxies_of_environment(section: &Section<'_, '_>) -> Proxy {
    let variable =
        |name: &str| section.variable(name).or_else(|| section.variable(&name.to_ascii_lowercase()));
    let (http, https) = (variable("HTTP_PROXY"), variable("HTTPS_PROXY"));
    if http.is_none() && https.is_none() {
        return Proxy::None;
    }
    let except = variable("NO_PROXY").unwrap_or_default();
    let except = except.split(',').map(str::trim).filter(|host| !host.is_empty());
    Proxy::Environment(EnvironmentProxies {
        http: http.map(Secret::new),
        https: https.map(Secret::new),
        except: except.map(str::to_owned).collect(),
    })
}
