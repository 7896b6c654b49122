//! A function of a few numbers, and a loss: one output, and a gradient with respect to its argument.

use crate::error::Error;
use crate::gradcheck::compare::{Gradient, Subject, compare};
use crate::gradcheck::report::{GradientError, Passed};
use crate::tensor::Tensor;

/// A function with one output.
struct Function<'a> {
    x: Tensor<f64>,
    f: &'a dyn Fn(&Tensor<f64>) -> Result<f64, GradientError>,
}

impl Subject for Function<'_> {
    fn number(&mut self, _: usize, position: usize) -> &mut f64 {
        &mut self.x.data_mut()[position]
    }

    fn outputs(&mut self) -> Result<Vec<f64>, GradientError> {
        Ok(vec![(self.f)(&self.x)?])
    }
}

/// Checks a gradient against a function of a few numbers: for a derivative of your own.
///
/// ```
/// use backstitch_core::gradcheck::check_function;
/// let square = |x: &[f64]| x.iter().map(|x| x * x).sum();
/// assert!(check_function(square, &[1.0, -2.0], &[2.0, -4.0]).is_ok());
/// let error = check_function(square, &[1.0, -2.0], &[2.0, 4.0]).unwrap_err();
/// assert!(error.to_string().contains("the worst is input[1]: by hand 4e0"));
/// // At a kink, whatever lies between the derivatives of both sides is right.
/// let absolute = |x: &[f64]| x[0].abs();
/// assert_eq!(check_function(absolute, &[0.0], &[1.0])?.kinks.len(), 1);
/// assert!(check_function(absolute, &[0.0], &[1.1]).is_err());
/// # Ok::<(), backstitch_core::gradcheck::GradientError>(())
/// ```
///
/// # Errors
/// If a derivative is wrong, or there are not as many as numbers.
pub fn check_function(
    f: impl Fn(&[f64]) -> f64,
    x: &[f64],
    gradient: &[f64],
) -> Result<Passed, GradientError> {
    if gradient.len() != x.len() {
        return Err(Error::argument("gradient", format!("{} numbers", x.len()), gradient.len()).into());
    }
    let mut by_hand = Tensor::zeros(&[x.len()])?;
    by_hand.data_mut().copy_from_slice(gradient);
    let mut at = by_hand.clone();
    at.data_mut().copy_from_slice(x);
    let mut function = Function { x: at, f: &|x| Ok(f(x.data())) };
    compare("", &mut function, &[Gradient { of: "input".to_owned(), by_hand }], &[1.0], 0)
}

/// Checks the gradient of a loss with respect to the outputs of a model. `loss` gives sum and count, whose quotient is the value,
/// and overwrites dy with the quotient's gradient where it is given one.
pub(super) fn check_loss_at(
    y: &Tensor<f64>,
    seed: u64,
    loss: impl Fn(&Tensor<f64>, Option<&mut Tensor<f64>>) -> Result<(f64, f64), Error>,
) -> Result<Passed, GradientError> {
    let mut gradients = [Tensor::zeros(&y.shape())?, Tensor::zeros(&y.shape())?];
    for (dy, before) in gradients.iter_mut().zip([0.0, 1000.0]) {
        dy.fill(before);
        loss(y, Some(dy))?;
    }
    let [by_hand, other] = gradients;
    if by_hand.shape() != y.shape() || !super::passes::same(by_hand.data(), other.data()) {
        return Err(GradientError::Contract {
            layer: "loss".to_owned(),
            expected: format!("every number of a dy of {} overwritten", y.shape()),
            got: "a dy of another shape, or one that depends on what lay in it before".to_owned(),
            help: "set each number of dy, or fill it with 0 before adding to it".to_owned(),
        });
    }
    let value = |y: &Tensor<f64>| {
        let (sum, count) = loss(y, None)?;
        Ok(sum / count)
    };
    let mut function = Function { x: y.clone(), f: &value };
    compare("loss", &mut function, &[Gradient { of: "output".to_owned(), by_hand }], &[1.0], seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half_squares(factor: f64, add: bool) -> Result<Passed, GradientError> {
        let mut y = Tensor::zeros(&[3, 2])?;
        y.data_mut().iter_mut().enumerate().for_each(|(i, v)| *v = i as f64 - 2.0);
        check_loss_at(&y, 0, |y, dy| {
            if let Some(dy) = dy {
                for (dy, y) in dy.data_mut().iter_mut().zip(y.data()) {
                    *dy = factor * y / 6.0 + if add { *dy } else { 0.0 };
                }
            }
            Ok((y.data().iter().map(|y| y * y / 2.0).sum(), 6.0))
        })
    }

    #[test]
    fn a_loss_is_held_to_its_gradient_and_to_overwriting_it() {
        assert_eq!(half_squares(1.0, false).unwrap().compared, 6);
        let error = half_squares(6.0, false).unwrap_err().to_string();
        assert!(error.starts_with("loss: expected derivatives to agree"), "{error}");
        let error = half_squares(1.0, true).unwrap_err().to_string();
        assert!(error.starts_with("loss: expected every number of a dy of [3, 2] overwritten"), "{error}");
    }
}
