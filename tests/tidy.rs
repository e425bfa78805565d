//! The rules of CONTRIBUTING.md as a test: reads the tree and names file, line and rule of what breaks one. Beside each
//! rule a test that it can fail.

#[path = "tidy/bounds.rs"]
mod bounds;
#[path = "tidy/documents.rs"]
mod documents;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/tree.rs"]
mod tree;

use source::{Source, is_word, leading_word};
use tree::{every_text_file, file, module_order, product_sources, rust_sources};

/// Lines of a file of Rust.
const FILE_LINES_MAX: usize = 500;
/// Lines of a function outside tests, from `fn` to the closing brace.
const FUNCTION_LINES_MAX: usize = 70;

/// Where a clock may be read, and why.
const CLOCK_READERS: &[&str] = &[
    // the loop: one reading a turn, handed to everything else
    "src/reactor/",
    // the time stamp of a line, on which nothing depends
    "src/log/",
    // threads that wait for the network anyway: when a host is tried again
    "src/store/elastic/client/clock.rs",
];

/// Where threads may be made: the workers, the thread that writes the log, the watch and those it blocks on a cluster with,
/// the one that talks to the agent that runs us.
const THREAD_MAKERS: &[&str] =
    &["src/store/pool", "src/store/elastic/watch/", "src/log/", "src/serve", "src/agent_mode/client"];

/// Where the system is asked for randomness: everywhere else it comes in as an argument.
const ENTROPY_READERS: &[&str] = &[
    // the core's seed
    "src/serve.rs",
    // keys and ids are made where they are stored
    "src/store/keys.rs",
    // the spread of waits, on which nothing depends
    "src/store/elastic/patience.rs",
];

/// What may not stand in `src/`, and what to do instead.
const BANNED: &[(&str, &str)] = &[
    ("Rc<RefCell", "one owner per thing, ids between things"),
    ("thread_local!", "state has an owner; pass it"),
    ("static mut", "state has an owner; pass it"),
    ("todo!(", "finish it, or leave it out"),
    ("unimplemented!(", "finish it, or leave it out"),
    ("dbg!(", "use the log"),
    ("HashMap::new", "its order differs from run to run: BTreeMap, or a hasher that is seeded by argument"),
    ("HashSet::new", "its order differs from run to run: BTreeSet, or a hasher that is seeded by argument"),
];

/// Types that make a `static` a global variable.
const CHANGEABLE: &[&str] = &["Atomic", "Mutex", "RwLock", "Cell", "OnceLock", "LazyLock"];

/// A broken rule: where, and what is wrong.
type Finding = String;

fn finding(source: &Source, line: usize, what: &str) -> Finding {
    format!("{}:{line}: {what}", source.path)
}

/// Fails with all findings, if there is one.
fn hold(rule: &str, findings: Vec<Finding>) {
    assert!(findings.is_empty(), "rule: {rule}\n{}\n", findings.join("\n"));
}

fn in_all(sources: &[Source], check: impl Fn(&Source) -> Vec<Finding>) -> Vec<Finding> {
    sources.iter().flat_map(check).collect()
}

/// A file of `src/` that does not exist.
fn sample(text: &str) -> Source {
    Source::new("src/fleet/sample.rs", text)
}

fn long_file(source: &Source) -> Vec<Finding> {
    let lines = source.raw.len();
    let what = format!("{lines} lines");
    if lines > FILE_LINES_MAX { vec![finding(source, lines, &what)] } else { Vec::new() }
}

#[test]
fn a_file_has_at_most_500_lines() {
    hold("a file has at most 500 lines: split it by concern", in_all(&rust_sources(), long_file));
}

#[test]
fn a_file_of_501_lines_is_found() {
    assert_eq!(long_file(&sample(&"\n".repeat(500))).len(), 0);
    assert_eq!(long_file(&sample(&"\n".repeat(501))), ["src/fleet/sample.rs:501: 501 lines"]);
}

fn long_functions(source: &Source) -> Vec<Finding> {
    let long = source.functions().into_iter().filter(|function| function.lines > FUNCTION_LINES_MAX);
    long.map(|f| finding(source, f.line, &format!("`{}` has {} lines", f.name, f.lines))).collect()
}

#[test]
fn a_function_has_at_most_70_lines() {
    hold("a function has at most 70 lines; a table is data", in_all(&product_sources(), long_functions));
}

