//! The configuration as the command line and the environment give it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::arguments::{Arguments, Options};
use super::client::Client;
use super::failure::Failure;
use crate::config::{self, Errors, Loaded};

/// Bytes of a file that the configuration names: the configuration itself, a token, a passphrase.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The arguments of [`config::load`] for a server.
pub fn of_server(arguments: &Arguments) -> config::Arguments {
    config::Arguments {
        agent_mode: arguments.agent_mode,
        host_names: arguments.host_names.clone(),
        ..of_options(&arguments.options)
    }
}

/// The arguments of [`config::load`] for a subcommand.
pub(super) fn of_options(options: &Options) -> config::Arguments {
    let executable = std::env::current_exe().unwrap_or_default();
    config::Arguments {
        file: options.configuration.clone(),
        settings: options.settings.clone(),
        // without one relative paths stay relative, and are refused where they are used
        working_directory: std::env::current_dir().unwrap_or_default(),
        executable_directory: executable.parent().map(Path::to_owned).unwrap_or_default(),
        ..config::Arguments::default()
    }
}

/// Reads the configuration with the process's environment and files.
pub fn load(arguments: &config::Arguments) -> Result<Loaded, Errors> {
    config::load(arguments, &|name| std::env::var(name).ok(), &|path| read(path, FILE_BYTES_MAX))
}

/// The same with what an agent sent (`config::load_with`).
pub fn load_sent(arguments: &config::Arguments, sent: &serde_json::Value) -> Result<Loaded, Errors> {
    let variable = |name: &str| std::env::var(name).ok();
    config::load_with(arguments, Some(sent), &variable, &|path| read(path, FILE_BYTES_MAX))
}

/// A client of the server whose data directory the configuration names.
pub(super) fn client(options: &Options) -> Result<Client, Failure> {
    let loaded = load(&of_options(options))?;
    Ok(Client::new(loaded.config.data_directory))
}

/// Reads a text of at most so many bytes.
pub(super) fn read(path: &Path, bytes_max: u64) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(bytes_max + 1).read_to_string(&mut text)?;
    if text.len() as u64 > bytes_max {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {bytes_max} bytes")));
    }
    Ok(text)
}
