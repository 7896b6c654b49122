//! Shapes: the lengths of a tensor's axes, held without a heap allocation.

use std::fmt;
use std::ops::Deref;

use crate::error::ShapeError;

/// The greatest number of axes a [`Shape`] can have.
pub const MAX_AXES: usize = 6;

/// The lengths of a tensor's axes, outermost first. Dereferences to a slice of `usize`. The default is `[0]`, the shape of no numbers.
///
/// ```
/// use backstitch::Shape;
/// let shape = Shape::from([28, 28, 1]);
/// assert_eq!(shape.elements(), 784);
/// assert_eq!(shape.batched(32)?.to_string(), "[32, 28, 28, 1]");
/// # Ok::<(), backstitch::ShapeError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    axes: [usize; MAX_AXES],
    count: usize,
}

impl Shape {
    /// A shape with these axes. If their number is known at compile time, [`Shape::from`] an array cannot fail.
    ///
    /// # Errors
    /// If there are more than [`MAX_AXES`] axes.
    pub fn new(axes: &[usize]) -> Result<Self, ShapeError> {
        if axes.len() > MAX_AXES {
            let (expected, got) = (format!("at most {MAX_AXES} axes"), format!("{} axes", axes.len()));
            return Err(ShapeError::new("Shape".to_owned(), expected, got));
        }
        Ok(Self::of(axes))
    }

    /// A shape with axes that are known to be no more than [`MAX_AXES`].
    pub(crate) fn of(axes: &[usize]) -> Self {
        let mut shape = Self { axes: [0; MAX_AXES], count: axes.len() };
        shape.axes[..axes.len()].copy_from_slice(axes);
        shape
    }

    /// The number of elements of a tensor of this shape; it saturates at `usize::MAX`.
    pub fn elements(&self) -> usize {
        product(self)
    }

    /// Changes the length of the last axis.
    pub(crate) fn set_last(&mut self, length: usize) {
        if let Some(last) = self.count.checked_sub(1) {
            self.axes[last] = length;
        }
    }

    /// Changes the length of the first axis.
    pub(crate) fn set_first(&mut self, length: usize) {
        if self.count > 0 {
            self.axes[0] = length;
        }
    }

    /// The shape of a batch: `samples` in front of these axes.
    ///
    /// # Errors
    /// If the shape has [`MAX_AXES`] axes already.
    pub fn batched(&self, samples: usize) -> Result<Self, ShapeError> {
        let mut axes = [samples; MAX_AXES + 1];
        axes[1..=self.count].copy_from_slice(self);
        Self::new(&axes[..=self.count])
    }
}

/// The product of lengths; `usize::MAX` where it is that large or larger.
pub(crate) fn product(lengths: &[usize]) -> usize {
    if lengths.contains(&0) { 0 } else { lengths.iter().fold(1, |product, &n| product.saturating_mul(n)) }
}

impl Default for Shape {
    fn default() -> Self {
        Self::from([0])
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(axes: [usize; N]) -> Self {
        const { assert!(N <= MAX_AXES, "more axes than a shape can have") };
        Self::of(&axes)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_axes_are_an_error_and_too_many_numbers_saturate() {
        let six = Shape::new(&[1; 6]).unwrap();
        assert_eq!(
            Shape::new(&[1; 7]).unwrap_err().to_string(),
            "Shape: expected at most 6 axes, got 7 axes"
        );
        assert_eq!(six.batched(2).unwrap_err().to_string(), "Shape: expected at most 6 axes, got 7 axes");
        assert_eq!(Shape::from([3, 1 << 40, 1 << 40]).elements(), usize::MAX);
        assert_eq!(Shape::from([1 << 40, 1 << 40, 0]).elements(), 0);
        assert_eq!((Shape::default().elements(), Shape::from([]).elements()), (0, 1));
    }
}
