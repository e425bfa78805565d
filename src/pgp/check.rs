//! Whether a text is an armored OpenPGP public key (RFC 9580, 6 and 10.1). Signatures are not verified: that is for agents,
//! who trust the key or not.
//!
//! No library does this: the one that is kept and never panics on what comes from outside brings ninety crates of
//! cryptography along, none of which is needed to tell a key from an error page.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// How the armor of public keys is headed.
const ARMOR: &str = "PGP PUBLIC KEY BLOCK";
/// Types of packets (RFC 9580, 5) that a public key may have.
const SIGNATURE: u8 = 2;
const PUBLIC_KEY: u8 = 6;
const MARKER: u8 = 10;
const TRUST: u8 = 12;
const USER_ID: u8 = 13;
const PUBLIC_SUBKEY: u8 = 14;
const USER_ATTRIBUTE: u8 = 17;
const PADDING: u8 = 21;
/// Types from here on may be ignored by who does not know them (RFC 9580, 4.3).
const FIRST_NOT_CRITICAL: u8 = 40;
/// Versions of keys that there are or were.
const KEY_VERSIONS: std::ops::RangeInclusive<u8> = 3..=6;
/// Version, time, algorithm: what every key begins with.
const KEY_HEAD_BYTES: usize = 6;

/// Why a text is no key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// Not a text at all.
    #[error("it is not text")]
    NotText,
    /// The armor is damaged.
    #[error("its armor is {0}")]
    Armor(&'static str),
    /// A packet is cut off, or none begins where one should.
    #[error("its packets are damaged")]
    Packets,
    /// It is something else, or holds it.
    #[error("it holds a {0}")]
    Other(String),
    /// A part is missing without which nothing can be verified by it.
    #[error("it has no {0}")]
    Missing(&'static str),
}

/// Holds `text` against what a public key has to be: armor of that kind and no other, with whole packets, a key first, a
/// name, a signature, and nothing that does not belong to a public key. Several keys may follow each other.
pub(super) fn is_public_key(text: &[u8]) -> Result<(), CheckError> {
    let text = std::str::from_utf8(text).map_err(|_| CheckError::NotText)?;
    let mut lines = text.lines().map(str::trim_end);
    let mut is_armored = false;
    // what stands around armor is not looked at (RFC 9580, 6.2)
    while let Some(line) = lines.by_ref().find(|line| line.starts_with("-----BEGIN ")) {
        let kind = line.trim_start_matches("-----BEGIN ").trim_end_matches('-');
        if kind != ARMOR {
            return Err(CheckError::Other(kind.to_owned()));
        }
        check_packets(&packets(&unarmored(&mut lines)?)?)?;
        is_armored = true;
    }
    if is_armored { Ok(()) } else { Err(CheckError::Missing("armor")) }
}

/// The bytes in armor whose first line was read, up to its last line (RFC 9580, 6.2).
fn unarmored<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Result<Vec<u8>, CheckError> {
    let (mut data, mut checksum) = (String::new(), None);
    for line in lines {
        if let Some(end) = line.strip_prefix("-----END ") {
            let bytes = STANDARD.decode(data).map_err(|_| CheckError::Armor("no base64"))?;
            let is_good = end == format!("{ARMOR}-----") && checksum.is_none_or(|sum| sum == crc24(&bytes));
            return if is_good { Ok(bytes) } else { Err(CheckError::Armor("damaged")) };
        }
        if let Some(encoded) = line.strip_prefix('=').filter(|_| checksum.is_none()) {
            let sum = STANDARD.decode(encoded).ok().and_then(|sum| <[u8; 3]>::try_from(sum).ok());
            let [first, second, third] = sum.ok_or(CheckError::Armor("damaged"))?;
            checksum = Some(u32::from_be_bytes([0, first, second, third]));
        } else if checksum.is_some() {
            return Err(CheckError::Armor("damaged"));
        } else if !(data.is_empty() && line.contains(": ")) {
            data.push_str(line);
        }
    }
    Err(CheckError::Armor("cut off"))
}

/// The checksum of armor (RFC 9580, 6.1.1).
fn crc24(bytes: &[u8]) -> u32 {
    const INITIAL: u32 = 0xb7_04ce;
    const GENERATOR: u32 = 0x186_4cfb;
    bytes.iter().fold(INITIAL, |sum, byte| {
        (0..8).fold(sum ^ (u32::from(*byte) << 16), |sum, _| {
            let shifted = sum << 1;
            if shifted & 0x100_0000 == 0 { shifted } else { shifted ^ GENERATOR }
        })
    })
}

/// A packet: its type, and what it holds.
#[derive(Debug)]
pub(super) struct Packet<'a> {
    pub(super) kind: u8,
    pub(super) body: &'a [u8],
}

/// All packets of `bytes`, which are whole.
pub(super) fn packets(bytes: &[u8]) -> Result<Vec<Packet<'_>>, CheckError> {
    let (mut packets, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        packets.push(next_packet(&mut rest).ok_or(CheckError::Packets)?);
    }
    Ok(packets)
}

/// Takes a packet off (RFC 9580, 4.2). Keys have no packets in parts, nor such without a length.
fn next_packet<'a>(rest: &mut &'a [u8]) -> Option<Packet<'a>> {
    let header = take(rest, 1)?[0];
    if header & 0x80 == 0 {
        return None;
    }
    let (kind, length) = match header & 0x40 {
        0 => (header >> 2 & 0x0f, number(take(rest, *[1, 2, 4].get(usize::from(header & 0x03))?)?)),
        _ => (header & 0x3f, new_length(rest)?),
    };
    Some(Packet { kind, body: take(rest, length)? })
}

fn new_length(rest: &mut &[u8]) -> Option<usize> {
    match take(rest, 1)?[0] {
        short @ ..192 => Some(usize::from(short)),
        middle @ 192..224 => Some((usize::from(middle) - 192) * 256 + usize::from(take(rest, 1)?[0]) + 192),
        255 => Some(number(take(rest, 4)?)),
        _ => None,
    }
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

fn check_packets(packets: &[Packet<'_>]) -> Result<(), CheckError> {
    let belongs = |kind: u8| {
        let known = [SIGNATURE, PUBLIC_KEY, MARKER, TRUST, USER_ID, PUBLIC_SUBKEY, USER_ATTRIBUTE, PADDING];
        known.contains(&kind) || kind >= FIRST_NOT_CRITICAL
    };
    if let Some(other) = packets.iter().find(|packet| !belongs(packet.kind)) {
        return Err(CheckError::Other(format!("packet of type {}", other.kind)));
    }
    let is_key = |packet: &Packet<'_>| {
        let version = packet.body.first().is_some_and(|version| KEY_VERSIONS.contains(version));
        version && packet.body.len() > KEY_HEAD_BYTES
    };
    if !packets.first().is_some_and(|first| first.kind == PUBLIC_KEY && is_key(first)) {
        return Err(CheckError::Missing("public key at its beginning"));
    }
    let has =
        |kinds: &[u8]| packets.iter().any(|packet| kinds.contains(&packet.kind) && !packet.body.is_empty());
    if !has(&[USER_ID, USER_ATTRIBUTE]) {
        return Err(CheckError::Missing("name"));
    }
    if has(&[SIGNATURE]) { Ok(()) } else { Err(CheckError::Missing("signature")) }
}
