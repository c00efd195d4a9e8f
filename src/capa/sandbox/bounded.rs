//! A map of bounded size.
//!
//! It holds the sandbox's users, sessions and notifications, so that a load run of a week cannot fill the memory.
//! Order is that of the first insertion; replacing an entry does not make it younger.

use std::borrow::Borrow;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// A map that forgets its oldest entry when it is full.
pub(super) struct Bounded<K, V> {
    entries: HashMap<K, V>,
    order: VecDeque<K>,
    limit: usize,
}

impl<K: Clone + Eq + Hash, V> Bounded<K, V> {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            entries: HashMap::new(),
            order: VecDeque::new(),
            limit,
        }
    }

    pub(super) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key)
    }

    pub(super) fn get_mut<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.entries.get_mut(key)
    }

    /// Adds an entry and answers the one that had to go for it.
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<(K, V)> {
        if self.entries.insert(key.clone(), value).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() <= self.limit {
            return None;
        }
        self.order
            .pop_front()
            .and_then(|oldest| self.entries.remove_entry(&oldest))
    }

    pub(super) fn newest_first(&self) -> impl Iterator<Item = (&K, &V)> {
        let entry = |key| self.entries.get_key_value(key);
        self.order.iter().rev().filter_map(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::Bounded;

    #[test]
    fn a_full_map_forgets_its_oldest_entry() {
        let mut map = Bounded::new(2);
        assert_eq!(map.insert("a", 1), None);
        assert_eq!(map.insert("b", 2), None);
        assert_eq!(map.insert("b", 3), None);
        assert_eq!(map.insert("c", 4), Some(("a", 1)));
        let left: Vec<_> = map.newest_first().collect();
        assert_eq!(left, [(&"c", &4), (&"b", &3)]);
    }
}
