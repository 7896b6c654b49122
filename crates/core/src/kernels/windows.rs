//! Where the windows of convolutions and poolings lie.

use std::fmt;
use std::ops::Range;

use crate::tensor::shape::product;

/// A length along the height and one along the width. `3.into()` is 3 along both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// Along the height.
    pub height: usize,
    /// Along the width.
    pub width: usize,
}

impl From<usize> for Pair {
    fn from(both: usize) -> Self {
        Self { height: both, width: both }
    }
}

impl From<[usize; 2]> for Pair {
    fn from([height, width]: [usize; 2]) -> Self {
        Self { height, width }
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.height, self.width)
    }
}

/// Zeros around a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Padding {
    /// None: every window lies inside the map.
    #[default]
    Valid,
    /// The number that makes the output ceil(input / stride) long. Where it is odd, the last zero is below or to the right, as in Keras for
    /// any stride and as in PyTorch for stride 1.
    Same,
    /// This many above and below (`height`), and left and right (`width`).
    Explicit(Pair),
}

impl From<usize> for Padding {
    fn from(each_side: usize) -> Self {
        Self::Explicit(each_side.into())
    }
}

impl From<[usize; 2]> for Padding {
    fn from(sides: [usize; 2]) -> Self {
        Self::Explicit(sides.into())
    }
}

impl fmt::Display for Padding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Valid => f.write_str("valid"),
            Self::Same => f.write_str("same"),
            Self::Explicit(pair) => pair.fmt(f),
        }
    }
}

/// Whether there is a last window that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rounding {
    /// There is none: the output length is rounded down.
    #[default]
    Floor,
    /// The output length is rounded up. A last window is added where less than a stride of it lies outside; numbers outside of the map do
    /// not count. As in PyTorch, every window begins inside the map or its padding above and left.
    Ceil,
}

/// How windows are laid over a map, whatever its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowLayout {
    /// Size of the window.
    pub kernel: Pair,
    /// Distance between neighbouring windows.
    pub stride: Pair,
    /// Distance between neighbouring numbers of a window.
    pub dilation: Pair,
    /// Zeros around the map.
    pub padding: Padding,
    /// What becomes of a last window that does not fit.
    pub rounding: Rounding,
    /// Whether all zeros of the padding lie before the map. Then no window reaches beyond the number at its own place.
    pub causal: bool,
}

/// The settings that are not the default ones: `, stride 2x2, padding same`.
impl fmt::Display for WindowLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = Pair::from(1);
        if self.stride != one {
            write!(f, ", stride {}", self.stride)?;
        }
        if self.dilation != one {
            write!(f, ", dilation {}", self.dilation)?;
        }
        if self.padding != Padding::Valid {
            write!(f, ", padding {}", self.padding)?;
        }
        Ok(())
    }
}

/// The largest kernel, stride, dilation or padding along one axis. With these no sum or product of two overflows.
const MOST_ALONG: usize = 1 << 24;
/// The most numbers in a padded map, in a window and in an output of as many channels.
const MOST_NUMBERS: usize = 1 << 40;

/// Why windows cannot be laid over a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// What is expected.
    pub expected: String,
    /// What was given.
    pub got: String,
}

/// The windows over one map of a known size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// Of the map.
    pub height: usize,
    /// Of the map.
    pub width: usize,
    /// Of the map.
    pub channels: usize,
    /// Number of windows below each other.
    pub out_height: usize,
    /// Number of windows side by side.
    pub out_width: usize,
    /// Size of a window.
    pub kernel: Pair,
    /// Distance between neighbouring windows.
    pub stride: Pair,
    /// Distance between neighbouring numbers of a window.
    pub dilation: Pair,
    /// Zeros above and left of the map.
    pub before: Pair,
    /// Zeros below and right of the map, as the padding says.
    pub after: Pair,
}

impl WindowLayout {
    /// Windows of this size with stride 1, dilation 1 and no padding.
    pub fn new(kernel: impl Into<Pair>) -> Self {
        Self {
            kernel: kernel.into(),
            stride: 1.into(),
            dilation: 1.into(),
            padding: Padding::Valid,
            rounding: Rounding::Floor,
            causal: false,
        }
    }

