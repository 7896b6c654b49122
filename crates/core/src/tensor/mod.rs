//! Numbers with a shape, in a buffer that every step uses again.

pub(crate) mod argmax;
pub(crate) mod arrays;
pub(crate) mod bilinear;
pub(crate) mod finite;
pub(crate) mod hash;
pub(crate) mod memory;
pub mod rng;
pub(crate) mod scalar;
pub(crate) mod shape;

use std::fmt;

use ndarray::{ArrayD, ArrayView2, ArrayViewD, ArrayViewMutD, IxDyn};

use crate::error::Error;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// Numbers in standard (C) layout with a [`Shape`]: the batch first, channels last.
///
/// A tensor is a thin wrapper around a `Vec`: [`set_shape`](Self::set_shape) to a smaller batch and back
/// does not allocate. The public functions take and return `ndarray` arrays. The default has the shape `[0]`.
///
/// ```
/// use backstitch::Tensor;
/// use backstitch::ndarray::array;
/// let tensor = Tensor::from_array(&array![[1.0_f32, 2.0], [3.0, 4.0]].into_dyn())?;
/// assert_eq!(tensor.shape().to_string(), "[2, 2]");
/// assert_eq!(tensor.view().sum(), 10.0);
/// assert_eq!(format!("{tensor:.1}"), "[[1.0, 2.0],\n [3.0, 4.0]]");
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Tensor<F = f32> {
    /// At least as many numbers as the shape needs. Numbers beyond it are left from a larger shape, because
    /// clearing them at every change would cost a pass over memory.
    data: Vec<F>,
    shape: Shape,
}

/// The numbers as `ndarray` prints them: of a large tensor, the first and last of each axis.
impl<F: Scalar> fmt::Display for Tensor<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.view(), f)
    }
}

/// As `ndarray` prints it, with the shape.
impl<F: fmt::Debug> fmt::Debug for Tensor<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = &self.data[..self.shape.elements()];
        match ArrayViewD::from_shape(IxDyn(&self.shape), numbers) {
            Ok(view) => write!(f, "Tensor({view:?})"),
            Err(_) => write!(f, "Tensor(shape={})", self.shape),
        }
    }
}

impl<F: Scalar> PartialEq for Tensor<F> {
    fn eq(&self, other: &Self) -> bool {
        self.shape == other.shape && self.data() == other.data()
    }
}

impl<F: Scalar> Tensor<F> {
    /// A tensor of zeros.
    ///
    /// # Errors
    /// If there are more than [`MAX_AXES`](crate::MAX_AXES) axes, or it would take more memory than
    /// [`MEMORY_LIMIT`](crate::MEMORY_LIMIT) or than is available.
    pub fn zeros(shape: &[usize]) -> Result<Self, Error> {
        let shape = Shape::new(shape)?;
        memory::check_tensor::<F>("tensor", &shape)?;
        Ok(Self { data: vec![F::zero(); shape.elements()], shape })
    }

    /// A tensor of these numbers, whose count is that of the shape.
    pub(crate) fn from_parts(data: Vec<F>, shape: Shape) -> Self {
        debug_assert_eq!(data.len(), shape.elements());
        Self { data, shape }
    }

    /// A tensor of the same shape as this one, every number of it `value`.
    pub(crate) fn alike(&self, value: F) -> Self {
        Self { data: vec![value; self.data.len()], shape: self.shape }
    }

