//! `inputs.0.server.instrumentation`: traces for APM (config.md, Keys).

use std::path::PathBuf;

use super::secret::Secret;

/// The `instrumentation` section with the `ELASTIC_APM_*` variables in its gaps.
#[derive(Clone, PartialEq)]
pub struct Instrumentation {
    /// `enabled`, or `ELASTIC_APM_ACTIVE=true`.
    pub enabled: bool,
    /// `hosts`: URLs of APM servers.
    pub hosts: Vec<String>,
    /// `api_key` or the trimmed content of `api_key_path`.
    pub api_key: Option<Secret>,
    /// `secret_token` or the trimmed content of `secret_token_path`.
    pub secret_token: Option<Secret>,
    /// `environment`
    pub environment: Option<String>,
    /// `global_labels`, names and values.
    pub global_labels: Vec<(String, String)>,
    /// `transaction_sample_rate`, 0 to 1.
    pub transaction_sample_rate: f64,
    /// `tls.skip_verify`
    pub skip_verify: bool,
    /// `tls.server_certificate`: the one certificate that is accepted.
    pub server_certificate: Option<PathBuf>,
    /// `tls.server_ca`
    pub server_ca: Option<PathBuf>,
}

impl Default for Instrumentation {
    fn default() -> Self {
        Self {
            enabled: false,
            hosts: Vec::new(),
            api_key: None,
            secret_token: None,
            environment: None,
            global_labels: Vec::new(),
            transaction_sample_rate: 0.1,
            skip_verify: false,
            server_certificate: None,
            server_ca: None,
        }
    }
}
