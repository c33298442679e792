//! Loops over independent rows, on as many threads as there are processors.

use std::num::NonZeroUsize;
use std::thread;

/// Calls `write` with the number of every row and that row of each output. An output is its contiguous rows and their width. All outputs
/// have the same number of rows.
///
/// Threads get whole rows, so the result does not depend on the number of threads.
pub(super) fn for_each_row<const COUNT: usize>(
    outputs: [(&mut [f64], usize); COUNT],
    write: impl Fn(usize, [&mut [f64]; COUNT]) + Copy + Send,
) {
    let (values, cols) = &outputs[0];
    let rows = values.len() / cols;
    // In a browser's worker the parallelism is unknown, and no thread can be started.
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(rows.div_ceil(ROWS_OF_A_THREAD));
    let share = rows.div_ceil(threads.max(1));
    thread::scope(|scope| {
        let mut rest = outputs;
        for first in (0..rows).step_by(share.max(1)) {
            let count = share.min(rows - first);
            let mut mine = Vec::with_capacity(COUNT);
            rest = rest.map(|(values, cols)| {
                let (head, tail) = values.split_at_mut(count * cols);
                mine.push(head.chunks_exact_mut(cols));
                (tail, cols)
            });
            let mut work = move || {
                for i in first..first + count {
                    let mut rows = mine.iter_mut().map(|rows| rows.next().expect("as many rows in each output"));
                    write(i, std::array::from_fn(|_| rows.next().expect("a row of each output")));
                }
            };
            if threads > 1 {
                scope.spawn(work);
            } else {
                work();
            }
        }
    });
}

/// The fewest rows that are worth a thread.
const ROWS_OF_A_THREAD: usize = 16;

/// `Σ a[i] · b[i]`, in four independent sums that a processor can compute in parallel.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 4];
    for (a, b) in a.chunks_exact(4).zip(b.chunks_exact(4)) {
        for lane in 0..4 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.into_iter().sum()
}

/// `sum += factor · x`.
pub(super) fn add_scaled(sum: &mut [f64], factor: f64, x: &[f64]) {
    for (sum, x) in sum.iter_mut().zip(x) {
        *sum += factor * x;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_every_output_is_written_once() {
        for rows in [0, 1, 15, 16, 17, 100] {
            let (mut a, mut b) = (vec![0.0; rows * 2], vec![0.0; rows]);
            for_each_row([(&mut a, 2), (&mut b, 1)], |i, [a, b]| {
                a[1] += i as f64;
                b[0] += 1.0;
            });
            assert!(a.chunks_exact(2).enumerate().all(|(i, row)| row == [0.0, i as f64]));
            assert!(b.iter().all(|&count| count == 1.0));
        }
    }
}
