//! Gunzip under a cap and a budget.

use crate::http::gzip::Gzip;
use crate::http::inflate::{Inflate, InflateError, MEMBERS_MAX, Progress};

const BUDGET: usize = 64 * 1024;

/// Inflates a whole body that comes in one piece.
pub(super) fn inflated(body: &[u8], inflated_bytes_max: usize) -> Result<Vec<u8>, InflateError> {
    inflated_in_pieces([body], inflated_bytes_max)
}

fn inflated_in_pieces<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    inflated_bytes_max: usize,
) -> Result<Vec<u8>, InflateError> {
    let mut inflate = Inflate::new(inflated_bytes_max);
    let mut out = Vec::new();
    for mut piece in pieces {
        while inflate.push(&mut piece, &mut out, BUDGET)? == Progress::BudgetSpent {}
        assert!(piece.is_empty());
    }
    inflate.finish()?;
    Ok(out)
}

fn zipped(body: &[u8]) -> Vec<u8> {
    Gzip::new(6).compress(body)
}

/// A member with an empty body and the given header after the magic number and method.
fn member(flags: u8, optional: &[u8]) -> Vec<u8> {
    let empty = zipped(b"");
    [&[0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 255], optional, &empty[10..]].concat()
}

#[test]
fn a_body_is_inflated() {
    assert_eq!(inflated(&zipped(b"{\"status\":\"online\"}"), 100).unwrap(), b"{\"status\":\"online\"}");
}

#[test]
fn every_split_point_gives_the_same() {
    let body = b"{\"status\":\"online\",\"message\":\"Running\"}".repeat(20);
    let whole = zipped(&body);
    for at in 0..=whole.len() {
        let (first, second) = whole.split_at(at);
        assert_eq!(inflated_in_pieces([first, second], 1000).unwrap(), body, "split at {at}");
    }
    assert_eq!(inflated_in_pieces(whole.chunks(1), 1000).unwrap(), body);
}

#[test]
fn the_limit_itself_is_fine_and_one_byte_more_is_too_large() {
    for length in [0, 1, 1000, 16 * 1024, 100_000] {
        let body = zipped(&vec![b'x'; length]);
        assert_eq!(inflated(&body, length).unwrap().len(), length);
        if length > 0 {
            assert_eq!(inflated(&body, length - 1), Err(InflateError::TooLarge));
        }
    }
}

#[test]
fn a_bomb_stops_at_the_limit_and_not_later() {
    let bomb = zipped(&vec![0; 21 * 1024 * 1024]);
    assert!(bomb.len() < 100_000);
    let mut inflate = Inflate::new(20 * 1024 * 1024);
    let (mut piece, mut out) = (bomb.as_slice(), Vec::new());
    let error = loop {
        match inflate.push(&mut piece, &mut out, BUDGET) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error, InflateError::TooLarge);
    assert!(out.len() <= 20 * 1024 * 1024 + 1 && out.capacity() <= 20 * 1024 * 1024 + BUDGET);
}

#[test]
fn the_budget_bounds_a_call() {
    let body = zipped(&vec![0; 1_000_000]);
    let mut inflate = Inflate::new(usize::MAX);
    let (mut piece, mut out) = (body.as_slice(), Vec::new());
    let mut calls = 1;
    while inflate.push(&mut piece, &mut out, 1000).unwrap() == Progress::BudgetSpent {
        assert_eq!(out.len(), calls * 1000);
        calls += 1;
    }
    assert_eq!(out.len(), 1_000_000);
    assert_eq!(inflate.finish(), Ok(()));
}

#[test]
fn a_cut_body_is_truncated_wherever_it_is_cut() {
    let body = zipped(b"{\"status\":\"online\"}");
    for length in 0..body.len() {
        assert_eq!(inflated(&body[..length], 100), Err(InflateError::Truncated), "{length} bytes");
    }
}

#[test]
fn what_is_not_gzip_is_corrupt() {
    for body in [&b"{}"[..], b"\x1f\x8c", b"\x1f\x8b\x07", b"\x78\x9c\x03\x00"] {
        assert_eq!(inflated(body, 100), Err(InflateError::Corrupt), "{body:?}");
    }
}

