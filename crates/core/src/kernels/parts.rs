//! Work that is cut into parts for several threads.
//!
//! The work is a `dyn Fn`. So the compiler makes the code for threads once for a type of numbers, and not once for every kernel.

use std::ops::Range;

use rayon::prelude::*;

/// Work on a range of parts, with the piece of the data that belongs to them.
type OnParts<'a, T> = &'a (dyn Fn(Range<usize>, &mut [T]) + Sync);

/// Calls `work` for ranges of at most `at_a_time` parts, each with the piece of `data` that belongs to it. Part i begins at `edge(i)`. The
/// number of parts decides how they are cut, never the number of threads.
pub(crate) fn in_parts<T: Send>(
    parts: Range<usize>,
    at_a_time: usize,
    edge: &(dyn Fn(usize) -> usize + Sync),
    data: &mut [T],
    work: OnParts<'_, T>,
) {
    if parts.len() <= at_a_time {
        return work(parts, data);
    }
    let middle = parts.start + parts.len() / 2;
    let (before, after) = data.split_at_mut(edge(middle) - edge(parts.start));
    rayon::join(
        || in_parts(parts.start..middle, at_a_time, edge, before, work),
        || in_parts(middle..parts.end, at_a_time, edge, after, work),
    );
}

/// Work on pieces of slices of equal length: several to change, and one to read.
type OnPieces<'a, T, const M: usize> = &'a (dyn Fn([&mut [T]; M], &[T]) + Sync);

/// Cuts slices of equal length into halves until they have at most `longest` numbers, and calls `work` for the pieces.
pub(crate) fn in_halves<T: Send + Sync, const M: usize>(
    to: [&mut [T]; M],
    from: &[T],
    longest: usize,
    work: OnPieces<'_, T, M>,
) {
    if from.len() <= longest {
        return work(to, from);
    }
    let middle = from.len() / 2;
    let mut after: [&mut [T]; M] = std::array::from_fn(|_| Default::default());
    let mut i = 0;
    let before = to.map(|slice| {
        let (first, second) = slice.split_at_mut(middle);
        after[i] = second;
        i += 1;
        first
    });
    let (first, second) = from.split_at(middle);
    rayon::join(|| in_halves(before, first, longest, work), || in_halves(after, second, longest, work));
}

/// Calls `work` for pieces of `size` numbers, each with its number, counted from 0.
pub(crate) fn in_pieces<T: Send>(data: &mut [T], size: usize, work: &(dyn Fn(usize, &mut [T]) + Sync)) {
    if data.len() <= size {
        if !data.is_empty() {
            work(0, data);
        }
        return;
    }
    data.par_chunks_mut(size).enumerate().for_each(|(i, piece)| work(i, piece));
}

/// Work on the pieces of two slices that belong together.
type OnTwo<'a, T> = &'a (dyn Fn(usize, [&mut [T]; 2]) + Sync);

/// As [`in_pieces`], for two slices with pieces of different sizes.
pub(crate) fn in_two<T: Send>(data: [&mut [T]; 2], sizes: [usize; 2], work: OnTwo<'_, T>) {
    if data[0].len() <= sizes[0] {
        return work(0, data);
    }
    let [first, second] = data;
    let pieces = first.par_chunks_mut(sizes[0]).zip(second.par_chunks_mut(sizes[1]));
    pieces.enumerate().for_each(|(i, (first, second))| work(i, [first, second]));
}