    /// The lengths of the axes.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The number of samples: the length of the first axis; 1 where there is no axis, and one number.
    pub fn batch(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// The numbers, row by row.
    pub fn data(&self) -> &[F] {
        &self.data[..self.shape.elements()]
    }

    /// The numbers, row by row, mutable.
    pub fn data_mut(&mut self) -> &mut [F] {
        let elements = self.shape.elements();
        &mut self.data[..elements]
    }

    /// The length of the last axis; 1 where there is no axis.
    pub fn width(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// Gives the tensor another shape. What it held is unspecified afterwards; memory is taken
    /// only where the buffer was never this large before.
    ///
    /// # Errors
    /// As [`zeros`](Self::zeros); the tensor then stays as it was.
    pub fn set_shape(&mut self, shape: &[usize]) -> Result<(), Error> {
        let new = Shape::new(shape)?;
        if new.contains(&0) || new.elements() > self.data.capacity() {
            memory::check_tensor::<F>("tensor", &new)?;
        }
        self.resize(&new);
        Ok(())
    }

    /// As [`set_shape`](Self::set_shape), to a shape for which there is memory: models ask before a pass.
    pub(crate) fn resize(&mut self, shape: &[usize]) {
        self.shape = Shape::of(shape);
        let more = self.shape.elements().saturating_sub(self.data.len());
        // Exactly the memory that is needed, so that a pass allocates exactly what was planned.
        self.data.reserve_exact(more);
        self.data.resize(self.data.len() + more, F::zero());
    }

    /// Sets every number to `value`.
    pub fn fill(&mut self, value: F) {
        self.data_mut().fill(value);
    }

    /// Copies the shape and the numbers of `other` into the memory of this tensor.
    pub fn copy_from(&mut self, other: &Self) {
        self.resize(&other.shape);
        self.data_mut().copy_from_slice(other.data());
    }

    /// The tensor as an `ndarray` view.
    pub fn view(&self) -> ArrayViewD<'_, F> {
        ArrayViewD::from_shape(IxDyn(&self.shape), self.data()).expect("shape and data agree")
    }

    /// The tensor as a mutable `ndarray` view.
    pub fn view_mut(&mut self) -> ArrayViewMutD<'_, F> {
        ArrayViewMutD::from_shape(IxDyn(&self.shape.clone()), self.data_mut()).expect("shape and data agree")
    }

    /// The tensor as a matrix: one row for each sample, all other axes in the columns.
    pub fn rows(&self) -> ArrayView2<'_, F> {
        let rows = self.batch();
        let columns = self.shape.iter().skip(1).product();
        ArrayView2::from_shape((rows, columns), self.data()).expect("shape and data agree")
    }

    /// A copy as an `ndarray` array.
    pub fn to_array(&self) -> ArrayD<F> {
        self.view().to_owned()
    }

    /// Bytes held, whether in use by the present shape or not.
    pub fn allocated_bytes(&self) -> usize {
        self.data.capacity() * size_of::<F>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_tensor_is_printed_short() {
        let mut tensor = Tensor::<f32>::zeros(&[1000, 1000]).unwrap();
        tensor.fill(0.5);
        let (shown, debug) = (tensor.to_string(), format!("{tensor:?}"));
        assert!(shown.starts_with("[[0.5, 0.5, ") && shown.contains("...") && shown.len() < 2000, "{shown}");
        assert!(debug.starts_with("Tensor([[0.5, ") && debug.contains("shape=[1000, 1000]"), "{debug}");
        // What a larger shape left in the buffer is not shown.
        tensor.set_shape(&[2]).unwrap();
        assert_eq!(tensor.to_string(), "[0.5, 0.5]");
        assert!(format!("{tensor:?}").starts_with("Tensor([0.5, 0.5], shape=[2]"), "{tensor:?}");
        assert_eq!(Tensor::<f64>::default().to_string(), "[]");
    }

    #[test]
    fn every_tensor_can_be_looked_at() {
        let mut tensor = Tensor::<f32>::default();
        assert_eq!(
            (tensor.shape().to_string(), tensor.batch(), tensor.rows().dim()),
            ("[0]".into(), 0, (0, 1))
        );
        assert_eq!((tensor.view().len(), tensor.view_mut().len(), tensor.to_array().len()), (0, 0, 0));
        for (shape, rows) in [(&[][..], (1, 1)), (&[3], (3, 1)), (&[0, 7], (0, 7)), (&[2, 0, 5], (2, 0))] {
            let tensor = Tensor::<f32>::zeros(shape).unwrap();
            assert_eq!((tensor.view().shape(), tensor.rows().dim()), (shape, rows));
        }
    }

    #[test]
    fn what_cannot_be_held_is_an_error_and_changes_nothing() {
        let mut tensor = Tensor::<f64>::zeros(&[2, 3]).unwrap();
        for shape in [&[1 << 32, 1 << 32][..], &[usize::MAX], &[0, usize::MAX, 2], &[1; 7]] {
            assert!(Tensor::<f64>::zeros(shape).is_err());
            assert!(tensor.set_shape(shape).is_err());
        }
        assert_eq!((tensor.shape().to_string(), tensor.data().len()), ("[2, 3]".to_owned(), 6));
        tensor.set_shape(&[4, 1]).unwrap();
        assert_eq!(tensor.view().shape(), [4, 1]);
    }
}
