//! When certificates are made, and when not.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

const START: Timestamp = Timestamp(1_800_000_000_000);

fn days(count: u64) -> Duration {
    Duration::from_secs(count * DAY)
}

fn names(more: &[&str]) -> Names {
    let mut names = Names::default();
    for name in ["localhost", "127.0.0.1", "::1"].iter().chain(more) {
        names.add(name);
    }
    names
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn the_first_start_makes_both_for_the_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let own = OwnCertificates::ensure(directory.path(), &names(&[]), START).unwrap();
    assert!(own.renewed);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory.path().join("tls")), 0o700);
    for name in ["ca.crt", "ca.key", "server.crt", "server.key"] {
        assert_eq!(mode(&directory.path().join("tls").join(name)), 0o600, "{name}");
    }
    assert_eq!(fs::read_dir(directory.path().join("tls")).unwrap().count(), 4, "nothing temporary is left");
    let ca = inspect::certificate(&text(&own.ca)).unwrap();
    assert_eq!(own.fingerprint, sha256_hex(&ca.der));
    assert_eq!(ca.not_after, START.plus(days(3_650)));
    let server = inspect::certificate(&text(&own.certificate)).unwrap();
    assert_eq!(server.not_after, START.plus(days(365)));
    assert_eq!(server.names, names(&[]));
    assert!(text(&own.certificate).ends_with(&text(&own.ca)), "the CA is part of the chain");
}

#[test]
fn a_second_start_finds_them() {
    let directory = tempfile::tempdir().unwrap();
    let first = OwnCertificates::ensure(directory.path(), &names(&[]), START).unwrap();
    let before = text(&first.certificate);
    let second = OwnCertificates::ensure(directory.path(), &names(&[]), START.plus(days(300))).unwrap();
    assert!(!second.renewed);
    assert_eq!(text(&second.certificate), before);
    assert_eq!(second.fingerprint, first.fingerprint);
}

#[test]
fn thirty_days_before_its_end_the_server_gets_a_new_one_from_the_same_ca() {
    let directory = tempfile::tempdir().unwrap();
    let first = OwnCertificates::ensure(directory.path(), &names(&[]), START).unwrap();
    let second = OwnCertificates::ensure(directory.path(), &names(&[]), START.plus(days(336))).unwrap();
    assert!(second.renewed);
    assert_eq!(second.fingerprint, first.fingerprint);
}

#[test]
fn other_names_or_addresses_need_a_new_one() {
    let directory = tempfile::tempdir().unwrap();
    let all =
        [names(&[]), names(&["fleet.example"]), names(&["192.0.2.7"]), names(&["2001:db8::1"]), names(&[])];
    for names in all {
        assert!(OwnCertificates::ensure(directory.path(), &names, START).unwrap().renewed, "{names:?}");
        assert!(!OwnCertificates::ensure(directory.path(), &names, START).unwrap().renewed, "{names:?}");
    }
}

#[test]
fn a_lost_damaged_or_foreign_server_pair_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let ensure = |directory: &Path| OwnCertificates::ensure(directory, &names(&[]), START).unwrap();
    let (own, foreign) = (ensure(directory.path()), ensure(other.path()));
    let damages: [&dyn Fn(); 5] = [
        &|| fs::remove_file(&own.certificate).unwrap(),
        &|| fs::remove_file(&own.key).unwrap(),
        &|| fs::write(&own.certificate, "nonsense").unwrap(),
        // as after a crash between the two files
        &|| assert!(fs::copy(&foreign.key, &own.key).is_ok()),
        &|| {
            fs::copy(&foreign.key, &own.key).unwrap();
            fs::copy(&foreign.certificate, &own.certificate).unwrap();
        },
    ];
    for (index, damage) in damages.iter().enumerate() {
        damage();
        assert!(ensure(directory.path()).renewed, "damage {index}");
        assert!(!ensure(directory.path()).renewed, "damage {index}");
    }
}

#[test]
fn a_damaged_ca_is_an_error_and_stays() {
    let directory = tempfile::tempdir().unwrap();
    let own = OwnCertificates::ensure(directory.path(), &names(&[]), START).unwrap();
    fs::write(&own.ca, "nonsense").unwrap();
    let error = OwnCertificates::ensure(directory.path(), &names(&[]), START).unwrap_err();
    assert!(error.to_string().contains("ca.crt"), "{error}");
    assert_eq!(text(&own.ca), "nonsense");
}

#[test]
fn the_key_of_the_ca_is_needed_only_to_make_a_certificate() {
    let directory = tempfile::tempdir().unwrap();
    OwnCertificates::ensure(directory.path(), &names(&[]), START).unwrap();
    fs::remove_file(directory.path().join("tls/ca.key")).unwrap();
    assert!(!OwnCertificates::ensure(directory.path(), &names(&[]), START).unwrap().renewed);
    let error = OwnCertificates::ensure(directory.path(), &names(&["other"]), START).unwrap_err();
    assert!(error.to_string().contains("ca.key"), "{error}");
}

#[test]
fn near_its_end_the_ca_is_made_anew_with_everything() {
    let directory = tempfile::tempdir().unwrap();
    let first = OwnCertificates::ensure(directory.path(), &names(&[]), START).unwrap();
    let second = OwnCertificates::ensure(directory.path(), &names(&[]), START.plus(days(3_630))).unwrap();
    assert!(second.renewed);
    assert_ne!(second.fingerprint, first.fingerprint);
}

#[test]
fn the_machine_has_a_name_and_loopback_addresses() {
    let names = Names::of_machine(&["Fleet.Example.".to_owned(), "[2001:db8::2]".to_owned()]);
    assert!(names.hosts.contains("localhost") && names.hosts.contains("fleet.example"), "{names:?}");
    for address in ["127.0.0.1", "::1", "2001:db8::2"] {
        assert!(names.addresses.contains(&address.parse().unwrap()), "{names:?}");
    }
}
