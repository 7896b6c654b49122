//! Wrong calls with their names, and what most of them need.

use std::collections::HashSet;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

use backstitch::prelude::*;

/// The list of all failures of the table, reported at its end.
#[derive(Default)]
pub struct Table {
    names: HashSet<String>,
    wrong: Vec<String>,
}

impl Table {
    /// A call that must give an error whose message contains `got`.
    pub fn refused<T, E: Display>(&mut self, name: &str, got: &str, call: impl FnOnce() -> Result<T, E>) {
        assert!(self.names.insert(name.to_owned()), "two cases are called {name}");
        let result = catch_unwind(AssertUnwindSafe(|| call().map(drop).map_err(|error| error.to_string())));
        let what = match result {
            Err(_) => "panics".to_owned(),
            Ok(Ok(())) => "is accepted".to_owned(),
            Ok(Err(message)) if message.contains('\n') => {
                format!("has a message of several lines: {message}")
            }
            Ok(Err(message)) if message.len() > 300 => format!("has a message that is too long: {message}"),
            Ok(Err(message)) if !message.contains(got) => format!("does not say {got:?}: {message}"),
            Ok(Err(_)) => return,
        };
        self.wrong.push(format!("{name} {what}"));
    }

    /// A network that must give an error for inputs of this shape.
    pub fn net(&mut self, name: &str, got: &str, input: &[usize], net: impl FnOnce() -> Net) {
        self.refused(name, got, || Model::<f32>::new(net(), input, 0));
    }

    pub fn layer<L: Into<Net>>(&mut self, name: &str, got: &str, input: &[usize], layer: impl FnOnce() -> L) {
        self.net(name, got, input, || Net::new().push(layer()));
    }

    pub fn finish(self, least: usize) {
        assert!(
            self.wrong.is_empty(),
            "{} of {}:\n{}",
            self.wrong.len(),
            self.names.len(),
            self.wrong.join("\n")
        );
        assert!(self.names.len() >= least, "{} cases", self.names.len());
    }
}

pub const MAX: usize = usize::MAX;
pub const HUGE: usize = 1 << 40;
pub const MAP: &[usize] = &[8, 8, 3];

pub fn small() -> Model {
    let net = Net::new()
        .push(conv2d(4, 3).relu().same())
        .push(batch_norm())
        .push(max_pool(2))
        .push(dropout(0.2))
        .push(flatten())
        .push(dense(5));
    Model::new(net, MAP, 0).unwrap()
}

pub fn batch(samples: usize) -> Tensor {
    let mut x = Tensor::zeros(&[samples, 8, 8, 3]).unwrap();
    x.data_mut().iter_mut().enumerate().for_each(|(i, v)| *v = (i % 17) as f32 / 17.0);
    x
}

/// The trace of a training pass, with a gradient for the start of the backward pass.
pub fn pass(model: &Model, x: &Tensor, keep: Keep) -> Trace {
    let mut trace = Trace::new(keep);
    model.forward(x, &mut trace, &Context::train(0, 0)).unwrap();
    let (y, dy) = trace.output_and_gradient();
    dy.set_shape(&y.shape()).unwrap();
    dy.fill(1.0);
    trace
}
