//! From sources to the finished configuration: file, `-E`, references, then the sections.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};

use super::fleet;
use super::instrumentation::Instrumentation;
use super::report::{Error, Errors, Fault, Origin, Report};
use super::section::{Context, Section};
use super::server::Server;
use super::store::{self, Store};
use super::tree::{Lists, Map, Node, Value};
use super::{
    Arguments, Config, DATA_DIRECTORY, Loaded, Monitor, cache, logging, metrics, reference, sent, server,
    setting, yaml,
};

/// The file that is read when none is named, in the working directory.
const FILE: &str = "fleet-server.yml";

/// Reads all sources: defaults, then the file, then `-E`, then references in all of them.
///
/// `environment` looks a variable up, `read_file` reads a configuration file or a file that a
/// `*_path` key names. In agent mode no file is read.
///
/// # Errors
/// As many of the errors as can be found in one go, each with file, line and key.
pub fn load(
    arguments: &Arguments,
    environment: &dyn Fn(&str) -> Option<String>,
    read_file: &dyn Fn(&Path) -> io::Result<String>,
) -> Result<Loaded, Errors> {
    load_with(arguments, None, environment, read_file)
}

/// The same with what an agent sent, over `-E`: a tree of the same keys, dotted ones among them (agent-mode.md, "From units to
/// configuration").
///
/// # Errors
/// As [`load`]; those of what was sent have the origin [`Origin::Agent`].
pub fn load_with(
    arguments: &Arguments,
    sent: Option<&serde_json::Value>,
    environment: &dyn Fn(&str) -> Option<String>,
    read_file: &dyn Fn(&Path) -> io::Result<String>,
) -> Result<Loaded, Errors> {
    let mut report = Report::default();
    let files = RefCell::new(Vec::new());
    let read_file = &|path: &Path| {
        files.borrow_mut().push(path.to_owned());
        read_file(path)
    };
    let with_files = |errors| Errors { files: files.borrow().clone(), ..errors };
    let (root, source) = sources(arguments, sent, read_file, &mut report).map_err(with_files)?;
    let root = reference::expand(&root, environment, &mut report);
    let mut context = Context { arguments, environment, read_file, report };
    let alone = source.is_none() && !arguments.agent_mode;
    let (config, effective) = Section::root(&mut context, &root, |section| config(section, alone));
    let warnings = context.report.finish().map_err(with_files)?;
    Ok(Loaded { config, warnings, source, files: files.take(), effective })
}

/// The merged tree. What is no YAML or no setting ends it here: the rest would only follow from it.
fn sources(
    arguments: &Arguments,
    sent: Option<&serde_json::Value>,
    read_file: &dyn Fn(&Path) -> io::Result<String>,
    report: &mut Report,
) -> Result<(Node, Option<PathBuf>), Errors> {
    let mut broken = Vec::new();
    let mut root = Node::new(Value::Map(Map::new()), &Origin::Nowhere);
    let mut source = None;
    match file(arguments, read_file) {
        Ok(Some((path, name, text))) => {
            match yaml::parse(&name, &text) {
                Ok(tree) => root = tree,
                Err((origin, fault)) => broken.push(Error { origin, key: String::new(), fault }),
            }
            source = Some(path);
        }
        Ok(None) => {}
        Err(fault) => broken.push(Error { origin: Origin::Nowhere, key: String::new(), fault }),
    }
    for text in &arguments.settings {
        match setting::parse(text) {
            Ok(Some(tree)) => root.merge(tree, Lists::ByIndex),
            Ok(None) => {}
            Err((origin, fault)) => broken.push(Error { origin, key: String::new(), fault }),
        }
    }
    match sent.map(sent::tree) {
        Some(Ok(tree)) => root.merge(tree, Lists::Replace),
        Some(Err(fault)) => broken.push(Error { origin: Origin::Agent, key: String::new(), fault }),
        None => {}
    }
    if broken.is_empty() {
        return Ok((root, source));
    }
    for error in broken {
        report.error(&error.origin, error.key, error.fault);
    }
    std::mem::take(report).finish().map(|_| (root, source))
}

/// The file's path, its name for messages, and its text; `None` when none was named and there is
/// none of the usual name.
fn file(
    arguments: &Arguments,
    read_file: &dyn Fn(&Path) -> io::Result<String>,
) -> Result<Option<(PathBuf, String, String)>, Fault> {
    if arguments.agent_mode {
        return Ok(None);
    }
    let named = arguments.file.as_deref();
    let name = named.unwrap_or(Path::new(FILE)).display().to_string();
    let path = arguments.working_directory.join(named.unwrap_or(Path::new(FILE)));
    match read_file(&path) {
        Ok(text) => Ok(Some((path, name, text))),
        Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Fault::Unreadable { file: name, reason: error.to_string() }),
    }
}

/// The whole configuration; `alone`: neither a file nor an agent configures it.
fn config(section: &mut Section<'_, '_>, alone: bool) -> Config {
    let data_directory = section.section("path", |section| {
        let path = section.path("data");
        let path = path.unwrap_or_else(|| section.arguments().working_directory.join(DATA_DIRECTORY));
        section.show("data", path.display().to_string());
        path
    });
    let store = section.section("output", store::read::store);
    let embedded = matches!(store, Store::Embedded(_));
    let fleet = section.section("fleet", fleet::read);
    let mut input = section.only_section("inputs", |section| input(section, embedded));
    input.server.own_certificate &= embedded;
    point_into_the_input(section);
    Config {
        data_directory,
        store,
        fleet,
        server: input.server,
        policy_id: input.policy_id,
        monitor: input.monitor,
        logging: section.section("logging", |section| logging::read(section, alone && embedded)),
        metrics: section.section("http", |section| metrics::read(section, alone)),
        instrumentation: input.instrumentation,
        under_agent: section.arguments().agent_mode,
    }
}

/// Sections of the input that stand at the top: to whoever looks for them there, no key of the top is near.
fn point_into_the_input(section: &mut Section<'_, '_>) {
    for key in ["policy", "server", "cache", "monitor"] {
        if section.has(key) {
            section.ignore(key);
            section.warn(key, format!("unknown key; the nearest known key is inputs.0.{key}"));
        }
    }
}

/// `inputs.0`
struct Input {
    policy_id: Option<String>,
    server: Server,
    monitor: Monitor,
    instrumentation: Instrumentation,
}

fn input(section: &mut Section<'_, '_>, embedded: bool) -> Input {
    section.choice("type", (), &[("fleet-server", ())]);
    let (mut server, instrumentation) =
        section.section("server", |section| server::read::server(section, embedded));
    let max_agents = server.limits.max_agents;
    server.cache = section.section("cache", |section| cache::read(section, max_agents));
    Input {
        policy_id: section.section("policy", |section| section.optional_text("id")),
        server,
        monitor: section.section("monitor", |section| fleet::read_monitor(section, embedded)),
        instrumentation,
    }
}