#[test]
fn a_function_of_71_lines_is_found() {
    let function = |body: usize| format!("/// }}\npub fn f() {{\n{}}}\n", "    step('{');\n".repeat(body));
    assert_eq!(long_functions(&sample(&function(68))).len(), 0);
    assert_eq!(long_functions(&sample(&function(69))), ["src/fleet/sample.rs:2: `f` has 71 lines"]);
    let in_tests = format!("#[cfg(test)]\nmod tests {{\n    {}\n}}\n", function(80).replace('\n', "\n    "));
    assert_eq!(long_functions(&sample(&in_tests)).len(), 0);
}

fn untold_module(source: &Source) -> Vec<Finding> {
    let told = source.raw.first().is_some_and(|line| line.starts_with("//!"));
    let only_tests = source.test.iter().all(|test| *test);
    if told || only_tests { Vec::new() } else { vec![finding(source, 1, "no `//!` on the first line")] }
}

#[test]
fn each_module_says_what_it_holds() {
    hold(
        "each module begins with `//!`: what it holds, what it may not do",
        in_all(&rust_sources(), untold_module),
    );
}

#[test]
fn a_module_without_its_doc_is_found() {
    assert_eq!(untold_module(&sample("//! Lots.\n")).len(), 0);
    assert_eq!(
        untold_module(&sample("use std::fmt;\n")),
        ["src/fleet/sample.rs:1: no `//!` on the first line"]
    );
}

fn banned(source: &Source) -> Vec<Finding> {
    let hits = source.product_code().flat_map(|(line, code)| {
        let hits = BANNED.iter().filter(|(needle, _)| code.contains(needle));
        hits.map(move |(needle, instead)| finding(source, line, &format!("`{needle}`: {instead}")))
    });
    hits.collect()
}

#[test]
fn nothing_banned_is_used() {
    hold("no shared cells, no thread-locals, no stubs", in_all(&product_sources(), banned));
}

#[test]
fn each_banned_thing_is_found() {
    for (needle, _) in BANNED {
        assert_eq!(banned(&sample(&format!("let it = {needle}x);\n"))).len(), 1, "{needle}");
        assert_eq!(banned(&sample(&format!("// {needle}\nlet it = \"{needle}\";\n"))).len(), 0, "{needle}");
    }
}

fn globals(source: &Source) -> Vec<Finding> {
    let is_static = |code: &str| code.split_whitespace().any(|word| word == "static");
    let is_global = |code: &str| is_static(code) && CHANGEABLE.iter().any(|name| code.contains(name));
    let lines = source.product_code().filter(|(_, code)| is_global(code));
    lines.map(|(line, _)| finding(source, line, "a global variable")).collect()
}

#[test]
fn there_are_no_globals() {
    hold("no globals: state has an owner", in_all(&product_sources(), globals));
}

#[test]
fn a_global_is_found() {
    assert_eq!(globals(&sample("static NAMES: &[&str] = &[];\n")).len(), 0);
    assert_eq!(globals(&sample("pub static COUNT: AtomicU64 = AtomicU64::new(0);\n")).len(), 1);
}

fn left_undone(source: &Source) -> Vec<Finding> {
    let marks = [concat!("FIX", "ME"), concat!("TO", "DO"), concat!("XX", "X")];
    let has_mark = |line: &str| line.split(|c| !is_word(c)).any(|word| marks.contains(&word));
    let lines = source.raw.iter().enumerate().filter(|(_, line)| has_mark(line));
    lines.map(|(index, _)| finding(source, index + 1, "left undone")).collect()
}

#[test]
fn nothing_is_left_undone() {
    hold("no notes about what is left to do: an issue holds them", in_all(&rust_sources(), left_undone));
}

#[test]
fn a_note_to_self_is_found() {
    assert_eq!(left_undone(&sample(concat!("// FIX", "ME: later\n"))).len(), 1);
    assert_eq!(left_undone(&sample("let todos = 1;\n")).len(), 0);
}

fn unwraps(source: &Source) -> Vec<Finding> {
    let needles = [".unwrap()", ".unwrap_err()"];
    let lines = source.product_code().filter(|(_, code)| needles.iter().any(|needle| code.contains(needle)));
    lines.map(|(line, _)| finding(source, line, "may panic without saying why it cannot")).collect()
}

#[test]
fn unwrap_stands_in_tests_only() {
    let rule = "`unwrap` only in tests; `expect(\"why it holds\")` for what this code itself made sure of";
    hold(rule, in_all(&product_sources(), unwraps));
}

