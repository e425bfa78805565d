//! The command line (interface.md, "Commands").

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::version::STACK_VERSION;

/// A Fleet Server for Elastic Agents. Without a subcommand it serves.
#[derive(Debug, Parser)]
#[command(name = "fleet-server", version = STACK_VERSION, disable_help_subcommand = true)]
pub struct Arguments {
    /// Run under an Elastic Agent, which sends the configuration on standard input.
    #[arg(long)]
    pub agent_mode: bool,
    /// A further name for the server's own certificate, and the name in the printed URL. May be repeated.
    #[arg(long = "host", value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub host_names: Vec<String>,
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What every subcommand takes.
    #[arg(skip)]
    pub options: Options,
}

/// Options that stand before or after a subcommand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct Options {
    /// The configuration file; without it ./fleet-server.yml is read if it is there.
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub configuration: Option<PathBuf>,
    /// A setting over the file's, such as path.data=/var/lib/fleet-server. May be repeated.
    #[arg(short = 'E', value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
    /// Print one JSON document instead of tables.
    #[arg(long)]
    pub json: bool,
}

/// Everything but serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read the configuration and print what is in effect, with warnings and errors.
    CheckConfig,
    /// Ask the running server how it does.
    Status,
    /// Policies: what agents run.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Enrollment tokens: by which agents enrol.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Secrets: what policies refer to and nobody is to read in them.
    #[command(subcommand)]
    Secret(SecretCommand),
    /// Artifacts: what Endpoint fetches beside its policy.
    #[command(subcommand)]
    Artifact(ArtifactCommand),
    /// Files that agents may fetch.
    #[command(subcommand)]
    File(FileCommand),
    /// Agents: who they are, and what they are to do.
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Actions: what became of what agents were told to do.
    #[command(subcommand)]
    Action(ActionCommand),
    /// Copy the embedded store into a file that must not exist, while the server runs.
    Backup {
        /// The file.
        file: PathBuf,
    },
}

/// `policy ..`
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Make a file in the format of a standalone elastic-agent.yml the newest revision of a policy.
    Apply {
        /// YAML or JSON.
        file: PathBuf,
        /// The policy; without it the file's `id`, else the file's name without its ending.
        #[arg(long)]
        id: Option<String>,
        /// Also where Kibana keeps policies, which may overwrite this one.
        #[arg(long)]
        force: bool,
    },
    /// List all policies.
    List,
    /// Show a policy.
    Show {
        /// The policy.
        id: String,
        /// Which revision; the newest without it.
        #[arg(long)]
        revision: Option<i64>,
    },
    /// Delete a policy that no agent is on, with its enrollment tokens.
    Delete {
        /// The policy.
        id: String,
    },
}

/// `token ..`
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make an enrollment token.
    Create {
        /// The policy that agents get by it.
        #[arg(long)]
        policy: String,
        /// For people; the policy's id without it.
        #[arg(long)]
        name: Option<String>,
    },
    /// List all tokens; only `--json` has the tokens themselves.
    List,
    /// Show a token.
    Show {
        /// Its id, which may begin with `-`.
        #[arg(allow_hyphen_values = true)]
        id: String,
    },
    /// Make a token unusable; enrolled agents stay.
    Revoke {
        /// Its id, which may begin with `-`.
        #[arg(allow_hyphen_values = true)]
        id: String,
    },
}

/// `secret ..`
#[derive(Debug, Subcommand)]
pub enum SecretCommand {
    /// Keep what comes on standard input, and print its id. A policy refers to it by `$co.elastic.secret{ID}` and names the
    /// id in `secret_references`; revisions in force keep the value they were made with.
    Set {
        /// Under this id, in place of what was there; without it a new one is made.
        #[arg(long)]
        id: Option<String>,
    },
}

/// `artifact ..`
#[derive(Debug, Subcommand)]
pub enum ArtifactCommand {
    /// Keep a file as an artifact, in place of one of that identifier and content, and print what a policy has to say of it
    /// (artifact_manifest.artifacts of an input).
    Add {
        /// The file.
        file: PathBuf,
        /// By which name agents fetch it, such as endpoint-trustlist-linux-v1.
        #[arg(long)]
        identifier: String,
        /// Compress it; agents get it so.
        #[arg(long)]
        compress: Option<ArtifactCompression>,
    },
    /// List all artifacts.
    List,
    /// Delete an artifact. Policies that list it are not looked for.
    Delete {
        /// Its identifier.
        identifier: String,
        /// The SHA-256 of its content before it was compressed.
        sha256: String,
    },
}

/// How an artifact is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ArtifactCompression {
    /// As Kibana does.
    Zlib,
}

