//! The files of the tree, without those that `.gitignore` leaves out. Knows no rule.

use std::fs;
use std::path::Path;

use crate::source::Source;

/// The text of a file of the tree.
pub(crate) fn file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path)
}

/// Path and text of each file that is text.
pub(crate) fn every_text_file() -> Vec<(String, String)> {
    let ignored: Vec<String> = file(".gitignore")
        .lines()
        .map(|line| line.trim_matches('/').to_owned())
        .chain([".git".to_owned()])
        .collect();
    let mut files = Vec::new();
    collect(Path::new(env!("CARGO_MANIFEST_DIR")), "", &ignored, &mut files);
    assert!(files.len() > 20, "the tree is read: {} files", files.len());
    files
}

/// Everything in Rust.
pub(crate) fn rust_sources() -> Vec<Source> {
    let files = every_text_file().into_iter().filter(|(path, _)| path.ends_with(".rs"));
    let mut sources: Vec<Source> = files.map(|(path, text)| Source::new(&path, &text)).collect();
    let test_modules: Vec<String> = sources.iter().flat_map(Source::test_modules).collect();
    for source in &mut sources {
        let path = source.path.trim_end_matches(".rs");
        let is_part = |module: &String| path == module || path.starts_with(&format!("{module}/"));
        if path.starts_with("tests/") || test_modules.iter().any(is_part) {
            source.test.fill(true);
        }
    }
    sources
}

/// What is shipped or shown: the library, the program, the examples.
pub(crate) fn product_sources() -> Vec<Source> {
    let sources = rust_sources().into_iter();
    sources.filter(|source| source.path.starts_with("src/") || source.path.starts_with("examples/")).collect()
}

/// The modules of `lib.rs` in their order.
pub(crate) fn module_order(lib: &str) -> Vec<String> {
    let lines = lib.lines().map(|line| line.trim_start_matches("pub "));
    lines.filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';')).map(str::to_owned).collect()
}

fn collect(folder: &Path, prefix: &str, ignored: &[String], files: &mut Vec<(String, String)>) {
    let entries = fs::read_dir(folder).expect("folders of the tree are readable");
    for entry in entries.flatten() {
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if ignored.contains(&path) {
            continue;
        } else if is_folder {
            collect(&entry.path(), &format!("{path}/"), ignored, files);
        } else if let Ok(text) = fs::read_to_string(entry.path()) {
            files.push((path, text));
        }
    }
}
