//! The factors of a matrix product, copied into the order in which its tiles read them.

use crate::kernels::gemm::matrix::{Matrix, WindowRows};
use crate::kernels::parts::in_parts;
use crate::kernels::scratch::Scratch;
use crate::tensor::scalar::Scalar;

/// Numbers in a vector, and vectors side by side in a tile.
#[derive(Clone, Copy)]
pub(crate) struct PanelSize {
    pub(crate) lanes: usize,
    pub(crate) vectors: usize,
}

/// A transposed left factor longer than this is copied.
const COPY_LEFT_ABOVE: usize = 64;
/// A right factor is copied if the left factor has at least this many rows.
const COPY_RIGHT_FROM: usize = 48;
/// Rows of a panel that stay in the first-level cache while it is filled by columns.
const ROWS_IN_CACHE: usize = 32;
/// Fewer numbers than this are copied by one thread.
const NUMBERS_AT_A_TIME: usize = 32 * 1024;

/// Columns of the right factor, a few vectors of them.
pub(crate) struct Panel {
    pub(crate) from: usize,
    pub(crate) width: usize,
    pub(crate) vectors: usize,
    lanes: usize,
}

impl Panel {
    /// The number of columns, filled up to whole vectors.
    fn padded(&self) -> usize {
        self.vectors * self.lanes
    }
}

/// The first column of panel `i`. Panels are as even as possible: a panel of a single vector has too few sums to keep the processor busy.
#[inline(always)]
fn panel_edge(columns: usize, size: PanelSize, i: usize) -> usize {
    let vectors = columns.div_ceil(size.lanes);
    (vectors * i).div_ceil(vectors.div_ceil(size.vectors)) * size.lanes
}

fn panel_count(columns: usize, size: PanelSize) -> usize {
    columns.div_ceil(size.lanes).div_ceil(size.vectors)
}

/// Cuts columns into panels.
#[inline(always)]
pub(crate) fn panels(columns: usize, size: PanelSize) -> impl Iterator<Item = Panel> {
    let lanes = size.lanes;
    (0..panel_count(columns, size)).map(move |i| {
        let (from, to) = (panel_edge(columns, size, i), panel_edge(columns, size, i + 1));
        Panel { from, width: to.min(columns) - from, vectors: (to - from) / lanes, lanes }
    })
}

/// A right factor, or a block of one: where it is, and the panels that were copied.
#[derive(Clone, Copy)]
pub(crate) struct RightBlock<'a, F> {
    matrix: Matrix<'a, F>,
    copied: &'a [F],
    /// Columns from here on were copied.
    copied_from: usize,
    /// Rows that were copied, and the first of them that belongs to the block.
    rows: usize,
    first: usize,
}

/// A panel of the right factor: rows of vectors, this far apart.
#[derive(Clone, Copy)]
pub(crate) struct Right<'a, F> {
    pub(crate) data: &'a [F],
    pub(crate) stride: usize,
}

/// Whether a right factor is read faster when it was copied.
pub(crate) fn worth_copying<F: Scalar>(b: Matrix<'_, F>, readers: usize) -> bool {
    b.transposed || readers >= COPY_RIGHT_FROM
}

/// Copies the panels that are transposed, not whole, or read often enough to pay for it.
pub(crate) fn copy_right<'a, F: Scalar>(
    b: Matrix<'a, F>,
    readers: usize,
    size: PanelSize,
    scratch: &'a mut Scratch<F>,
) -> RightBlock<'a, F> {
    let lanes = size.lanes;
    let whole = b.columns.is_multiple_of(lanes);
    let last = panels(b.columns, size).last().map_or(0, |panel| panel.from);
    let copied_from = if worth_copying(b, readers) {
        0
    } else if whole {
        b.columns
    } else {
        last
    };
    let copied_columns = (b.columns - copied_from).next_multiple_of(lanes);
    let buffer = scratch.first(b.rows * copied_columns);
    for panel in panels(b.columns, size).filter(|panel| panel.from >= copied_from) {
        let to = &mut buffer[(panel.from - copied_from) * b.rows..][..panel.padded() * b.rows];
        copy_panel(b.columns(panel.from, panel.from + panel.width), to, panel.padded());
    }
    RightBlock { matrix: b, copied: buffer, copied_from, rows: b.rows, first: 0 }
}

