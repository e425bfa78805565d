//! `logging`: where log lines go and which (config.md, Keys).

use std::path::PathBuf;
use std::time::Duration;

use log::LevelFilter;

use super::scalar;
use super::section::Section;

/// The `logging` section. `to_stderr` wins over `to_files`; with neither there is no log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logging {
    /// `level`
    pub level: LevelFilter,
    /// `to_stderr`; on by default when there is no configuration at all.
    pub to_stderr: bool,
    /// `to_files`
    pub to_files: bool,
    /// `pretty`: text for people instead of JSON, on standard error only.
    pub pretty: bool,
    /// `files`
    pub files: LogFiles,
}

/// `logging.files`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFiles {
    /// `path`: the directory.
    pub path: PathBuf,
    /// `name` of the file that is written; older ones have a number appended.
    pub name: String,
    /// `rotateeverybytes`: a file does not grow beyond it, at least 1.
    pub rotate_bytes: u64,
    /// `keepfiles`: older files that stay, at most 1024.
    pub keep_files: u32,
    /// `permissions` of the files.
    pub permissions: u32,
    /// `interval`: a new file at each multiple of it; zero: off.
    pub interval: Duration,
    /// `rotateonstartup`: a new file at each start.
    pub rotate_on_startup: bool,
}

/// Reads the section. Without any configuration (`alone`) the log goes to standard error, unless
/// files are asked for; else to files, as in Go.
pub(super) fn read(section: &mut Section<'_, '_>, alone: bool) -> Logging {
    let to_files_asked = section.has("to_files");
    let to_files = section.boolean("to_files", !alone);
    // What the agent passes for the metrics that Go's server logs; there are none here.
    section.ignore("metrics");
    Logging {
        level: section.choice("level", LevelFilter::Info, &LEVELS),
        to_stderr: section.boolean("to_stderr", alone && !(to_files_asked && to_files)),
        to_files,
        pretty: section.boolean("pretty", false),
        files: section.section("files", files),
    }
}

pub(super) const LEVELS: [(&str, LevelFilter); 6] = [
    ("trace", LevelFilter::Trace),
    ("debug", LevelFilter::Debug),
    ("info", LevelFilter::Info),
    ("warn", LevelFilter::Warn),
    ("warning", LevelFilter::Warn),
    ("error", LevelFilter::Error),
];

fn files(section: &mut Section<'_, '_>) -> LogFiles {
    let default = LogFiles::default();
    section.no_effect("redirect_stderr");
    let path = section.path("path");
    LogFiles {
        path: path.unwrap_or_else(|| section.arguments().working_directory.clone()),
        name: name(section, &default.name),
        rotate_bytes: section.number("rotateeverybytes", default.rotate_bytes, 1, u64::MAX),
        keep_files: section.number("keepfiles", default.keep_files, 0, 1024),
        permissions: permissions(section, default.permissions),
        interval: section.duration("interval", default.interval),
        rotate_on_startup: section.boolean("rotateonstartup", default.rotate_on_startup),
    }
}

/// A file name without a directory: rotation looks beside it only.
fn name(section: &mut Section<'_, '_>, default: &str) -> String {
    let is_name = |text: &str| !text.is_empty() && !text.contains('/') && text != "." && text != "..";
    let name = section
        .parsed("name", "a file name without a directory", |text| is_name(text).then(|| text.to_owned()));
    let name = name.unwrap_or_else(|| default.to_owned());
    section.show("name", name.as_str());
    name
}

fn permissions(section: &mut Section<'_, '_>, default: u32) -> u32 {
    let parse = |text: &str| scalar::octal(text).filter(|mode| *mode <= 0o777);
    let permissions =
        section.parsed("permissions", "an octal file mode from 0 to 0777", parse).unwrap_or(default);
    section.show("permissions", format!("{permissions:04o}"));
    permissions
}

impl Default for Logging {
    fn default() -> Self {
        Self {
            level: LevelFilter::Info,
            to_stderr: true,
            to_files: false,
            pretty: false,
            files: LogFiles::default(),
        }
    }
}

impl Default for LogFiles {
    fn default() -> Self {
        Self {
            path: PathBuf::from("."),
            name: "fleet-server.log".to_owned(),
            rotate_bytes: 10 * 1024 * 1024,
            keep_files: 7,
            permissions: 0o600,
            interval: Duration::ZERO,
            rotate_on_startup: true,
        }
    }
}
