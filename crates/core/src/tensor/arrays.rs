//! Arrays as arguments: any `ndarray` array, owned, borrowed or a view, of any rank.

use ndarray::{ArrayBase, ArrayViewD, Data, Dimension};

use crate::error::Error;
use crate::tensor::Tensor;
use crate::tensor::memory;
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// Arguments that become a tensor: tensors, and arrays of `ndarray` of any rank, owned (moved without a copy), borrowed, or views.
#[diagnostic::on_unimplemented(message = "`{Self}` is no array of `{F}`")]
pub trait IntoTensor<F: Scalar> {
    /// The tensor.
    ///
    /// # Errors
    /// If there are more than [`MAX_AXES`](crate::MAX_AXES) axes, or there is no memory for a copy.
    fn into_tensor(self) -> Result<Tensor<F>, Error>;

    /// The same numbers, to read.
    fn as_view(&self) -> ArrayViewD<'_, F>;
}

impl<F: Scalar> Tensor<F> {
    /// An `ndarray` array of any rank and layout as a tensor. An owned one in standard (row-major) layout is moved without a copy.
    ///
    /// ```
    /// use backstitch::Tensor;
    /// let x = Tensor::from_array(backstitch::ndarray::array![[1.0_f32, 2.0], [3.0, 4.0]])?;
    /// assert_eq!((&*x.shape(), x.data()), (&[2, 2][..], &[1.0, 2.0, 3.0, 4.0][..]));
    /// # Ok::<(), backstitch::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the array has more than [`MAX_AXES`](crate::MAX_AXES) axes, or there is no memory for a copy: a broadcast view can have
    /// more elements than its memory holds.
    pub fn from_array(array: impl IntoTensor<F>) -> Result<Self, Error> {
        array.into_tensor()
    }
}

impl<F: Scalar> IntoTensor<F> for Tensor<F> {
    fn into_tensor(self) -> Result<Self, Error> {
        Ok(self)
    }

    fn as_view(&self) -> ArrayViewD<'_, F> {
        self.view()
    }
}

impl<F: Scalar> IntoTensor<F> for &Tensor<F> {
    fn into_tensor(self) -> Result<Tensor<F>, Error> {
        Ok(self.clone())
    }

    fn as_view(&self) -> ArrayViewD<'_, F> {
        self.view()
    }
}

impl<F: Scalar, S: Data<Elem = F>, D: Dimension> IntoTensor<F> for ArrayBase<S, D> {
    fn into_tensor(self) -> Result<Tensor<F>, Error> {
        let shape = Shape::new(self.shape())?;
        memory::check_tensor::<F>("array", &shape)?;
        let array = self.into_owned();
        if !array.is_standard_layout() {
            return Ok(Tensor::from_parts(array.iter().copied().collect(), shape));
        }
        let (data, offset) = array.into_raw_vec_and_offset();
        Ok(match offset {
            None | Some(0) if data.len() == shape.elements() => Tensor::from_parts(data, shape),
            offset => {
                let from = offset.unwrap_or(0);
                Tensor::from_parts(data[from..][..shape.elements()].to_vec(), shape)
            }
        })
    }

    fn as_view(&self) -> ArrayViewD<'_, F> {
        self.view().into_dyn()
    }
}

impl<F: Scalar, S: Data<Elem = F>, D: Dimension> IntoTensor<F> for &ArrayBase<S, D> {
    fn into_tensor(self) -> Result<Tensor<F>, Error> {
        self.view().into_tensor()
    }

    fn as_view(&self) -> ArrayViewD<'_, F> {
        self.view().into_dyn()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2, array, s};

    use super::*;

    #[test]
    fn every_layout_comes_in_row_by_row() {
        let a = array![[1.0_f32, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let check = |tensor: Result<Tensor, Error>, shape: &[usize], data: &[f32]| {
            let tensor = tensor.unwrap();
            assert_eq!((&*tensor.shape(), tensor.data()), (shape, data));
        };
        check(a.clone().into_tensor(), &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        check((&a).into_tensor(), &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        check(a.t().into_tensor(), &[3, 2], &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        check(a.clone().reversed_axes().into_tensor(), &[3, 2], &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        check(a.slice(s![1.., ..;-1]).into_tensor(), &[1, 3], &[6.0, 5.0, 4.0]);
        check(a.clone().slice_move(s![1.., 1..]).into_tensor(), &[1, 2], &[5.0, 6.0]);
        check(Array1::<f32>::zeros(0).into_tensor(), &[0], &[]);
        let one = Array2::<f32>::zeros((1, 1));
        assert!(one.broadcast((1 << 40, 4)).unwrap().into_tensor().is_err());
    }
}