#[test]
fn an_unwrap_outside_tests_is_found() {
    assert_eq!(unwraps(&sample("fn f() {\n    g().unwrap();\n}\n")).len(), 1);
    assert_eq!(unwraps(&sample("fn f() {\n    g().unwrap_or(1);\n}\n")).len(), 0);
    assert_eq!(
        unwraps(&sample("#[cfg(test)]\nmod tests {\n    fn f() {\n        g().unwrap();\n    }\n}\n")).len(),
        0
    );
}

/// Names right after `crate::` (also in braces) with their lines.
fn names_from_the_root(source: &Source) -> Vec<(usize, String)> {
    let lines: Vec<(usize, &str)> = source.product_code().collect();
    let mut names = Vec::new();
    for (index, (line, code)) in lines.iter().enumerate() {
        for (at, _) in code.match_indices("crate::").filter(|(at, _)| !code[..*at].ends_with(is_word)) {
            let after = &code[at + "crate::".len()..];
            match after.strip_prefix('{') {
                None => names.push((*line, leading_word(after).to_owned())),
                Some(first) => {
                    let rest = lines[index + 1..].iter().map(|(_, code)| *code);
                    let group = std::iter::once(first).chain(rest).collect::<Vec<_>>().join(" ");
                    names.extend(names_of_group(&group).into_iter().map(|name| (*line, name)));
                }
            }
        }
    }
    names
}

/// The outermost names of `a, b::{c, d}} ...` up to the brace that ends the group.
fn names_of_group(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut outermost = String::new();
    for character in group.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            _ if depth == 0 => outermost.push(character),
            _ => {}
        }
    }
    outermost.split(',').map(|item| leading_word(item.trim()).to_owned()).collect()
}

fn against_the_order(source: &Source, order: &[String]) -> Vec<Finding> {
    let module =
        source.path.trim_start_matches("src/").trim_end_matches(".rs").split('/').next().unwrap_or_default();
    let rank = |name: &str| order.iter().position(|module| module == name);
    let Some(own) = rank(module) else { return Vec::new() };
    let below = |name: &str| rank(name).is_some_and(|rank| rank > own);
    let names = names_from_the_root(source).into_iter().filter(|(_, name)| below(name));
    names
        .map(|(line, name)| {
            finding(source, line, &format!("`{module}` uses `{name}`, which stands below it"))
        })
        .collect()
}

#[test]
fn a_module_uses_only_what_stands_above_it() {
    let order = module_order(&file("src/lib.rs"));
    assert!(order.len() > 10, "lib.rs lists the modules: {order:?}");
    let rule = "a module uses only what stands above it in lib.rs";
    hold(rule, in_all(&product_sources(), |source| against_the_order(source, &order)));
}

#[test]
fn a_use_against_the_order_is_found() {
    let order = module_order("pub mod time;\nmod fleet;\npub mod server;\n");
    assert_eq!(order, ["time", "fleet", "server"]);
    let findings = |text: &str| against_the_order(&sample(text), &order);
    assert_eq!(
        findings("use crate::server::Server;\n"),
        ["src/fleet/sample.rs:1: `fleet` uses `server`, which stands below it"]
    );
    assert_eq!(findings("use crate::{\n    time::{Now, server},\n    server,\n};\n").len(), 1);
    assert_eq!(findings("use crate::time::Now;\nuse crate::fleet::Lot;\n// crate::server\n").len(), 0);
}

/// `needle` outside of the modules that may know it.
fn known_outside(source: &Source, needle: &str, allowed: &[&str]) -> Vec<Finding> {
    if allowed.iter().any(|prefix| source.path.starts_with(prefix)) {
        return Vec::new();
    }
    let lines = source.product_code().filter(|(_, code)| code.contains(needle));
    let what = format!("`{needle}` is known only to {}", allowed.join(", "));
    lines.map(|(line, _)| finding(source, line, &what)).collect()
}

/// `needles` in `src/` outside of the modules that may know them.
fn known_anywhere_outside(needles: &[&str], allowed: &[&str]) -> Vec<Finding> {
    let sources: Vec<Source> =
        product_sources().into_iter().filter(|source| source.path.starts_with("src/")).collect();
    in_all(&sources, |source| {
        needles.iter().flat_map(|needle| known_outside(source, needle, allowed)).collect()
    })
}

#[test]
fn only_the_embedded_store_knows_sqlite() {
    hold(
        "nothing outside store/embedded knows SQLite",
        known_anywhere_outside(&["rusqlite"], &["src/store/embedded"]),
    );
}

#[test]
fn only_the_reactor_knows_mio() {
    hold(
        "nothing but the reactor knows mio",
        known_anywhere_outside(&["mio::", "use mio"], &["src/reactor/"]),
    );
}

