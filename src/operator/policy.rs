//! `policy ..`

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::all_items;
use super::arguments::PolicyCommand;
use super::client::Client;
use super::configuration;
use super::failure::Failure;
use super::output::Output;
use super::table::Table;
use super::target::encoded;
use super::value::{items, text};
use crate::handlers::admin::policy_text::{PolicyText, TEXT_BYTES_MAX, check_id};

const PATH: &str = "/api/fleet/agent_policies";

pub(super) fn run<W: Write>(
    command: PolicyCommand,
    client: &Client,
    output: &mut Output<W>,
) -> Result<(), Failure> {
    match command {
        PolicyCommand::Apply { file, id, force } => {
            let (id, text) = read(&file, id)?;
            let query = if force { "?force=true" } else { "" };
            let answer = client.put(&format!("{PATH}/{}/full{query}", encoded(&id)), &text)?;
            let line =
                format!("policy {id}: revision {}, {}", answer["item"]["revision"], text_of_action(&answer));
            output.say(&answer, &line)?;
            output.warn(items(&answer, "/warnings").iter().filter_map(Value::as_str));
            Ok(())
        }
        PolicyCommand::List => {
            let list = json!({ "items": all_items(client, PATH)? });
            output.show(&list, |list| vec![policies(list)])
        }
        PolicyCommand::Show { id, revision } => {
            let query = revision.map(|revision| format!("?revision={revision}")).unwrap_or_default();
            let mut answer = client.get(&format!("{PATH}/{}/full{query}", encoded(&id)))?;
            output.show(&answer["item"].take(), whole)
        }
        PolicyCommand::Delete { id } => {
            let answer = client.delete(&format!("{PATH}/{}", encoded(&id)))?;
            output.say(&answer, &format!("policy {id} is deleted"))
        }
    }
}

fn text_of_action(answer: &Value) -> &str {
    match answer["action"].as_str() {
        Some("created") => "the first",
        Some("updated") => "new",
        _ => "unchanged",
    }
}

/// The policy's id and text: `id`, else the file's own, else the file's stem.
fn read(file: &Path, id: Option<String>) -> Result<(String, String), Failure> {
    let content = |message: String| Failure::Content { file: file.to_owned(), message };
    let text = configuration::read(file, TEXT_BYTES_MAX)
        .map_err(|source| Failure::File { file: file.to_owned(), source })?;
    let policy = PolicyText::read(&text).map_err(|error| content(error.to_string()))?;
    let stem = || file.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
    let id = id.or_else(|| policy.id().map(str::to_owned)).or_else(stem).unwrap_or_default();
    check_id(&id).map_err(content)?;
    Ok((id, text))
}

fn policies(list: &Value) -> Table {
    let mut table = Table::new(&["ID", "REVISION", "AGENTS", "UPDATED"]);
    for item in items(list, "/items") {
        table.row(["/id", "/revision", "/agents", "/updated_at"].map(|pointer| text(item, pointer)));
    }
    table
}

/// What the policy is made of; all of it is in the JSON.
fn whole(policy: &Value) -> Vec<Table> {
    let mut fields = Table::default();
    fields.field("ID", text(policy, "/id"));
    fields.field("Revision", text(policy, "/revision"));
    let mut outputs = Table::new(&["OUTPUT", "TYPE", "HOSTS"]);
    for (name, output) in policy["outputs"].as_object().into_iter().flatten() {
        outputs.row([name.clone(), text(output, "/type"), text(output, "/hosts")]);
    }
    let mut inputs = Table::new(&["INPUT", "TYPE", "OUTPUT"]);
    for input in items(policy, "/inputs") {
        let output = input["use_output"].as_str().unwrap_or("default").to_owned();
        inputs.row([text(input, "/id"), text(input, "/type"), output]);
    }
    vec![fields, outputs, inputs]
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "outputs: {default: {type: elasticsearch}}\ninputs: []\n";

    fn written(name: &str, text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(name);
        std::fs::write(&file, text).unwrap();
        (directory, file)
    }

    #[test]
    fn the_id_is_the_flags_the_files_or_the_stem() {
        let (_directory, file) = written("hosts.yml", TEXT);
        assert_eq!(read(&file, Some("flag".into())).unwrap().0, "flag");
        assert_eq!(read(&file, None).unwrap().0, "hosts");
        let (_directory, file) = written("hosts.yml", &format!("id: inside\n{TEXT}"));
        assert_eq!(read(&file, None).unwrap().0, "inside");
        assert_eq!(read(&file, Some("flag".into())).unwrap().0, "flag");
    }

    #[test]
    fn errors_name_file_and_line() {
        let (_directory, file) = written("hosts.yml", "outputs: {}\ninputs: 3\n");
        let failure = read(&file, None).unwrap_err().to_string();
        assert!(failure.starts_with(&format!("{}: line 2: inputs:", file.display())), "{failure}");
        let missing = file.with_file_name("missing.yml");
        let failure = read(&missing, None).unwrap_err().to_string();
        assert!(failure.starts_with(&format!("{}: ", missing.display())), "{failure}");
    }

    #[test]
    fn an_id_that_cannot_be_one_is_refused() {
        let (_directory, file) = written("my hosts.yml", TEXT);
        assert!(read(&file, None).unwrap_err().to_string().contains("id: expected"));
    }

    #[test]
    fn secrets_of_outputs_are_not_shown() {
        let policy =
            json!({"id": "p", "outputs": {"default": {"type": "elasticsearch", "api_key": "s3cret"}}});
        let mut bytes = Vec::new();
        whole(&policy).iter().for_each(|table| table.write(&mut bytes).unwrap());
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains("elasticsearch") && !text.contains("s3cret"));
    }
}
