//! The frame of a chart, and the points that can be drawn in it.

/// The part of a chart in which the lines are.
#[derive(Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) left: i32,
    pub(crate) right: i32,
    pub(crate) top: i32,
    pub(crate) bottom: i32,
    /// The vertical axis runs down.
    pub(crate) down: bool,
}

impl Frame {
    /// The place of a share of the horizontal axis, from 0 at its left end to 1.
    pub(crate) fn across(&self, share: f64) -> i32 {
        self.left + (share * f64::from(self.right - self.left)).round() as i32
    }

    /// The place of a share of the vertical axis.
    pub(crate) fn up(&self, share: f64) -> i32 {
        let share = if self.down { 1.0 - share } else { share };
        self.bottom - (share * f64::from(self.bottom - self.top)).round() as i32
    }
}

/// The points of a series that can be drawn.
pub(crate) fn finite(points: &[(f64, f64)]) -> impl Iterator<Item = (f64, f64)> + '_ {
    points.iter().copied().filter(is_finite)
}

/// Whether a point can be drawn.
pub(crate) fn is_finite(&(x, y): &(f64, f64)) -> bool {
    x.is_finite() && y.is_finite()
}
