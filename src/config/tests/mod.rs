//! One test per case of config.md and interface.md that concerns the configuration.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::{Arguments, Config, Error, Errors, Loaded, load};

mod agent;
mod defaults;
mod files;
mod keys;
mod limits;
mod references;
mod settings;
mod shown;
mod stores;
mod tls;
mod unknown;

/// Everything that a load depends on.
#[derive(Default)]
struct Sources {
    arguments: Arguments,
    files: BTreeMap<PathBuf, String>,
    variables: BTreeMap<String, String>,
}

/// Sources without any configuration.
fn nothing() -> Sources {
    let arguments = Arguments {
        working_directory: PathBuf::from("/srv"),
        executable_directory: PathBuf::from("/opt/bin"),
        ..Arguments::default()
    };
    Sources { arguments, ..Sources::default() }
}

/// Sources with a `fleet-server.yml` in the working directory.
fn yaml(text: &str) -> Sources {
    nothing().file("/srv/fleet-server.yml", text)
}

/// `inputs.0.server` with these lines.
fn server(lines: &str) -> Sources {
    let lines = lines.lines().map(|line| format!("      {line}\n"));
    yaml(&format!("inputs:\n  - server:\n{}", lines.collect::<String>()))
}

impl Sources {
    fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(PathBuf::from(path), text.to_owned());
        self
    }

    /// `-E`
    fn set(mut self, setting: &str) -> Self {
        self.arguments.settings.push(setting.to_owned());
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    fn load(&self) -> Result<Loaded, Errors> {
        let environment = |name: &str| self.variables.get(name).cloned();
        let read_file = |path: &Path| {
            self.files.get(path).cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        };
        load(&self.arguments, &environment, &read_file)
    }

    fn loaded(&self) -> Loaded {
        self.load().unwrap_or_else(|errors| panic!("refused: {errors}"))
    }

    fn config(&self) -> Config {
        self.loaded().config
    }

    fn warnings(&self) -> Vec<String> {
        self.loaded().warnings.iter().map(ToString::to_string).collect()
    }

    fn errors(&self) -> Vec<Error> {
        match self.load() {
            Ok(_) => panic!("accepted"),
            Err(errors) => errors.errors,
        }
    }

    /// The one error, as it is printed.
    fn error(&self) -> String {
        match &self.errors()[..] {
            [error] => error.to_string(),
            errors => panic!("{} errors: {errors:?}", errors.len()),
        }
    }
}
