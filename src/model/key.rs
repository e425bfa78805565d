//! API keys and enrollment tokens.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::raw::Raw;

/// An API key as a client presents it or a store makes it. Shows its id only.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Public part.
    pub id: String,
    /// Secret part.
    pub secret: String,
}

impl ApiKey {
    /// `id:key`, base64: what `Authorization: ApiKey` carries and what an enrollment token is.
    pub fn token(&self) -> String {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", self.id, self.secret))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({})", self.id)
    }
}

/// Role descriptors of a key by role name, as written in the policy.
pub type KeyRole = BTreeMap<String, Raw>;

/// A document of `.fleet-enrollment-api-keys`.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EnrollmentToken {
    /// Id of the API key.
    pub api_key_id: String,
    /// The whole token, base64 of `id:key`. Secret.
    pub api_key: String,
    /// The policy that agents get by it.
    pub policy_id: String,
    /// False once revoked.
    pub active: bool,
    /// For people.
    pub name: String,
    /// Kibana spaces.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// RFC 3339.
    pub created_at: String,
}

impl fmt::Debug for EnrollmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnrollmentToken({}, policy {}, active {})", self.api_key_id, self.policy_id, self.active)
    }
}
