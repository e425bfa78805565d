//! Files: how each begins, is found and ends (files.md). What is in them is in `file_chunks`.

use serde_json::{Value, json};

use super::Elastic;
use super::ask::json as json_request;
use super::file_names::{FilePart, file_definition};
use super::file_search::FileHit;
use super::keys::percent_encoded;
use super::script;
use super::search::{all_of, term};
use super::writes::misplaced;
use crate::model::{File, FileArea, FileKey, FileStatus, NewFile};
use crate::store::retention::{FILES_LISTED_MAX, UPLOAD_TIME_MAX};
use crate::store::{Answer, FileList, FileQuery, Operation, StoreError, StoreResult};
use crate::time::Timestamp;

/// Abandoned uploads that are ended in one run; the rest waits for the next.
const ABANDONED_PER_RUN_MAX: usize = 100;

impl Elastic {
    /// Runs an operation on files.
    pub(super) fn handle_file(&self, operation: Operation) -> StoreResult {
        match operation {
            Operation::FindFile(query) => Ok(Answer::File(self.find_file(&query)?.map(Box::new))),
            Operation::Files(list) => self.list_files(&list),
            Operation::BeginFile(new) => self.begin_file(&new),
            Operation::PutChunk(chunk) => self.put_chunk(*chunk),
            Operation::FileChunks { file, with_sizes } => {
                self.file_chunks(&file, with_sizes).map(Answer::Chunks)
            }
            Operation::ReadChunk { file, chunk } => self.read_chunk(&file, &chunk),
            Operation::EndFile { file, upload_id, status, transit_sha256 } => {
                self.end_file(&file, &upload_id, status, transit_sha256.as_deref())
            }
            Operation::DeleteFile(file) => {
                self.delete_file(&file)?;
                Ok(Answer::Done)
            }
            _ => Err(misplaced()),
        }
    }

    fn meta(&self, area: &FileArea) -> String {
        self.indices.file_index(area, FilePart::Meta)
    }

    fn find_file(&self, query: &FileQuery) -> Result<Option<File>, StoreError> {
        let from_hosts = || format!("{}*", self.indices.sent_by_hosts(FilePart::Meta));
        let (indices, clauses) = match query {
            FileQuery::Upload(upload_id) => (from_hosts(), vec![term("upload_id", upload_id)]),
            FileQuery::Sent(id) => (from_hosts(), vec![term("_id", id)]),
            FileQuery::ForAgent { id, agent } => (
                format!("{}*", self.indices.for_hosts(FilePart::Meta)),
                vec![
                    term("_id", id),
                    term("file.Meta.target_agents", agent),
                    term("file.Status", FileStatus::Ready.name()),
                ],
            ),
            FileQuery::Key(key) => (self.meta(&key.area), vec![term("_id", &key.id)]),
        };
        let hits = self.search_files(&indices, &json!({"size": 2, "query": all_of(&clauses)}))?;
        if hits.len() > 1 && matches!(query, FileQuery::Upload(_)) {
            let reason = "several uploads have this id".to_owned();
            return Err(StoreError::Failed { status: 500, reason });
        }
        hits.first().map(|hit| self.read_file(hit, query.area())).transpose()
    }

    fn list_files(&self, list: &FileList) -> StoreResult {
        let newest = |clauses: &[Value]| {
            json!({
                "size": FILES_LISTED_MAX, "query": all_of(clauses), "_source": {"excludes": ["contents"]},
                "sort": [{"@timestamp": {"order": "desc", "unmapped_type": "date"}}],
            })
        };
        let (indices, body) = match list {
            FileList::OfAgent(agent) => (
                format!("{}*", self.indices.sent_by_hosts(FilePart::Meta)),
                newest(&[term("agent_id", agent)]),
            ),
            FileList::ToAgents => {
                let for_hosts = self.indices.for_hosts(FilePart::Meta);
                (format!("{for_hosts}*,{}", self.indices.of_library("*", FilePart::Meta)), newest(&[]))
            }
        };
        let hits = self.search_files(&indices, &body)?;
        Ok(Answer::Files(hits.iter().map(|hit| self.read_file(hit, None)).collect::<Result<_, _>>()?))
    }

    /// A file's document; where the search does not say its area, the name of its index or it itself does.
    fn read_file(&self, hit: &FileHit, area: Option<&FileArea>) -> Result<File, StoreError> {
        let source = hit.source.as_ref().map_or("{}", |source| source.get());
        let unreadable = |error: serde_json::Error| crate::store::documents::unreadable(&error);
        let of_document = || {
            let source: Value = serde_json::from_str(source).map_err(unreadable)?;
            let text = |name: &str| source[name].as_str().map(str::to_owned);
            let source = text("src").or_else(|| text("source")).unwrap_or_default();
            Ok::<_, StoreError>(FileArea::FromHost(source))
        };
        let of_name = || {
            let integration = self.indices.integration_of(&hit.index).map(FileArea::ToHost);
            integration.or_else(|| self.indices.library_of(&hit.index).map(FileArea::Library))
        };
        let area = match area.cloned().or_else(of_name) {
            Some(area) => area,
            None => of_document()?,
        };
        File::read(FileKey { area, id: hit.id.clone() }, source.as_bytes()).map_err(unreadable)
    }

