//! Whom the server's certificate is for.

use std::collections::BTreeSet;
use std::net::IpAddr;

/// Host names and addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// DNS names, lower case.
    pub hosts: BTreeSet<String>,
    /// IP addresses.
    pub addresses: BTreeSet<IpAddr>,
}

impl Names {
    /// localhost, the machine's name and addresses, and `more` (names or addresses, as `--host` gives them).
    pub fn of_machine(more: &[String]) -> Self {
        let mut names = Names::default();
        names.add("localhost");
        names.add("127.0.0.1");
        names.add("::1");
        names.add(&rustix::system::uname().nodename().to_string_lossy());
        match if_addrs::get_if_addrs() {
            Ok(found) => names.addresses.extend(found.iter().map(|one| one.ip()).filter(is_reachable)),
            Err(error) => log::warn!("the certificate lacks the machine's addresses: {error}"),
        }
        more.iter().for_each(|name| names.add(name));
        names
    }

    /// Adds a name or an address; what cannot stand in a certificate is left out.
    pub fn add(&mut self, name: &str) {
        let name = name.trim().trim_end_matches('.').to_ascii_lowercase();
        if let Ok(address) = name.trim_matches(['[', ']']).parse() {
            self.addresses.insert(address);
        } else if !name.is_empty() && name.bytes().all(is_of_a_host_name) {
            self.hosts.insert(name);
        } else {
            log::warn!("{name:?} cannot stand in a certificate");
        }
    }
}

/// Link-local addresses need an interface beside them.
fn is_reachable(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_link_local(),
        IpAddr::V6(address) => !address.is_unicast_link_local(),
    }
}

fn is_of_a_host_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'*')
}
