//! Lists of ids with fast look-up.

use std::ops::Deref;

use crate::id::Id;

/// Distinct ids in the order in which they were given; at most [`super::MAX_VALUES`]. Looking one up takes a binary search.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ids {
    given: Box<[Id]>,
    /// Positions in `given`, by id.
    sorted: Box<[u16]>,
}

impl Ids {
    /// The ids without repeats.
    pub(super) fn new(ids: impl IntoIterator<Item = Id>) -> Self {
        let mut numbered: Vec<(usize, Id)> = ids.into_iter().enumerate().collect();
        numbered.sort_by(|(_, a), (_, b)| a.cmp(b));
        numbered.dedup_by(|(_, later), (_, first)| later == first);
        numbered.sort_by_key(|(position, _)| *position);
        let given: Box<[Id]> = numbered.into_iter().map(|(_, id)| id).collect();
        let mut sorted: Box<[u16]> = (0..given.len()).filter_map(|position| position.try_into().ok()).collect();
        sorted.sort_by(|a, b| given[usize::from(*a)].cmp(&given[usize::from(*b)]));
        Self { given, sorted }
    }

    /// Returns true if the id is listed.
    pub fn has(&self, id: &str) -> bool {
        self.sorted.binary_search_by(|position| self.given[usize::from(*position)].as_str().cmp(id)).is_ok()
    }
}

impl Deref for Ids {
    type Target = [Id];

    fn deref(&self) -> &[Id] {
        &self.given
    }
}
