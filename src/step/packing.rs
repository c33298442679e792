//! Memory packing: offsets for tensors with known live ranges, in as few bytes as possible.

use std::cmp::Reverse;

/// A tensor to be packed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    /// Bytes, already aligned.
    pub size: u64,
    /// The first program point at which it is alive, as an index over all blocks.
    pub start: u32,
    /// The last program point at which it is alive.
    pub end: u32,
}

impl Item {
    fn meets(&self, other: &Item) -> bool {
        self.start <= other.end && other.start <= self.end
    }
}

/// An offset in bytes for every item. No two items that are alive at once overlap, and none crosses a multiple of `bin`, the largest size
/// of a buffer.
///
/// The problem is NP-hard (dynamic storage allocation), so several first-fit orders are tried, which is cheap: the first that reaches the
/// lower bound (the most bytes alive at once) is taken, otherwise the one with the smallest total.
pub(super) fn pack(items: &[Item], bin: u64) -> Vec<u64> {
    let bound = most_alive(items);
    let mut best: Option<(u64, Vec<u64>)> = None;
    for order in orders(items) {
        let offsets = first_fit(items, &order, bin);
        let total = total(items, &offsets);
        if best.as_ref().is_none_or(|(least, _)| total < *least) {
            best = Some((total, offsets));
        }
        if total <= bound {
            break;
        }
    }
    best.map_or(Vec::new(), |(_, offsets)| offsets)
}

/// The most bytes that are alive at one program point.
pub(super) fn most_alive(items: &[Item]) -> u64 {
    let mut changes: Vec<(u32, bool, u64)> = items.iter().flat_map(|i| [(i.start, true, i.size), (i.end + 1, false, i.size)]).collect();
    changes.sort_unstable();
    let (mut alive, mut most) = (0, 0);
    for (_, born, size) in changes {
        alive = if born { alive + size } else { alive - size };
        most = most.max(alive);
    }
    most
}

fn total(items: &[Item], offsets: &[u64]) -> u64 {
    items.iter().zip(offsets).map(|(item, offset)| offset + item.size).max().unwrap_or(0)
}

fn orders(items: &[Item]) -> [Vec<usize>; 4] {
    let span = |item: &Item| Reverse(item.end - item.start);
    [
        sorted(items, |i| (span(i), Reverse(i.size))),
        sorted(items, |i| (Reverse(i.size), span(i))),
        sorted(items, |i| (i.start, span(i))),
        sorted(items, |i| (Reverse(i.end), span(i))),
    ]
}

fn sorted<K: Ord>(items: &[Item], key: impl Fn(&Item) -> K) -> Vec<usize> {
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by_key(|&i| key(&items[i]));
    order
}

/// Program points of a stretch. Most items live for a few points only, so each is compared with those of its own stretches.
const STRETCH: u32 = 64;

fn first_fit(items: &[Item], order: &[usize], bin: u64) -> Vec<u64> {
    let mut offsets = vec![0; items.len()];
    let last = items.iter().map(|item| item.end).max().unwrap_or(0);
    let mut placed: Vec<Vec<usize>> = vec![Vec::new(); (last / STRETCH + 1) as usize];
    let mut taken: Vec<(u64, u64)> = Vec::new();
    for &i in order {
        let item = items[i];
        let stretches = item.start / STRETCH..=item.end / STRETCH;
        taken.clear();
        for stretch in stretches.clone() {
            // Two items that share several stretches meet in the first of them.
            let meets_here = |p: &&usize| {
                let other = &items[**p];
                other.meets(&item) && other.start.max(item.start) / STRETCH == stretch
            };
            taken.extend(placed[stretch as usize].iter().filter(meets_here).map(|&p| (offsets[p], offsets[p] + items[p].size)));
        }
        taken.sort_unstable();
        offsets[i] = lowest_gap(&taken, item.size, bin);
        stretches.for_each(|stretch| placed[stretch as usize].push(i));
    }
    offsets
}

/// The lowest offset at which `size` bytes overlap none of the sorted ranges and cross no end of a bin.
fn lowest_gap(taken: &[(u64, u64)], size: u64, bin: u64) -> u64 {
    let within_bin = |offset: u64| if offset / bin == (offset + size - 1) / bin { offset } else { offset.next_multiple_of(bin) };
    let mut offset = 0;
    for &(start, end) in taken {
        if offset + size <= start {
            break;
        }
        offset = within_bin(offset.max(end));
    }
    offset
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_alive_at_once_overlaps_and_no_bin_is_crossed() {
        // A fixed pseudo-random sequence: many live ranges and sizes.
        let mut seed = 1u32;
        let mut next = |below: u32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) % below
        };
        let items: Vec<Item> = (0..200)
            .map(|_| {
                let start = next(100);
                Item { size: 256 * u64::from(1 + next(8)), start, end: start + next(20) }
            })
            .collect();
        for bin in [u64::MAX, 4096] {
            let offsets = pack(&items, bin);
            for (i, a) in items.iter().enumerate() {
                assert_eq!(offsets[i] / bin, (offsets[i] + a.size - 1) / bin);
                for (j, b) in items.iter().enumerate().take(i) {
                    let apart = offsets[i] + a.size <= offsets[j] || offsets[j] + b.size <= offsets[i];
                    assert!(apart || !a.meets(b), "{i} and {j} overlap");
                }
            }
        }
    }

    #[test]
    fn nested_live_ranges_take_no_more_than_what_is_alive() {
        let items: Vec<Item> = (0..10).map(|i| Item { size: 256 * (1 + u64::from(i)), start: i, end: 30 - i }).collect();
        let offsets = pack(&items, u64::MAX);
        assert_eq!(total(&items, &offsets), most_alive(&items));
    }
}
