//! Windows as the rows of a matrix: where each lies in memory, and copies of them side by side.
//!
//! The row of a window is, for each row of the kernel, one run of numbers that lie side by side in the
//! map: so for wide maps of many channels nothing need be copied but the padding.

use std::cell::Cell;
use std::ops::Range;

use crate::kernels::gemm::{Tap, WindowRows};
use crate::kernels::parts::in_pieces;
use crate::kernels::tile::DEPTH;
use crate::kernels::window::Windows;
use crate::scalar::Scalar;
use crate::scratch::{Purpose, Scratch, on_every_thread, ready};

thread_local! {
    static PLACES: Cell<Vec<usize>> = const { Cell::new(Vec::new()) };
    static TAPS: Cell<Vec<Tap>> = const { Cell::new(Vec::new()) };
}

/// The windows of some rows of output, in maps that have their padding around them.
#[derive(Clone, Copy)]
pub(super) struct Strips<'a, F> {
    /// The maps.
    pub(super) data: &'a [F],
    /// Numbers in a row of them.
    pub(super) row: usize,
    /// Where each window lies: its parts in the order of the kernel's weights.
    pub(super) rows: WindowRows<'a>,
}

impl<'a, F> Strips<'a, F> {
    /// From the first number of the windows to the last.
    pub(super) fn covered(&self) -> &'a [F] {
        match (self.rows.places, self.rows.taps) {
            (&[first, ..], &[.., tap]) => {
                let last = self.rows.places.last().copied().unwrap_or(first);
                &self.data[first..last + tap.shift + tap.run]
            }
            _ => &[],
        }
    }
}

/// Numbers of a window that lie side by side.
pub(super) fn run_length(windows: &Windows) -> usize {
    if windows.dilation.width == 1 { windows.kernel.width * windows.channels } else { windows.channels }
}

/// Calls `f` with each run of a window, and where it lies after the window's beginning, in maps with rows of `row` numbers.
#[inline(always)]
pub(super) fn for_each_run(windows: &Windows, row: usize, mut f: impl FnMut(usize, usize)) {
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

/// Lists the parts of a window, in maps with rows of `row` numbers; none longer than a product takes at a time.
fn list_taps(windows: &Windows, row: usize, taps: &mut Vec<Tap>) {
    let run = run_length(windows);
    taps.clear();
    for_each_run(windows, row, |i, shift| {
        for begin in (0..run).step_by(DEPTH) {
            let part = (run - begin).min(DEPTH);
            taps.push(Tap { shift: shift + begin, from: i * run + begin, run: part });
        }
    });
}

/// Most numbers that the strips for so many rows of output can have.
pub(super) fn strip_length(windows: &Windows, rows: usize) -> usize {
    if windows.all_inside() {
        return 0;
    }
    let covered = windows.covered();
    // Whole maps, and at each end a part of one.
    let maps = rows.div_ceil(windows.out_height) + 1;
    let lines = (rows * windows.stride.height + maps * covered.height).min(maps * covered.height);
    lines * covered.width * windows.channels
}

/// Lets every thread take what [`with_strips`] needs for so many rows of output.
pub(super) fn get_ready<F: Scalar>(windows: &Windows, rows: usize) {
    ready::<F>(&[(Purpose::Strips, strip_length(windows, rows))]);
    let run = run_length(windows);
    let (places, taps) = (rows * windows.out_width, windows.window() / run * run.div_ceil(DEPTH));
    // Makes room in this thread's lists, and tells whether there was not enough.
    let reserved = |places: usize, taps: usize| {
        let (mut all_places, mut all_taps) = (PLACES.take(), TAPS.take());
        all_places.clear();
        all_taps.clear();
        let missing = all_places.capacity() < places || all_taps.capacity() < taps;
        all_places.reserve(places);
        all_taps.reserve(taps);
        PLACES.set(all_places);
        TAPS.set(all_taps);
        missing
    };
    if reserved(places, taps) {
        on_every_thread(|| {
            reserved(places, taps);
        });
    }
}

/// Lays out the windows of the rows of output `rows`, counted through all maps of `x`.
pub(super) fn with_strips<F: Scalar, R>(
    x: &[F],
    windows: &Windows,
    rows: Range<usize>,
    work: impl FnOnce(Strips<'_, F>) -> R,
) -> R {
    let (mut places, mut taps) = (PLACES.take(), TAPS.take());
    places.clear();
    let mut scratch = Scratch::take(Purpose::Strips);
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
    list_taps(windows, row, &mut taps);
    let result = work(Strips { data, row, rows: WindowRows { places: &places, taps: &taps, first: 0 } });
    PLACES.set(places);
    TAPS.set(taps);
    result
}

fn push_row(places: &mut Vec<usize>, begin: usize, windows: &Windows) {
    let step = windows.stride.width * windows.channels;
    places.extend((0..windows.out_width).map(|position| begin + position * step));
}

/// Copies what the windows cover, zeros around it.
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

/// Copies every window into a row of `columns`.
pub(super) fn im2col<F: Scalar>(strips: Strips<'_, F>, windows: &Windows, columns: &mut [F]) {
    for (row, &place) in columns.chunks_exact_mut(windows.window()).zip(strips.rows.places) {
        for tap in strips.rows.taps {
            let from = &strips.data[place + tap.shift..][..tap.run];
            row[tap.from..tap.from + tap.run].copy_from_slice(from);
        }
    }
}

/// The opposite of im2col: adds every row of `columns`, a window each, to the numbers of the maps `dx`
/// it was taken from. Numbers that lie in several windows get the sum over all of them.
pub(super) fn col2im<F: Scalar>(columns: &[F], windows: &Windows, dx: &mut [F]) {
    let Windows { kernel, channels, out_width, width, .. } = *windows;
    let window = windows.window();
    let of_map = windows.positions() * window;
    in_pieces(dx, windows.map(), &|map, dx| {
        let columns = &columns[map * of_map..][..of_map];
        dx.fill(F::zero());
        for (position, row) in columns.chunks_exact(window).enumerate() {
            let (y, x) = (position / out_width, position % out_width);
            for (tap, from) in row.chunks_exact(channels).enumerate() {
                let (tap_y, tap_x) = (tap / kernel.width, tap % kernel.width);
                if let (Some(line), Some(column)) = (windows.row(y, tap_y), windows.column(x, tap_x)) {
                    let to = &mut dx[(line * width + column) * channels..][..channels];
                    to.iter_mut().zip(from).for_each(|(to, &from)| *to += from);
                }
            }
        }
    });
}
