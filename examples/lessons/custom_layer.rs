//! A layer of your own: its derivative is checked, then it is used in a network.
//!
//! `cargo run --release --example lesson_custom_layer`

use backstitch::prelude::*;

/// Swish: y = x σ(x), number by number (Ramachandran, Zoph and Le 2017). With s = σ(x): dL/dx = dL/dy (s + y (1 - s)).
#[derive(Debug)]
struct Swish;

fn sigmoid<F: Scalar>(x: F) -> F {
    F::one() / (F::one() + (-x).exp())
}

impl<F: Scalar> Layer<F> for Swish {
    type Cache = ();

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        Shape::new(input)
    }

    fn forward(&self, _: &Weights<F>, x: &Tensor<F>, y: &mut Tensor<F>, (): &mut (), _: &Context) {
        y.data_mut().iter_mut().zip(x.data()).for_each(|(y, &x)| *y = x * sigmoid(x));
    }

    fn backward(&self, _: &Weights<F>, pass: Backward<F>, (): &mut (), _: &Context) {
        let Backward { x, y, dy, dx: Some(dx), .. } = pass else { return };
        let numbers = dx.data_mut().iter_mut().zip(dy.data()).zip(x.data()).zip(y.data());
        for (((dx, &dy), &x), &y) in numbers {
            let s = sigmoid(x);
            *dx = dy * (s + y * (F::one() - s));
        }
    }
}

fn main() -> Result<()> {
    let passed = check_layer(Swish, &[5], 4, &Context::train(0, 0), 1)?;
    println!("{} derivatives agree; the worst: {}", passed.compared, passed.worst);

    let moons: Dataset = moons(400, 0.1, 0)?;
    let [train, test] = moons.split([0.8, 0.2], 0)?;
    let net = chain![dense(16), layer(Swish), dense(2)];
    let mut model = Model::new(net, &[2], 1)?;
    Trainer::new(Adam::new(0.01)).epochs(40).fit(&mut model, &train)?;
    println!("test: {}", evaluate(&model, &test)?);
    Ok(())
}
