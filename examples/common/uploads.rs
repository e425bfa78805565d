//! Files that an agent sends: begin, chunk after chunk, complete.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::answer::read;
use crate::client::Client;
use crate::request::{USER_AGENT, post};

const PATH: &str = "/api/fleet/uploads";

/// An upload under way.
pub(crate) struct Upload<'a> {
    client: &'a mut Client,
    access_key: &'a str,
    id: String,
    /// Every chunk but the last has just so many bytes.
    pub(crate) chunk_bytes: usize,
    /// Over the hashes of all chunks: what the server holds the whole against.
    transit: Sha256,
    sent: u64,
}

impl<'a> Upload<'a> {
    /// Says what will come. `announced` names the file (name, mime_type, size), the action that asks for it and the agent.
    pub(crate) fn begin(
        client: &'a mut Client,
        access_key: &'a str,
        announced: &Value,
    ) -> Result<Upload<'a>, String> {
        let answer = ask(client, PATH, access_key, announced)?;
        let id = answer["upload_id"].as_str().ok_or_else(|| format!("no upload_id in {answer}"))?.to_owned();
        let chunk_bytes = answer["chunk_size"].as_u64().and_then(|bytes| usize::try_from(bytes).ok());
        let chunk_bytes =
            chunk_bytes.filter(|bytes| *bytes > 0).ok_or_else(|| format!("no chunk_size in {answer}"))?;
        Ok(Upload { client, access_key, id, chunk_bytes, transit: Sha256::new(), sent: 0 })
    }

    /// Sends the next chunk.
    pub(crate) fn send(&mut self, chunk: &[u8]) -> Result<(), String> {
        let (number, hash) = (self.sent, Sha256::digest(chunk));
        let head = format!(
            "PUT {PATH}/{}/{number} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {USER_AGENT}\r\n\
             Authorization: ApiKey {}\r\nX-Chunk-Sha2: {}\r\nContent-Type: application/octet-stream\r\n\
             Content-Length: {}\r\n\r\n",
            self.id,
            self.client.authority(),
            self.access_key,
            hex(&hash),
            chunk.len()
        );
        let response = self.client.exchange(&[head.as_bytes(), chunk].concat())?;
        if response.status != 200 {
            return Err(format!("chunk {number}: {}", response.status));
        }
        self.transit.update(hash);
        self.sent += 1;
        Ok(())
    }

    /// Says that all has come; the upload's id.
    pub(crate) fn complete(self) -> Result<String, String> {
        let body = json!({ "transithash": { "sha256": hex(&self.transit.finalize()) } });
        ask(self.client, &format!("{PATH}/{}", self.id), self.access_key, &body)?;
        Ok(self.id)
    }
}

fn ask(client: &mut Client, path: &str, access_key: &str, body: &Value) -> Result<Value, String> {
    let request = post(&client.authority(), path, access_key, false, body.to_string().as_bytes());
    read(&client.exchange(&request)?)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
