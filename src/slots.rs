//! A slab whose ids carry a generation, so that an id kept too long finds nothing instead of a stranger.

use std::fmt;

/// Names one slot's one tenancy. Packs into 64 bits, so that it serves as a mio token too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId {
    /// Position in the table.
    pub index: u32,
    /// Counts the tenancies of that position.
    pub generation: u32,
}

impl SlotId {
    /// The id as one number; [`SlotId::unpack`] is its inverse.
    pub fn pack(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The id that [`SlotId::pack`] made.
    pub fn unpack(packed: u64) -> Self {
        let half = |bits: u64| u32::try_from(bits & 0xffff_ffff).unwrap_or_default();
        SlotId { index: half(packed), generation: half(packed >> 32) }
    }
}

impl fmt::Debug for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

/// Values under generational ids. Grows as needed; the owner bounds it.
#[derive(Debug)]
pub struct Slots<T> {
    entries: slab::Slab<(u32, T)>,
    /// The generation that the next tenancy of any slot gets: one counter for all is enough to tell tenants apart.
    generation: u32,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots { entries: slab::Slab::new(), generation: 0 }
    }
}

impl<T> Slots<T> {
    /// Puts `value` into a free slot.
    pub fn insert(&mut self, value: T) -> SlotId {
        self.generation = self.generation.wrapping_add(1);
        let index = self.entries.insert((self.generation, value));
        SlotId { index: u32::try_from(index).expect("fewer than 2^32 slots"), generation: self.generation }
    }

    /// The value of `id`, if that tenancy is still on.
    pub fn get(&self, id: SlotId) -> Option<&T> {
        let (generation, value) = self.entries.get(id.index as usize)?;
        (*generation == id.generation).then_some(value)
    }

    /// The value of `id`, to change it.
    pub fn get_mut(&mut self, id: SlotId) -> Option<&mut T> {
        let (generation, value) = self.entries.get_mut(id.index as usize)?;
        (*generation == id.generation).then_some(value)
    }

    /// Ends the tenancy of `id` and returns its value.
    pub fn remove(&mut self, id: SlotId) -> Option<T> {
        self.get(id)?;
        Some(self.entries.remove(id.index as usize).1)
    }

    /// All ids with their values, in the order of the slots.
    pub fn iter(&self) -> impl Iterator<Item = (SlotId, &T)> {
        self.entries.iter().map(|(index, (generation, value))| {
            (SlotId { index: index as u32, generation: *generation }, value)
        })
    }

    /// All values, to change them.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.iter_mut().map(|(_, (_, value))| value)
    }

    /// How many slots are taken.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no slot is taken.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Values kept beside another table's ids: the other table hands out the ids, this one follows.
#[derive(Debug)]
pub struct Beside<T> {
    entries: Vec<Option<(u32, T)>>,
    len: usize,
}

impl<T> Default for Beside<T> {
    fn default() -> Self {
        Beside { entries: Vec::new(), len: 0 }
    }
}

impl<T> Beside<T> {
    /// Keeps `value` under `id`; what an earlier tenant left is dropped.
    pub fn insert(&mut self, id: SlotId, value: T) {
        let index = id.index as usize;
        if index >= self.entries.len() {
            self.entries.resize_with(index + 1, || None);
        }
        if self.entries[index].replace((id.generation, value)).is_none() {
            self.len += 1;
        }
    }

    /// The value kept under `id`.
    pub fn get(&self, id: SlotId) -> Option<&T> {
        let (generation, value) = self.entries.get(id.index as usize)?.as_ref()?;
        (*generation == id.generation).then_some(value)
    }

    /// The value kept under `id`, to change it.
    pub fn get_mut(&mut self, id: SlotId) -> Option<&mut T> {
        let (generation, value) = self.entries.get_mut(id.index as usize)?.as_mut()?;
        (*generation == id.generation).then_some(value)
    }

    /// Takes the value kept under `id`.
    pub fn remove(&mut self, id: SlotId) -> Option<T> {
        self.get(id)?;
        self.len -= 1;
        self.entries[id.index as usize].take().map(|(_, value)| value)
    }

    /// All ids with their values, in the order of the slots.
    pub fn iter(&self) -> impl Iterator<Item = (SlotId, &T)> {
        self.entries.iter().enumerate().filter_map(|(index, entry)| {
            let (generation, value) = entry.as_ref()?;
            Some((SlotId { index: index as u32, generation: *generation }, value))
        })
    }

    /// How many values are kept.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_id_does_not_reach_the_next_tenant() {
        let mut slots = Slots::default();
        let first = slots.insert("a");
        assert_eq!(slots.remove(first), Some("a"));
        let second = slots.insert("b");
        assert_eq!(first.index, second.index);
        assert_eq!(slots.get(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get(second), Some(&"b"));
    }

    #[test]
    fn ids_survive_packing() {
        let id = SlotId { index: 7, generation: u32::MAX };
        assert_eq!(SlotId::unpack(id.pack()), id);
    }

    #[test]
    fn a_table_beside_follows_the_ids_of_the_first() {
        let mut beside = Beside::default();
        let id = SlotId { index: 3, generation: 9 };
        beside.insert(id, 1);
        assert_eq!(beside.get(SlotId { index: 3, generation: 8 }), None);
        beside.insert(SlotId { index: 3, generation: 10 }, 2);
        assert_eq!((beside.len(), beside.remove(id)), (1, None));
        assert_eq!(beside.remove(SlotId { index: 3, generation: 10 }), Some(2));
        assert!(beside.is_empty());
    }
}
