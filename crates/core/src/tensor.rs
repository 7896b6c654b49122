//! Numbers with a shape, in a buffer that is reused from step to step.

use ndarray::{ArrayD, ArrayView2, ArrayViewD, ArrayViewMutD, IxDyn};

use crate::error::Error;
use crate::scalar::Scalar;
use crate::shape::{MAX_AXES, Shape};

/// Numbers in standard (C) layout with a [`Shape`]: the batch first, channels last.
///
/// A tensor is a thin cover over a `Vec`: [`resize`](Self::resize) to a smaller batch and back
/// does not allocate. At the library's doors it turns into an `ndarray` array and back.
///
/// ```
/// use backstitch_core::Tensor;
/// use ndarray::array;
/// let tensor = Tensor::from_array(&array![[1.0_f32, 2.0], [3.0, 4.0]].into_dyn())?;
/// assert_eq!(tensor.shape().to_string(), "[2, 2]");
/// assert_eq!(tensor.view().sum(), 10.0);
/// # Ok::<(), backstitch_core::Error>(())
/// ```
#[derive(Debug, Default, PartialEq)]
pub struct Tensor<F = f32> {
    data: Vec<F>,
    shape: Shape,
}

impl<F: Scalar> Tensor<F> {
    /// A tensor of zeros.
    pub fn zeros(shape: &[usize]) -> Self {
        let shape = Shape::of(shape);
        Self { data: vec![F::zero(); shape.elements()], shape }
    }

    /// A copy of an `ndarray` array of any layout.
    ///
    /// # Errors
    /// If the array has more than [`MAX_AXES`] axes.
    pub fn from_array<S>(array: &ndarray::ArrayBase<S, IxDyn>) -> Result<Self, Error>
    where
        S: ndarray::Data<Elem = F>,
    {
        if array.ndim() > MAX_AXES {
            return Err(Error::argument(
                "array",
                format!("at most {MAX_AXES} axes"),
                format!("{} axes", array.ndim()),
            ));
        }
        Ok(Self { data: array.iter().copied().collect(), shape: Shape::of(array.shape()) })
    }

    /// Takes over an array in standard layout, of at most [`MAX_AXES`] axes.
    pub(crate) fn of_owned(array: ArrayD<F>) -> Self {
        let shape = Shape::of(array.shape());
        Self { data: array.into_raw_vec_and_offset().0, shape }
    }

    /// The lengths of the axes.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The number of samples: the length of the first axis.
    pub fn batch(&self) -> usize {
        self.shape.first().copied().unwrap_or(0)
    }

    /// The numbers, row by row.
    pub fn data(&self) -> &[F] {
        &self.data
    }

    /// The numbers, row by row, to write.
    pub fn data_mut(&mut self) -> &mut [F] {
        &mut self.data
    }

    /// Gives the tensor another shape. What it held is unspecified afterwards; memory is taken
    /// only where the buffer was never this large before.
    pub fn resize(&mut self, shape: &[usize]) {
        self.shape = Shape::of(shape);
        self.data.resize(self.shape.elements(), F::zero());
    }

    /// Sets every number to `value`.
    pub fn fill(&mut self, value: F) {
        self.data.fill(value);
    }

    /// Takes on the shape and the numbers of `other`, in the memory already held.
    ///
    /// (A derived `Clone` would allocate anew in `clone_from`, so there is none.)
    pub fn copy_from(&mut self, other: &Self) {
        self.resize(&other.shape);
        self.data.copy_from_slice(&other.data);
    }

    /// The tensor as an `ndarray` view.
    pub fn view(&self) -> ArrayViewD<'_, F> {
        ArrayViewD::from_shape(IxDyn(&self.shape), &self.data).expect("shape and data agree")
    }

    /// The tensor as an `ndarray` view to write.
    pub fn view_mut(&mut self) -> ArrayViewMutD<'_, F> {
        ArrayViewMutD::from_shape(IxDyn(&self.shape), &mut self.data).expect("shape and data agree")
    }

    /// The tensor as a matrix: one row a sample, every other axis in the columns.
    pub fn rows(&self) -> ArrayView2<'_, F> {
        let rows = self.batch();
        let columns = self.shape.iter().skip(1).product();
        ArrayView2::from_shape((rows, columns), &self.data).expect("shape and data agree")
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
