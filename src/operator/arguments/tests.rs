//! Command lines, and what they mean.

use super::*;

fn read(line: &str) -> Result<Arguments, clap::Error> {
    parse(std::iter::once("fleet-server").chain(line.split_whitespace()).map(OsString::from))
}

#[test]
fn the_definition_is_sound() {
    with_options(Arguments::command()).debug_assert();
}

#[test]
fn help_says_of_each_command_what_it_does() {
    let help = |line: &str| read(line).unwrap_err().to_string();
    let (all, policy, apply) = (help("--help"), help("policy --help"), help("policy apply --help"));
    assert!(all.contains("Ask the running server how it does") && all.contains("Policies: what agents run"));
    assert!(policy.starts_with("Policies: what agents run"), "{policy}");
    assert!(policy.contains("Make a file in the format") && apply.starts_with("Make a file"), "{policy}");
}

#[test]
fn without_a_subcommand_it_serves() {
    let arguments = read("-c f.yml -E a=1 -E b=2 --agent-mode --host x --host y").unwrap();
    assert!(arguments.command.is_none() && arguments.agent_mode);
    assert_eq!(arguments.host_names, ["x", "y"]);
    assert_eq!(arguments.options.settings, ["a=1", "b=2"]);
    assert_eq!(arguments.options.configuration, Some("f.yml".into()));
}

#[test]
fn the_configuration_file_has_a_short_and_a_long_option() {
    for line in ["-c f.yml", "-c=f.yml", "--config f.yml", "--config=f.yml", "status --config f.yml"] {
        let options = read(line).unwrap_or_else(|error| panic!("{line}: {error}")).options;
        assert_eq!(options.configuration, Some("f.yml".into()), "{line}");
    }
}

#[test]
fn options_stand_anywhere_and_keep_their_order() {
    let arguments = read("-E a=1 -c first policy -E b=2 list -E c=3 -c second --json").unwrap();
    assert!(matches!(arguments.command, Some(Command::Policy(PolicyCommand::List))));
    assert_eq!(arguments.options.settings, ["a=1", "b=2", "c=3"]);
    assert_eq!((arguments.options.configuration, arguments.options.json), (Some("second".into()), true));
}

#[test]
fn agents_are_named_or_selected_by_their_policy() {
    let Some(Command::Agent(AgentCommand::Upgrade { agents, version, .. })) =
        read("agent upgrade a b --version 9.1.0").unwrap().command
    else {
        panic!("another command")
    };
    assert_eq!((agents.ids, agents.policy, version.as_str()), (vec!["a".into(), "b".into()], None, "9.1.0"));
    assert!(read("agent unenroll --policy p").is_ok());
    for line in ["agent unenroll", "agent unenroll a --policy p", "agent upgrade a", "agent reassign a"] {
        assert!(read(line).is_err(), "{line}");
    }
}

#[test]
fn a_tokens_id_may_begin_with_a_hyphen() {
    let arguments = read("token show -Zx9 --json").unwrap();
    assert!(matches!(arguments.command, Some(Command::Token(TokenCommand::Show { id })) if id == "-Zx9"));
    assert!(arguments.options.json);
}

#[test]
fn a_reassignment_names_the_new_policy() {
    assert!(read("agent reassign a b --policy p").is_ok());
    assert!(read("agent reassign --from-policy o --policy p").is_ok());
    assert!(read("agent reassign a --from-policy o --policy p").is_err());
    assert!(read("agent reassign --policy p").is_err());
}

#[test]
fn every_command_of_the_interface_is_there() {
    let lines = [
        "check-config",
        "status --json",
        "policy apply f --id x --force",
        "policy show x --revision 3",
        "policy delete x",
        "token create --policy p --name n",
        "token list",
        "token show x",
        "token revoke x",
        "secret set",
        "secret set --id x",
        "artifact add f --identifier i",
        "artifact add f --identifier i --compress zlib",
        "artifact list",
        "artifact delete i 0f",
        "agent list --policy p --status online",
        "agent show x",
        "agent upgrade x --version 9.1.0 --source-uri http://m/",
        "agent settings x --log-level debug",
        "agent diagnostics x",
        "agent diagnostics x --output f --wait 9",
        "file add f --agent a --agent b --id i --mime-type t",
        "file add f --library l",
        "file list",
        "file delete i --library l",
        "action list",
        "action show x",
        "action cancel x",
        "backup f",
    ];
    for line in lines {
        assert!(read(line).is_ok(), "{line}");
    }
}

#[test]
fn what_is_not_known_or_does_not_belong_is_refused() {
    for line in [
        "serve",
        "--force",
        "policy",
        "status x",
        "--host x status",
        "--host=",
        "--agent-mode status",
        "policy list --id x",
        "file add f",
        "file add f --agent a --library l",
        "agent diagnostics x --wait 9",
        "artifact add f",
        "artifact add f --identifier i --compress lzma",
    ] {
        assert!(read(line).is_err(), "{line}");
    }
}
