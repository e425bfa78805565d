//! Each bound of the source has its line in ARCHITECTURE.md, "Bounds", and stands where that line says.

use crate::source::{Source, is_word, leading_word};
use crate::tree::{file, product_sources};
use crate::{Finding, finding, hold};

/// What ends like a bound and bounds nothing that comes from outside.
const NO_BOUNDS: &[(&str, &str)] = &[
    ("CLOSE_NOTIFY_BYTES_MAX", "what a record of that kind takes"),
    ("DURATION_MAX", "the longest duration of Go"),
    ("EXACT_MAX", "what a double can tell apart"),
    ("FRACTION_DIGITS_MAX", "what a nanosecond needs"),
    ("SEND_PLAIN_BYTES_MAX", "made of two others"),
    ("SOCKET_PATH_BYTES_MAX", "what systems have room for"),
    ("STORED_BYTES_MAX", "from here on an agent's own bytes are deflated"),
    ("UNIT_EXTRA_BYTES_MAX", "what a unit costs beside its own bytes"),
    ("WHOLE_MAX", "what a double can tell apart"),
];

/// A table of the Go server's figures, which docs/configuration.md shows.
const FIGURES: &str = "src/config/limits/table.rs";

/// A line of the table: the constants that it names, and the modules where those stand.
struct Row {
    names: Vec<String>,
    modules: Vec<String>,
}

/// The table under the heading "Bounds".
fn rows(architecture: &str) -> Vec<Row> {
    let section = architecture.lines().skip_while(|line| *line != "## Bounds").skip(1);
    let table = section.take_while(|line| !line.starts_with("## ")).filter(|line| line.starts_with('|'));
    table.map(row).collect()
}

fn row(line: &str) -> Row {
    let words = || line.split('`').skip(1).step_by(2);
    let is_module = |word: &str| word.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c == '/');
    Row {
        names: words().filter(|word| is_constant(word)).map(str::to_owned).collect(),
        modules: words().filter(|word| is_module(word)).map(str::to_owned).collect(),
    }
}

fn is_constant(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

impl Row {
    /// Whether the file belongs to one of the modules.
    fn is_about(&self, path: &str) -> bool {
        let path = path.trim_start_matches("src/").trim_end_matches(".rs");
        self.modules.iter().any(|module| path == module || path.starts_with(&format!("{module}/")))
    }

    fn holds(&self, name: &str, path: &str) -> bool {
        self.is_about(path) && self.names.iter().any(|listed| listed == name)
    }
}

/// The constants of a file, with their lines.
fn constants(source: &Source) -> Vec<(usize, String)> {
    let lines = source.product_code().filter_map(|(line, code)| {
        let (before, after) = code.split_once("const ")?;
        let name = leading_word(after);
        let is_declared = !before.ends_with(is_word) && after[name.len()..].starts_with(':');
        (is_declared && is_constant(name)).then(|| (line, name.to_owned()))
    });
    lines.collect()
}

fn unlisted(source: &Source, rows: &[Row]) -> Vec<Finding> {
    let is_bound = |name: &str| name.ends_with("_MAX") && NO_BOUNDS.iter().all(|(none, _)| *none != name);
    let bounds = constants(source).into_iter().filter(|(_, name)| is_bound(name));
    let unlisted = bounds.filter(|(_, name)| !rows.iter().any(|row| row.holds(name, &source.path)));
    unlisted
        .map(|(line, name)| finding(source, line, &format!("`{name}` has no line of this module")))
        .collect()
}

/// Constants that no file of the named modules has.
fn misplaced(rows: &[Row], sources: &[Source]) -> Vec<Finding> {
    let constants: Vec<(&str, String)> = sources
        .iter()
        .flat_map(|source| constants(source).into_iter().map(|(_, name)| (source.path.as_str(), name)))
        .collect();
    let has = |row: &Row, name: &String| {
        constants.iter().any(|(path, constant)| constant == name && row.is_about(path))
    };
    let names = rows.iter().flat_map(|row| row.names.iter().map(move |name| (row, name)));
    let misplaced = names.filter(|(row, name)| !has(row, name));
    misplaced.map(|(row, name)| format!("`{name}` is not in {}", row.modules.join(", "))).collect()
}

/// What is built, without the bodies of fuzz targets.
fn sources() -> Vec<Source> {
    let is_left_out = |path: &str| path == FIGURES || path.ends_with("/fuzz.rs");
    let sources = product_sources().into_iter();
    sources.filter(|source| source.path.starts_with("src/") && !is_left_out(&source.path)).collect()
}

#[test]
fn each_bound_has_its_line_in_the_architecture() {
    let rows = rows(&file("ARCHITECTURE.md"));
    assert!(rows.len() > 50, "the table is read: {} lines", rows.len());
    let findings = sources().iter().flat_map(|source| unlisted(source, &rows)).collect();
    hold("each constant that is a bound stands in ARCHITECTURE.md, \"Bounds\"", findings);
}

#[test]
fn each_bound_stands_where_the_architecture_says() {
    let rows = rows(&file("ARCHITECTURE.md"));
    hold("a bound's line names the module that has it", misplaced(&rows, &sources()));
}

#[test]
fn a_bound_without_a_line_or_in_another_module_is_found() {
    let rows = rows(
        "## Bounds\n\n| what | name | bound |\n|---|---|---|\n| seats | `SEATS_MAX` in `fleet` | 1 |\n## x\n",
    );
    let here =
        Source::new("src/fleet/lot.rs", "const SEATS_MAX: usize = 1;\n// const QUEUE_MAX: usize = 2;\n");
    let there = Source::new("src/reactor/mod.rs", "pub(super) const SEATS_MAX: usize = 1;\n");
    assert_eq!((unlisted(&here, &rows).len(), unlisted(&there, &rows).len()), (0, 1));
    assert_eq!(misplaced(&rows, &[there]), ["`SEATS_MAX` is not in fleet"]);
    assert_eq!(misplaced(&rows, &[here]).len(), 0);
}