    /// Lays the windows over maps `[height, width, channels]`.
    ///
    /// # Errors
    /// If a length is 0, the input has other axes, or not a single window fits.
    pub fn over(&self, input: &[usize]) -> Result<Windows, Misfit> {
        let misfit = |expected: &str, got: String| Misfit { expected: expected.to_owned(), got };
        self.check()?;
        let &[height, width, channels] = input else {
            return Err(misfit("[height, width, channels]", format!("{input:?}")));
        };
        if product(input) > MOST_NUMBERS {
            return Err(misfit(&format!("a map of at most {MOST_NUMBERS} numbers"), format!("{input:?}")));
        }
        let vertical = self.axis(height, |pair| pair.height);
        let horizontal = self.axis(width, |pair| pair.width);
        let (Some((out_height, above, below)), Some((out_width, left, right))) = (vertical, horizontal)
        else {
            let needed = |along: fn(Pair) -> usize| match self.rounding {
                Rounding::Floor => self.span(along),
                Rounding::Ceil => (self.span(along) + 1).saturating_sub(along(self.stride)).max(1),
            };
            let (needed_height, needed_width) = (needed(|p| p.height), needed(|p| p.width));
            let padding = match self.padding {
                Padding::Explicit(pair) => format!(" with a padding of {pair}"),
                _ => String::new(),
            };
            return Err(misfit(
                &format!("a padded map of at least {needed_height}x{needed_width}"),
                format!("{input:?}{padding}"),
            ));
        };
        let windows = Windows {
            height,
            width,
            channels,
            out_height,
            out_width,
            kernel: self.kernel,
            stride: self.stride,
            dilation: self.dilation,
            before: Pair { height: above, width: left },
            after: Pair { height: below, width: right },
        };
        windows.check_numbers()?;
        Ok(windows)
    }

    /// Checks the settings, whatever the map.
    ///
    /// # Errors
    /// If a length is 0, or larger than the limit.
    pub(crate) fn check(&self) -> Result<(), Misfit> {
        self.check_lengths()?;
        for (name, pair) in [("kernel", self.kernel), ("stride", self.stride), ("dilation", self.dilation)] {
            if pair.height == 0 || pair.width == 0 {
                return Err(Misfit { expected: format!("a {name} of at least 1x1"), got: pair.to_string() });
            }
        }
        Ok(())
    }

    /// Checks that no setting is larger than the limit.
    fn check_lengths(&self) -> Result<(), Misfit> {
        let Self { kernel, stride, dilation, padding, .. } = *self;
        let padding = if let Padding::Explicit(pair) = padding { pair } else { Pair::from(0) };
        for (name, pair) in
            [("kernel", kernel), ("stride", stride), ("dilation", dilation), ("padding", padding)]
        {
            if pair.height.max(pair.width) > MOST_ALONG {
                let expected = format!("a {name} of at most {}", Pair::from(MOST_ALONG));
                return Err(Misfit { expected, got: pair.to_string() });
            }
        }
        Ok(())
    }

    /// From the first to the last number of a window, along one axis.
    fn span(&self, along: fn(Pair) -> usize) -> usize {
        (along(self.kernel) - 1) * along(self.dilation) + 1
    }

    /// Number of windows along one axis, and the zeros before and after it.
    fn axis(&self, length: usize, along: fn(Pair) -> usize) -> Option<(usize, usize, usize)> {
        let (span, stride) = (self.span(along), along(self.stride));
        let (before, after) = match self.padding {
            _ if self.causal => (span - 1, 0),
            Padding::Valid => (0, 0),
            Padding::Explicit(pair) => (along(pair), along(pair)),
            Padding::Same => {
                let total = ((length.div_ceil(stride).max(1) - 1) * stride + span).saturating_sub(length);
                (total / 2, total - total / 2)
            }
        };
        let padded = length + before + after;
        let mut count = match self.rounding {
            Rounding::Floor => padded.checked_sub(span)? / stride + 1,
            // A window that reaches beyond the map by less than the stride counts, also where it is the only one.
            Rounding::Ceil => (padded + stride).checked_sub(span).filter(|&room| room > 0)?.div_ceil(stride),
        };
        if self.rounding == Rounding::Ceil && (count - 1) * stride >= length + before {
            count -= 1;
        }
        (count > 0).then_some((count, before, after))
    }
}

