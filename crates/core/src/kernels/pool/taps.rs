//! Which numbers of a map a pooling window covers.

use std::ops::Range;

use crate::kernels::windows::Windows;

/// The taps of a window that lie in the map: a rectangle of the window.
pub struct WindowTaps {
    /// The number of the first one.
    pub(crate) first: u32,
    /// Where its channels begin in the map.
    place: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// The distance to the tap below, in taps: the width of the window.
    taps_down: usize,
    /// The distance to the channels of the tap below.
    down: usize,
    /// The distance to the channels of the next tap.
    right: usize,
}

impl WindowTaps {
    /// The taps of the window at a row and a column of output; `down` are its taps that lie in rows of the map.
    #[inline(always)]
    pub(crate) fn of(windows: &Windows, (row, down): (usize, &Range<usize>), column: usize) -> Self {
        let Windows { width, channels, kernel, stride, dilation, before, .. } = *windows;
        let right = windows.taps_across(column);
        // Of a window without a tap in the map no place is used.
        let top = (row * stride.height + down.start * dilation.height).saturating_sub(before.height);
        let left = (column * stride.width + right.start * dilation.width).saturating_sub(before.width);
        Self {
            first: (down.start * kernel.width + right.start) as u32,
            place: (top * width + left) * channels,
            rows: down.len(),
            columns: right.len(),
            taps_down: kernel.width,
            down: dilation.height * width * channels,
            right: dilation.width * channels,
        }
    }

    /// Calls `f(tap, place)` for each tap, with the place in the map where its channels begin.
    #[inline(always)]
    pub(crate) fn for_each(&self, mut f: impl FnMut(u32, usize)) {
        for row in 0..self.rows {
            for column in 0..self.columns {
                f(
                    self.first + (row * self.taps_down + column) as u32,
                    self.place + row * self.down + column * self.right,
                );
            }
        }
    }

    /// Where the numbers of each row of taps lie in the map. Without dilation they lie side by side.
    #[inline(always)]
    pub(crate) fn runs(&self) -> impl Iterator<Item = Range<usize>> {
        let (place, down, length) = (self.place, self.down, self.columns * self.right);
        (0..self.rows).map(
            #[inline(always)]
            move |row| place + row * down..place + row * down + length,
        )
    }
}
