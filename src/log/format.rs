//! A record as a line: ECS JSON (config.md, Keys: logging), or text for people.

use std::io::{self, Write};
use std::time::SystemTime;

use ::log::kv::{self, Key, Source, Value, VisitSource, VisitValue};
use ::log::{Level, Record};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// Bytes of a message or of a field's text; the rest is cut off.
const TEXT_BYTES_MAX: usize = 8 * 1024;

/// Version of the Elastic Common Schema that the field names are of.
const ECS_VERSION: &str = "1.6.0";

const SERVICE: &str = "fleet-server";

const TIMESTAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

const TIME_OF_DAY: &[BorrowedFormatItem<'_>] =
    format_description!("[hour]:[minute]:[second].[subsecond digits:3]");

/// The time of a line.
#[expect(clippy::disallowed_methods, reason = "@timestamp is the log's own; no decision depends on it")]
pub(super) fn now() -> SystemTime {
    SystemTime::now()
}

/// Writes a record as one line with its newline.
pub(super) fn record(
    line: &mut impl Write,
    record: &Record<'_>,
    now: SystemTime,
    pretty: bool,
) -> io::Result<()> {
    let message = record.args().to_string();
    if pretty {
        return text(line, record.level(), &message, record.key_values(), now);
    }
    // The modules of this package need no name; those of others do.
    let target = record.target();
    let logger = (!target.starts_with("fleet_server")).then_some(target);
    json(line, record.level(), &message, logger, record.key_values(), now)
}

/// The line that tells how many lines were dropped.
pub(super) fn dropped(count: u64, now: SystemTime, pretty: bool) -> Vec<u8> {
    let message = format!("{count} log lines were dropped: they came faster than they could be written");
    let mut line = Vec::new();
    let none: Option<(&str, u64)> = None;
    // Writing to a vector cannot fail.
    let _ = if pretty {
        text(&mut line, Level::Warn, &message, &none, now)
    } else {
        json(&mut line, Level::Warn, &message, None, &none, now)
    };
    line
}

fn json(
    line: &mut impl Write,
    level: Level,
    message: &str,
    logger: Option<&str>,
    fields: &dyn Source,
    now: SystemTime,
) -> io::Result<()> {
    let level = level.as_str().to_ascii_lowercase();
    let timestamp = formatted(now, TIMESTAMP);
    write!(line, "{{\"@timestamp\":\"{timestamp}\",\"log.level\":\"{level}\"")?;
    let mut object = JsonFields { line };
    object.text("message", message)?;
    object.text("ecs.version", ECS_VERSION)?;
    object.text("service.name", SERVICE)?;
    object.text("service.type", SERVICE)?;
    if let Some(logger) = logger {
        object.text("log.logger", logger)?;
    }
    fields.visit(&mut object).map_err(io::Error::other)?;
    object.line.write_all(b"}\n")
}

/// `15:04:05.000 INFO  message http.request.id=..`
fn text(
    line: &mut impl Write,
    level: Level,
    message: &str,
    fields: &dyn Source,
    now: SystemTime,
) -> io::Result<()> {
    write!(line, "{} {level:<5} {}", formatted(now, TIME_OF_DAY), printable(message))?;
    fields.visit(&mut TextFields { line }).map_err(io::Error::other)?;
    line.write_all(b"\n")
}

fn formatted(now: SystemTime, form: &[BorrowedFormatItem<'_>]) -> String {
    OffsetDateTime::from(now).format(&form).unwrap_or_default()
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Without control characters, which could make a terminal do things.
fn printable(text: &str) -> String {
    cut(text).chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// Appends `,"key":value` for each field.
struct JsonFields<'a, W> {
    line: &'a mut W,
}

impl<W: Write> JsonFields<'_, W> {
    fn text(&mut self, key: &str, value: &str) -> io::Result<()> {
        self.value(key, cut(value))
    }

    fn value(&mut self, key: &str, value: impl serde::Serialize) -> io::Result<()> {
        self.line.write_all(b",")?;
        serde_json::to_writer(&mut *self.line, key)?;
        self.line.write_all(b":")?;
        serde_json::to_writer(&mut *self.line, &value)?;
        Ok(())
    }
}

impl<'kvs, W: Write> VisitSource<'kvs> for JsonFields<'_, W> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        value.visit(JsonField { fields: self, key: key.as_str() })
    }
}

/// One field, whose type decides how it is written.
struct JsonField<'a, 'b, W> {
    fields: &'a mut JsonFields<'b, W>,
    key: &'a str,
}

impl<'v, W: Write> VisitValue<'v> for JsonField<'_, '_, W> {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), kv::Error> {
        self.fields.text(self.key, &value.to_string()).map_err(Into::into)
    }

    fn visit_null(&mut self) -> Result<(), kv::Error> {
        // An absent value is no field.
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        self.fields.value(self.key, value).map_err(Into::into)
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        self.fields.value(self.key, value).map_err(Into::into)
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        self.fields.value(self.key, value).map_err(Into::into)
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        self.fields.value(self.key, value).map_err(Into::into)
    }

    fn visit_str(&mut self, value: &str) -> Result<(), kv::Error> {
        self.fields.text(self.key, value).map_err(Into::into)
    }
}

/// Appends ` key=value` for each field.
struct TextFields<'a, W> {
    line: &'a mut W,
}

impl<'kvs, W: Write> VisitSource<'kvs> for TextFields<'_, W> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        value.visit(TextField { line: self.line, key: key.as_str() })
    }
}

/// One field; an absent value is none.
struct TextField<'a, W> {
    line: &'a mut W,
    key: &'a str,
}

impl<'v, W: Write> VisitValue<'v> for TextField<'_, W> {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), kv::Error> {
        write!(self.line, " {}={}", self.key, printable(&value.to_string())).map_err(Into::into)
    }

    fn visit_null(&mut self) -> Result<(), kv::Error> {
        Ok(())
    }
}
