//! `artifact ..`

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::all_items;
use super::arguments::{ArtifactCommand, ArtifactCompression};
use super::client::Client;
use super::failure::Failure;
use super::output::Output;
use super::table::Table;
use super::target::encoded;
use super::value::{items, text};
use crate::handlers::admin::ARTIFACT_BYTES_MAX;

const PATH: &str = "/api/fleet/artifacts";

pub(super) fn run<W: Write>(
    command: ArtifactCommand,
    client: &Client,
    output: &mut Output<W>,
) -> Result<(), Failure> {
    match command {
        ArtifactCommand::Add { file, identifier, compress } => {
            let content = read(&file).map_err(|source| Failure::File { file, source })?;
            let compress = match compress {
                None => "none",
                Some(ArtifactCompression::Zlib) => "zlib",
            };
            let target = format!("{PATH}?identifier={}&compress={compress}", encoded(&identifier));
            let mut answer = client.post_bytes(&target, &content)?;
            output.show(&answer["item"].take(), |artifact| vec![fields(artifact)])
        }
        ArtifactCommand::List => {
            let list = json!({ "items": all_items(client, PATH)? });
            output.show(&list, |list| vec![artifacts(list)])
        }
        ArtifactCommand::Delete { identifier, sha256 } => {
            let target = format!("{PATH}/{}?decoded_sha256={}", encoded(&identifier), encoded(&sha256));
            let answer = client.delete(&target)?;
            output.say(&answer, &format!("artifact {identifier} {sha256} is deleted"))
        }
    }
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(file)?.take(ARTIFACT_BYTES_MAX + 1).read_to_end(&mut content)?;
    if content.len() as u64 > ARTIFACT_BYTES_MAX {
        let reason = format!("larger than {ARTIFACT_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
    }
    Ok(content)
}

/// What a policy has to say of it.
fn fields(artifact: &Value) -> Table {
    let mut fields = Table::default();
    fields.field("Identifier", text(artifact, "/identifier"));
    fields.field("Decoded SHA-256", text(artifact, "/decoded_sha256"));
    fields.field("Relative URL", text(artifact, "/relative_url"));
    fields
}

fn artifacts(list: &Value) -> Table {
    let mut table = Table::new(&["IDENTIFIER", "DECODED SHA-256", "COMPRESSION", "BYTES", "CREATED"]);
    for item in items(list, "/items") {
        let columns =
            ["/identifier", "/decoded_sha256", "/compression_algorithm", "/encoded_size", "/created"];
        table.row(columns.map(|pointer| text(item, pointer)));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_bound_and_is_read_no_further() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("sparse");
        File::create(&file).unwrap().set_len(ARTIFACT_BYTES_MAX + 1).unwrap();
        assert_eq!(read(&file).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read(Path::new("/dev/zero")).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
