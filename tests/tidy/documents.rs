//! The documents tell the truth, as far as it can be read from the tree: paths, modules and bounds that they name exist,
//! and no key of the configuration is left out.

use crate::source::{Source, is_word};
use crate::tree::{every_text_file, file, module_order, product_sources};
use crate::{Finding, finding, hold};

/// What stands between backticks in `text`, with its line.
fn quoted(text: &str) -> Vec<(usize, &str)> {
    let lines = text.lines().enumerate();
    lines
        .flat_map(|(index, line)| line.split('`').skip(1).step_by(2).map(move |word| (index + 1, word)))
        .collect()
}

/// Where the links of `text` lead to, but for addresses, with their lines.
fn links(text: &str) -> Vec<(usize, &str)> {
    let lines = text.lines().enumerate();
    let links = lines.flat_map(|(index, line)| {
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        targets.map(move |target| (index + 1, target))
    });
    links.filter(|(_, target)| !target.contains("://")).collect()
}

/// Whether this is meant as a path of the tree.
fn is_path(word: &str) -> bool {
    let folders = ["src/", "tests/", "docs/", "fuzz/", "examples/", "benches/", "contrib/", ".ci/"];
    let is_plain = word.chars().all(|c| is_word(c) || "/.-".contains(c));
    is_plain && folders.iter().any(|folder| word.starts_with(folder)) && !word.contains("TARGET")
}

/// Whether this is meant as a constant.
fn is_bound(word: &str) -> bool {
    word.ends_with("_MAX") && word.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

fn missing(path: &str, text: &str, files: &[(String, String)], ignored: &[&str]) -> Vec<Finding> {
    let beside = path.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    let is_there = |wanted: &str| {
        let wanted = wanted.trim_end_matches('/');
        let below = format!("{wanted}/");
        let is_ignored = ignored.iter().any(|ignored| wanted.starts_with(ignored));
        is_ignored || files.iter().any(|(path, _)| path == wanted || path.starts_with(&below))
    };
    let defines = |name: &str| {
        let definition = format!("const {name}:");
        files.iter().any(|(path, text)| path.starts_with("src/") && text.contains(&definition))
    };
    let paths = quoted(text).into_iter().filter(|(_, word)| is_path(word) && !is_there(word));
    let links = links(text).into_iter().filter(|(_, target)| !is_there(&format!("{beside}{target}")));
    let bounds = quoted(text).into_iter().filter(|(_, word)| is_bound(word) && !defines(word));
    paths
        .chain(links)
        .chain(bounds)
        .map(|(line, word)| format!("{path}:{line}: there is no `{word}`"))
        .collect()
}

#[test]
fn the_documents_name_what_exists() {
    let files = every_text_file();
    let ignored = file(".gitignore");
    let ignored: Vec<&str> = ignored.lines().map(|line| line.trim_matches('/')).collect();
    let documents = files.iter().filter(|(path, _)| path.ends_with(".md"));
    let findings = documents.flat_map(|(path, text)| missing(path, text, &files, &ignored)).collect();
    hold("paths, links and bounds in the documents exist", findings);
}

#[test]
fn a_name_of_what_does_not_exist_is_found() {
    let files = [("src/fleet/lot.rs", "const SEATS_MAX: usize = 1;"), ("docs/a.md", "")];
    let files = files.map(|(path, text)| (path.to_owned(), text.to_owned()));
    let text = "`src/fleet/`, `fuzz/corpus/x`, `SEATS_MAX`, [a](a.md)\n`src/lot.rs` `SEAT_MAX` [b](b.md)\n";
    let findings = missing("docs/x.md", text, &files, &["fuzz/corpus"]);
    assert_eq!(findings.len(), 3, "{findings:?}");
    assert!(findings.iter().all(|finding| finding.starts_with("docs/x.md:2: ")));
}

/// The modules that the table of ARCHITECTURE.md lists.
fn listed_modules(architecture: &str) -> Vec<String> {
    let table = architecture.lines().skip_while(|line| !line.starts_with("| module |")).skip(2);
    let rows = table.take_while(|line| line.starts_with('|')).filter_map(|line| line.split('|').nth(1));
    rows.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

#[test]
fn the_architecture_lists_the_modules_of_the_library() {
    let modules = module_order(&file("src/lib.rs"));
    assert_eq!(
        listed_modules(&file("ARCHITECTURE.md")),
        modules,
        "the table of ARCHITECTURE.md, then lib.rs"
    );
}

/// Where texts in `src/config/` are no keys: units and words of values, names of curves and ciphers, YAML.
const NO_KEYS_IN: &[&str] = &["src/config/scalar.rs", "src/config/tls/names.rs", "src/config/yaml.rs"];
/// Parts of a header's name by which its value is a secret.
const NO_KEYS: &[&str] = &["auth", "bearer"];

/// Texts outside tests that could be keys, with their lines.
fn keys(source: &Source) -> Vec<(usize, &str)> {
    let is_key = |text: &&str| {
        text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    let lines = source.raw.iter().zip(&source.test).enumerate().filter(|(_, (_, test))| !**test);
    let code = lines.filter(|(_, (raw, _))| !raw.trim_start().starts_with("//"));
    code.flat_map(|(index, (raw, _))| {
        raw.split('"').skip(1).step_by(2).filter(is_key).map(move |text| (index + 1, text))
    })
    .collect()
}

fn untold_keys(source: &Source, document: &str) -> Vec<Finding> {
    let told: Vec<&str> = document.split(|c| !is_word(c)).collect();
    let untold = keys(source).into_iter().filter(|(_, key)| !told.contains(key) && !NO_KEYS.contains(key));
    untold.map(|(line, key)| finding(source, line, &format!("`{key}` is not explained"))).collect()
}

#[test]
fn every_key_of_the_configuration_is_explained() {
    let document = file("docs/configuration.md");
    let sources = product_sources().into_iter().filter(|source| {
        source.path.starts_with("src/config/") && !NO_KEYS_IN.contains(&source.path.as_str())
    });
    let sources: Vec<Source> = sources.collect();
    assert!(sources.iter().map(|source| keys(source).len()).sum::<usize>() > 100, "keys are found");
    let findings = sources.iter().flat_map(|source| untold_keys(source, &document)).collect();
    hold("docs/configuration.md has all keys", findings);
}

#[test]
fn a_key_that_is_not_explained_is_found() {
    let source = Source::new("src/config/x.rs", "// \"old\"\nlet x = section.text(\"new\", \"Old\");\n");
    assert_eq!(untold_keys(&source, "`server.new`").len(), 0);
    assert_eq!(untold_keys(&source, "`newest`"), ["src/config/x.rs:2: `new` is not explained"]);
}
