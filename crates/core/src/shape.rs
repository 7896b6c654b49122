//! Shapes: the lengths of a tensor's axes, held without a heap allocation.

use std::fmt;
use std::ops::Deref;

/// The greatest number of axes a [`Shape`] can have.
pub const MAX_AXES: usize = 6;

/// The lengths of a tensor's axes, outermost first. Reads as a slice of `usize`.
///
/// ```
/// use backstitch_core::Shape;
/// let shape = Shape::of(&[28, 28, 1]);
/// assert_eq!(shape.elements(), 784);
/// assert_eq!(shape.batched(32).to_string(), "[32, 28, 28, 1]");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Shape {
    axes: [usize; MAX_AXES],
    count: usize,
}

impl Shape {
    /// A shape with the given axes.
    ///
    /// # Panics
    /// With more than [`MAX_AXES`] axes: the library itself never makes one, and
    /// [`Tensor::from_array`](crate::Tensor::from_array) refuses an array that has more.
    pub fn of(axes: &[usize]) -> Self {
        let mut shape = Self { axes: [0; MAX_AXES], count: axes.len() };
        shape.axes[..axes.len()].copy_from_slice(axes);
        shape
    }

    /// How many numbers a tensor of this shape holds.
    pub fn elements(&self) -> usize {
        self.iter().product()
    }

    /// Changes the length of the last axis.
    pub(crate) fn set_last(&mut self, length: usize) {
        if let Some(last) = self.count.checked_sub(1) {
            self.axes[last] = length;
        }
    }

    /// The shape of `samples` of these, the batch axis in front.
    pub fn batched(&self, samples: usize) -> Self {
        let mut shape = Self { axes: [0; MAX_AXES], count: self.count + 1 };
        shape.axes[0] = samples;
        shape.axes[1..=self.count].copy_from_slice(self);
        shape
    }
}

impl Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.axes[..self.count]
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &**self)
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
