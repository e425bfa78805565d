//! A look at a message before it is decoded. A body of 3 MiB could name a million empty messages, each of which takes fifty
//! bytes once decoded: depth and number are counted on the wire, where they cost nothing.

/// Messages within each other. The decoder itself stops at 100.
pub const DEPTH_MAX: usize = 64;
/// Fields of a message and of all within it that are looked at.
pub const FIELDS_MAX: usize = 20_000;

/// Why a message cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is not a message of the protocol.
    #[error("the message cannot be decoded")]
    Garbled,
    /// Nested too deeply.
    #[error("the message is nested more than {DEPTH_MAX} levels deep")]
    TooDeep,
    /// It has too many fields.
    #[error("the message has more than {FIELDS_MAX} fields")]
    TooManyFields,
}

/// A message of which others are parts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    AgentToServer,
    Description,
    KeyValue,
    AnyValue,
    Array,
    Map,
    Health,
    HealthEntry,
    EffectiveConfig,
    ConfigMap,
    ConfigEntry,
}

/// Which field of which message holds a message, and of which kind. What is not listed is bytes, or is not decoded.
const PARTS: [(Kind, usize, Kind); 14] = [
    (Kind::AgentToServer, 3, Kind::Description),
    (Kind::AgentToServer, 5, Kind::Health),
    (Kind::AgentToServer, 6, Kind::EffectiveConfig),
    (Kind::Description, 1, Kind::KeyValue),
    (Kind::Description, 2, Kind::KeyValue),
    (Kind::KeyValue, 2, Kind::AnyValue),
    (Kind::AnyValue, 5, Kind::Array),
    (Kind::AnyValue, 6, Kind::Map),
    (Kind::Array, 1, Kind::AnyValue),
    (Kind::Map, 1, Kind::KeyValue),
    (Kind::Health, 6, Kind::HealthEntry),
    (Kind::HealthEntry, 2, Kind::Health),
    (Kind::EffectiveConfig, 1, Kind::ConfigMap),
    (Kind::ConfigMap, 1, Kind::ConfigEntry),
];

/// An error if `bytes`, a message of a collector, are not worth decoding.
pub(super) fn check(bytes: &[u8]) -> Result<(), Unreadable> {
    let mut fields_left = FIELDS_MAX;
    scan(bytes, Kind::AgentToServer, 1, &mut fields_left)
}

fn scan(mut bytes: &[u8], kind: Kind, depth: usize, fields_left: &mut usize) -> Result<(), Unreadable> {
    if depth > DEPTH_MAX {
        return Err(Unreadable::TooDeep);
    }
    while !bytes.is_empty() {
        *fields_left = fields_left.checked_sub(1).ok_or(Unreadable::TooManyFields)?;
        let key = number(&mut bytes)?;
        match key & 7 {
            0 => drop(number(&mut bytes)?),
            1 => drop(take(&mut bytes, 8)?),
            2 => {
                let length = number(&mut bytes)?;
                let part = take(&mut bytes, length)?;
                let is_here =
                    |(within, field, _): &&(Kind, usize, Kind)| *within == kind && *field == key >> 3;
                if let Some((_, _, inner)) = PARTS.iter().find(is_here) {
                    scan(part, *inner, depth + 1, fields_left)?;
                }
            }
            5 => drop(take(&mut bytes, 4)?),
            // groups, which the protocol does not have, and what no version of protobuf knows
            _ => return Err(Unreadable::Garbled),
        }
    }
    Ok(())
}

/// A variable-length integer.
fn number(bytes: &mut &[u8]) -> Result<usize, Unreadable> {
    prost::decode_length_delimiter(bytes).map_err(|_| Unreadable::Garbled)
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], Unreadable> {
    let (part, rest) = bytes.split_at_checked(length).ok_or(Unreadable::Garbled)?;
    *bytes = rest;
    Ok(part)
}
