//! Which requests leave through a proxy, and how its URL is read.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use ureq::ProxyProtocol;
use ureq::http::Uri;

use super::error::ClientError;
use crate::config::{Elasticsearch, Header, Proxy, Secret};

/// A proxy.
pub(super) struct ProxyServer {
    parsed: ureq::Proxy,
    /// The value of `Proxy-Authorization`, from user name and password of the URL.
    authorization: Option<Secret>,
}

/// The proxies of the settings.
pub(super) struct Proxies {
    http: Option<ProxyServer>,
    https: Option<ProxyServer>,
    except: Except,
    /// `proxy_headers`, sent with CONNECT.
    pub(super) headers: Vec<Header>,
}

/// Which hosts are reached directly.
enum Except {
    Nothing,
    /// `NO_PROXY`, and this machine.
    Listed(Vec<String>),
}

impl Proxies {
    /// Reads the proxies' URLs.
    pub(super) fn new(settings: &Elasticsearch) -> Result<Self, ClientError> {
        let read = |url: &Option<Secret>, key| url.as_ref().map(|url| ProxyServer::new(url, key)).transpose();
        let (http, https, except) = match &settings.proxy {
            Proxy::None => (None, None, Except::Nothing),
            Proxy::Url(url) => {
                let server = |url| ProxyServer::new(url, "output.elasticsearch.proxy_url").map(Some);
                (server(url)?, server(url)?, Except::Nothing)
            }
            Proxy::Environment(found) => (
                read(&found.http, "HTTP_PROXY")?,
                read(&found.https, "HTTPS_PROXY")?,
                Except::Listed(found.except.iter().map(|entry| entry.to_ascii_lowercase()).collect()),
            ),
        };
        Ok(Proxies { http, https, except, headers: settings.proxy_headers.clone() })
    }

    /// Whether one of them is spoken to over TLS.
    pub(super) fn any_https(&self) -> bool {
        self.http.iter().chain(&self.https).any(ProxyServer::is_https)
    }

    /// The proxy for requests to a URL; `None`: directly.
    pub(super) fn of(&self, target: &Uri) -> Option<&ProxyServer> {
        let is_https = target.scheme_str() == Some("https");
        let server = if is_https { &self.https } else { &self.http }.as_ref()?;
        let host = bare(target.host()?).to_ascii_lowercase();
        let port = target.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        (!self.except.holds(&host, port)).then_some(server)
    }
}

impl ProxyServer {
    fn new(url: &Secret, key: &'static str) -> Result<Self, ClientError> {
        let parsed = ureq::Proxy::new(url.expose()).map_err(|_| ClientError::Proxy { key })?;
        if !matches!(parsed.protocol(), ProxyProtocol::Http | ProxyProtocol::Https) {
            return Err(ClientError::Proxy { key });
        }
        let user = parsed.username().map(|user| format!("{user}:{}", parsed.password().unwrap_or_default()));
        let authorization = user.map(|user| Secret::new(format!("Basic {}", STANDARD.encode(user))));
        Ok(ProxyServer { parsed, authorization })
    }

    /// Its whole URL; with user name and password, if there are any.
    pub(super) fn uri(&self) -> &Uri {
        self.parsed.uri()
    }

    /// Whether it is spoken to over TLS.
    pub(super) fn is_https(&self) -> bool {
        self.parsed.protocol() == ProxyProtocol::Https
    }

    /// Its name for a certificate.
    pub(super) fn host(&self) -> &str {
        bare(self.parsed.host())
    }

    /// The value of `Proxy-Authorization`.
    pub(super) fn authorization(&self) -> Option<&Secret> {
        self.authorization.as_ref()
    }

    /// How messages name it: without user name and password.
    pub(super) fn shown(&self) -> String {
        let scheme = if self.is_https() { "https" } else { "http" };
        format!("{scheme}://{}:{}", self.parsed.host(), self.parsed.port())
    }
}

impl Except {
    fn holds(&self, host: &str, port: u16) -> bool {
        let Except::Listed(entries) = self else { return false };
        let address = host.parse::<IpAddr>().ok();
        host == "localhost"
            || address.is_some_and(|address| address.is_loopback())
            || entries.iter().any(|entry| excepts(entry, host, address, port))
    }
}

/// Whether an entry of `NO_PROXY` means a host: `*`, an address, a network, or a domain, with or without a port. A domain
/// means itself and what is below it; one that begins with a dot only what is below it.
fn excepts(entry: &str, host: &str, address: Option<IpAddr>, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    if let (Ok(network), Some(address)) = (entry.parse::<IpNet>(), address) {
        return network.contains(&address);
    }
    let (name, its_port) = with_port(entry);
    if its_port.is_some_and(|its| its != port) {
        return false;
    }
    if let (Some(address), Ok(listed)) = (address, bare(name).parse::<IpAddr>()) {
        return address == listed;
    }
    let name = name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name);
    match name.strip_prefix('.') {
        Some(_) => host.ends_with(name),
        None => host == name || host.strip_suffix(name).is_some_and(|above| above.ends_with('.')),
    }
}

