//! `upgrade_details` of a check-in (checkin.md, "POST checkin", step 3).

use serde_json::{Map, Value, json};

use super::ApiError;
use crate::model::raw::{self, Raw};
use crate::time::Timestamp;

/// Upgrade details that may be stored.
#[derive(Debug)]
pub struct UpgradeDetails {
    /// The UPGRADE action.
    pub action_id: String,
    /// UPG_REQUESTED, UPG_WATCHING, ...; other text is kept.
    pub state: String,
    /// What is stored: action_id, target_version, state, metadata.
    pub document: Raw,
}

impl UpgradeDetails {
    /// Reads what the agent sent; an error says which field is wrong.
    pub fn read(sent: &Raw) -> Result<Self, ApiError> {
        let sent: Map<String, Value> =
            serde_json::from_str(sent.get()).map_err(|_| ApiError::bad("upgrade_details: not an object"))?;
        let action_id = text(&sent, "action_id")?;
        let state = text(&sent, "state")?;
        let mut document = Map::new();
        document.insert("action_id".into(), json!(action_id));
        document.insert("target_version".into(), json!(text(&sent, "target_version")?));
        document.insert("state".into(), json!(state));
        if let Some(metadata) = metadata(&state, sent.get("metadata").filter(|value| !value.is_null()))? {
            document.insert("metadata".into(), metadata);
        }
        Ok(UpgradeDetails { action_id, state, document: raw::raw(&document) })
    }
}

fn text(object: &Map<String, Value>, key: &str) -> Result<String, ApiError> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(ApiError::bad(format!("upgrade_details.{key}: not a text"))),
    }
}

/// What is kept of the metadata, by state.
fn metadata(state: &str, metadata: Option<&Value>) -> Result<Option<Value>, ApiError> {
    match state {
        "UPG_FAILED" => {
            let metadata = object(state, metadata)?;
            let error = required(metadata, "error_msg")?;
            let mut kept = Map::from_iter([("error_msg".to_owned(), json!(error))]);
            keep_text(metadata, "failed_state", &mut kept)?;
            Ok(Some(kept.into()))
        }
        "UPG_SCHEDULED" => {
            let metadata = object(state, metadata)?;
            required(metadata, "scheduled_at")?;
            let mut kept = Map::new();
            keep_time(metadata, "scheduled_at", &mut kept)?;
            Ok(Some(kept.into()))
        }
        "UPG_DOWNLOADING" if metadata.is_some() => downloading(object(state, metadata)?).map(Some),
        _ => Ok(metadata.cloned()),
    }
}

fn downloading(metadata: &Map<String, Value>) -> Result<Value, ApiError> {
    let mut kept = Map::new();
    let percent = match metadata.get("download_percent") {
        None | Some(Value::Null) => json!(0),
        Some(number @ Value::Number(_)) => number.clone(),
        Some(_) => return Err(ApiError::bad("upgrade_details.metadata.download_percent: not a number")),
    };
    kept.insert("download_percent".into(), percent);
    match metadata.get("download_rate") {
        None | Some(Value::Null) => {}
        Some(number @ Value::Number(_)) => {
            kept.insert("download_rate".into(), number.clone());
        }
        Some(Value::String(text)) => {
            let rate = download_rate(text).ok_or_else(|| {
                ApiError::bad("upgrade_details.metadata.download_rate: not a rate such as \"1.5MBps\"")
            })?;
            kept.insert("download_rate".into(), json!(rate));
        }
        Some(_) => {
            return Err(ApiError::bad("upgrade_details.metadata.download_rate: neither a number nor a text"));
        }
    }
    keep_text(metadata, "retry_error_msg", &mut kept)?;
    keep_time(metadata, "retry_until", &mut kept)?;
    Ok(kept.into())
}

fn object<'a>(state: &str, metadata: Option<&'a Value>) -> Result<&'a Map<String, Value>, ApiError> {
    metadata
        .and_then(Value::as_object)
        .ok_or_else(|| ApiError::bad(format!("upgrade_details.metadata: {state} needs an object")))
}

fn required<'a>(metadata: &'a Map<String, Value>, key: &str) -> Result<&'a str, ApiError> {
    metadata
        .get(key)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| ApiError::bad(format!("upgrade_details.metadata.{key}: required")))
}

fn keep_text(from: &Map<String, Value>, key: &str, kept: &mut Map<String, Value>) -> Result<(), ApiError> {
    match from.get(key) {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) => {
            kept.insert(key.to_owned(), json!(text));
        }
        Some(_) => return Err(ApiError::bad(format!("upgrade_details.metadata.{key}: not a text"))),
    }
    Ok(())
}

