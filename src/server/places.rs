//! Places for what is megabytes each: chunks of files on their way in and out. Whoever finds none waits in line; only where too
//! many wait, or for too long, is anybody refused.

use std::collections::VecDeque;

use crate::slots::SlotId;
use crate::task::{Place, Reply};

use super::Server;
use super::tasks::Waiting;

/// Chunks on their way from agents into the store at once, of 4 MiB each.
const UPLOAD_CHUNKS_MAX: usize = 16;
/// Chunks on their way to clients at once, of 4 MiB each.
const DELIVERY_CHUNKS_MAX: usize = 16;
/// Tasks that wait for a place of one kind.
const PLACES_AWAITED_MAX: usize = 1_024;

/// Both kinds.
#[derive(Debug)]
pub(super) struct Places {
    uploads: Kind,
    deliveries: Kind,
}

#[derive(Debug)]
struct Kind {
    free: usize,
    /// In the order of arrival; some may have gone.
    waiting: VecDeque<SlotId>,
}

impl Default for Places {
    fn default() -> Self {
        let kind = |free| Kind { free, waiting: VecDeque::new() };
        Places { uploads: kind(UPLOAD_CHUNKS_MAX), deliveries: kind(DELIVERY_CHUNKS_MAX) }
    }
}

impl Places {
    fn kind(&mut self, place: Place) -> &mut Kind {
        match place {
            Place::Upload => &mut self.uploads,
            Place::Delivery => &mut self.deliveries,
        }
    }
}

impl Server {
    /// A task asks for a place; an answer that is clear at once is returned.
    pub(super) fn place_asked(&mut self, id: SlotId, place: Place) -> Option<Reply> {
        let kind = self.places.kind(place);
        if kind.free > 0 && kind.waiting.is_empty() {
            kind.free -= 1;
            self.tasks.get_mut(id)?.place = Some(place);
            return Some(Reply::Entered(true));
        }
        if kind.waiting.len() >= PLACES_AWAITED_MAX {
            return Some(Reply::Entered(false));
        }
        kind.waiting.push_back(id);
        self.tasks.get_mut(id)?.waiting = Waiting::Place(place);
        None
    }

    /// A task gives its place back, or ends with it.
    pub(super) fn place_given_back(&mut self, place: Option<Place>) {
        if let Some(place) = place {
            self.places.kind(place).free += 1;
        }
    }

    /// Lets those go on for whom there is a place now.
    pub(super) fn fill_places(&mut self) {
        for place in [Place::Upload, Place::Delivery] {
            while let Some(id) = self.next_for(place) {
                self.places.kind(place).free -= 1;
                if let Some(task) = self.tasks.get_mut(id) {
                    task.place = Some(place);
                }
                self.resume(id, Reply::Entered(true));
            }
        }
    }

    /// Who is next, if there is a place.
    fn next_for(&mut self, place: Place) -> Option<SlotId> {
        let (kind, tasks) = (self.places.kind(place), &self.tasks);
        let waits = |id: SlotId| tasks.get(id).is_some_and(|task| task.waiting.is_for(place));
        while kind.free > 0 {
            let id = kind.waiting.pop_front()?;
            if waits(id) {
                return Some(id);
            }
        }
        None
    }
}
