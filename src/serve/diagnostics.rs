//! What the agent gets for a bundle of diagnostics (agent-mode.md, "Actions stream"): the configuration, what TLS is made of,
//! what requests to the output come to, and the server's state in numbers. Nothing of it is secret.

use std::fmt::Write;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use serde_json::Value;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::agent_mode::seam::{DiagnosticFile, Question};
use crate::config::{self, ClientTls, Elasticsearch, Loaded, PemSource, Store, Tls};
use crate::fleet::render::yaml;
use crate::model::sha256_hex;
use crate::store::trace;
use crate::tls::pem;

/// For the requests to all hosts of the output together (agent-mode.md, "Actions stream").
const REQUESTS_TIME_MAX: Duration = Duration::from_secs(30);
/// Answers that are made at once; beyond, the agent gets none.
const DIAGNOSES_MAX: usize = 4;
/// The client does TLS and little else.
const STACK_BYTES: usize = 512 * 1024;

/// What is looked at.
pub(super) struct Subject {
    configuration: String,
    tls: Option<Tls>,
    output: Option<Elasticsearch>,
}

impl Subject {
    /// A configuration in force, and what its new connections are encrypted by.
    pub(super) fn of(loaded: &Loaded, tls: Option<Tls>) -> Self {
        let shown: Option<Value> = serde_json::from_str(&config::redacted(loaded)).ok();
        let configuration = shown.as_ref().and_then(Value::as_object).map(yaml).unwrap_or_default();
        let output = match &loaded.config.store {
            Store::Elasticsearch(settings) => Some((**settings).clone()),
            Store::Embedded(_) => None,
        };
        Subject { configuration, tls, output }
    }
}

/// Answers on a thread of its own, since requests to the output take their time; `state` is the server's, in numbers.
pub(super) fn answer(question: Question, subject: Option<Subject>, state: String, diagnoses: &Arc<()>) {
    let held = Arc::clone(diagnoses);
    if Arc::strong_count(&held) > DIAGNOSES_MAX + 1 {
        ::log::warn!("too many diagnostics are asked for at once");
        return;
    }
    let answer = move || {
        let _held = held;
        // who does not wait any more needs no answer
        let _ = question.answer.try_send(files(subject, state, question.connection));
    };
    let thread = thread::Builder::new().name("diagnostics".to_owned()).stack_size(STACK_BYTES);
    if let Err(error) = thread.spawn(answer) {
        ::log::error!("diagnostics cannot be given, for want of a thread: {error}");
    }
}

fn files(subject: Option<Subject>, state: String, connection: bool) -> Vec<DiagnosticFile> {
    let mut files = vec![DiagnosticFile {
        name: "fleet-server state",
        filename: "fleet-server-state.json",
        description: "what the server holds, in numbers",
        content_type: "application/json",
        content: state.into_bytes(),
    }];
    let Some(Subject { configuration, tls, output }) = subject else { return files };
    files.push(DiagnosticFile {
        name: "fleet-server config",
        filename: "fleet-server.yml",
        description: "the configuration in effect, without secrets",
        content_type: "application/yml",
        content: configuration.into_bytes(),
    });
    files.push(DiagnosticFile {
        name: "fleet-server api tls diag",
        filename: "fleet-server-api-tls.txt",
        description: "what connections of agents are encrypted by",
        content_type: "text/plain",
        content: of_server(tls.as_ref()).into_bytes(),
    });
    let Some(output) = output else { return files };
    files.push(DiagnosticFile {
        name: "fleet-server output tls diag",
        filename: "fleet-server-output-tls.txt",
        description: "what connections to the output are encrypted by",
        content_type: "text/plain",
        content: of_output(&output).into_bytes(),
    });
    if connection {
        files.push(DiagnosticFile {
            name: "fleet-server output request diag",
            filename: "fleet-server-output-request.txt",
            description: "what a request to each host of the output comes to",
            content_type: "text/plain",
            content: trace(&output, REQUESTS_TIME_MAX).into_bytes(),
        });
    }
    files
}

fn of_server(tls: Option<&Tls>) -> String {
    let Some(tls) = tls else { return "TLS is off\n".to_owned() };
    let mut text = String::new();
    certificates(&mut text, "certificate", &tls.certificate);
    for source in &tls.certificate_authorities {
        certificates(&mut text, "authority of clients", source);
    }
    text
}

fn of_output(output: &Elasticsearch) -> String {
    let mut text = String::new();
    for host in &output.hosts {
        // writing to a text cannot fail
        let _ = writeln!(text, "host {host}");
    }
    match &output.tls {
        Some(tls) => of_client(&mut text, tls),
        None => text += "no ssl section: hosts with https are verified against what the system trusts\n",
    }
    text
}

fn of_client(text: &mut String, tls: &ClientTls) {
    let _ = writeln!(text, "verification_mode {}", tls.verification_mode.name());
    if let Some(fingerprint) = &tls.ca_trusted_fingerprint {
        let _ = writeln!(text, "ca_trusted_fingerprint {fingerprint}");
    }
    for source in &tls.certificate_authorities {
        certificates(text, "authority", source);
    }
    if let Some(identity) = &tls.identity {
        certificates(text, "certificate of ours", &identity.certificate);
    }
}

/// Describes the certificates of a source.
fn certificates(text: &mut String, role: &str, source: &PemSource) {
    let place = pem::place(source, "the configuration");
    match pem::certificates(source, "the configuration") {
        Ok(found) => {
            for certificate in &found {
                let _ = writeln!(text, "{role} in {place}\n{}", describe(certificate));
            }
        }
        Err(error) => {
            let _ = writeln!(text, "{role}: {error}");
        }
    }
}

fn describe(certificate: &CertificateDer<'_>) -> String {
    let digest = sha256_hex(certificate);
    match X509Certificate::from_der(certificate) {
        Ok((_, parsed)) => {
            let names = match parsed.subject_alternative_name() {
                Ok(Some(names)) => {
                    let names: Vec<String> =
                        names.value.general_names.iter().map(ToString::to_string).collect();
                    names.join(", ")
                }
                _ => String::new(),
            };
            format!(
                "  subject {}\n  issuer {}\n  valid from {} to {}\n  names {names}\n  SHA-256 {digest}",
                parsed.subject(),
                parsed.issuer(),
                parsed.validity().not_before,
                parsed.validity().not_after,
            )
        }
        Err(error) => format!("  not readable: {error}\n  SHA-256 {digest}"),
    }
}