/// As sent. An index where Kibana keeps it as a date refuses the whole document for one that is none.
fn keep_time(from: &Map<String, Value>, key: &str, kept: &mut Map<String, Value>) -> Result<(), ApiError> {
    keep_text(from, key, kept)?;
    let time = kept.get(key).and_then(Value::as_str);
    match time.is_none_or(|time| Timestamp::parse(time).is_some()) {
        true => Ok(()),
        false => Err(ApiError::bad(format!("upgrade_details.metadata.{key}: not an RFC 3339 time"))),
    }
}

/// Bytes per second of a text like `1.5MBps` (SI prefixes).
fn download_rate(text: &str) -> Option<f64> {
    const UNITS: [(&str, f64); 6] = [("", 1.0), ("k", 1e3), ("m", 1e6), ("g", 1e9), ("t", 1e12), ("p", 1e15)];
    let text = text.trim().to_ascii_lowercase();
    let number = text.strip_suffix("bps").or_else(|| text.strip_suffix("b/s")).unwrap_or(&text).trim();
    let digits = number.trim_end_matches(|last: char| last.is_ascii_alphabetic());
    let prefix = number[digits.len()..].trim();
    let factor = UNITS.iter().find(|(unit, _)| *unit == prefix)?.1;
    let rate = digits.trim().parse::<f64>().ok()? * factor;
    (rate.is_finite() && rate >= 0.0).then_some(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Value, ApiError> {
        let sent = serde_json::value::RawValue::from_string(text.to_owned()).unwrap();
        UpgradeDetails::read(&sent).map(|details| serde_json::from_str(details.document.get()).unwrap())
    }

    #[test]
    fn failed_needs_its_error_and_keeps_only_what_is_known() {
        assert!(read(r#"{"state":"UPG_FAILED","metadata":{"error_msg":""}}"#).is_err());
        assert!(read(r#"{"state":"UPG_FAILED"}"#).is_err());
        let kept = read(
            r#"{"state":"UPG_FAILED","metadata":{"error_msg":"x","failed_state":"UPG_WATCHING","y":1}}"#,
        );
        assert_eq!(kept.unwrap()["metadata"], json!({"error_msg": "x", "failed_state": "UPG_WATCHING"}));
    }

    #[test]
    fn scheduled_needs_its_time() {
        assert!(read(r#"{"state":"UPG_SCHEDULED","metadata":{}}"#).is_err());
        assert!(
            read(r#"{"state":"UPG_SCHEDULED","metadata":{"scheduled_at":"2026-01-01T00:00:00Z"}}"#).is_ok()
        );
    }

    #[test]
    fn times_are_times() {
        let of = |state: &str, key: &str, time: &str| {
            read(&format!(r#"{{"state":"{state}","metadata":{{"{key}":"{time}"}}}}"#))
        };
        for time in ["soon", "2026-13-01T00:00:00Z", "1770000000"] {
            assert!(of("UPG_SCHEDULED", "scheduled_at", time).is_err(), "{time}");
            assert!(of("UPG_DOWNLOADING", "retry_until", time).is_err(), "{time}");
        }
        for time in ["2026-01-01T00:00:00.123456789+02:00", "2026-01-01T00:00:00Z"] {
            let kept = of("UPG_SCHEDULED", "scheduled_at", time).unwrap();
            assert_eq!(kept["metadata"], json!({"scheduled_at": time}));
            let kept = of("UPG_DOWNLOADING", "retry_until", time).unwrap();
            assert_eq!(kept["metadata"]["retry_until"], time);
        }
    }

    #[test]
    fn a_download_rate_may_be_text() {
        let rate = |text: &str| {
            read(&format!(r#"{{"state":"UPG_DOWNLOADING","metadata":{{"download_rate":{text}}}}}"#))
                .map(|document| document["metadata"]["download_rate"].as_f64().unwrap())
        };
        assert_eq!(rate("\"1.5MBps\"").unwrap(), 1_500_000.0);
        assert_eq!(rate("\"12 kBps\"").unwrap(), 12_000.0);
        assert_eq!(rate("\"7Bps\"").unwrap(), 7.0);
        assert_eq!(rate("3").unwrap(), 3.0);
        assert!(rate("\"fast\"").is_err() && rate("[]").is_err());
    }

    #[test]
    fn unknown_states_are_kept_as_sent() {
        let kept =
            read(r#"{"action_id":"a","target_version":"9","state":"UPG_NEW","metadata":{"z":[1]}}"#).unwrap();
        assert_eq!(
            kept,
            json!({"action_id":"a","target_version":"9","state":"UPG_NEW","metadata":{"z":[1]}})
        );
    }
}
