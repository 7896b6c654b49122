//! A matrix to read: where its numbers lie.

use crate::tensor::scalar::Scalar;

/// A matrix to read, row-major or the transpose of a row-major one.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a, F> {
    pub(crate) data: &'a [F],
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub columns: usize,
    /// Distance between neighbours in a column (row-major), or in a row (transposed).
    pub(crate) stride: usize,
    pub(crate) transposed: bool,
    /// Where its rows are (columns, where transposed), if they are not evenly spaced.
    windows: Option<WindowRows<'a>>,
}

/// Rows of a matrix that may begin anywhere, each in several runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowRows<'a> {
    /// Where each row begins.
    pub(crate) places: &'a [usize],
    /// The runs of every row.
    pub(crate) runs: &'a [WindowRun],
    /// The first column, where a transposed matrix was cut.
    pub(crate) first: usize,
}

/// Rows that begin at least this far apart fall into few sets of the first-level cache, and push each other out.
const FAR_APART: usize = 64;

impl WindowRows<'_> {
    /// Whether reading across the rows, one number of each, is slow.
    pub(crate) fn are_far_apart(&self) -> bool {
        matches!(self.places, [first, second, ..] if second - first >= FAR_APART)
    }

    /// How far after a row's beginning its column `i` lies.
    pub(crate) fn shift(&self, i: usize) -> usize {
        let column = self.first + i;
        let run = self.runs[self.runs.partition_point(|run| run.from <= column) - 1];
        run.shift + column - run.from
    }
}

/// Numbers of a row that lie side by side: `length` of them, columns `from` and following, `shift` after the beginning of the row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowRun {
    pub(crate) shift: usize,
    pub(crate) from: usize,
    pub(crate) length: usize,
}

impl<'a, F: Scalar> Matrix<'a, F> {
    /// The row-major matrix in `data`.
    ///
    /// # Panics
    /// If `data` does not hold exactly `rows * columns` numbers: a mistake in a layer, never in a
    /// caller's input.
    pub fn new(data: &'a [F], rows: usize, columns: usize) -> Self {
        assert_eq!(data.len(), rows * columns, "a {rows} x {columns} matrix over other data");
        Self { data, rows, columns, stride: columns, transposed: false, windows: None }
    }

    /// The matrix whose rows begin at these places of `data`, in runs. Rows may overlap.
    pub(crate) fn of_windows(data: &'a [F], windows: WindowRows<'a>) -> Self {
        let columns = windows.runs.iter().map(|run| run.length).sum();
        let rows = windows.places.len();
        Self { data, rows, columns, stride: 0, transposed: false, windows: Some(windows) }
    }

    /// Where its rows are (columns, where transposed), if they are not evenly spaced.
    pub(crate) fn windows(&self) -> Option<WindowRows<'a>> {
        self.windows
    }

    /// The end of a block of at most `depth` columns from `from` on. Windows are not cut within a run.
    pub(crate) fn block_end(&self, from: usize, depth: usize) -> usize {
        let end = (from + depth).min(self.columns);
        match self.windows {
            Some(WindowRows { runs, .. }) if !self.transposed => {
                let first = runs[0].from;
                let ends = runs.iter().map(|run| run.from + run.length - first);
                ends.take_while(|&run_end| run_end <= end).last().unwrap_or(end)
            }
            _ => end,
        }
    }

    /// The transpose, without moving anything.
    #[must_use]
    pub fn t(self) -> Self {
        Self { rows: self.columns, columns: self.rows, transposed: !self.transposed, ..self }
    }

    /// The rows from `from` up to `to`.
    pub(crate) fn rows(self, from: usize, to: usize) -> Self {
        let rows = to - from;
        match self.windows {
            Some(windows) if !self.transposed => Self {
                windows: Some(WindowRows { places: &windows.places[from..to], ..windows }),
                rows,
                ..self
            },
            Some(windows) => {
                Self { windows: Some(WindowRows { first: windows.first + from, ..windows }), rows, ..self }
            }
            _ => {
                let start = if self.transposed { from } else { from * self.stride };
                Self { data: &self.data[start.min(self.data.len())..], rows, ..self }
            }
        }
    }

    /// The columns from `from` up to `to`.
    pub(crate) fn columns(self, from: usize, to: usize) -> Self {
        self.t().rows(from, to).t()
    }

    /// One element.
    pub fn at(&self, row: usize, column: usize) -> F {
        let (outer, inner) = if self.transposed { (column, row) } else { (row, column) };
        self.data[outer * self.stride + inner]
    }
}
