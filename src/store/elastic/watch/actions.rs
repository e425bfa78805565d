//! New actions, page by page. What was there before the watch began is found by the searches of check-ins.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::answers::{self, Hit};
use super::feed::{Feed, Page, Source, Unread};
use super::requests;
use crate::model::Action;
use crate::store::Changes;

/// Actions in one page.
const PAGE_ACTIONS_MAX: usize = 1_000;

/// Follows `.fleet-actions`.
pub(super) struct Actions {
    page: Page,
}

impl Default for Actions {
    fn default() -> Self {
        Actions { page: Page::of(PAGE_ACTIONS_MAX) }
    }
}

impl Feed for Actions {
    fn begin(&mut self, source: &Source<'_>, up_to: i64) -> Result<i64, Unread> {
        if !source.queue.let_policies_come_first() {
            return Err(Unread::Closed);
        }
        // searches up to the checkpoint find only what is searchable
        if up_to >= 0 {
            source.refresh()?;
        }
        source.tell(Changes::Actions { actions: Vec::new(), checkpoint: up_to })?;
        Ok(up_to)
    }

    fn start_over(&mut self, source: &Source<'_>) -> Result<(), Unread> {
        source.tell(Changes::ActionsStartOver)
    }

    fn read(&mut self, source: &Source<'_>, after: i64, up_to: i64) -> Result<i64, Unread> {
        source.refresh()?;
        let size = self.page.size();
        let answer = source.search_page(&requests::actions(after, up_to, size), up_to, &mut self.page)?;
        let hits = answers::search(&answer)?.hits;
        let read = Readable::of(&hits);
        let is_full = hits.len() >= size;
        // without a single _seq_no nobody knows where a full page ends: it is not told, and so it is no progress
        let checkpoint = if is_full { read.last.unwrap_or(after) } else { up_to };
        if checkpoint > after || !is_full {
            source.tell(Changes::Actions { actions: read.actions, checkpoint })?;
        }
        Ok(checkpoint)
    }
}

/// What could be read of a page.
struct Readable {
    actions: Vec<Arc<Action>>,
    /// The highest `_seq_no` of the page, be its document readable or not.
    last: Option<i64>,
}

impl Readable {
    /// A hit that cannot be read is logged and left out.
    fn of(hits: &[&RawValue]) -> Readable {
        let mut page = Readable { actions: Vec::new(), last: None };
        for hit in hits {
            let read = serde_json::from_str::<Hit<'_>>(hit.get()).and_then(|hit| {
                page.last = page.last.max(hit.seq_no);
                let seq_no = hit.seq_no.unwrap_or(-1);
                Action::read(&hit.id, seq_no, hit.source.get().as_bytes())
            });
            match read {
                Ok(action) if action.seq_no >= 0 => page.actions.push(Arc::new(action)),
                Ok(action) => ::log::warn!("action {} was found without its _seq_no", action.document_id),
                Err(error) => {
                    ::log::warn!("an action that was found cannot be read and is left out: {error}")
                }
            }
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(hits: &[&str]) -> Readable {
        let hits: Vec<Box<RawValue>> =
            hits.iter().map(|hit| RawValue::from_string((*hit).to_owned()).unwrap()).collect();
        Readable::of(&hits.iter().map(|hit| &**hit).collect::<Vec<_>>())
    }

    #[test]
    fn a_hit_that_cannot_be_read_does_not_hide_the_rest() {
        let page = page(&[
            r#"{"_id":"a","_seq_no":1,"_source":{"action_id":"x"}}"#,
            r#"{"_id":"b","_seq_no":2,"_source":[]}"#,
            r#"{"_id":7,"_seq_no":3,"_source":{}}"#,
            r#"{"_id":"c","_source":{}}"#,
            r#"[]"#,
            r#"{"_id":"d","_seq_no":4,"_source":{"action_id":7,"agents":"none"}}"#,
        ]);
        let numbers: Vec<i64> = page.actions.iter().map(|action| action.seq_no).collect();
        assert_eq!((numbers, page.last), (vec![1, 4], Some(4)));
    }

    #[test]
    fn a_page_goes_up_to_a_document_that_cannot_be_read() {
        let page = page(&[r#"{"_id":"b","_seq_no":2,"_source":[]}"#]);
        assert_eq!((page.actions.len(), page.last), (0, Some(2)));
    }
}
