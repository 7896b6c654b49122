//! Layers that ask for a parameter that they did not declare.

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};

use crate::error::{Error, ShapeError};

/// The payload that unwinds from such a layer to the pass that runs it, because `w["name"]` cannot return an error. No message is printed.
#[derive(Debug)]
pub(crate) struct Undeclared {
    asked: String,
    declared: Vec<&'static str>,
}

impl Undeclared {
    #[cold]
    pub(crate) fn unwind(asked: &str, declared: Vec<&'static str>) -> ! {
        let own = Self { asked: asked.to_owned(), declared };
        // A program that is built with `panic = "abort"` can only print the reason.
        if cfg!(panic = "abort") { panic_any(own.to_string()) } else { resume_unwind(Box::new(own)) }
    }

    pub(crate) fn expected(&self) -> String {
        format!("only names that Layer::params declares, which are {:?}", self.declared)
    }

    pub(crate) fn got(&self) -> String {
        format!("a layer that asked for {:?}", self.asked)
    }
}

impl std::fmt::Display for Undeclared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "expected {}, got {}", self.expected(), self.got())
    }
}

/// Runs a layer's pass, and returns an error if it asks for a name that is not declared. Other panics of the layer continue.
pub(crate) fn declared_only<T>(
    path: &str,
    describe: impl Fn() -> String,
    run: impl FnOnce() -> T,
) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|payload| match payload.downcast::<Undeclared>() {
        Ok(undeclared) => {
            ShapeError::new(describe(), undeclared.expected(), undeclared.got()).within(path).into()
        }
        Err(panic) => resume_unwind(panic),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Backward, Context, Declare, Fan, Init, Keep, Layer, Model, Scalar, Shape, Tensor, Trace, Weights,
        WeightsMut, layer,
    };

    /// Asks for another name than it declares, in one of its passes.
    #[derive(Debug)]
    struct Misspelt(&'static str);

    impl<F: Scalar> Layer<F> for Misspelt {
        type Cache = ();
        fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
            Shape::new(input)
        }
        fn params(&self, _: &[usize], declare: &mut Declare) {
            declare.learned("weight", &[1], Init::One, Fan { inputs: 1, outputs: 1 });
        }
        fn forward(&self, w: &Weights<'_, F>, x: &Tensor<F>, y: &mut Tensor<F>, _: &mut (), _: &Context) {
            let name = if self.0 == "forward" { "wieght" } else { "weight" };
            y.copy_from(x);
            assert!(!w[name].data().is_empty());
        }
        fn backward(&self, _: &Weights<'_, F>, mut pass: Backward<'_, F>, _: &mut (), _: &Context) {
            assert!(pass.grads.add("weight").is_some());
            if self.0 == "backward" {
                pass.grads.add("wieght");
            }
        }
        fn commit(&self, _: &(), state: &mut WeightsMut<'_, F>) {
            state.data_mut("wieght");
        }
    }

    #[test]
    fn a_layer_that_asks_for_what_it_did_not_declare_is_an_error_of_every_pass() {
        let error = |pass| {
            let mut model: Model = Model::new(layer(Misspelt(pass)), &[2], 0)?;
            let x = Tensor::zeros(&[1, 2])?;
            model.predict(x.view())?;
            let (mut trace, mut grads, ctx) =
                (Trace::new(Keep::ForBackward), model.grads(), Context::train(0, 0));
            model.forward(&x, &mut trace, &ctx)?;
            trace.output_and_gradient().1.copy_from(&x);
            model.backward(&x, &mut trace, None, Some(&mut grads), &ctx)?;
            model.commit(&trace)
        };
        for pass in ["forward", "backward", "commit"] {
            assert_eq!(
                error(pass).unwrap_err().to_string(),
                "misspelt1 (Misspelt): expected only names that Layer::params declares, which are [\"weight\"], \
                 got a layer that asked for \"wieght\"",
                "{pass}"
            );
        }
    }
}
