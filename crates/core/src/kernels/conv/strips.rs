//! Windows as the rows of a matrix, where they lie in the maps.
//!
//! A window has one run of neighbouring numbers for each row of the kernel. So a product can read the windows in the maps, and
//! only maps with padding are copied: in strips, which are some rows of a map with the padding around them.

use std::cell::Cell;
use std::ops::Range;

use crate::kernels::buffers::Buffer;
use crate::kernels::gemm::matrix::{Matrix, WindowRows, WindowRun};
use crate::kernels::gemm::tile::DEPTH;
use crate::kernels::scratch::{Scratch, on_every_thread, ready};
use crate::kernels::windows::Windows;
use crate::tensor::scalar::Scalar;

thread_local! {
    static PLACES: Cell<Vec<usize>> = const { Cell::new(Vec::new()) };
    static RUNS: Cell<Vec<WindowRun>> = const { Cell::new(Vec::new()) };
}

/// The windows of some rows of output, in maps that have their padding around them.
#[derive(Clone, Copy)]
pub(crate) struct Strips<'a, F> {
    /// The maps.
    pub(crate) data: &'a [F],
    /// Numbers in a row of them.
    pub(crate) row: usize,
    /// Where each window lies; its runs are in the order of the kernel's weights.
    pub(crate) rows: WindowRows<'a>,
}

impl<'a, F: Scalar> Strips<'a, F> {
    /// The matrix whose rows are the windows.
    pub(crate) fn matrix(&self) -> Matrix<'a, F> {
        Matrix::of_windows(self.data, self.rows)
    }

    /// From the first number of the windows to the last.
    pub(crate) fn covered(&self) -> &'a [F] {
        match (self.rows.places, self.rows.runs) {
            (&[first, ..], &[.., run]) => {
                let last = self.rows.places.last().copied().unwrap_or(first);
                &self.data[first..last + run.shift + run.length]
            }
            _ => &[],
        }
    }
}

/// Numbers of a window that lie side by side.
pub(crate) fn run_length(windows: &Windows) -> usize {
    if windows.dilation.width == 1 { windows.kernel.width * windows.channels } else { windows.channels }
}

/// Calls `f` with each run of a window, and where it lies after the window's beginning, in maps with rows of `row` numbers.
#[inline(always)]
pub(crate) fn for_each_run(windows: &Windows, row: usize, mut f: impl FnMut(usize, usize)) {
    let across = windows.kernel.width * windows.channels / run_length(windows);
    for u in 0..windows.kernel.height {
        for v in 0..across {
            f(
                u * across + v,
                u * windows.dilation.height * row + v * windows.dilation.width * windows.channels,
            );
        }
    }
}

/// Lists the runs of a window, in maps with rows of `row` numbers; none longer than a product takes at a time.
fn list_runs(windows: &Windows, row: usize, runs: &mut Vec<WindowRun>) {
    let length = run_length(windows);
    runs.clear();
    for_each_run(windows, row, |i, shift| {
        for begin in (0..length).step_by(DEPTH) {
            let part = (length - begin).min(DEPTH);
            runs.push(WindowRun { shift: shift + begin, from: i * length + begin, length: part });
        }
    });
}

/// The most numbers that the strips for this number of rows of output can have.
pub(crate) fn strip_length(windows: &Windows, rows: usize) -> usize {
    if windows.all_inside() {
        return 0;
    }
    let covered = windows.covered();
    // Whole maps, and a part of a map at each end.
    let maps = rows.div_ceil(windows.out_height) + 1;
    let lines = (rows * windows.stride.height + maps * covered.height).min(maps * covered.height);
    lines * covered.width * windows.channels
}

/// Makes room in the buffers of every thread for [`with_strips`] with this number of rows of output.
pub(crate) fn get_ready<F: Scalar>(windows: &Windows, rows: usize) {
    ready::<F>(&[(Buffer::Strips, strip_length(windows, rows))]);
    let run = run_length(windows);
    let (places, runs) = (rows * windows.out_width, windows.window() / run * run.div_ceil(DEPTH));
    // Makes room in this thread's lists. Returns whether there was too little.
    let reserved = |places: usize, runs: usize| {
        let (mut all_places, mut all_runs) = (PLACES.take(), RUNS.take());
        all_places.clear();
        all_runs.clear();
        let missing = all_places.capacity() < places || all_runs.capacity() < runs;
        all_places.reserve(places);
        all_runs.reserve(runs);
        PLACES.set(all_places);
        RUNS.set(all_runs);
        missing
    };
    if reserved(places, runs) {
        on_every_thread(|| {
            reserved(places, runs);
        });
    }
}

/// Calls `work` with the windows of some rows of output, which are numbered through all maps of `x`.
pub(crate) fn with_strips<F: Scalar, R>(
    x: &[F],
    windows: &Windows,
    rows: Range<usize>,
    work: impl FnOnce(Strips<'_, F>) -> R,
) -> R {
    let (mut places, mut runs) = (PLACES.take(), RUNS.take());
    places.clear();
    let mut scratch = Scratch::take(Buffer::Strips);
    let (data, row) = if windows.all_inside() {
        let row = windows.width * windows.channels;
        for at in rows {
            let (map, row_of_output) = (at / windows.out_height, at % windows.out_height);
            let begin = map * windows.map() + row_of_output * windows.stride.height * row;
            push_row(&mut places, begin, windows);
        }
        (x, row)
    } else {
        let row = windows.covered().width * windows.channels;
        let buffer = scratch.first(strip_length(windows, rows.len()));
        copy_strips(x, windows, rows, buffer, &mut places);
        (&*buffer, row)
    };
    list_runs(windows, row, &mut runs);
    let result = work(Strips { data, row, rows: WindowRows { places: &places, runs: &runs, first: 0 } });
    PLACES.set(places);
    RUNS.set(runs);
    result
}

fn push_row(places: &mut Vec<usize>, begin: usize, windows: &Windows) {
    let step = windows.stride.width * windows.channels;
    places.extend((0..windows.out_width).map(|position| begin + position * step));
}

/// Copies the part of the maps that the windows cover, with zeros around it.
fn copy_strips<F: Scalar>(
    x: &[F],
    windows: &Windows,
    rows: Range<usize>,
    buffer: &mut [F],
    places: &mut Vec<usize>,
) {
    let Windows { height, width, channels, out_height, stride, before, .. } = *windows;
    let covered = windows.covered();
    let row = covered.width * channels;
    let left = before.width.min(covered.width);
    let inside = width.min(covered.width - left);
    let span = (windows.kernel.height - 1) * windows.dilation.height + 1;
    let (mut filled, mut at) = (0, rows.start);
    while at < rows.end {
        let (map, first) = (at / out_height, at % out_height);
        let last = (first + rows.end - at).min(out_height);
        for i in 0..last - first {
            push_row(places, filled + i * stride.height * row, windows);
        }
        let top = first * stride.height;
        for line in top..(last - 1) * stride.height + span {
            let to = &mut buffer[filled..filled + row];
            filled += row;
            match line.checked_sub(before.height).filter(|&line| line < height) {
                Some(line) => {
                    let from = &x[(map * height + line) * width * channels..][..inside * channels];
                    to[..left * channels].fill(F::zero());
                    to[left * channels..][..from.len()].copy_from_slice(from);
                    to[(left + inside) * channels..].fill(F::zero());
                }
                None => to.fill(F::zero()),
            }
        }
        at += last - first;
    }
}
