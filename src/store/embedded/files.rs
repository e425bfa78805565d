//! Files: what is known of them, and how each begins and ends. What is in them is in `file_chunks`.
//!
//! A chunk belongs to the row of its file. What belongs to none, or to one that takes no content, is removed in steps, at once
//! and, should that not come to its end, by housekeeping.

use rusqlite::{OptionalExtension, Row, params};

use super::fault::{Fault, Outcome};
use super::read::Reader;
use super::writer::Transaction;
use super::{Inner, connection, fault, lock};
use crate::model::{File, FileArea, FileKey, FileStatus, NewFile};
use crate::store::retention::FILES_LISTED_MAX;
use crate::store::{Answer, FileList, FileQuery, Operation, StoreError, StoreResult};

/// Steps in which chunks are removed, one after another: of up to 1,024 chunks, which are 4 GiB.
const STRAY_STEPS_MAX: usize = 256;
/// What [`read_file`] reads.
const COLUMNS: &str = "area, id, upload_id, status, transit_sha256, document";

impl Inner {
    /// Runs an operation on files: each with a connection or a transaction of its own.
    pub(super) fn handle_file(&self, operation: Operation) -> StoreResult {
        match operation {
            Operation::BeginFile(new) => {
                self.change_file(|transaction| transaction.begin_file(&new))?;
                self.remove_stray_chunks()
            }
            Operation::PutChunk(chunk) => self.change_file(|transaction| transaction.put_chunk(&chunk)),
            Operation::EndFile { file, upload_id, status, transit_sha256 } => {
                self.change_file(|transaction| {
                    transaction.end_file(&file, &upload_id, status, transit_sha256.as_deref())
                })?;
                if status == FileStatus::Ready { Ok(Answer::Done) } else { self.remove_stray_chunks() }
            }
            Operation::DeleteFile(file) => {
                self.change_file(|transaction| transaction.delete_file(&file))?;
                self.remove_stray_chunks()
            }
            other => {
                let connection =
                    connection::reading(&self.file).map_err(|error| fault::unavailable(&error))?;
                Ok(Reader::new(&connection).file(&other)?)
            }
        }
    }

    fn change_file(&self, change: impl FnOnce(&mut Transaction<'_>) -> Result<(), Fault>) -> StoreResult {
        lock(&self.writer).transact(&self.news, change).map(|()| Answer::Done)
    }

    /// Removes what chunks are left of files that are gone; of very many, the rest waits for housekeeping.
    pub(super) fn remove_stray_chunks(&self) -> StoreResult {
        for _ in 0..STRAY_STEPS_MAX {
            let step =
                lock(&self.writer).transact(&self.news, |transaction| transaction.remove_stray_chunks())?;
            if step == 0 {
                break;
            }
        }
        Ok(Answer::Done)
    }
}

impl Transaction<'_> {
    fn begin_file(&mut self, new: &NewFile) -> Result<(), Fault> {
        let file = File::read(new.key.clone(), new.document.get().as_bytes())?;
        let area = new.key.area.name();
        let ready = "SELECT 1 FROM files WHERE id = ?1 AND area = ?2 AND status = ?3";
        let ready_name = FileStatus::Ready.name();
        if self.sql.prepare_cached(ready)?.exists(params![new.key.id, area, ready_name])? {
            return Err(StoreError::Conflict.into());
        }
        self.delete_file(&new.key)?;
        self.execute(
            "INSERT INTO files (area, id, upload_id, agent_id, status, started, document)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                area,
                new.key.id,
                new.upload_id,
                file.agent_id,
                file.status.name(),
                file.started.0,
                new.document.get(),
            ],
        )?;
        Ok(())
    }

    fn end_file(
        &mut self,
        key: &FileKey,
        upload_id: &str,
        status: FileStatus,
        transit_sha256: Option<&str>,
    ) -> Result<(), Fault> {
        let number = self.open_file(key, upload_id)?;
        self.execute(
            "UPDATE files SET status = ?2, transit_sha256 = ?3 WHERE number = ?1",
            params![number, status.name(), transit_sha256],
        )?;
        Ok(())
    }

    fn delete_file(&mut self, key: &FileKey) -> Result<(), Fault> {
        self.execute("DELETE FROM files WHERE id = ?1 AND area = ?2", params![key.id, key.area.name()])?;
        Ok(())
    }

    /// The number of the file, if it takes chunks under this upload_id.
    pub(super) fn open_file(&self, key: &FileKey, upload_id: &str) -> Result<i64, Fault> {
        let select = "SELECT number, status FROM files WHERE id = ?1 AND area = ?2 AND upload_id = ?3";
        let found: Option<(i64, String)> = self
            .sql
            .prepare_cached(select)?
            .query_row(params![key.id, key.area.name(), upload_id], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let open = found.filter(|(_, status)| FileStatus::named(status).is_open());
        open.map(|(number, _)| number).ok_or_else(|| StoreError::NotFound.into())
    }

    /// Ends uploads that began before then and are still open.
    pub(super) fn end_abandoned_uploads(&mut self, before: i64) -> Result<usize, Fault> {
        Ok(self.execute(
            "UPDATE files SET status = 'UPLOAD_ERROR' WHERE number IN
                 (SELECT number FROM files WHERE started < ?1 AND status IN ('AWAITING_UPLOAD', 'UPLOADING') LIMIT ?2)",
            [before, super::cleanup::STEP_ROWS],
        )?)
    }

    /// Removes uploads that began before then, whatever became of them.
    pub(super) fn remove_uploads(&mut self, before: i64) -> Result<usize, Fault> {
        Ok(self.execute(
            "DELETE FROM files WHERE number IN
                 (SELECT number FROM files WHERE started <= ?1 AND area GLOB 'fromhost-*' LIMIT ?2)",
            [before, super::cleanup::STEP_ROWS],
        )?)
    }
}

