//! `inputs.0.server.instrumentation`: traces for APM (config.md, Keys).

use std::path::PathBuf;

use super::scalar;
use super::secret::Secret;
use super::section::Section;

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

/// Reads the section; what it lacks may come from the environment.
pub(super) fn read(section: &mut Section<'_, '_>) -> Instrumentation {
    let active = section.variable("ELASTIC_APM_ACTIVE").and_then(|text| scalar::boolean(&text));
    let (skip_verify, server_certificate, server_ca) = section.section("tls", |section| {
        let skip_verify = section.boolean("skip_verify", false);
        let certificate = section.path("server_certificate");
        let ca = section.path("server_ca");
        let verify =
            section.variable("ELASTIC_APM_VERIFY_SERVER_CERT").and_then(|text| scalar::boolean(&text));
        (
            skip_verify || verify == Some(false),
            certificate.or_else(|| section.variable("ELASTIC_APM_SERVER_CERT").map(PathBuf::from)),
            ca.or_else(|| section.variable("ELASTIC_APM_SERVER_CA_CERT_FILE").map(PathBuf::from)),
        )
    });
    let secret = |section: &Section<'_, '_>, name| section.variable(name).map(Secret::new);
    Instrumentation {
        enabled: section.boolean("enabled", false) || active == Some(true),
        hosts: hosts(section),
        api_key: section
            .secret_or_file("api_key", "api_key_path")
            .or_else(|| secret(section, "ELASTIC_APM_API_KEY")),
        secret_token: section
            .secret_or_file("secret_token", "secret_token_path")
            .or_else(|| secret(section, "ELASTIC_APM_SECRET_TOKEN")),
        environment: section
            .optional_text("environment")
            .or_else(|| section.variable("ELASTIC_APM_ENVIRONMENT")),
        global_labels: global_labels(section),
        transaction_sample_rate: sample_rate(section),
        skip_verify,
        server_certificate,
        server_ca,
    }
}

fn hosts(section: &mut Section<'_, '_>) -> Vec<String> {
    let hosts = section.unshown_texts("hosts");
    if !hosts.is_empty() {
        let shown: Vec<String> = hosts.iter().map(|host| without_user(host)).collect();
        section.show("hosts", shown);
        return hosts;
    }
    let variable = section
        .variable("ELASTIC_APM_SERVER_URLS")
        .or_else(|| section.variable("ELASTIC_APM_SERVER_URL"))
        .unwrap_or_default();
    variable.split(',').map(str::trim).filter(|host| !host.is_empty()).map(str::to_owned).collect()
}

/// `https://apm/path` of `https://user:password@apm/path`.
fn without_user(host: &str) -> String {
    let start = host.find("://").map_or(0, |colon| colon + "://".len());
    let (scheme, rest) = host.split_at(start);
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    format!("{scheme}{address}{path}")
}

fn global_labels(section: &mut Section<'_, '_>) -> Vec<(String, String)> {
    const EXPECTED: &str = "labels such as a=b,c=d";
    if section.has_content("global_labels") {
        let labels = section.parsed("global_labels", EXPECTED, labels).unwrap_or_default();
        let shown: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        section.show("global_labels", shown.join(","));
        return labels;
    }
    section.ignore("global_labels");
    match section.variable("ELASTIC_APM_GLOBAL_LABELS") {
        Some(text) => labels(&text).unwrap_or_else(|| {
            section.wrong_variable("ELASTIC_APM_GLOBAL_LABELS", EXPECTED);
            Vec::new()
        }),
        None => Vec::new(),
    }
}

fn labels(text: &str) -> Option<Vec<(String, String)>> {
    text.split(',')
        .filter(|label| !label.trim().is_empty())
        .map(|label| {
            label.split_once('=').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        })
        .collect()
}

fn sample_rate(section: &mut Section<'_, '_>) -> f64 {
    const EXPECTED: &str = "a rate from 0 to 1";
    let parse = |text: &str| text.parse::<f64>().ok().filter(|rate| (0.0..=1.0).contains(rate));
    let variable = "ELASTIC_APM_TRANSACTION_SAMPLE_RATE";
    let set = section.parsed("transaction_sample_rate", EXPECTED, parse);
    let rate = set.or_else(|| {
        let text = section.variable(variable)?;
        let rate = parse(&text);
        if rate.is_none() {
            section.wrong_variable(variable, EXPECTED);
        }
        rate
    });
    let rate = rate.unwrap_or(Instrumentation::default().transaction_sample_rate);
    section.show("transaction_sample_rate", rate.to_string());
    rate
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
