//! Files and their chunks.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::state::State;
use crate::model::{Chunk, File, FileArea, FileKey, FileStatus, NewChunk, NewFile};
use crate::store::documents::unreadable;
use crate::store::retention::{FILES_LISTED_MAX, UPLOAD_TIME_MAX};
use crate::store::{Answer, FileList, FileQuery, StoreError, StoreResult};
use crate::time::Timestamp;

/// A file as it is kept.
pub(super) struct StoredFile {
    /// Which file document this was, from the first one on.
    number: i64,
    file: File,
    chunks: BTreeMap<u64, StoredChunk>,
}

struct StoredChunk {
    last: bool,
    sha2: String,
    data: Arc<[u8]>,
}

impl State {
    pub(super) fn find_file(&self, query: &FileQuery) -> StoreResult {
        let found =
            self.files.values().map(|stored| &stored.file).find(|file| match (query, &file.key.area) {
                (FileQuery::Upload(upload_id), FileArea::FromHost(_)) => file.upload_id == *upload_id,
                (FileQuery::Sent(id), FileArea::FromHost(_)) => file.key.id == *id,
                (FileQuery::ForAgent { id, agent }, FileArea::ToHost(_)) => {
                    file.key.id == *id
                        && file.status == FileStatus::Ready
                        && file.target_agents.contains(agent)
                }
                (FileQuery::Key(key), _) => file.key == *key,
                _ => false,
            });
        Ok(Answer::File(found.map(|file| Box::new(file.clone()))))
    }

    pub(super) fn list_files(&self, list: &FileList) -> Answer {
        let wanted = |file: &File| match (list, &file.key.area) {
            (FileList::OfAgent(agent), FileArea::FromHost(_)) => file.agent_id == *agent,
            (FileList::ToAgents, area) => !matches!(area, FileArea::FromHost(_)),
            _ => false,
        };
        let mut found: Vec<&StoredFile> = self.files.values().filter(|stored| wanted(&stored.file)).collect();
        found.sort_by_key(|stored| std::cmp::Reverse(stored.number));
        Answer::Files(found.into_iter().take(FILES_LISTED_MAX).map(|stored| stored.file.clone()).collect())
    }

    pub(super) fn begin_file(&mut self, new: NewFile) -> StoreResult {
        let file =
            File::read(new.key.clone(), new.document.get().as_bytes()).map_err(|error| unreadable(&error))?;
        let before = self.files.get(&new.key);
        if before.is_some_and(|stored| stored.file.status == FileStatus::Ready) {
            return Err(StoreError::Conflict);
        }
        self.last_file += 1;
        let file = File { upload_id: new.upload_id, ..file };
        self.files.insert(new.key, StoredFile { number: self.last_file, file, chunks: BTreeMap::new() });
        Ok(Answer::Done)
    }

    pub(super) fn put_chunk(&mut self, chunk: NewChunk) -> StoreResult {
        let stored = self.open_file(&chunk.file, &chunk.upload_id)?;
        let NewChunk { number, last, sha2, data, .. } = chunk;
        stored.chunks.insert(number, StoredChunk { last, sha2, data: data.0.into() });
        Ok(Answer::Done)
    }

    pub(super) fn file_chunks(&self, key: &FileKey) -> Answer {
        let chunks = self.files.get(key).map(|stored| &stored.chunks).into_iter().flatten();
        let known = |(number, chunk): (&u64, &StoredChunk)| Chunk {
            number: *number,
            last: chunk.last,
            sha2: chunk.sha2.clone(),
            bytes: Some(chunk.data.len() as u64),
            index: String::new(),
            written: None,
        };
        Answer::Chunks(chunks.map(known).collect())
    }

    pub(super) fn read_chunk(&self, key: &FileKey, listed: &Chunk) -> StoreResult {
        let chunk = self.files.get(key).and_then(|stored| stored.chunks.get(&listed.number));
        let chunk = chunk.filter(|chunk| chunk.sha2 == listed.sha2);
        chunk.map(|chunk| Answer::Bytes(Arc::clone(&chunk.data))).ok_or(StoreError::NotFound)
    }

    pub(super) fn end_file(
        &mut self,
        key: &FileKey,
        upload_id: &str,
        status: FileStatus,
        transit_sha256: Option<String>,
    ) -> StoreResult {
        let stored = self.open_file(key, upload_id)?;
        stored.file.status = status;
        stored.file.transit_sha256 = transit_sha256;
        if status != FileStatus::Ready {
            stored.chunks.clear();
        }
        Ok(Answer::Done)
    }

    /// The file, if it takes chunks under this upload_id.
    fn open_file(&mut self, key: &FileKey, upload_id: &str) -> Result<&mut StoredFile, StoreError> {
        let stored = self.files.get_mut(key).ok_or(StoreError::NotFound)?;
        let is_open = stored.file.upload_id == upload_id && stored.file.status.is_open();
        if is_open { Ok(stored) } else { Err(StoreError::NotFound) }
    }

    /// Ends uploads that nobody brought to their end in time; how many.
    pub(super) fn end_abandoned_uploads(&mut self, now: Timestamp) -> usize {
        let before = now.minus(UPLOAD_TIME_MAX);
        let abandoned =
            |stored: &&mut StoredFile| stored.file.status.is_open() && stored.file.started < before;
        let mut ended = 0;
        for stored in self.files.values_mut().filter(abandoned) {
            stored.file.status = FileStatus::Failed;
            stored.chunks.clear();
            ended += 1;
        }
        ended
    }

    /// Removes uploads that began before then; how many.
    pub(super) fn remove_uploads(&mut self, before: Timestamp) -> usize {
        let count = self.files.len();
        let outlived = |key: &FileKey, stored: &StoredFile| {
            matches!(key.area, FileArea::FromHost(_)) && stored.file.started <= before
        };
        self.files.retain(|key, stored| !outlived(key, stored));
        count - self.files.len()
    }
}