#[test]
fn only_the_client_of_elasticsearch_knows_ureq() {
    hold(
        "nothing outside store/elastic/client knows ureq",
        known_anywhere_outside(&["ureq::", "use ureq"], &["src/store/elastic/client/"]),
    );
}

#[test]
fn only_the_client_of_the_agent_knows_an_async_runtime() {
    let needles = ["tokio::", "tonic::", "use tonic", "futures_util::", "hyper_util::", "tower::"];
    let rule = "nothing outside agent_mode/client knows tokio or tonic";
    hold(rule, known_anywhere_outside(&needles, &["src/agent_mode/client"]));
}

#[test]
fn only_the_reactor_reads_the_clock() {
    let needles = ["Instant::now", "SystemTime::now", "now_utc()", ".elapsed()"];
    hold("time comes in as an argument", known_anywhere_outside(&needles, CLOCK_READERS));
}

#[test]
fn randomness_comes_in_where_the_layout_says() {
    let needles =
        ["getrandom::", "use getrandom", "rand::rng()", "OsRng", "SysRng", "Uuid::new_v", "RandomState"];
    hold("randomness comes in as an argument", known_anywhere_outside(&needles, ENTROPY_READERS));
}

#[test]
fn threads_are_made_where_the_layout_says() {
    let needles = ["thread::spawn", "thread::Builder", "thread::scope", "use std::thread"];
    hold("threads are made by the pool, the log and serve", known_anywhere_outside(&needles, THREAD_MAKERS));
}

#[test]
fn knowledge_in_the_wrong_place_is_found() {
    let reads =
        |path: &str, text: &str| known_outside(&Source::new(path, text), "Instant::now", CLOCK_READERS).len();
    assert_eq!(reads("src/fleet/lot.rs", "let now = Instant::now();\n"), 1);
    assert_eq!(reads("src/fleet/lot.rs", "// not Instant::now\n"), 0);
    assert_eq!(reads("src/reactor/clock.rs", "let now = Instant::now();\n"), 0);
}

fn machine_paths(path: &str, text: &str) -> Vec<Finding> {
    let folders =
        [concat!("/", "work/"), concat!("/", "root/"), concat!("/", "home/"), concat!("/", "Users/")];
    let is_path = |line: &str, folder: &str| {
        let hits = line.match_indices(folder);
        hits.map(|(at, _)| &line[..at])
            .any(|before| !before.ends_with(|c: char| is_word(c) || ".-})".contains(c)))
    };
    let lines =
        text.lines().enumerate().filter(|(_, line)| folders.iter().any(|folder| is_path(line, folder)));
    lines.map(|(index, line)| format!("{path}:{}: {}", index + 1, line.trim())).collect()
}

#[test]
fn no_path_of_a_machine_is_in_the_tree() {
    let files = every_text_file();
    hold(
        "no path of somebody's machine",
        files.iter().flat_map(|(path, text)| machine_paths(path, text)).collect(),
    );
}

#[test]
fn a_path_of_a_machine_is_found() {
    assert_eq!(machine_paths("a.md", concat!("see /", "home/me/notes\n")).len(), 1);
    assert_eq!(machine_paths("a.md", "src/work/x and ../home/x\n").len(), 0);
}

/// Dependencies without a comment on their line or on the line above.
fn unexplained_dependencies(path: &str, manifest: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (mut listing, mut above) = (false, "");
    for (index, line) in manifest.lines().enumerate() {
        if line.starts_with('[') {
            listing = line.trim_end_matches(']').ends_with("dependencies");
        } else if listing && line.starts_with(is_word) && !line.contains(" # ") && !above.starts_with('#') {
            findings.push(format!("{path}:{}: `{line}`", index + 1));
        }
        above = line;
    }
    findings
}

#[test]
fn each_dependency_has_its_reason_beside_it() {
    let manifests = ["Cargo.toml", "fuzz/Cargo.toml"];
    let findings = manifests.iter().flat_map(|path| unexplained_dependencies(path, &file(path)));
    hold("each dependency has a comment above it or beside it: why it is there", findings.collect());
}

#[test]
fn a_dependency_without_a_reason_is_found() {
    let manifest = "[dependencies]\n# the loop\nmio = \"1\"\nslab = \"0.4\"\nlog = \"0.4\" # lines\n[features]\nx = []\n";
    assert_eq!(unexplained_dependencies("Cargo.toml", manifest), ["Cargo.toml:4: `slab = \"0.4\"`"]);
}
