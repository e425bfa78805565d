//! Files: how agents send them, and what is stored of them.

use fleet_server::model::file::{hex, sha256, transit_hash};
use fleet_server::model::raw::raw;
use fleet_server::model::{
    Bytes, CHUNK_BYTES, Chunk, File, FileArea, FileKey, FileStatus, NewChunk, NewFile,
};
use fleet_server::store::{Answer, FileQuery, Operation};
use fleet_server::time::Timestamp;
use serde_json::{Value, json};

use super::{Agent, Opened, Request, Response, Server};

/// Bytes that differ from place to place.
pub(crate) fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at % 251) as u8 ^ (at >> 12) as u8).collect()
}

/// What an agent says of a file before it sends it.
pub(crate) fn announcement(agent: &Agent, action_id: &str, bytes: usize) -> Value {
    json!({
        "agent_id": agent.id,
        "action_id": action_id,
        "src": "agent",
        "file": { "name": "diagnostics.zip", "mime_type": "application/zip", "size": bytes },
    })
}

/// The hash that ends an upload of these bytes.
pub(crate) fn transit_sha256(data: &[u8]) -> String {
    let hashes: Vec<String> = data.chunks(CHUNK_BYTES as usize).map(|chunk| hex(&sha256(chunk))).collect();
    hex(&transit_hash(hashes.iter().map(String::as_str)).unwrap())
}

impl Agent {
    pub(crate) fn begin_upload(&self, body: &Value) -> Request {
        Request::post("/api/fleet/uploads").key(&self.key).json(body)
    }

    pub(crate) fn chunk(&self, upload_id: &str, number: impl ToString, data: &[u8]) -> Request {
        let path = format!("/api/fleet/uploads/{upload_id}/{}", number.to_string());
        Request::new("PUT", &path).key(&self.key).header("X-Chunk-Sha2", hex(&sha256(data))).body(data)
    }

    pub(crate) fn complete_upload(&self, upload_id: &str, transit_sha256: &str) -> Request {
        let body = json!({ "transithash": { "sha256": transit_sha256 } });
        Request::post(&format!("/api/fleet/uploads/{upload_id}")).key(&self.key).json(&body)
    }
}

impl Server {
    /// Begins an upload of so many bytes; how the agent is to name it.
    pub(crate) fn begin_upload(&self, agent: &Agent, action_id: &str, bytes: usize) -> String {
        let answer = self.ask(&agent.begin_upload(&announcement(agent, action_id, bytes))).ok();
        assert_eq!(answer["chunk_size"], CHUNK_BYTES);
        answer["upload_id"].as_str().unwrap().to_owned()
    }

    /// Sends all chunks of a file.
    pub(crate) fn send_chunks(&self, agent: &Agent, upload_id: &str, data: &[u8]) {
        let mut connection = self.connect();
        for (number, chunk) in data.chunks(CHUNK_BYTES as usize).enumerate() {
            let answer = connection.ask(&agent.chunk(upload_id, number, chunk));
            assert_eq!((answer.status, answer.text()), (200, ""), "chunk {number}");
        }
    }

    pub(crate) fn complete_upload(&self, agent: &Agent, upload_id: &str, data: &[u8]) -> Response {
        self.ask(&agent.complete_upload(upload_id, &transit_sha256(data)))
    }

    /// Sends a file from beginning to end.
    pub(crate) fn upload(&self, agent: &Agent, action_id: &str, data: &[u8]) {
        let upload_id = self.begin_upload(agent, action_id, data.len());
        self.send_chunks(agent, &upload_id, data);
        assert_eq!(self.complete_upload(agent, &upload_id, data).ok(), json!({ "status": "ok" }));
    }
}