/// The taps of a window that lie in the map. The window begins at `begin` in the padded map.
#[inline(always)]
fn taps_inside(begin: usize, before: usize, length: usize, kernel: usize, dilation: usize) -> Range<usize> {
    // Most windows have no dilation. A division for each would take longer than the work on its numbers.
    let taps = |numbers: usize| if dilation == 1 { numbers } else { numbers.div_ceil(dilation) };
    let end = taps((length + before).saturating_sub(begin)).min(kernel);
    taps(before.saturating_sub(begin)).min(end)..end
}

impl Windows {
    /// Checks that the sizes of the padded map, the window and the output are within the limit.
    fn check_numbers(&self) -> Result<(), Misfit> {
        let Self { height, width, channels, kernel, before, after, .. } = *self;
        let covered = self.covered();
        let padded = [height + before.height + after.height, width + before.width + after.width];
        for (what, numbers) in [
            ("map with its padding", [padded[0].max(covered.height), padded[1].max(covered.width), channels]),
            ("window", [kernel.height, kernel.width, channels]),
            ("output", [self.out_height, self.out_width, channels]),
        ] {
            if product(&numbers) > MOST_NUMBERS {
                let expected = format!("a {what} of at most {MOST_NUMBERS} numbers");
                return Err(Misfit { expected, got: format!("{numbers:?}") });
            }
        }
        Ok(())
    }

    /// The most numbers in the scratch memory of a convolution with this number of filters: a padded map, copied windows, and the weights
    /// rotated or, for small kernels, in the form of Winograd's tiles.
    pub(crate) fn scratch(&self, filters: usize) -> usize {
        let (covered, weights) = (self.covered(), self.window().saturating_mul(filters));
        let padded = product(&[2, covered.height, covered.width, self.channels]);
        let copied = if self.stride == Pair::from(1) { 48 } else { self.positions() };
        let copied = copied.min(self.positions()).saturating_mul(self.window());
        let forms = if self.kernel.height <= 5 { 4 } else { 1 };
        padded.saturating_add(copied).saturating_add(weights.saturating_mul(forms))
    }

    /// Numbers in a window, all channels.
    pub fn window(&self) -> usize {
        self.kernel.height * self.kernel.width * self.channels
    }

    /// Windows in a map.
    pub fn positions(&self) -> usize {
        self.out_height * self.out_width
    }

