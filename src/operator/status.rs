//! `status`: exit 0 if the server is healthy, 1 if not, 3 if it cannot be reached.

use std::io::Write;
use std::process::ExitCode;

use serde_json::Value;

use super::client::Client;
use super::failure::{FAILURE, Failure, NO_SERVER};
use super::output::Output;
use super::table::Table;
use super::value::{NOTHING, text};

/// Asks and tells.
pub(super) fn run<W: Write>(client: &Client, output: &mut Output<W>) -> Result<ExitCode, Failure> {
    let status = match client.status() {
        Err(failure) if failure.is_unreachable() => {
            // there is nobody to tell that nobody listens
            let _ = writeln!(std::io::stderr(), "fleet-server: {failure}");
            return Ok(ExitCode::from(NO_SERVER));
        }
        status => status?,
    };
    output.show(&status, |status| vec![fields(status)])?;
    Ok(if status["status"] == "HEALTHY" { ExitCode::SUCCESS } else { ExitCode::from(FAILURE) })
}

fn fields(status: &Value) -> Table {
    let mut fields = Table::default();
    fields.field("Status", text(status, "/status"));
    if !status["message"].is_null() {
        fields.field("Reason", text(status, "/message"));
    }
    fields.field(
        "Version",
        format!("{} (own version {})", text(status, "/version/number"), text(status, "/version/own")),
    );
    fields.field("Store", store(&status["store"]));
    fields.field("Up for", duration(status["uptime_seconds"].as_u64().unwrap_or_default()));
    fields.field("Agents waiting", text(status, "/agents/parked"));
    fields.field("Policies", text(status, "/policies"));
    fields.field("Requests", text(status, "/counters/requests"));
    fields.field("Requests refused", text(status, "/counters/refused"));
    fields.field("Requests failed", text(status, "/counters/failed"));
    fields
}

fn store(store: &Value) -> String {
    match (store["kind"].as_str(), store["version"].as_str()) {
        (Some("elasticsearch"), None) => "Elasticsearch, not reached yet".to_owned(),
        (Some("elasticsearch"), Some(version)) => {
            let watch = match store["watch"].as_str() {
                Some("fleet_module") => "its fleet module tells what changes",
                _ => "it has no fleet module: its statistics are looked at",
            };
            format!("Elasticsearch {version}; {watch}")
        }
        (kind, _) => kind.unwrap_or(NOTHING).to_owned(),
    }
}

/// As people say it, two units.
fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_is_told_as_far_as_it_is_known() {
        let shown = |text: &str| store(&serde_json::from_str(text).unwrap());
        assert_eq!(shown(r#"{"kind":"embedded"}"#), "embedded");
        assert!(shown(r#"{"kind":"elasticsearch"}"#).contains("not reached"));
        let reached = |watch: &str| {
            shown(&format!(r#"{{"kind":"elasticsearch","version":"9.4.3","watch":"{watch}"}}"#))
        };
        assert!(reached("fleet_module").starts_with("Elasticsearch 9.4.3; its fleet module"));
        assert!(reached("statistics").contains("no fleet module"));
        assert_eq!(shown("null"), "-");
    }

    #[test]
    fn durations_have_two_units() {
        let shown = [59, 61, 3_661, 90_061].map(duration);
        assert_eq!(shown, ["59 s", "1 min 1 s", "1 h 1 min", "1 d 1 h"]);
    }
}