#[test]
fn a_wrong_checksum_or_length_is_corrupt() {
    let body = zipped(b"{}");
    for at in body.len() - 8..body.len() {
        let mut body = body.clone();
        body[at] ^= 1;
        assert_eq!(inflated(&body, 100), Err(InflateError::Corrupt), "byte {at}");
    }
}

#[test]
fn damaged_data_is_corrupt() {
    let mut body = zipped(&b"{\"status\":\"online\"}".repeat(10));
    body[10] = 0xff;
    assert_eq!(inflated(&body, 1000), Err(InflateError::Corrupt));
}

#[test]
fn members_are_joined() {
    let body = [zipped(b"one "), zipped(b""), zipped(b"two")].concat();
    assert_eq!(inflated(&body, 7).unwrap(), b"one two");
    assert_eq!(inflated(&body, 6), Err(InflateError::TooLarge), "the cap holds for all of them together");
}

#[test]
fn members_are_bounded() {
    let most = zipped(b"x").repeat(MEMBERS_MAX as usize);
    assert_eq!(inflated(&most, 10_000).unwrap().len(), MEMBERS_MAX as usize);
    let over = zipped(b"x").repeat(MEMBERS_MAX as usize + 1);
    assert_eq!(inflated(&over, 10_000), Err(InflateError::Corrupt));
}

#[test]
fn what_follows_the_last_member_must_be_a_member() {
    let body = [zipped(b"{}"), b"garbage".to_vec()].concat();
    assert_eq!(inflated(&body, 100), Err(InflateError::Corrupt));
    let body = [zipped(b"{}"), vec![0x1f]].concat();
    assert_eq!(inflated(&body, 100), Err(InflateError::Truncated));
}

#[test]
fn optional_header_fields_are_skipped() {
    for (flags, optional) in [
        (0b0_0001, &b""[..]),
        (0b0_0100, b"\x03\x00abc"),
        (0b0_0100, b"\x00\x00"),
        (0b0_1000, b"name\0"),
        (0b1_0000, b"comment\0"),
        (0b1_1100, b"\x01\x00x\0comment\0"),
    ] {
        assert_eq!(inflated(&member(flags, optional), 0).unwrap(), b"", "{flags:#b} {optional:?}");
    }
}

#[test]
fn a_header_checksum_is_checked() {
    let header = [0x1f, 0x8b, 8, 0b0_1010, 0, 0, 0, 0, 0, 255, b'n', 0];
    let checksum = (crc32fast::hash(&header) as u16).to_le_bytes();
    let right = [b'n', 0, checksum[0], checksum[1]];
    assert_eq!(inflated(&member(0b0_1010, &right), 0).unwrap(), b"");
    let wrong = [b'n', 0, checksum[0] ^ 1, checksum[1]];
    assert_eq!(inflated(&member(0b0_1010, &wrong), 0), Err(InflateError::Corrupt));
}

#[test]
fn reserved_flags_are_corrupt() {
    for flags in [0x20, 0x40, 0x80] {
        assert_eq!(inflated(&member(flags, b""), 0), Err(InflateError::Corrupt));
    }
}

#[test]
fn a_header_is_bounded() {
    let named = |length| member(0b0_1000, &[vec![b'n'; length], vec![0]].concat());
    assert_eq!(inflated(&named(4096 - 11), 0).unwrap(), b"");
    assert_eq!(inflated(&named(4096 - 10), 0), Err(InflateError::Corrupt));
}

#[test]
fn after_an_error_it_stays_an_error() {
    let mut inflate = Inflate::new(10);
    let body = zipped(&[0; 1000]);
    let (mut piece, mut out) = (body.as_slice(), Vec::new());
    assert_eq!(inflate.push(&mut piece, &mut out, BUDGET), Err(InflateError::TooLarge));
    assert!(inflate.push(&mut piece, &mut out, BUDGET).is_err());
    assert_eq!(inflate.finish(), Err(InflateError::Truncated));
}
