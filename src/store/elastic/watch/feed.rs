//! What a follower reads of its index and how it tells that: one for each index.

use serde_json::Value;

use super::answers;
use super::progress::Reading;
use super::queue::Queue;
use super::requests::Asks;
use crate::store::Changes;
use crate::store::elastic::client::{Client, Request, Response, SendError};

/// One way of reading an index.
pub(super) trait Feed {
    /// Tells what there is at the start, up to `up_to`: what is not told by it is found otherwise.
    fn begin(&mut self, source: &Source<'_>, up_to: i64) -> Result<i64, Unread>;

    /// Tells that what was told was of another index.
    fn start_over(&mut self, source: &Source<'_>) -> Result<(), Unread>;

    /// Tells what is in `after < _seq_no <= up_to`, or the first page of it; up to where that goes.
    fn read(&mut self, source: &Source<'_>, after: i64, up_to: i64) -> Result<i64, Unread>;
}

/// Why reading came to no end.
#[derive(Debug)]
pub(super) enum Unread {
    /// It is not known what there is.
    Not(Reading),
    /// The watch is over.
    Closed,
}

impl From<Reading> for Unread {
    fn from(reading: Reading) -> Self {
        Unread::Not(reading)
    }
}

/// Where a feed reads, and whom it tells.
pub(super) struct Source<'a> {
    pub(super) client: &'a Client,
    pub(super) asks: &'a Asks,
    pub(super) queue: &'a Queue,
    /// Whether the cluster has the fleet module.
    pub(super) module: bool,
}

impl Source<'_> {
    /// Makes everything up to the checkpoint that was told last searchable, where a search does not wait for that.
    pub(super) fn refresh(&self) -> Result<(), Unread> {
        if self.module {
            return Ok(());
        }
        Ok(answers::refresh(&self.send(&self.asks.refresh())?)?)
    }

    /// A search that finds everything up to `checkpoint`; [`Source::refresh`] comes first.
    pub(super) fn search(&self, body: &Value, checkpoint: i64) -> Result<Response, Reading> {
        self.send(&self.asks.search(body, self.module, checkpoint))
    }

    /// The same for a page of documents, which is smaller the next time if the answer was too large.
    pub(super) fn search_page(
        &self,
        body: &Value,
        checkpoint: i64,
        page: &mut Page,
    ) -> Result<Response, Reading> {
        let answer = self.client.send(&self.asks.search(body, self.module, checkpoint));
        match &answer {
            Ok(_) => page.size = page.size_max,
            Err(SendError::Answer { .. }) => page.size = (page.size / 2).max(1),
            Err(_) => {}
        }
        answer.map_err(|error| Reading::Failed(error.to_string()))
    }

    /// Tells news.
    pub(super) fn tell(&self, changes: Changes) -> Result<(), Unread> {
        if self.queue.put(changes) { Ok(()) } else { Err(Unread::Closed) }
    }

    fn send(&self, request: &Request) -> Result<Response, Reading> {
        self.client.send(request).map_err(|error| Reading::Failed(error.to_string()))
    }
}

/// How many documents are asked for in one request.
pub(super) struct Page {
    size_max: usize,
    size: usize,
}

impl Page {
    /// So many, unless the answer is too large.
    pub(super) fn of(size_max: usize) -> Self {
        Page { size_max, size: size_max }
    }

    /// How many now.
    pub(super) fn size(&self) -> usize {
        self.size
    }
}