impl Opened {
    /// What an agent sent for an action.
    pub(crate) fn upload(&self, action_id: &str, agent: &Agent) -> Option<File> {
        let id = format!("{action_id}.{}", agent.id);
        match self.run(Operation::FindFile(FileQuery::Sent(id))) {
            Answer::File(file) => file.map(|file| *file),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn chunks(&self, file: &File) -> Vec<Chunk> {
        match self.run(Operation::FileChunks { file: file.key.clone(), with_sizes: false }) {
            Answer::Chunks(chunks) => chunks,
            other => panic!("{other:?}"),
        }
    }

    /// All that is in a file.
    pub(crate) fn content(&self, file: &File) -> Vec<u8> {
        let mut content = Vec::new();
        for chunk in self.chunks(file) {
            match self.run(Operation::ReadChunk { file: file.key.clone(), chunk: Box::new(chunk) }) {
                Answer::Bytes(data) => content.extend_from_slice(&data),
                other => panic!("{other:?}"),
            }
        }
        content
    }
}

/// A file for agents, as Kibana or an operator writes it.
pub(crate) struct StoredFile {
    pub(crate) id: String,
    pub(crate) area: FileArea,
    pub(crate) agents: Vec<String>,
    pub(crate) data: Vec<u8>,
    pub(crate) chunk_bytes: usize,
    pub(crate) is_ready: bool,
    /// Chunks that are not there.
    pub(crate) left_out: Vec<u64>,
    /// Neither type nor size nor hash.
    pub(crate) says_little: bool,
}

impl StoredFile {
    pub(crate) fn new(id: &str, data: &[u8]) -> Self {
        StoredFile {
            id: id.to_owned(),
            area: FileArea::ToHost("agent".into()),
            agents: Vec::new(),
            data: data.to_vec(),
            chunk_bytes: CHUNK_BYTES as usize,
            is_ready: true,
            left_out: Vec::new(),
            says_little: false,
        }
    }

    pub(crate) fn for_agent(id: &str, agent: &Agent, data: &[u8]) -> Self {
        StoredFile { agents: vec![agent.id.clone()], ..StoredFile::new(id, data) }
    }

    pub(crate) fn in_chunks_of(self, chunk_bytes: usize) -> Self {
        StoredFile { chunk_bytes, ..self }
    }

    fn document(&self) -> Value {
        let mut document = json!({
            "upload_id": self.id,
            "@timestamp": super::now_millis(),
            "upload_start": super::now_millis(),
            "file": {
                "name": self.id, "Status": "AWAITING_UPLOAD", "ChunkSize": self.chunk_bytes,
                "Meta": { "target_agents": self.agents },
            },
        });
        if !self.says_little {
            document["file"]["mime_type"] = json!("text/plain");
            document["file"]["size"] = json!(self.data.len());
            document["file"]["hash"] = json!({ "sha256": hex(&sha256(&self.data)) });
        }
        document
    }
}

impl Opened {
    /// Writes a file for agents.
    pub(crate) fn put_file(&self, stored: StoredFile) {
        let file = FileKey { area: stored.area.clone(), id: stored.id.clone() };
        let upload_id = stored.id.clone();
        let document = raw(&stored.document());
        let new = NewFile { key: file.clone(), upload_id: upload_id.clone(), document };
        self.run(Operation::BeginFile(Box::new(new)));
        let count = stored.data.len().div_ceil(stored.chunk_bytes) as u64;
        for (number, data) in (0..).zip(stored.data.chunks(stored.chunk_bytes)) {
            if stored.left_out.contains(&number) {
                continue;
            }
            self.run(Operation::PutChunk(Box::new(NewChunk {
                file: file.clone(),
                upload_id: upload_id.clone(),
                number,
                last: number + 1 == count,
                sha2: hex(&sha256(data)),
                at: Timestamp(super::now_millis()),
                data: Bytes(data.to_vec()),
            })));
        }
        if stored.is_ready {
            let (status, transit_sha256) = (FileStatus::Ready, None);
            self.run(Operation::EndFile { file, upload_id, status, transit_sha256 });
        }
    }
}
