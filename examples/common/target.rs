//! The address of a Fleet Server, read from its URL. Reads names, opens nothing.

use std::net::{SocketAddr, ToSocketAddrs};

/// A server's URL, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// `https`, not `http`.
    pub(crate) secure: bool,
    /// Name or address as written, without brackets: what the certificate must hold.
    pub(crate) host: String,
    /// 443 and 80 when the URL names none.
    pub(crate) port: u16,
}

impl Target {
    /// Reads `http[s]://HOST[:PORT][/]`; a path is refused, the protocol's paths are fixed.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let (secure, rest) = match url.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err(format!("{url}: expected https://HOST:PORT or http://HOST:PORT")),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#', '@']) {
            return Err(format!("{url}: only scheme, host and port are expected"));
        }
        let (host, port) = split_port(authority);
        let port = match port {
            Some(digits) => digits.parse().map_err(|_| format!("{url}: `{digits}` is not a port"))?,
            None if secure => 443,
            None => 80,
        };
        if host.is_empty() {
            return Err(format!("{url}: no host"));
        }
        Ok(Self { secure, host: host.to_owned(), port })
    }

    /// Addresses to try, IPv4 first (`localhost` is often both, and servers listen on 0.0.0.0).
    pub(crate) fn addresses(&self) -> Result<Vec<SocketAddr>, String> {
        let found = (self.host.as_str(), self.port).to_socket_addrs();
        let mut addresses: Vec<_> = found.map_err(|error| format!("{}: {error}", self.host))?.collect();
        addresses.sort_by_key(SocketAddr::is_ipv6);
        if addresses.is_empty() {
            return Err(format!("{}: no address", self.host));
        }
        Ok(addresses)
    }

    /// Value of the `Host` header.
    pub(crate) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

fn split_port(authority: &str) -> (&str, Option<&str>) {
    if let Some(bracketed) = authority.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']').unwrap_or((bracketed, ""));
        return (host, rest.strip_prefix(':'));
    }
    match authority.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_follows_from_the_scheme_unless_given() {
        let port = |url| Target::parse(url).map(|target| target.port);
        assert_eq!(port("https://localhost:8220/"), Ok(8220));
        assert_eq!((port("https://localhost"), port("http://localhost")), (Ok(443), Ok(80)));
    }

    #[test]
    fn brackets_are_for_the_authority_only() {
        let target = Target::parse("http://[::1]:8220").unwrap();
        assert_eq!((target.host.as_str(), target.authority().as_str()), ("::1", "[::1]:8220"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for url in ["localhost:8220", "ftp://h", "https://h/path", "https://h:x", "https://:1", "https://u@h"]
        {
            assert!(Target::parse(url).is_err(), "{url}");
        }
    }
}