impl Reader<'_> {
    fn file(&self, operation: &Operation) -> Outcome {
        match operation {
            Operation::FindFile(query) => Ok(Answer::File(self.find_file(query)?.map(Box::new))),
            Operation::Files(list) => self.list_files(list),
            Operation::FileChunks { file, .. } => self.file_chunks(file),
            Operation::ReadChunk { file, chunk } => self.read_chunk(file, chunk),
            _ => Err(fault::misplaced().into()),
        }
    }

    fn find_file(&self, query: &FileQuery) -> Result<Option<File>, Fault> {
        let (condition, value) = match query {
            FileQuery::Upload(upload_id) => ("upload_id = ?1 AND area GLOB 'fromhost-*'", upload_id),
            FileQuery::Sent(id) => ("id = ?1 AND area GLOB 'fromhost-*'", id),
            FileQuery::ForAgent { id, .. } => ("id = ?1 AND area GLOB 'tohost-*' AND status = 'READY'", id),
            FileQuery::Key(key) => ("id = ?1", &key.id),
        };
        for file in self.files(condition, value, "")? {
            match query {
                FileQuery::ForAgent { agent, .. } if !file.target_agents.contains(agent) => {}
                FileQuery::Key(key) if file.key != *key => {}
                _ => return Ok(Some(file)),
            }
        }
        Ok(None)
    }

    fn list_files(&self, list: &FileList) -> Outcome {
        let (condition, value) = match list {
            FileList::OfAgent(agent) => ("agent_id = ?1 AND area GLOB 'fromhost-*'", agent.as_str()),
            FileList::ToAgents => ("area NOT GLOB ?1", "fromhost-*"),
        };
        let newest = format!("ORDER BY number DESC LIMIT {FILES_LISTED_MAX}");
        Ok(Answer::Files(self.files(condition, value, &newest)?))
    }

    fn files(&self, condition: &str, value: &str, end: &str) -> Result<Vec<File>, Fault> {
        let select = format!("SELECT {COLUMNS} FROM files WHERE {condition} {end}");
        let mut select = self.sql.prepare_cached(&select)?;
        let mut rows = select.query([value])?;
        let mut files = Vec::new();
        while let Some(row) = rows.next()? {
            files.extend(read_file(row)?);
        }
        Ok(files)
    }
}

/// A row of [`COLUMNS`]; `None` for an area that a newer program may have made.
fn read_file(row: &Row<'_>) -> Result<Option<File>, Fault> {
    let (area, id): (String, String) = (row.get(0)?, row.get(1)?);
    let Some(area) = FileArea::named(&area) else { return Ok(None) };
    let status: String = row.get(3)?;
    let file = File::read(FileKey { area, id }, row.get_ref(5)?.as_bytes().map_err(rusqlite::Error::from)?)?;
    Ok(Some(File {
        upload_id: row.get(2)?,
        status: FileStatus::named(&status),
        transit_sha256: row.get(4)?,
        ..file
    }))
}
