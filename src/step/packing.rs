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

/// An item with its offset.
#[derive(Clone, Copy)]
struct Placed {
    item: Item,
    offset: u64,
}

impl Placed {
    fn end(&self) -> u64 {
        self.offset + self.item.size
    }
}

fn first_fit(items: &[Item], order: &[usize], bin: u64) -> Vec<u64> {
    let mut offsets = vec![0; items.len()];
    let last = items.iter().map(|item| item.end).max().unwrap_or(0);
    // Of each stretch, by their offsets.
    let mut placed: Vec<Vec<Placed>> = vec![Vec::new(); (last / STRETCH + 1) as usize];
    for &i in order {
        let item = items[i];
        let stretches = &mut placed[(item.start / STRETCH) as usize..=(item.end / STRETCH) as usize];
        let offset = lowest_gap(stretches, &item, bin);
        for stretch in stretches {
            let place = stretch.partition_point(|other| other.offset <= offset);
            stretch.insert(place, Placed { item, offset });
        }
        offsets[i] = offset;
    }
    offsets
}

/// The lowest offset at which an item overlaps none that are alive with it and crosses no end of a bin.
fn lowest_gap(stretches: &[Vec<Placed>], item: &Item, bin: u64) -> u64 {
    let size = item.size;
    let within_bin = |offset: u64| if offset / bin == (offset + size - 1) / bin { offset } else { offset.next_multiple_of(bin) };
    let (mut offset, mut seen) = (0, vec![0; stretches.len()]);
    loop {
        let before = offset;
        for (stretch, seen) in stretches.iter().zip(&mut seen) {
            // Whatever starts below the end of the gap and ends above its start rules out all offsets below its own end.
            while let Some(other) = stretch.get(*seen).filter(|other| other.offset < offset + size) {
                *seen += 1;
                if other.end() > offset && other.item.meets(item) {
                    offset = within_bin(other.end());
                }
            }
        }
        if offset == before {
            return offset;
        }
    }
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
