//! Sorting by one function for all kinds of things: a generic one is compiled anew for each, and a page loads every byte.

use std::cmp::Ordering;

/// The numbers below `count`, sorted by what each stands for. Equal ones stay in their order.
pub fn in_order(count: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..count).collect();
    numbers.sort_by(|&a, &b| compare(a, b));
    numbers
}
