//! `file ..`: files that agents may fetch.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::arguments::FileCommand;
use super::client::Client;
use super::failure::Failure;
use super::output::Output;
use super::table::Table;
use super::target::encoded;
use super::value::{items, text};
use crate::model::file::hex;

const PATH: &str = "/api/fleet/files";

pub(super) fn run<W: Write>(
    command: FileCommand,
    client: &Client,
    output: &mut Output<W>,
) -> Result<(), Failure> {
    match command {
        FileCommand::Add { file, id, agents, library, mime_type } => {
            let announced = json!({ "id": id, "agents": agents, "library": library, "mime_type": mime_type });
            let mut answer = add(&file, announced, client)?;
            output.show(&answer["item"].take(), |item| vec![fields(item)])
        }
        FileCommand::List => {
            let list = client.get(PATH)?;
            output.show(&list, |list| vec![table(list)])
        }
        FileCommand::Delete { id, library } => {
            let answer =
                client.delete(&format!("{PATH}/{}{}", encoded(&id), of_library(library.as_deref(), '?')))?;
            output.say(&answer, &format!("file {id} is deleted"))
        }
    }
}

/// Sends a file chunk by chunk; it is read twice, for its hash comes first.
fn add(file: &Path, mut announced: Value, client: &Client) -> Result<Value, Failure> {
    let failed = |source| Failure::File { file: file.to_owned(), source };
    let mut opened = File::open(file).map_err(failed)?;
    let (bytes, sha256) = hash(&mut opened).map_err(failed)?;
    let mut sent = Sha256::new();
    announced["name"] = file.file_name().unwrap_or_default().to_string_lossy().into();
    announced["size"] = bytes.into();
    announced["sha256"] = sha256.as_str().into();
    let begun = client.post(PATH, &announced)?;
    let path = format!("{PATH}/{}", encoded(&text(&begun, "/id")));
    let library = of_library(announced["library"].as_str(), '&');
    let named = format!("?uploadId={}{library}", encoded(&text(&begun, "/uploadId")));
    let chunk_bytes = begun["chunkSize"].as_u64().unwrap_or_default();
    for number in 0..bytes.div_ceil(chunk_bytes.max(1)) {
        let mut chunk = Vec::new();
        (&opened).take(chunk_bytes).read_to_end(&mut chunk).map_err(failed)?;
        sent.update(&chunk);
        client.put_bytes(&format!("{path}/{number}{named}"), &chunk)?;
    }
    if hex(&sent.finalize()) != sha256 {
        return Err(failed(io::Error::other("it has changed while it was read")));
    }
    client.post(&format!("{path}/complete{named}"), &json!({}))
}

/// Size and SHA-256 of all there is; what is read next is the beginning.
fn hash(file: &mut File) -> io::Result<(u64, String)> {
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    let mut piece = vec![0; 64 * 1024];
    loop {
        match file.read(&mut piece)? {
            0 => break,
            count => {
                hash.update(&piece[..count]);
                bytes += count as u64;
            }
        }
    }
    file.rewind()?;
    Ok((bytes, hex(&hash.finalize())))
}

fn of_library(library: Option<&str>, before: char) -> String {
    library.map(|library| format!("{before}library={}", encoded(library))).unwrap_or_default()
}

fn fields(item: &Value) -> Table {
    let mut fields = Table::default();
    for (name, pointer) in [("ID", "/id"), ("Name", "/name"), ("Bytes", "/size"), ("SHA-256", "/sha256")] {
        fields.field(name, text(item, pointer));
    }
    fields
}

fn table(list: &Value) -> Table {
    let mut table = Table::new(&["ID", "NAME", "STATUS", "BYTES", "CREATED", "AREA", "AGENTS"]);
    for item in items(list, "/items") {
        let columns = ["/id", "/name", "/status", "/size", "/createTime", "/area", "/agents"];
        table.row(columns.map(|pointer| text(item, pointer)));
    }
    table
}
