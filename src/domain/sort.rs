//! Stable sorting with one copy of the algorithm.
//!
//! The sort of the standard library adds four kilobytes to the binary for each type and comparison; these
//! functions add a loop.

use std::cmp::Ordering;
use std::mem;

/// Sorts `items` by `compare`. Equal items keep their order.
pub fn sort_by<T>(items: &mut [T], mut compare: impl FnMut(&T, &T) -> Ordering) {
    let order = sort_indices(items.len(), &mut |one, other| compare(&items[one], &items[other]));
    arrange(items, order);
}

/// Sorts `items` by their keys, each of which is computed once. Equal items keep their order.
pub fn sort_by_key<T, K: Ord>(items: &mut [T], key: impl FnMut(&T) -> K) {
    let keys: Vec<K> = items.iter().map(key).collect();
    let order = sort_indices(items.len(), &mut |one, other| keys[one].cmp(&keys[other]));
    arrange(items, order);
}

/// Collects into an ordered map or set by inserting, where `collect` would sort first.
pub fn collect_ordered<C: Default + Extend<T>, T>(items: impl IntoIterator<Item = T>) -> C {
    let mut collection = C::default();
    collection.extend(items);
    collection
}

/// Returns the indices below `count` in their order.
fn sort_indices(count: usize, compare: &mut dyn FnMut(usize, usize) -> Ordering) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|one, other| compare(*one, *other));
    order
}

/// Puts the item at `order[place]` at each place, by swaps along the cycles of the order.
fn arrange<T>(items: &mut [T], mut order: Vec<usize>) {
    for start in 0..order.len() {
        let mut place = start;
        loop {
            let source = mem::replace(&mut order[place], place);
            if source == start {
                break;
            }
            items.swap(place, source);
            place = source;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn items_are_sorted_as_by_the_standard_library(
            items in prop::collection::vec((0..8_u8, any::<u16>()), 0..40),
        ) {
            let mut expected = items.clone();
            expected.sort_by_key(|(key, _)| *key);
            let mut sorted = items.clone();
            sort_by(&mut sorted, |(one, _), (other, _)| one.cmp(other));
            prop_assert_eq!(&sorted, &expected);
            let mut sorted = items;
            sort_by_key(&mut sorted, |(key, _)| *key);
            prop_assert_eq!(&sorted, &expected);
        }
    }
}
