//! The parts of an agent's document that are large and rarely change: a check-in only asks whether they are still the same.

use twox_hash::XxHash3_128;

use super::raw::Raw;

/// `local_metadata` or `components`, as much of it as the store has read.
#[derive(Clone, Debug, Default)]
pub enum Detail {
    /// Not stored, or not asked for.
    #[default]
    Absent,
    /// As the agent sent it.
    Whole(Raw),
    /// What tells it from others.
    Fingerprint(Fingerprint),
}

/// XXH3 (128 bits) of JSON text. Not cryptographic: whoever finds two texts of one fingerprint fools the document of the
/// agent that sends them, which is his own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(u128);

impl Detail {
    /// The value, where the store has read it.
    pub fn whole(&self) -> Option<&Raw> {
        match self {
            Detail::Whole(raw) => Some(raw),
            Detail::Absent | Detail::Fingerprint(_) => None,
        }
    }
}

impl From<Option<Raw>> for Detail {
    fn from(raw: Option<Raw>) -> Self {
        raw.map_or(Detail::Absent, Detail::Whole)
    }
}

impl Fingerprint {
    /// Of `json`, byte for byte.
    pub fn of(json: &str) -> Self {
        Fingerprint(XxHash3_128::oneshot(json.as_bytes()))
    }

    /// As it is stored.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }

    /// What [`Fingerprint::to_bytes`] gave; `None` for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Fingerprint(u128::from_le_bytes(bytes.try_into().ok()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_survives_being_stored() {
        let fingerprint = Fingerprint::of("{}");
        assert_eq!(Fingerprint::from_bytes(&fingerprint.to_bytes()), Some(fingerprint));
        assert_eq!(Fingerprint::from_bytes(b"short"), None);
    }

    /// Stored ones have to be found again by a later version: the first 16 bytes of the XXH3 specification's own vector.
    #[test]
    fn the_fingerprint_of_a_text_never_changes() {
        assert_eq!(Fingerprint::of("").0, 0x99aa_06d3_0147_98d8_6001_c324_468d_497f);
    }
}