    fn begin_file(&self, new: &NewFile) -> StoreResult {
        self.ensure_files(&new.key.area)?;
        if let Some(before) = self.find_file(&FileQuery::Key(new.key.clone()))? {
            if before.status == FileStatus::Ready {
                return Err(StoreError::Conflict);
            }
            self.delete_file(&new.key)?;
        }
        let path =
            format!("/{}/_create/{}?refresh=true", self.meta(&new.key.area), percent_encoded(&new.key.id));
        match self.call(&json_request("PUT", path, &new.document)) {
            Ok(_) => Ok(Answer::Done),
            // what we sent a moment ago, or another that began at the same time
            Err(StoreError::Failed { status: 409, .. }) if self.is_begun(new)? => Ok(Answer::Done),
            Err(error) => Err(error),
        }
    }

    fn is_begun(&self, new: &NewFile) -> Result<bool, StoreError> {
        let there = self.find_file(&FileQuery::Key(new.key.clone()))?;
        Ok(there.is_some_and(|file| file.upload_id == new.upload_id))
    }

    fn end_file(
        &self,
        key: &FileKey,
        upload_id: &str,
        status: FileStatus,
        transit_sha256: Option<&str>,
    ) -> StoreResult {
        let open = [FileStatus::Awaiting.name(), FileStatus::Uploading.name()];
        let query = all_of(&[
            term("_id", &key.id),
            json!({"terms": {"file.Status": open}}),
            term("upload_id", upload_id),
        ]);
        let script = script::END_FILE.value(&json!({"status": status.name(), "hash": transit_sha256}));
        if self.change_files(&self.meta(&key.area), &query, &script)? == 0 {
            return Err(StoreError::NotFound);
        }
        if status != FileStatus::Ready {
            self.delete_chunks(key)?;
        }
        Ok(Answer::Done)
    }

    fn delete_file(&self, key: &FileKey) -> Result<(), StoreError> {
        self.delete_files(&self.meta(&key.area), &term("_id", &key.id))?;
        self.delete_chunks(key)
    }

    /// Ends uploads that nobody brought to their end in time; how many.
    pub(super) fn end_abandoned_uploads(&self, now: Timestamp) -> Result<usize, StoreError> {
        let open = [FileStatus::Awaiting.name(), FileStatus::Uploading.name()];
        let before = json!({"range": {"upload_start": {"lt": now.minus(UPLOAD_TIME_MAX).0, "format": "epoch_millis"}}});
        let has_id = json!({"exists": {"field": "upload_id"}});
        let query = all_of(&[json!({"terms": {"file.Status": open}}), before, has_id]);
        let body =
            json!({"size": ABANDONED_PER_RUN_MAX, "query": query, "_source": {"excludes": ["contents"]}});
        let mut ended = 0;
        for hit in self.search_files(&self.where_we_end_uploads(), &body)? {
            let end = |file: File| self.end_file(&file.key, &file.upload_id, FileStatus::Failed, None);
            match self.read_file(&hit, None).and_then(end) {
                Ok(_) => ended += 1,
                // its sender was faster
                Err(StoreError::NotFound) => {}
                // the others are not its fault
                Err(error) => ::log::warn!("the abandoned upload {} cannot be ended: {error}", hit.id),
            }
        }
        Ok(ended)
    }

    /// Of hosts, and of operators, whose documents say when they began as those of hosts do; Kibana's do not. Endpoint's
    /// libraries are not ours to write to.
    fn where_we_end_uploads(&self) -> String {
        let [from_hosts, for_hosts] =
            [self.indices.sent_by_hosts(FilePart::Meta), self.indices.for_hosts(FilePart::Meta)];
        let library = if self.indices.are_own() {
            format!(",{}", self.indices.of_library("*", FilePart::Meta))
        } else {
            String::new()
        };
        format!("{from_hosts}*,{for_hosts}*{library}")
    }

    /// Makes an area's indices where nobody else does: without a definition the cluster would make wrong ones.
    fn ensure_files(&self, area: &FileArea) -> Result<(), StoreError> {
        let is_ours = self.indices.are_own() || !self.facts()?.fleet_module;
        for part in [FilePart::Meta, FilePart::Data].into_iter().filter(|_| is_ours) {
            self.make_named(&self.indices.file_index(area, part), &file_definition(part))?;
        }
        Ok(())
    }
}

impl FileQuery {
    /// The area that a query is for, where it names one.
    fn area(&self) -> Option<&FileArea> {
        match self {
            FileQuery::Key(key) => Some(&key.area),
            _ => None,
        }
    }
}
