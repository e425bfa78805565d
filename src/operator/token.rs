//! `token ..`

use std::io::Write;

use serde_json::{Value, json};

use super::all_items;
use super::arguments::TokenCommand;
use super::client::Client;
use super::failure::Failure;
use super::output::Output;
use super::table::Table;
use super::target::encoded;
use super::value::{items, text};

const PATH: &str = "/api/fleet/enrollment_api_keys";

pub(super) fn run<W: Write>(
    command: TokenCommand,
    client: &Client,
    output: &mut Output<W>,
) -> Result<(), Failure> {
    match command {
        TokenCommand::Create { policy, name } => {
            let mut answer = client.post(PATH, &json!({ "policy_id": policy, "name": name }))?;
            output.show(&answer["item"].take(), |token| vec![fields(token)])
        }
        TokenCommand::List => {
            let list = json!({ "items": all_items(client, PATH)? });
            output.show(&list, |list| vec![tokens(list)])
        }
        TokenCommand::Show { id } => {
            let mut answer = client.get(&format!("{PATH}/{}", encoded(&id)))?;
            output.show(&answer["item"].take(), |token| vec![fields(token)])
        }
        TokenCommand::Revoke { id } => {
            let answer = client.delete(&format!("{PATH}/{}", encoded(&id)))?;
            output.say(&answer, &format!("token {id} is revoked"))
        }
    }
}

/// Without the tokens themselves: lists end up in tickets and chats.
fn tokens(list: &Value) -> Table {
    let mut table = Table::new(&["ID", "NAME", "POLICY", "ACTIVE", "CREATED"]);
    for item in items(list, "/items") {
        table
            .row(["/id", "/name", "/policy_id", "/active", "/created_at"].map(|pointer| text(item, pointer)));
    }
    table
}

fn fields(token: &Value) -> Table {
    let mut fields = Table::default();
    fields.field("ID", text(token, "/id"));
    fields.field("Name", text(token, "/name"));
    fields.field("Policy", text(token, "/policy_id"));
    fields.field("Active", text(token, "/active"));
    fields.field("Created", text(token, "/created_at"));
    fields.field("Token", text(token, "/api_key"));
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_single_token_shows_the_token() {
        let token = json!({ "id": "i", "name": "n", "policy_id": "p", "active": true, "api_key": "s3cret" });
        let shown = |table: Table| {
            let mut bytes = Vec::new();
            table.write(&mut bytes).unwrap();
            String::from_utf8(bytes).unwrap()
        };
        assert!(shown(fields(&token)).contains("s3cret"));
        assert!(!shown(tokens(&json!({ "items": [token] }))).contains("s3cret"));
    }
}
