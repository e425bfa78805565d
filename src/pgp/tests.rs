//! What is kept, and what is not.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Builder;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::check::{self, is_public_key};
use super::*;
use crate::config::Proxy;

const KEYS: [&str; 2] = [include_str!("tests/ed25519.asc"), include_str!("tests/rsa.asc")];

/// A host that answers every request in the same way. It is there until the test program ends.
struct Upstream {
    url: String,
    requests: Arc<AtomicUsize>,
}

fn upstream(status: &'static str, body: impl Into<Vec<u8>>) -> Upstream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/key", listener.local_addr().unwrap());
    let requests = Arc::<AtomicUsize>::default();
    let (counted, body) = (Arc::clone(&requests), body.into());
    let serve = move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = stream.read(&mut [0; 4_096]);
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(&[head.as_bytes(), &body].concat());
        }
    };
    drop(Builder::new().name("upstream".to_owned()).spawn(serve).unwrap());
    Upstream { url, requests }
}

impl Upstream {
    fn settings(&self, dir: &Path) -> Pgp {
        Pgp { upstream_url: self.url.clone(), dir: dir.to_owned(), proxy: Proxy::None }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn public_keys_of_several_kinds_are_known_as_such() {
    for key in KEYS {
        assert_eq!(is_public_key(key.as_bytes()), Ok(()));
        assert_eq!(is_public_key(key.replace('\n', "\r\n").as_bytes()), Ok(()));
    }
    assert_eq!(is_public_key(KEYS.concat().as_bytes()), Ok(()), "several keys");
}

#[test]
fn what_is_no_armored_public_key_is_refused() {
    let key = KEYS[0];
    let secret = key.replace("PUBLIC KEY", "PRIVATE KEY");
    let message = key.replace("PUBLIC KEY BLOCK", "MESSAGE");
    let signature = key.replace("PUBLIC KEY BLOCK", "SIGNATURE");
    let two = format!("{key}{secret}");
    for other in [secret.as_str(), &message, &signature, &two, "", "<html>not found</html>", "\u{0}"] {
        assert!(is_public_key(other.as_bytes()).is_err(), "{other}");
    }
    assert_eq!(is_public_key(b"\xff\xfe"), Err(CheckError::NotText));
}

#[test]
fn a_damaged_key_is_refused_wherever_it_is_damaged() {
    let key = KEYS[0];
    let text = key.trim_end();
    for end in 0..text.len() {
        assert!(is_public_key(&text.as_bytes()[..end]).is_err(), "cut off after {end} bytes");
    }
    let body = text.find("\n\n").unwrap() + 2..text.rfind("\n=").unwrap();
    for at in body.filter(|at| text.as_bytes()[*at] != b'\n') {
        let mut damaged = text.as_bytes().to_vec();
        damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
        assert!(is_public_key(&damaged).is_err(), "another byte at {at}");
    }
}

/// The bytes of a key, and where each of its packets ends.
fn packets(key: &str) -> (Vec<u8>, Vec<usize>) {
    let data: String = key.lines().filter(|line| !line.starts_with(['-', '='])).collect();
    let bytes = STANDARD.decode(data).unwrap();
    let packets = check::packets(&bytes).unwrap();
    let start = bytes.as_ptr().addr();
    let ends = packets.iter().map(|packet| packet.body.as_ptr().addr() - start + packet.body.len()).collect();
    (bytes, ends)
}

/// In armor without a checksum, which may be left out (RFC 9580, 6.1).
fn armored(bytes: &[u8]) -> String {
    let kind = "PGP PUBLIC KEY BLOCK";
    format!("-----BEGIN {kind}-----\n\n{}\n-----END {kind}-----\n", STANDARD.encode(bytes))
}

#[test]
fn packets_that_are_cut_off_are_refused_also_without_a_checksum() {
    let (bytes, ends) = packets(KEYS[0]);
    assert_eq!(is_public_key(armored(&bytes).as_bytes()), Ok(()));
    for end in (1..bytes.len()).filter(|end| !ends.contains(end)) {
        assert!(is_public_key(armored(&bytes[..end]).as_bytes()).is_err(), "{end} of {ends:?}");
    }
}

#[test]
fn a_key_alone_says_neither_whose_it_is_nor_who_says_so() {
    let (bytes, ends) = packets(KEYS[0]);
    let until = |packets: usize| is_public_key(armored(&bytes[..ends[packets - 1]]).as_bytes());
    assert_eq!(until(1), Err(CheckError::Missing("name")));
    assert_eq!(until(2), Err(CheckError::Missing("signature")));
    assert_eq!(until(3), Ok(()));
    let headless = is_public_key(armored(&bytes[ends[0]..]).as_bytes());
    assert_eq!(headless, Err(CheckError::Missing("public key at its beginning")));
}

#[test]
fn odd_packets_make_nobody_panic() {
    for key in KEYS {
        let (bytes, _) = packets(key);
        let changed = |at: usize, bits: u8| {
            let mut changed = bytes.clone();
            changed[at] ^= bits;
            is_public_key(armored(&changed).as_bytes())
        };
        let places = (0..bytes.len()).flat_map(|at| [(at, 0xff), (at, 0x01), (at, 0x80)]);
        assert!(places.filter(|(at, bits)| changed(*at, *bits).is_err()).count() > 0);
    }
}

#[test]
fn a_key_is_fetched_once_and_kept_for_its_owner_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (dir, host) = (directory.path().join("keys"), upstream("200 OK", KEYS[0]));
    for _ in 0..2 {
        assert_eq!(&*obtain(&host.settings(&dir)).unwrap(), KEYS[0].as_bytes());
    }
    assert_eq!(host.requests(), 1);
    assert_eq!((mode(&dir), mode(&dir.join("default.pgp"))), (0o700, 0o600));
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
}

#[test]
fn a_key_that_cannot_be_kept_is_served_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let (dir, host) = (directory.path().join("two/levels"), upstream("200 OK", KEYS[1]));
    for _ in 0..2 {
        assert_eq!(&*obtain(&host.settings(&dir)).unwrap(), KEYS[1].as_bytes());
    }
    assert_eq!((host.requests(), dir.exists()), (2, false));
}

