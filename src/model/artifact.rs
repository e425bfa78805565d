//! Artifacts: what Endpoint fetches beside its policy (exception lists and the like), documents of `.fleet-artifacts`
//! (elasticsearch.md, "Indices and mappings"). A body is kept as it is sent: compressed, if its document says so.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::file::{hex, sha256};

/// Hexadecimal digits of a SHA-256.
pub const SHA256_DIGITS: usize = 64;

/// What names an artifact: a policy names both, and so does who fetches it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ArtifactId {
    /// `endpoint-trustlist-linux-v1` and the like.
    pub identifier: String,
    /// SHA-256 of the content before it was compressed, hexadecimal.
    pub decoded_sha256: String,
}

/// An artifact's document without its body.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ArtifactFacts {
    /// `endpoint-trustlist-linux-v1` and the like.
    pub identifier: String,
    /// SHA-256 of the content, hexadecimal.
    pub decoded_sha256: String,
    /// Bytes of the content.
    pub decoded_size: u64,
    /// SHA-256 of the body.
    pub encoded_sha256: String,
    /// Bytes of the body.
    pub encoded_size: u64,
    /// `none` or `zlib`.
    pub compression_algorithm: String,
    /// `none`.
    pub encryption_algorithm: String,
    /// Whose it is: `endpoint`.
    pub package_name: String,
    /// `trustlist` and the like.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where agents fetch it, from the server's root.
    pub relative_url: String,
    /// When it was made, RFC 3339.
    pub created: String,
}

/// An artifact, on its way to the store or as it is there.
#[derive(Clone)]
pub struct NewArtifact {
    /// Its document.
    pub facts: ArtifactFacts,
    /// What agents get.
    pub body: Arc<[u8]>,
}

/// The body of a stored artifact, shared by all who get it.
#[derive(Clone)]
pub struct ArtifactBody {
    /// What agents get.
    pub bytes: Arc<[u8]>,
    /// Whether it is what its document says: if not, nobody may get it.
    pub is_intact: bool,
}

impl ArtifactFacts {
    /// What names it.
    pub fn id(&self) -> ArtifactId {
        ArtifactId { identifier: self.identifier.clone(), decoded_sha256: self.decoded_sha256.clone() }
    }
}

impl ArtifactBody {
    /// A body as it was found, held against the hash in its document. Takes as long as hashing does: a store's worker's
    /// work.
    pub fn found(bytes: Arc<[u8]>, encoded_sha256: &str) -> Self {
        let is_intact = sha256_hex(&bytes).eq_ignore_ascii_case(encoded_sha256);
        ArtifactBody { bytes, is_intact }
    }
}

/// The SHA-256 of `bytes`, hexadecimal, in lower case.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&sha256(bytes))
}

/// Not the body, which may be large.
impl fmt::Debug for NewArtifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewArtifact({:?}, {} bytes)", self.facts, self.body.len())
    }
}

impl fmt::Debug for ArtifactBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ArtifactBody({} bytes, intact: {})", self.bytes.len(), self.is_intact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_held_against_its_hash() {
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let found = |bytes: &[u8], hash: &str| ArtifactBody::found(bytes.into(), hash).is_intact;
        assert!(found(b"abc", hash) && found(b"abc", &hash.to_uppercase()));
        assert!(!found(b"abd", hash) && !found(b"abc", "") && !found(b"abc", &hash[1..]));
    }

    #[test]
    fn a_document_of_another_version_is_read_as_far_as_it_goes() {
        let document = r#"{"identifier":"i","decoded_size":7,"type":"trustlist","new":[1]}"#;
        let facts: ArtifactFacts = serde_json::from_str(document).unwrap();
        assert_eq!(
            (facts.identifier.as_str(), facts.decoded_size, facts.kind.as_str()),
            ("i", 7, "trustlist")
        );
    }
}
