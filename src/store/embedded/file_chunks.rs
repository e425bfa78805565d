//! What is in files: chunks of some megabytes, each in pieces. SQLite copies what it is given to bind, so only a piece is ever
//! held twice.

use std::sync::Arc;

use rusqlite::{OptionalExtension, params};

use super::fault::{Fault, Outcome};
use super::read::Reader;
use super::writer::Transaction;
use crate::model::{Chunk, FileKey, NewChunk};
use crate::store::{Answer, StoreError};

/// Bytes of a piece.
const PIECE_BYTES: usize = 256 * 1024;
/// Chunks removed in one step.
const STEP_CHUNKS: i64 = 4;

impl Transaction<'_> {
    pub(super) fn put_chunk(&mut self, chunk: &NewChunk) -> Result<(), Fault> {
        let file = self.open_file(&chunk.file, &chunk.upload_id)?;
        let place = place(chunk.number)?;
        let before: Option<(i64, String)> = self
            .sql
            .prepare_cached("SELECT number, sha2 FROM file_chunks WHERE file = ?1 AND place = ?2")?
            .query_row([file, place], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        match before {
            // the agent sends it again, for it did not hear that it is there
            Some((_, sha2)) if sha2.eq_ignore_ascii_case(&chunk.sha2) => return Ok(()),
            Some((number, _)) => self.remove_chunk(number)?,
            None => {}
        }
        self.execute(
            "INSERT INTO file_chunks (file, place, last, sha2, bytes) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                file,
                place,
                chunk.last,
                chunk.sha2,
                i64::try_from(chunk.data.0.len()).unwrap_or(i64::MAX)
            ],
        )?;
        let number = self.sql.last_insert_rowid();
        for (place, piece) in (0_i64..).zip(chunk.data.0.chunks(PIECE_BYTES)) {
            self.execute(
                "INSERT INTO file_pieces (chunk, place, data) VALUES (?1, ?2, ?3)",
                params![number, place, piece],
            )?;
        }
        Ok(())
    }

    fn remove_chunk(&self, number: i64) -> Result<(), Fault> {
        self.execute("DELETE FROM file_pieces WHERE chunk = ?1", [number])?;
        self.execute("DELETE FROM file_chunks WHERE number = ?1", [number])?;
        Ok(())
    }

    /// Removes some of the chunks that belong to no file, or to one that will never be whole.
    pub(super) fn remove_stray_chunks(&mut self) -> Result<usize, Fault> {
        let stray: Vec<i64> = self
            .sql
            .prepare_cached(
                "SELECT file_chunks.number FROM file_chunks LEFT JOIN files ON files.number = file_chunks.file
                 WHERE files.status IS NULL OR files.status IN ('UPLOAD_ERROR', 'DELETED') LIMIT ?1",
            )?
            .query_map([STEP_CHUNKS], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for number in &stray {
            self.remove_chunk(*number)?;
        }
        Ok(stray.len())
    }
}

impl Reader<'_> {
    pub(super) fn file_chunks(&self, key: &FileKey) -> Outcome {
        let mut select = self.sql.prepare_cached(
            "SELECT place, last, sha2, bytes FROM file_chunks
             WHERE file = (SELECT number FROM files WHERE id = ?1 AND area = ?2) ORDER BY place",
        )?;
        let mut rows = select.query(params![key.id, key.area.name()])?;
        let mut chunks = Vec::new();
        while let Some(row) = rows.next()? {
            let number = |column| Ok::<_, rusqlite::Error>(u64::try_from(row.get::<_, i64>(column)?).ok());
            chunks.push(Chunk {
                number: number(0)?.unwrap_or(u64::MAX),
                last: row.get(1)?,
                sha2: row.get(2)?,
                bytes: number(3)?,
                index: String::new(),
                written: None,
            });
        }
        Ok(Answer::Chunks(chunks))
    }

    /// Reads all pieces into memory that is taken once.
    pub(super) fn read_chunk(&self, key: &FileKey, chunk: &Chunk) -> Outcome {
        let mut select = self.sql.prepare_cached(
            "SELECT number, bytes FROM file_chunks
             WHERE file = (SELECT number FROM files WHERE id = ?1 AND area = ?2) AND place = ?3 AND sha2 = ?4",
        )?;
        let key = params![key.id, key.area.name(), place(chunk.number)?, chunk.sha2];
        let found =
            select.query_row(key, |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))).optional()?;
        let Some((number, bytes)) = found else { return Err(StoreError::NotFound.into()) };
        let bytes = usize::try_from(bytes).unwrap_or(0);
        let mut data: Arc<[u8]> = std::iter::repeat_n(0, bytes).collect();
        let mut left = Arc::get_mut(&mut data).unwrap_or_default();
        let mut select =
            self.sql.prepare_cached("SELECT data FROM file_pieces WHERE chunk = ?1 ORDER BY place")?;
        let mut rows = select.query([number])?;
        while let Some(row) = rows.next()? {
            let piece = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
            let Some((place, rest)) = left.split_at_mut_checked(piece.len()) else { return Err(torn()) };
            place.copy_from_slice(piece);
            left = rest;
        }
        if left.is_empty() { Ok(Answer::Bytes(data)) } else { Err(torn()) }
    }
}

fn place(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::NotFound)
}

fn torn() -> Fault {
    let reason = "a chunk of a file does not have the bytes that it should".to_owned();
    StoreError::Failed { status: 500, reason }.into()
}
