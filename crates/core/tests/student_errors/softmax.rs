//! y = exp(x) / Σ exp(x), row by row.

use backstitch_core::{Backward, Context, Layer, Reads, Scalar, Shape, ShapeError, Tensor, Weights};

use crate::{Case, case};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    Right,
    WithoutMaximum,
    Jacobian,
    InPlace,
    FromInput,
    Temperature,
    // Wrong.
    DiagonalOnly,
    OffDiagonalSign,
    SumOverBatch,
    LikeCrossEntropy,
    WithoutY,
    TemperatureForgotten,
}
use Mistake::*;

#[derive(Debug, Clone, Copy)]
struct Softmax(Mistake);

impl Softmax {
    fn row<F: Scalar>(&self, x: &[F], y: &mut [F]) {
        let by = F::from_f64(if matches!(self.0, Temperature | TemperatureForgotten) { 0.5 } else { 1.0 });
        let most = match self.0 {
            WithoutMaximum => F::zero(),
            _ => x.iter().fold(F::neg_infinity(), |most, &x| most.max(x)),
        };
        y.iter_mut().zip(x).for_each(|(y, &x)| *y = ((x - most) * by).exp());
        let sum = y.iter().fold(F::zero(), |sum, &y| sum + y);
        y.iter_mut().for_each(|y| *y /= sum);
    }
}

impl<F: Scalar> Layer<F> for Softmax {
    type Cache = ();

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        Shape::new(input)
    }

    fn forward(&self, _: &Weights<'_, F>, x: &Tensor<F>, y: &mut Tensor<F>, (): &mut (), _: &Context) {
        let width = x.width();
        for (y, x) in y.data_mut().chunks_exact_mut(width).zip(x.data().chunks_exact(width)) {
            self.row(x, y);
        }
    }

    fn backward(&self, _: &Weights<'_, F>, pass: Backward<'_, F>, (): &mut (), _: &Context) {
        let Backward { x, y, dy, dx: Some(dx), .. } = pass else { return };
        let width = dx.width();
        let mut own = y.clone();
        if self.0 == FromInput {
            own.set_shape(&dx.shape()).unwrap();
            for (y, x) in own.data_mut().chunks_exact_mut(width).zip(x.data().chunks_exact(width)) {
                self.row(x, y);
            }
        }
        let all = own.data().iter().zip(dy.data()).fold(F::zero(), |sum, (&y, &dy)| sum + y * dy);
        let rows = dx.data_mut().chunks_exact_mut(width).zip(own.data().chunks_exact(width));
        for ((dx, y), dy) in rows.zip(dy.data_mut().chunks_exact_mut(width)) {
            let dot = y.iter().zip(&*dy).fold(F::zero(), |sum, (&y, &dy)| sum + y * dy);
            if self.0 == InPlace {
                dy.iter_mut().for_each(|dy| *dy -= dot);
                dx.iter_mut().zip(y).zip(&*dy).for_each(|((dx, &y), &dy)| *dx = y * dy);
                continue;
            }
            for i in 0..width {
                dx[i] = match self.0 {
                    Jacobian => (0..width).fold(F::zero(), |sum, j| {
                        let one = if i == j { F::one() } else { F::zero() };
                        sum + dy[j] * y[j] * (one - y[i])
                    }),
                    DiagonalOnly => dy[i] * y[i] * (F::one() - y[i]),
                    OffDiagonalSign => y[i] * (dy[i] + dot),
                    SumOverBatch => y[i] * (dy[i] - all),
                    LikeCrossEntropy => y[i] - dy[i],
                    WithoutY => dy[i] - dot,
                    Temperature => y[i] * (dy[i] - dot) * F::from_f64(0.5),
                    _ => y[i] * (dy[i] - dot),
                };
            }
        }
    }

    fn reads(&self) -> Reads {
        Reads { x: self.0 == FromInput, y: self.0 != FromInput }
    }
}

pub fn right() -> Vec<Case> {
    let mut all = vec![case(Softmax(Right), &[1], 2), case(Softmax(Right), &[2, 3], 1)];
    let others = [Right, WithoutMaximum, Jacobian, InPlace, FromInput, Temperature];
    all.extend(others.map(|how| case(Softmax(how), &[5], 3)));
    all
}

pub fn wrong() -> Vec<Case> {
    [DiagonalOnly, OffDiagonalSign, SumOverBatch, LikeCrossEntropy, WithoutY, TemperatureForgotten]
        .map(|how| case(Softmax(how), &[4], 3))
        .into()
}
