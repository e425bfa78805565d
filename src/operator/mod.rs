//! The operator's side: subcommands that talk to the server on `PATH.DATA/admin.sock`, and `check-config`, which talks to
//! nobody. They print tables, or one JSON document with `--json`. Knows the server's API by its paths and JSON only.

mod action;
mod agent;
pub mod arguments;
mod artifact;
mod check_config;
mod client;
pub mod configuration;
mod diagnostics;
mod download;
mod failure;
mod file;
mod order;
mod output;
mod policy;
mod response;
mod secret;
mod status;
mod table;
mod target;
mod token;
mod value;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use serde_json::{Value, json};

use self::arguments::{Arguments, Command, Options};
use self::client::Client;
use self::failure::{FAILURE, Failure};
use self::output::Output;
use crate::version::{BUILD_HASH, STACK_VERSION, VERSION};

/// Reads the command line. If there is nothing to do but to say something (help, the version, what is wrong with it), that
/// is said, and the exit code is returned: 0 or 1.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, ExitCode> {
    arguments::parse(arguments).map_err(|error| {
        if error.kind() == ErrorKind::DisplayVersion {
            let text = format!("fleet-server {STACK_VERSION} (own version {VERSION}, commit {BUILD_HASH})");
            // there is nobody to tell that nobody listens
            let _ = writeln!(io::stdout(), "{text}");
            return ExitCode::SUCCESS;
        }
        let _ = error.print();
        if error.use_stderr() { ExitCode::from(FAILURE) } else { ExitCode::SUCCESS }
    })
}

/// Runs a subcommand. Exit code: 0, 3 if no server is running, 1 for everything else that fails.
pub fn run(command: Command, options: &Options) -> ExitCode {
    let mut output = Output::new(io::stdout().lock(), options.json);
    let result = match command {
        Command::CheckConfig => check_config::run(options, &mut output),
        Command::Status => {
            configuration::client(options).and_then(|client| status::run(&client, &mut output))
        }
        command => configuration::client(options)
            .and_then(|client| execute(command, &client, &mut output))
            .map(|()| ExitCode::SUCCESS),
    };
    let result = result.and_then(|code| output.flush().map(|()| code).map_err(Failure::Output));
    result.unwrap_or_else(|failure| {
        if !failure.is_broken_pipe() {
            let _ = writeln!(io::stderr(), "fleet-server: {failure}");
        }
        failure.exit_code()
    })
}

fn execute<W: Write>(command: Command, client: &Client, output: &mut Output<W>) -> Result<(), Failure> {
    match command {
        Command::Policy(command) => policy::run(command, client, output),
        Command::Token(command) => token::run(command, client, output),
        Command::Secret(command) => secret::run(command, io::stdin().lock(), client, output),
        Command::Artifact(command) => artifact::run(command, client, output),
        Command::Agent(command) => agent::run(command, client, output),
        Command::File(command) => file::run(command, client, output),
        Command::Action(command) => action::run(command, client, output),
        Command::Backup { file } => {
            // the server works in a directory of its own
            let file = std::path::absolute(&file).map_err(|source| Failure::File { file, source })?;
            let answer = client.post("/api/fleet/backup", &json!({ "file": file }))?;
            output.say(&answer, &value::text(&answer, "/file"))
        }
        // these are run before anybody is talked to
        Command::CheckConfig | Command::Status => Ok(()),
    }
}

/// Asks for a list page by page until it is at its end: all its items.
fn all_items(client: &Client, path: &str) -> Result<Vec<Value>, Failure> {
    /// What the server gives at once.
    const PER_PAGE: usize = 1_000;
    let mut items = Vec::new();
    for page in 1.. {
        let answer = client.get(&format!("{path}?page={page}&perPage={PER_PAGE}"))?;
        let more = value::take_items(answer);
        let is_last = more.len() < PER_PAGE;
        items.extend(more);
        if is_last {
            break;
        }
    }
    Ok(items)
}
