//! `check-config`: reads all that a start would read, and says what it makes of it. Talks to nobody.

use std::io::Write;
use std::os::unix::net::SocketAddr;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::arguments::Options;
use super::configuration;
use super::failure::{FAILURE, Failure};
use super::output::Output;
use crate::config::{self, Loaded, Store};
use crate::reactor::tls::Certificates;
use crate::store::Elastic;

/// Prints the configuration in effect with secrets redacted; warnings and errors go to standard error.
pub(super) fn run<W: Write>(options: &Options, output: &mut Output<W>) -> Result<ExitCode, Failure> {
    let report = check(options);
    if output.is_json() {
        output.document(&json!({
            "source": report.source,
            "config": report.config,
            "warnings": report.warnings,
            "errors": report.errors,
        }))?;
    } else {
        if let Some(config) = &report.config {
            output.document(config)?;
            output.flush()?;
        }
        tell("warning", &report.warnings);
        tell("error", &report.errors);
    }
    Ok(if report.errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILURE) })
}

struct Report {
    source: Option<String>,
    config: Option<Value>,
    warnings: Vec<String>,
    errors: Vec<String>,
}

fn check(options: &Options) -> Report {
    match configuration::load(&configuration::of_options(options)) {
        Ok(loaded) => Report {
            source: loaded.source.as_ref().map(|source| source.display().to_string()),
            config: serde_json::from_str(&config::redacted(&loaded)).ok(),
            warnings: loaded.warnings.iter().map(ToString::to_string).collect(),
            errors: [certificates(&loaded), cluster(&loaded), socket(&loaded)]
                .into_iter()
                .flatten()
                .collect(),
        },
        Err(errors) => Report {
            source: None,
            config: None,
            warnings: errors.warnings.iter().map(ToString::to_string).collect(),
            errors: errors.errors.iter().map(ToString::to_string).collect(),
        },
    }
}

/// What is wrong with the files that `ssl` names.
fn certificates(loaded: &Loaded) -> Option<String> {
    let tls = loaded.config.server.tls.clone()?;
    Certificates::read(tls).err().map(|error| format!("inputs.0.server.ssl: {error}"))
}

/// What is wrong with the settings of the cluster and the files that they name.
fn cluster(loaded: &Loaded) -> Option<String> {
    let Store::Elasticsearch(settings) = &loaded.config.store else { return None };
    Elastic::check(settings).err().map(|error| error.to_string())
}

/// What is wrong with the path of the admin socket.
fn socket(loaded: &Loaded) -> Option<String> {
    let path = loaded.config.data_directory.join(crate::serve::ADMIN_SOCKET);
    let error = SocketAddr::from_pathname(&path).err()?;
    Some(format!("path.data: {} cannot be the address of a socket: {error}", path.display()))
}

fn tell(kind: &str, messages: &[String]) {
    let mut stderr = std::io::stderr().lock();
    for message in messages {
        // there is nobody to tell that nobody listens
        let _ = writeln!(stderr, "{kind}: {message}");
    }
}