/// Copies all panels, by several threads.
pub(crate) fn copy_whole<'a, F: Scalar>(
    b: Matrix<'a, F>,
    size: PanelSize,
    scratch: &'a mut Scratch<F>,
) -> RightBlock<'a, F> {
    let buffer = scratch.first(b.rows * b.columns.next_multiple_of(size.lanes));
    let edge = |panel: usize| panel_edge(b.columns, size, panel) * b.rows;
    let at_a_time = NUMBERS_AT_A_TIME.div_ceil(b.rows * size.vectors * size.lanes);
    in_parts(0..panel_count(b.columns, size), at_a_time, &edge, buffer, &|part, mut to: &mut [F]| {
        for panel in panels(b.columns, size).take(part.end).skip(part.start) {
            let here = to.split_off_mut(..panel.padded() * b.rows).unwrap_or_default();
            copy_panel(b.columns(panel.from, panel.from + panel.width), here, panel.padded());
        }
    });
    RightBlock { matrix: b, copied: buffer, copied_from: 0, rows: b.rows, first: 0 }
}

fn copy_panel<F: Scalar>(panel: Matrix<'_, F>, to: &mut [F], padded: usize) {
    if panel.columns < padded {
        to.fill(F::zero());
    }
    if !panel.transposed {
        for (row, from) in to.chunks_exact_mut(padded).zip(panel.data.chunks(panel.stride)) {
            row[..panel.columns].copy_from_slice(&from[..panel.columns]);
        }
        return;
    }
    for (i, rows) in to.chunks_mut(ROWS_IN_CACHE * padded).enumerate() {
        let count = rows.len() / padded;
        for (j, column) in panel.data.chunks(panel.stride).take(panel.columns).enumerate() {
            let column = &column[i * ROWS_IN_CACHE..][..count];
            for (row, &value) in rows.chunks_exact_mut(padded).zip(column) {
                row[j] = value;
            }
        }
    }
}

impl<'a, F: Scalar> RightBlock<'a, F> {
    /// The number of columns.
    pub(crate) fn columns(&self) -> usize {
        self.matrix.columns
    }

    /// Without the first rows, where all columns were copied.
    pub(crate) fn below(self, rows: usize) -> Self {
        Self { first: self.first + rows, ..self }
    }

    pub(crate) fn panel(&self, panel: &Panel) -> Right<'a, F> {
        if panel.from >= self.copied_from {
            let begin = (panel.from - self.copied_from) * self.rows + self.first * panel.padded();
            Right { data: &self.copied[begin..], stride: panel.padded() }
        } else {
            Right { data: &self.matrix.data[panel.from..], stride: self.matrix.stride }
        }
    }
}

/// Rows of the left factor, and how far apart they or their columns are.
#[derive(Clone, Copy)]
pub(crate) enum Left<'a, F> {
    /// Each row is contiguous.
    Rows(&'a [F], usize),
    /// Rows begin anywhere and consist of contiguous runs.
    Windows(&'a [F], WindowRows<'a>),
    /// Columns are windows, which begin anywhere: a row is one number of each.
    WindowColumns(&'a [F], WindowRows<'a>),
    /// Each column is contiguous.
    Columns(&'a [F], usize),
}

impl<F> Left<'_, F> {
    /// Without the first rows.
    #[inline(always)]
    pub(crate) fn below(self, rows: usize) -> Self {
        match self {
            Self::Rows(data, stride) => Self::Rows(&data[rows * stride..], stride),
            Self::Windows(data, windows) => {
                Self::Windows(data, WindowRows { places: &windows.places[rows..], ..windows })
            }
            Self::WindowColumns(data, windows) => {
                Self::WindowColumns(data, WindowRows { first: windows.first + rows, ..windows })
            }
            Self::Columns(data, stride) => Self::Columns(&data[rows..], stride),
        }
    }
}

