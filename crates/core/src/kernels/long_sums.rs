//! Sums of more terms than one accumulator can add without losing digits. They are computed in blocks, whose sums are added in `f64`.

use std::ops::Range;

use crate::kernels::Accumulate;
use crate::kernels::buffers::Buffer;
use crate::kernels::scratch::Scratch;
use crate::tensor::scalar::Scalar;

/// Terms in a block. A sum of more than two blocks' terms is computed in blocks. The sum of a block consists of shorter ones: those of a
/// tile, or of some rows of output.
pub(crate) const LONG: usize = 4096;

/// Calls `add` for all parts in order, one range from edge to edge at a time, and tells it whether to overwrite the sums or to add to them.
/// Where there is more than one range, each overwrites, and their sums are added in `f64`.
pub(crate) fn in_blocks<F: Scalar>(
    parts: usize,
    next_edge: impl Fn(usize) -> usize,
    how: Accumulate,
    sums: &mut [F],
    mut add: impl FnMut(Range<usize>, Accumulate, &mut [F]),
) {
    let first = next_edge(0);
    if first >= parts {
        return add(0..parts, how, sums);
    }
    let mut scratch = Scratch::<f64>::take(Buffer::Sums);
    let totals = scratch.first(sums.len());
    let old = |sum: &F| if how == Accumulate::Add { sum.as_f64() } else { 0.0 };
    totals.iter_mut().zip(&*sums).for_each(|(total, sum)| *total = old(sum));
    let mut from = 0;
    while from < parts {
        let to = next_edge(from).min(parts);
        add(from..to, Accumulate::Overwrite, sums);
        totals.iter_mut().zip(&*sums).for_each(|(total, sum)| *total += sum.as_f64());
        from = to;
    }
    sums.iter_mut().zip(&*totals).for_each(|(sum, &total)| *sum = F::from_f64(total));
}

/// Where blocks of long sums end. A line is a row of windows or tiles, `width` of them; `at_a_time` lines are computed together.
pub(crate) fn long_edge(lines: usize, width: usize, at_a_time: usize) -> impl Fn(usize) -> usize {
    let block = LONG.div_ceil(width).next_multiple_of(at_a_time);
    move |from| if lines * width <= 2 * LONG { lines } else { from + block }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_long_sums_cover_all_parts_once() {
        for (parts, at_a_time) in [(10, 3), (9, 3), (1, 5), (0, 4)] {
            for how in [Accumulate::Overwrite, Accumulate::Add] {
                let mut sums = [2.0_f32];
                in_blocks(
                    parts,
                    |from| from + at_a_time,
                    how,
                    &mut sums,
                    |range, how, sums| {
                        let new = range.map(|i| i as f32).sum::<f32>();
                        sums[0] = if how == Accumulate::Add { sums[0] + new } else { new };
                    },
                );
                let start = if how == Accumulate::Add { 2.0 } else { 0.0 };
                assert_eq!(sums[0], start + (0..parts).sum::<usize>() as f32);
            }
        }
    }
}
