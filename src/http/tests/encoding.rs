//! Accept-Encoding and Content-Encoding.

use super::*;
use crate::http::encoding::{ContentCoding, accepts_gzip};
use crate::http::gzip::Gzip;

fn accepts(lines: &[&str]) -> bool {
    accepts_gzip(lines.iter().map(|line| line.as_bytes()))
}

#[test]
fn gzip_named_is_allowed() {
    for line in
        ["gzip", "GZip", "x-gzip", "deflate, gzip;q=0.5", "deflate,gzip", " gzip ; q=1.000", "gzip;Q=0.001"]
    {
        assert!(accepts(&[line]), "{line}");
    }
}

#[test]
fn gzip_not_named_is_not_allowed() {
    for line in ["", "identity", "deflate", "br, zstd", "gzipped", "not-gzip", "gzip2"] {
        assert!(!accepts(&[line]), "{line:?}");
    }
    assert!(!accepts(&[]));
}

#[test]
fn a_weight_of_zero_forbids() {
    for line in [
        "gzip;q=0",
        "gzip;q=0.0",
        "gzip; q=0.000",
        "*, gzip;q=0",
        "gzip;q=0, *",
        "gzip, gzip;q=0",
        "gzip;q=0, gzip",
    ] {
        assert!(!accepts(&[line]), "{line}");
    }
}

#[test]
fn a_malformed_weight_forbids() {
    for line in ["gzip;q=", "gzip;q=2", "gzip;q=1.1", "gzip;q=0.1234", "gzip;q=.5", "gzip;q=x", "gzip;q=-1"] {
        assert!(!accepts(&[line]), "{line}");
    }
}

#[test]
fn the_asterisk_stands_for_gzip_unless_gzip_is_named() {
    assert!(accepts(&["*"]));
    assert!(accepts(&["identity;q=0, *;q=0.1"]));
    assert!(!accepts(&["*;q=0"]));
    assert!(accepts(&["*;q=0, gzip"]));
}

#[test]
fn several_lines_are_one_list() {
    assert!(accepts(&["deflate", "gzip"]));
    assert!(!accepts(&["gzip", "gzip;q=0"]));
}

#[test]
fn content_codings_are_told_apart() {
    assert_eq!(ContentCoding::of(None), ContentCoding::Identity);
    assert_eq!(ContentCoding::of(Some("")), ContentCoding::Identity);
    assert_eq!(ContentCoding::of(Some("Identity")), ContentCoding::Identity);
    assert_eq!(ContentCoding::of(Some("gzip")), ContentCoding::Gzip);
    assert_eq!(ContentCoding::of(Some("X-GZIP")), ContentCoding::Gzip);
    assert_eq!(ContentCoding::of(Some("deflate")), ContentCoding::Other);
    assert_eq!(ContentCoding::of(Some("gzip, gzip")), ContentCoding::Other);
}

#[test]
fn a_compressor_serves_many_bodies() {
    let mut gzip = Gzip::new(1);
    for body in [&b""[..], b"{}", &[b'x'; 100_000]] {
        assert_eq!(inflate::inflated(&gzip.compress(body), usize::MAX).unwrap(), body);
    }
    let body = "{\"action\":\"checkin\"}".repeat(100);
    assert!(gzip.compress(body.as_bytes()).len() < body.len() / 10);
}

#[test]
fn bytes_that_cannot_be_compressed_come_back_whole() {
    // a linear congruential generator: no pattern that deflate would find
    let mut state = 1u32;
    let noise: Vec<u8> = (0..70_000)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    for level in [0, 1, 6, 9, 100] {
        assert_eq!(inflate::inflated(&Gzip::new(level).compress(&noise), usize::MAX).unwrap(), noise);
    }
}