/// `agent ..`
#[derive(Debug, Subcommand)]
pub enum AgentCommand {
    /// List agents.
    List {
        /// Only those on this policy.
        #[arg(long)]
        policy: Option<String>,
        /// Only those online, error, degraded, offline, updating, unenrolling, inactive or unenrolled.
        #[arg(long)]
        status: Option<String>,
    },
    /// Show an agent and its components.
    Show {
        /// The agent.
        id: String,
    },
    /// Upgrade agents.
    Upgrade {
        #[command(flatten)]
        /// Which.
        agents: Selection,
        /// To this version.
        #[arg(long)]
        version: String,
        /// Where the packages are, if not where the policy says.
        #[arg(long)]
        source_uri: Option<String>,
    },
    /// Assign agents to another policy.
    Reassign {
        /// The agents.
        #[arg(value_name = "ID", required_unless_present = "from_policy", conflicts_with = "from_policy")]
        ids: Vec<String>,
        /// Instead of ids: all agents of this policy.
        #[arg(long, value_name = "POLICY")]
        from_policy: Option<String>,
        /// The policy they are to get.
        #[arg(long)]
        policy: String,
    },
    /// Set the log level of agents.
    Settings {
        #[command(flatten)]
        /// Which.
        agents: Selection,
        /// debug, info, warning or error.
        #[arg(long)]
        log_level: String,
    },
    /// Ask agents for a bundle of diagnostics.
    Diagnostics {
        #[command(flatten)]
        /// Which.
        agents: Selection,
        /// Wait for the bundle of one agent, check it, and save it as this file.
        #[arg(long, value_name = "FILE", conflicts_with = "policy")]
        output: Option<PathBuf>,
        /// For so many seconds at most.
        #[arg(long, value_name = "SECONDS", requires = "output", default_value_t = 600)]
        wait: u64,
    },
    /// Tell agents to leave.
    Unenroll {
        #[command(flatten)]
        /// Which.
        agents: Selection,
    },
}

/// `file ..`
#[derive(Debug, Subcommand)]
pub enum FileCommand {
    /// Keep a file for agents, or for a library.
    #[command(group = clap::ArgGroup::new("whose").required(true))]
    Add {
        /// The file.
        file: PathBuf,
        /// Under this id; without it a new one is made.
        #[arg(long)]
        id: Option<String>,
        /// An agent that may fetch it. May be repeated.
        #[arg(long = "agent", value_name = "AGENT", group = "whose")]
        agents: Vec<String>,
        /// The library whose files every agent's Endpoint may fetch.
        #[arg(long, group = "whose")]
        library: Option<String>,
        /// What it is, such as application/zip.
        #[arg(long, value_name = "TYPE", default_value = "")]
        mime_type: String,
    },
    /// List the files for agents.
    List,
    /// Delete a file.
    Delete {
        /// The file.
        id: String,
        /// Its library, if it has one.
        #[arg(long)]
        library: Option<String>,
    },
}

/// Ids, or all of a policy.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Selection {
    /// The agents.
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// Instead of ids: all agents of this policy.
    #[arg(long)]
    pub policy: Option<String>,
}

/// `action ..`
#[derive(Debug, Subcommand)]
pub enum ActionCommand {
    /// List actions, newest first.
    List,
    /// Show an action with each agent's result.
    Show {
        /// The action.
        id: String,
    },
    /// Tell the agents that have not begun with an action to leave it.
    Cancel {
        /// The action.
        id: String,
    },
}

/// Reads a command line, the program's name included.
pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, clap::Error> {
    let mut command = with_options(Arguments::command());
    let matches = command.try_get_matches_from_mut(arguments)?;
    let mut arguments = Arguments::from_arg_matches(&matches)?;
    let mut level = Some(&matches);
    while let Some(matches) = level {
        arguments.options.add(Options::from_arg_matches(matches)?);
        level = matches.subcommand().map(|(_, below)| below);
    }
    let only_serving = arguments.agent_mode || !arguments.host_names.is_empty();
    if arguments.command.is_some() && only_serving {
        let message = "--agent-mode and --host are for serving, not for subcommands";
        return Err(command.error(clap::error::ErrorKind::ArgumentConflict, message));
    }
    Ok(arguments)
}

/// Gives the options to a command and all below it. clap's own global arguments would forget those before a subcommand
/// when others stand after it.
fn with_options(command: clap::Command) -> clap::Command {
    // what is said of the options is not what each command does
    let about = command.get_about().cloned();
    let command = Options::augment_args(command).mut_subcommands(with_options);
    match about {
        Some(about) => command.about(about),
        None => command,
    }
}

impl Options {
    /// Adds what stands further right: settings in their order, of files the last.
    fn add(&mut self, right: Options) {
        self.configuration = right.configuration.or(self.configuration.take());
        self.settings.extend(right.settings);
        self.json |= right.json;
    }
}

#[cfg(test)]
mod tests;
