//! A function of a few numbers, and a loss: one output, and a gradient with respect to its argument.

use crate::error::Error;
use crate::gradcheck::compare::{Gradient, Subject, compare};
use crate::gradcheck::report::{GradientError, Passed};
use crate::losses::{Loss, Targets};
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
/// use backstitch::gradcheck::check_function;
/// let square = |x: &[f64]| x.iter().map(|x| x * x).sum();
/// assert!(check_function(square, &[1.0, -2.0], &[2.0, -4.0]).is_ok());
/// let error = check_function(square, &[1.0, -2.0], &[2.0, 4.0]).unwrap_err();
/// assert!(error.to_string().contains("the worst is input[1]: by hand 4e0"));
/// // At a kink, any number between the derivatives of both sides is right.
/// let absolute = |x: &[f64]| x[0].abs();
/// assert_eq!(check_function(absolute, &[0.0], &[1.0])?.kinks.len(), 1);
/// assert!(check_function(absolute, &[0.0], &[1.1]).is_err());
/// # Ok::<(), backstitch::gradcheck::GradientError>(())
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

/// Compares the gradient of a loss with respect to the outputs of a model, and checks that it overwrites every number of it.
///
/// ```
/// use backstitch::{Tensor, gradcheck::check_loss, losses::{MSE, Targets}};
/// use backstitch::ndarray::array;
/// let y = Tensor::from_array(&array![[0.2, 0.7], [0.9, 0.4]].into_dyn())?;
/// let t = Tensor::from_array(&array![[0.0, 1.0], [1.0, 1.0]].into_dyn())?;
/// assert_eq!(check_loss(&MSE, &y, &Targets::Values(&t))?.compared, 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If a derivative is wrong, what lay in the gradient before is not overwritten, or outputs and targets do not fit the loss.
pub fn check_loss(
    loss: &dyn Loss<f64>,
    y: &Tensor<f64>,
    targets: &Targets<'_, f64>,
) -> Result<Passed, GradientError> {
    let mut gradients = [Tensor::zeros(&y.shape())?, Tensor::zeros(&y.shape())?];
    for (dy, before) in gradients.iter_mut().zip([0.0, 1000.0]) {
        dy.fill(before);
        loss.loss(y, targets, Some(dy))?;
    }
    let [by_hand, other] = gradients;
    if by_hand.shape() != y.shape() || !super::passes::same(by_hand.data(), other.data()) {
        return Err(GradientError::Contract {
            layer: format!("{loss:?}"),
            expected: format!("every number of a dy of {} overwritten", y.shape()),
            got: "a dy of another shape, or one that depends on what lay in it before".to_owned(),
            help: "set each number of dy, or fill it with 0 before adding to it".to_owned(),
        });
    }
    let value = |y: &Tensor<f64>| Ok(loss.loss(y, targets, None)?.value());
    let mut function = Function { x: y.clone(), f: &value };
    compare("loss", &mut function, &[Gradient { of: "output".to_owned(), by_hand }], &[1.0], 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::Mean;

    /// The mean of y² / 2, with a factor before its derivative, which may be added to what was there.
    #[derive(Debug)]
    struct HalfSquares {
        factor: f64,
        adds: bool,
    }

    impl Loss<f64> for HalfSquares {
        fn check(&self, _: &[usize], _: &Targets<'_, f64>) -> Result<(), Error> {
            Ok(())
        }
        fn loss(
            &self,
            y: &Tensor<f64>,
            _: &Targets<'_, f64>,
            dy: Option<&mut Tensor<f64>>,
        ) -> Result<Mean, Error> {
            if let Some(dy) = dy {
                for (dy, y) in dy.data_mut().iter_mut().zip(y.data()) {
                    *dy = self.factor * y / 6.0 + if self.adds { *dy } else { 0.0 };
                }
            }
            Ok(Mean { sum: y.data().iter().map(|y| y * y / 2.0).sum(), count: 6.0 })
        }
    }

    #[test]
    fn a_loss_is_held_to_its_gradient_and_to_overwriting_it() {
        let mut y = Tensor::zeros(&[3, 2]).unwrap();
        y.data_mut().iter_mut().enumerate().for_each(|(i, v)| *v = i as f64 - 2.0);
        let check = |factor, adds| check_loss(&HalfSquares { factor, adds }, &y, &Targets::Values(&y));
        assert_eq!(check(1.0, false).unwrap().compared, 6);
        let error = check(6.0, false).unwrap_err().to_string();
        assert!(error.starts_with("loss: expected derivatives to agree"), "{error}");
        let error = check(1.0, true).unwrap_err().to_string();
        assert!(error.contains("expected every number of a dy of [3, 2] overwritten"), "{error}");
    }
}
