//! Elasticsearch hosts as whole URLs.

/// What a host lacks is taken from here.
pub(super) struct Defaults<'a> {
    /// `protocol`
    pub(super) protocol: &'a str,
    /// `path`
    pub(super) path: &'a str,
}

/// A host as a URL with scheme, port and path, and whether a user name or password was left out.
#[derive(Debug, PartialEq)]
pub(super) struct Host {
    pub(super) url: String,
    pub(super) had_credentials: bool,
}

/// Elasticsearch's port, for https too.
const PORT: u16 = 9200;

/// Completes `[SCHEME://]HOST[:PORT][/PATH]`; `None` when it is none of that.
pub(super) fn complete(text: &str, defaults: &Defaults<'_>) -> Option<Host> {
    let (scheme, rest) = text.split_once("://").unwrap_or((defaults.protocol, text));
    let scheme = scheme.to_ascii_lowercase();
    if !matches!(scheme.as_str(), "http" | "https") || rest.contains(['?', '#', ' ']) {
        return None;
    }
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    let path = if path.trim_matches('/').is_empty() { defaults.path } else { path }.trim_matches('/');
    let (had_credentials, authority) = match authority.rsplit_once('@') {
        Some((_, authority)) => (true, authority),
        None => (false, authority),
    };
    let (host, port) = host_and_port(authority)?;
    let separator = if path.is_empty() { "" } else { "/" };
    Some(Host { url: format!("{scheme}://{host}:{port}{separator}{path}"), had_credentials })
}

/// The host, an IPv6 address in brackets, and the port.
fn host_and_port(authority: &str) -> Option<(String, u16)> {
    let bracketed = authority.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    if bracketed.is_none_or(|(address, _)| address.is_empty() || address.contains('['))
        && authority.contains(['[', ']'])
    {
        return None;
    }
    let (host, port) = match bracketed {
        Some((address, rest)) => {
            (format!("[{address}]"), rest.strip_prefix(':').or(rest.is_empty().then_some(""))?)
        }
        None if authority.matches(':').count() > 1 => (format!("[{authority}]"), ""),
        None => match authority.split_once(':') {
            Some((host, port)) => (host.to_owned(), port),
            None => (authority.to_owned(), ""),
        },
    };
    let port = if port.is_empty() { PORT } else { port.parse().ok().filter(|port| *port > 0)? };
    (!host.is_empty()).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::{Defaults, complete};

    fn url(text: &str) -> Option<String> {
        complete(text, &Defaults { protocol: "http", path: "" }).map(|host| host.url)
    }

    #[test]
    fn a_missing_port_is_9200_for_https_too() {
        assert_eq!(url("https://es").unwrap(), "https://es:9200");
        assert_eq!(url("es").unwrap(), "http://es:9200");
    }

    #[test]
    fn scheme_port_and_path_of_the_host_win() {
        let defaults = Defaults { protocol: "http", path: "/other" };
        assert_eq!(complete("https://es:443/p/", &defaults).unwrap().url, "https://es:443/p");
    }

    #[test]
    fn protocol_and_path_fill_the_gaps() {
        let defaults = Defaults { protocol: "https", path: "es" };
        assert_eq!(complete("a:1", &defaults).unwrap().url, "https://a:1/es");
    }

    #[test]
    fn ipv6_addresses_get_brackets() {
        assert_eq!(url("::1").unwrap(), "http://[::1]:9200");
        assert_eq!(url("[::1]:1").unwrap(), "http://[::1]:1");
    }

    #[test]
    fn credentials_are_left_out() {
        let host = complete("https://u:p@es", &Defaults { protocol: "http", path: "" }).unwrap();
        assert_eq!((host.url.as_str(), host.had_credentials), ("https://es:9200", true));
    }

    #[test]
    fn what_is_no_host() {
        for text in
            ["", "ftp://es", "https://", "es:port", "es:0", "es:65536", "[::1", "::1]", "[]", "a[b", "es?x"]
        {
            assert_eq!(url(text), None, "{text}");
        }
    }
}