/// An entry's host and port; an IPv6 address has a port only in brackets.
fn with_port(entry: &str) -> (&str, Option<u16>) {
    let split = entry.rsplit_once(':').filter(|(name, _)| !name.contains(':') || name.ends_with(']'));
    match split.and_then(|(name, port)| Some((name, port.parse().ok()?))) {
        Some((name, port)) => (name, Some(port)),
        None => (entry, None),
    }
}

/// A host without the brackets of an IPv6 address.
pub(super) fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::EnvironmentProxies;

    fn proxies(proxy: Proxy) -> Result<Proxies, ClientError> {
        Proxies::new(&Elasticsearch { proxy, ..Elasticsearch::default() })
    }

    fn of_environment(except: &[&str]) -> Proxies {
        let except = except.iter().map(|entry| (*entry).to_owned()).collect();
        let (http, https) = (Some(Secret::new("plain:3128")), Some(Secret::new("https://safe:3129")));
        proxies(Proxy::Environment(EnvironmentProxies { http, https, except })).unwrap()
    }

    fn through(proxies: &Proxies, target: &'static str) -> Option<String> {
        proxies.of(&Uri::from_static(target)).map(ProxyServer::shown)
    }

    #[test]
    fn the_environment_has_one_for_each_scheme() {
        let found = of_environment(&[]);
        assert_eq!(through(&found, "http://es:9200").unwrap(), "http://plain:3128");
        assert_eq!(through(&found, "https://es:9200").unwrap(), "https://safe:3129");
    }

    #[test]
    fn this_machine_needs_no_proxy_of_the_environment() {
        for target in ["http://localhost:9200", "http://127.0.0.5:9200", "https://[::1]:9200"] {
            assert_eq!(through(&of_environment(&[]), target), None, "{target}");
        }
    }

    #[test]
    fn what_no_proxy_means() {
        let cases: &[(&str, &'static str, bool)] = &[
            ("*", "http://es:9200", true),
            ("es", "http://ES:9200", true),
            ("es", "http://es.corp:9200", false),
            ("corp", "http://es.corp:9200", true),
            ("corp", "http://escorp:9200", false),
            (".corp", "http://es.corp:9200", true),
            (".corp", "http://corp:9200", false),
            ("*.corp", "http://es.corp:9200", true),
            ("es:9200", "http://es:9200", true),
            ("es:9201", "http://es:9200", false),
            ("10.1.0.0/16", "http://10.1.2.3:9200", true),
            ("10.1.0.0/16", "http://10.2.2.3:9200", false),
            ("10.1.2.3", "http://10.1.2.3:9200", true),
            ("10.1.2.3:9200", "http://10.1.2.3:9200", true),
            ("fd00::/8", "http://[fd00::1]:9200", true),
            ("fd00::1", "http://[fd00::1]:9200", true),
            ("[fd00::1]:9201", "http://[fd00::1]:9200", false),
        ];
        for (entry, target, direct) in cases {
            assert_eq!(through(&of_environment(&[entry]), target).is_none(), *direct, "{entry} {target}");
        }
    }

    #[test]
    fn a_configured_proxy_is_for_everything() {
        let found = proxies(Proxy::Url(Secret::new("http://p:1"))).unwrap();
        assert!(
            through(&found, "http://localhost:9200").is_some() && through(&found, "https://es").is_some()
        );
    }

    #[test]
    fn user_name_and_password_are_for_the_proxy_alone() {
        let found = proxies(Proxy::Url(Secret::new("http://me:s%40cret@p:1"))).unwrap();
        let server = found.of(&Uri::from_static("http://es:9200")).unwrap();
        assert_eq!(server.shown(), "http://p:1");
        assert_eq!(
            server.authorization().unwrap().expose(),
            format!("Basic {}", STANDARD.encode("me:s@cret"))
        );
    }

    #[test]
    fn what_is_no_proxy_is_named_by_its_key_and_not_shown() {
        for url in ["socks5://me:s3cret@p:1", "http://me:s3cret@", "ftp://s3cret", "http://s3 cret"] {
            let error = proxies(Proxy::Url(Secret::new(url))).err().unwrap().to_string();
            assert!(error.contains("proxy_url") && !error.contains("s3"), "{error}");
        }
    }
}