    /// Numbers in a map, all channels.
    pub fn map(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Height and width of what the windows cover, from the first number to the last.
    pub(crate) fn covered(&self) -> Pair {
        let axis =
            |count: usize, kernel, stride, dilation| (count - 1) * stride + (kernel - 1) * dilation + 1;
        Pair {
            height: axis(self.out_height, self.kernel.height, self.stride.height, self.dilation.height),
            width: axis(self.out_width, self.kernel.width, self.stride.width, self.dilation.width),
        }
    }

    /// Whether every number of every window is one of the map.
    pub(crate) fn all_inside(&self) -> bool {
        let covered = self.covered();
        self.before == Pair::from(0) && covered.height <= self.height && covered.width <= self.width
    }

    /// Whether every number of the map lies in exactly one window.
    pub(crate) fn cover_once(&self) -> bool {
        let all = Pair { height: self.height, width: self.width };
        let side_by_side = self.stride == self.kernel && self.dilation == Pair::from(1);
        side_by_side && self.all_inside() && self.covered() == all
    }

    /// The most windows that a number of the map lies in.
    pub(crate) fn most_over_a_number(&self) -> usize {
        let along = |kernel: usize, stride: usize, count: usize| kernel.div_ceil(stride).min(count);
        along(self.kernel.height, self.stride.height, self.out_height)
            * along(self.kernel.width, self.stride.width, self.out_width)
    }

    /// The taps of a window in row `position` of output that lie in rows of the map, a range without gaps.
    #[inline(always)]
    pub(crate) fn taps_down(&self, position: usize) -> Range<usize> {
        let begin = position * self.stride.height;
        taps_inside(begin, self.before.height, self.height, self.kernel.height, self.dilation.height)
    }

    /// As [`taps_down`](Self::taps_down), for columns.
    #[inline(always)]
    pub(crate) fn taps_across(&self, position: usize) -> Range<usize> {
        let begin = position * self.stride.width;
        taps_inside(begin, self.before.width, self.width, self.kernel.width, self.dilation.width)
    }

    /// Whether every window has a tap in the map. (A window with dilation can step over a small map.)
    pub(crate) fn all_meet_the_map(&self) -> bool {
        // A map that is at least as long as the dilation cannot be stepped over.
        (self.height >= self.dilation.height
            || (0..self.out_height).all(|row| !self.taps_down(row).is_empty()))
            && (self.width >= self.dilation.width
                || (0..self.out_width).all(|column| !self.taps_across(column).is_empty()))
    }

    /// The row of the map that tap `tap` of window `position` falls on, if it is one.
    pub(crate) fn row(&self, position: usize, tap: usize) -> Option<usize> {
        let row =
            (position * self.stride.height + tap * self.dilation.height).checked_sub(self.before.height)?;
        (row < self.height).then_some(row)
    }

    /// As [`row`](Self::row), for columns.
    pub(crate) fn column(&self, position: usize, tap: usize) -> Option<usize> {
        let column =
            (position * self.stride.width + tap * self.dilation.width).checked_sub(self.before.width)?;
        (column < self.width).then_some(column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(kernel: usize, stride: usize, padding: impl Into<Padding>) -> WindowLayout {
        WindowLayout { stride: stride.into(), padding: padding.into(), ..WindowLayout::new(kernel) }
    }

    #[test]
    fn same_padding_is_that_of_keras() {
        // Input length, kernel, stride: output length, zeros before, zeros after.
        for (length, kernel, stride, out, before, after) in [
            (28, 5, 1, 28, 2, 2),
            (28, 4, 1, 28, 1, 2),
            (28, 3, 2, 14, 0, 1),
            (7, 3, 2, 4, 1, 1),
            (5, 2, 2, 3, 0, 1),
        ] {
            let windows = layout(kernel, stride, Padding::Same).over(&[length, length, 1]).unwrap();
            assert_eq!(
                (windows.out_height, windows.before.height, windows.after.height),
                (out, before, after)
            );
        }
    }

    #[test]
    fn rounding_up_never_begins_a_window_beyond_the_map() {
        let ceil = |kernel, stride, padding: usize| WindowLayout {
            rounding: Rounding::Ceil,
            ..layout(kernel, stride, padding)
        };
        assert_eq!(ceil(3, 2, 0).over(&[6, 6, 1]).unwrap().out_height, 3);
        assert_eq!(ceil(2, 2, 1).over(&[3, 3, 1]).unwrap().out_height, 2);
        assert_eq!(layout(3, 2, 0).over(&[6, 6, 1]).unwrap().out_height, 2);
    }

    #[test]
    fn a_dilated_window_may_step_over_a_small_map() {
        let spread = |size: usize, dilation: usize| {
            let layout = WindowLayout { dilation: dilation.into(), ..layout(2, 1, 1) };
            layout.over(&[size, 9, 1]).unwrap()
        };
        assert!(!spread(1, 2).all_meet_the_map());
        assert!(spread(2, 2).all_meet_the_map());
        assert!(spread(1, 1).all_meet_the_map());
        assert!(!spread(2, 2).cover_once());
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let message = |layout: WindowLayout, input: &[usize]| {
            let Misfit { expected, got } = layout.over(input).unwrap_err();
            format!("expected {expected}, got {got}")
        };
        assert_eq!(
            message(layout(7, 1, 1), &[4, 9, 3]),
            "expected a padded map of at least 7x7, got [4, 9, 3] with a padding of 1x1"
        );
        assert_eq!(message(layout(3, 0, 1), &[4, 9, 3]), "expected a stride of at least 1x1, got 0x0");
        let ceil = WindowLayout { rounding: Rounding::Ceil, ..layout(7, 3, 1) };
        assert_eq!(
            message(ceil, &[2, 9, 3]),
            "expected a padded map of at least 5x5, got [2, 9, 3] with a padding of 1x1"
        );
        assert_eq!(message(layout(3, 1, 1), &[784]), "expected [height, width, channels], got [784]");
    }
}