#[test]
fn what_the_host_gives_is_kept_only_if_it_is_a_key() {
    let directory = tempfile::tempdir().unwrap();
    let large = "x".repeat(300 * 1024);
    for host in [upstream("404 Not Found", KEYS[0]), upstream("200 OK", "hello"), upstream("200 OK", large)] {
        assert!(obtain(&host.settings(directory.path())).is_err());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
    let nobody = Pgp { upstream_url: "ftp://x/".into(), ..upstream("", "").settings(directory.path()) };
    assert!(matches!(obtain(&nobody), Err(KeyError::Upstream(FetchError::Url))));
}

#[test]
fn a_file_that_others_may_touch_is_refused_and_nothing_is_fetched() {
    let directory = tempfile::tempdir().unwrap();
    let (file, host) = (directory.path().join("default.pgp"), upstream("200 OK", KEYS[0]));
    fs::write(&file, KEYS[0]).unwrap();
    for bits in [0o644, 0o400, 0o700, 0o4600] {
        fs::set_permissions(&file, Permissions::from_mode(bits)).unwrap();
        let error = obtain(&host.settings(directory.path())).unwrap_err();
        assert!(error.to_string().contains(&format!("{bits:04o}")), "{error}");
    }
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(&*obtain(&host.settings(directory.path())).unwrap(), KEYS[0].as_bytes());
    assert_eq!(host.requests(), 0);
}

#[test]
fn a_file_that_is_none_or_too_large_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (file, host) = (directory.path().join("default.pgp"), upstream("200 OK", KEYS[0]));
    fs::create_dir(&file).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(obtain(&host.settings(directory.path())), Err(KeyError::Mode { .. })));
    fs::remove_dir(&file).unwrap();
    file::write(directory.path(), &vec![b'x'; 256 * 1024 + 1]).unwrap();
    assert!(matches!(obtain(&host.settings(directory.path())), Err(KeyError::TooLarge(_))));
    assert_eq!(host.requests(), 0);
}