/// A block of rows of the left factor.
#[derive(Clone, Copy)]
pub(crate) enum LeftBlock<'a, F> {
    /// In one piece, where it is or copied.
    Whole(Left<'a, F>),
    /// Copied tile by tile, in each tile column by column: the number of columns, and the number of rows of a tile.
    Tiles(&'a [F], usize, usize),
}

impl<'a, F> LeftBlock<'a, F> {
    /// From a tile's first row on.
    #[inline(always)]
    pub(crate) fn below(self, row: usize) -> Left<'a, F> {
        match self {
            Self::Whole(left) => left.below(row),
            Self::Tiles(data, depth, rows) => Left::Columns(&data[row * depth..], rows),
        }
    }
}

/// Copies the columns of a long transposed left factor tile by tile, `ROWS` numbers each. Rows are read
/// as fast where they are.
pub(crate) fn copy_left<'a, F: Scalar, const ROWS: usize>(
    a: Matrix<'a, F>,
    scratch: &'a mut Scratch<F>,
) -> LeftBlock<'a, F> {
    match (a.transposed, a.windows(), a.columns > COPY_LEFT_ABOVE) {
        (true, None, true) => {
            let buffer = scratch.first(a.rows.next_multiple_of(ROWS) * a.columns);
            copy_columns::<F, ROWS>(a, buffer);
            LeftBlock::Tiles(buffer, a.columns, ROWS)
        }
        (true, Some(windows), _) if windows.are_far_apart() => {
            let buffer = scratch.first(a.rows.next_multiple_of(ROWS) * a.columns);
            copy_windows::<F, ROWS>(a.data, windows, a.rows, buffer);
            LeftBlock::Tiles(buffer, a.columns, ROWS)
        }
        (true, Some(windows), _) => LeftBlock::Whole(Left::WindowColumns(a.data, windows)),
        (true, None, false) => LeftBlock::Whole(Left::Columns(a.data, a.stride)),
        (false, Some(windows), _) => {
            let run_at = |column| windows.runs.partition_point(|run| run.from < column);
            let runs = &windows.runs[run_at(windows.first)..run_at(windows.first + a.columns)];
            LeftBlock::Whole(Left::Windows(a.data, WindowRows { runs, ..windows }))
        }
        (false, None, _) => LeftBlock::Whole(Left::Rows(a.data, a.stride)),
    }
}

/// Columns that are copied together to every tile, so that they stay in the first-level cache.
const COLUMNS_IN_CACHE: usize = 16;

fn copy_columns<F: Scalar, const ROWS: usize>(a: Matrix<'_, F>, buffer: &mut [F]) {
    for first in (0..a.columns).step_by(COLUMNS_IN_CACHE) {
        let last = (first + COLUMNS_IN_CACHE).min(a.columns);
        for (i, tile) in buffer.chunks_exact_mut(ROWS * a.columns).enumerate() {
            let rows = ROWS.min(a.rows - i * ROWS);
            for (k, column) in (first..last).zip(tile[first * ROWS..].chunks_exact_mut(ROWS)) {
                let from = &a.data[k * a.stride + i * ROWS..][..rows];
                if rows == ROWS {
                    column.copy_from_slice(&from[..ROWS]);
                } else {
                    column[..rows].copy_from_slice(from);
                }
            }
        }
    }
}

/// As [`copy_columns`], where the columns are windows.
fn copy_windows<F: Scalar, const ROWS: usize>(
    data: &[F],
    windows: WindowRows<'_>,
    rows: usize,
    buffer: &mut [F],
) {
    let depth = windows.places.len();
    for (block, places) in windows.places.chunks(COLUMNS_IN_CACHE).enumerate() {
        for (i, tile) in buffer.chunks_exact_mut(ROWS * depth).enumerate() {
            let shifts: [usize; ROWS] = std::array::from_fn(|r| windows.shift((i * ROWS + r).min(rows - 1)));
            let side_by_side = shifts[ROWS - 1] == shifts[0] + ROWS - 1;
            let columns = tile[block * COLUMNS_IN_CACHE * ROWS..].chunks_exact_mut(ROWS);
            for (&place, column) in places.iter().zip(columns) {
                if side_by_side {
                    column.copy_from_slice(&data[place + shifts[0]..][..ROWS]);
                } else {
                    column.iter_mut().zip(shifts).for_each(|(to, shift)| *to = data[place + shift]);
                }
            }
        }
    }
}
