//! Work that is cut in parts of uneven length.

use std::ops::Range;

/// Calls `work` for ranges of at most `at_a_time` of the parts, with the piece of `data` that is theirs: part i
/// begins at `edge(i)`. Threads share the ranges; they are cut by their number alone, never by the threads.
pub(super) fn in_parts<T: Send>(
    parts: Range<usize>,
    at_a_time: usize,
    edge: &(impl Fn(usize) -> usize + Sync),
    data: &mut [T],
    work: &(impl Fn(Range<usize>, &mut [T]) + Sync),
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
