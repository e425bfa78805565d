//! `secret ..`

use std::io::{Read, Write};

use serde_json::json;

use super::arguments::SecretCommand;
use super::client::Client;
use super::failure::Failure;
use super::output::Output;
use super::value::text;
use crate::handlers::admin::SECRET_BYTES_MAX;

pub(super) fn run<W: Write>(
    command: SecretCommand,
    input: impl Read,
    client: &Client,
    output: &mut Output<W>,
) -> Result<(), Failure> {
    match command {
        SecretCommand::Set { id } => {
            let value = read(input)?;
            let body = match id {
                Some(id) => json!({ "id": id, "value": value }),
                None => json!({ "value": value }),
            };
            let mut answer = client.post("/api/fleet/secrets", &body)?;
            let item = answer["item"].take();
            output.say(&item, &text(&item, "/id"))
        }
    }
}

/// All of the input but the end of its last line, which `echo` adds.
fn read(input: impl Read) -> Result<String, Failure> {
    let mut value = String::new();
    // two more than a secret may have: the end of a line; one more than that is too long, and the server says so
    let bytes_max = SECRET_BYTES_MAX as u64 + 3;
    input.take(bytes_max).read_to_string(&mut value).map_err(Failure::Input)?;
    let line = value.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    Ok(line.map(str::to_owned).unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_last_line_is_no_part_of_a_secret() {
        for (given, expected) in
            [("a", "a"), ("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("\n", ""), ("a\r", "a\r")]
        {
            assert_eq!(read(given.as_bytes()).unwrap(), expected);
        }
    }

    #[test]
    fn more_than_a_secret_is_not_read() {
        let endless = std::io::repeat(b'x');
        assert!(read(endless).unwrap().len() <= SECRET_BYTES_MAX + 3);
        assert!(read(&[0xff, 0xfe][..]).is_err(), "a secret is text");
    }
}
