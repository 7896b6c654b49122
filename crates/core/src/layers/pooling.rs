//! The windows of max pooling and average pooling.

use std::fmt;

use crate::error::ShapeError;
use crate::kernels::windows::{Padding, Pair, Rounding, WindowLayout, Windows};

/// The windows of a pooling. By default the stride is the size of the window.
#[derive(Debug, Clone, Copy)]
pub(super) struct PoolWindows {
    kind: &'static str,
    pub(super) layout: WindowLayout,
}

impl PoolWindows {
    pub(super) fn new(kind: &'static str, window: Pair) -> Self {
        let layout = WindowLayout { stride: window, ..WindowLayout::new(window) };
        Self { kind, layout }
    }

    /// The windows over a map, or what is wrong.
    pub(super) fn over(&self, input: &[usize]) -> Result<Windows, ShapeError> {
        let misfit = |expected: &str, got: String| ShapeError::new(self.to_string(), expected, got);
        if let Padding::Explicit(pair) = self.layout.padding
            && (pair.height > self.layout.kernel.height / 2 || pair.width > self.layout.kernel.width / 2)
        {
            return Err(misfit("a padding of at most half the window", pair.to_string()));
        }
        let windows = self.layout.over(input).map_err(|error| misfit(&error.expected, error.got))?;
        if !windows.all_meet_the_map() {
            let expected = "windows with a number of the map in each of them: a smaller dilation or padding";
            return Err(misfit(expected, format!("{input:?}")));
        }
        Ok(windows)
    }

    /// The windows over the maps of a batch, which were checked when the model was built.
    pub(super) fn over_batch(&self, batch: &[usize]) -> Windows {
        self.layout.over(&batch[1..]).expect("checked when the model was built")
    }
}

impl fmt::Display for PoolWindows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WindowLayout { kernel, stride, dilation, padding, rounding, .. } = self.layout;
        write!(f, "{} {kernel}", self.kind)?;
        if stride != kernel {
            write!(f, ", stride {stride}")?;
        }
        if dilation != 1.into() {
            write!(f, ", dilation {dilation}")?;
        }
        if padding != Padding::Valid {
            write!(f, ", padding {padding}")?;
        }
        if rounding == Rounding::Ceil {
            f.write_str(", rounding up")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_that_do_not_fit_are_refused_with_the_layer_named() {
        let message = |change: fn(&mut WindowLayout), input: &[usize]| {
            let mut windows = PoolWindows::new("MaxPool", 4.into());
            change(&mut windows.layout);
            windows.over(input).unwrap_err().within("pool2").to_string()
        };
        assert_eq!(
            message(|_| {}, &[3, 9, 8]),
            "pool2 (MaxPool 4x4): expected a padded map of at least 4x4, got [3, 9, 8]"
        );
        assert_eq!(
            message(|layout| layout.padding = 3.into(), &[9, 9, 8]),
            "pool2 (MaxPool 4x4, padding 3x3): expected a padding of at most half the window, got 3x3"
        );
        assert_eq!(
            message(|layout| layout.stride = 0.into(), &[9, 9, 8]),
            "pool2 (MaxPool 4x4, stride 0x0): expected a stride of at least 1x1, got 0x0"
        );
        let spread = |layout: &mut WindowLayout| {
            (layout.dilation, layout.padding) = (4.into(), 2.into());
            layout.kernel = 5.into();
            layout.stride = 1.into();
        };
        assert_eq!(
            message(spread, &[14, 1, 8]),
            "pool2 (MaxPool 5x5, stride 1x1, dilation 4x4, padding 2x2): expected a padded map of at least 17x17, got [14, 1, 8] with a \
             padding of 2x2"
        );
        let steps_over = |layout: &mut WindowLayout| {
            layout.dilation = 2.into();
            layout.padding = 1.into();
            layout.kernel = 2.into();
            layout.stride = 1.into();
        };
        assert_eq!(
            message(steps_over, &[1, 9, 8]),
            "pool2 (MaxPool 2x2, stride 1x1, dilation 2x2, padding 1x1): expected windows with a number of the map in each of them: a \
             smaller dilation or padding, got [1, 9, 8]"
        );
    }
}
