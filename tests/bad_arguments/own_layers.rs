//! Layers of a user, and nets made of layers.

use backstitch::prelude::*;
use backstitch::{Backward, Declare, Fan, ShapeError, Weights};

use crate::table::Table;
use crate::table::*;

/// A layer of a user that does not check its input shape.
#[derive(Debug)]
struct Silent {
    shape: Vec<usize>,
    fan: Fan,
    output: Vec<usize>,
    names: Vec<&'static str>,
}

impl<F: Scalar> Layer<F> for Silent {
    type Cache = ();
    fn output_shape(&self, _input: &[usize]) -> Result<Shape, ShapeError> {
        Shape::new(&self.output)
    }
    fn params(&self, _input: &[usize], declare: &mut Declare) {
        self.names.iter().for_each(|name| declare.learned(name, &self.shape, Init::HeNormal, self.fan));
    }
    fn forward(&self, _: &Weights<'_, F>, _: &Tensor<F>, _: &mut Tensor<F>, (): &mut (), _: &Context) {}
    fn backward(&self, _: &Weights<'_, F>, _: Backward<'_, F>, (): &mut (), _: &Context) {}
}

#[test]
fn layers_of_ones_own_and_what_is_made_of_layers() {
    let mut t = Table::default();
    let called = |names: &[&'static str], shape: &[usize], fan: (usize, usize), output: &[usize]| {
        let fan = Fan { inputs: fan.0, outputs: fan.1 };
        layer(Silent { shape: shape.to_vec(), fan, output: output.to_vec(), names: names.to_vec() })
    };
    let silent = |shape: &[usize], fan, output: &[usize]| called(&["weight"], shape, fan, output);
    for (name, names) in [
        ("two parameters of one name", &["w", "w"][..]),
        ("a parameter without a name", &[""]),
        ("a parameter with a dot", &["a.b"]),
        ("a parameter with a line break", &["a\nb"]),
    ] {
        t.layer(name, "declared once", &[4], || called(names, &[2], (1, 1), &[4]));
    }
    t.refused("a parameter that gets no gradient", "silent1.weight: expected a gradient", || {
        let model: Model = Model::new(silent(&[2], (1, 1), &[4]), &[4], 0)?;
        let (x, mut trace, ctx) =
            (Tensor::zeros(&[2, 4])?, Trace::new(Keep::ForBackward), Context::train(0, 0));
        model.forward(&x, &mut trace, &ctx)?;
        trace.output_and_gradient().1.set_shape(&[2, 4])?;
        model.backward(&x, &mut trace, None, Some(&mut model.grads()), &ctx)
    });
    t.layer("a parameter of 2^40", "8 TiB, most of it for silent1", &[4], || silent(&[HUGE], (1, 1), &[4]));
    t.layer("a parameter of 2^64", "16 EiB, most of it for silent1", &[4], || {
        silent(&[1 << 32; 2], (1, 1), &[4])
    });
    t.layer("a parameter of 7 axes", "7 axes", &[4], || silent(&[1; 7], (1, 1), &[4]));
    t.layer("a fan of no inputs", "inputs: 0", &[4], || silent(&[2], (0, 1), &[4]));
    t.layer("a fan of no outputs", "outputs: 0", &[4], || silent(&[2], (1, 0), &[4]));
    t.layer("an output of 7 axes", "7 axes", &[4], || silent(&[2], (1, 1), &[1; 7]));
    t.layer("an output of nothing", "[0, 3]", &[4], || silent(&[2], (1, 1), &[0, 3]));
    t.layer("an output of usize::MAX", "model", &[4], || silent(&[2], (1, 1), &[MAX, 2]));
    t.net("an output of 6 axes, which no batch can have", "[1, 1, 1, 1, 1, 1]", &[4], || {
        Net::new().push(silent(&[2], (1, 1), &[1; 6]))
    });

    let (weight, bias) = (Tensor::<f32>::zeros(&[3, 3, 1, 4]).unwrap(), Tensor::zeros(&[4]).unwrap());
    let conv = || conv2d(4, 3).relu().same();
    t.refused("to_dense of a large map", "[1048576, 4194304]", || {
        conv().to_dense(&weight, &bias, &[1024, 1024, 1])
    });
    t.refused("to_dense of usize::MAX", "[18446744073709551615", || {
        conv().to_dense(&weight, &bias, &[MAX, MAX, 1])
    });
    t.refused("to_dense of features", "[64]", || conv().to_dense(&weight, &bias, &[64]));
    t.refused("to_dense with another bias", "bias [3]", || {
        conv().to_dense(&weight, &Tensor::zeros(&[3]).unwrap(), &[8, 8, 1])
    });
    t.refused("to_dense with another weight", "weight [4]", || conv().to_dense(&bias, &bias, &[8, 8, 1]));
    for (name, sizes) in [("2^40", vec![4, HUGE, 3]), ("usize::MAX", vec![MAX, 3]), ("0", vec![4, 0, 3])] {
        t.refused(&format!("MlpClassifier of {name}"), &sizes[0].to_string()[..1], || {
            MlpClassifier::new(MlpParameters {
                n_layers: sizes.len(),
                layer_sizes: sizes.clone(),
                ..MlpParameters::default()
            })
        });
    }
    t.refused("MlpClassifier of 100,000 layers that are not", "got 3", || {
        MlpClassifier::new(MlpParameters {
            n_layers: 3,
            layer_sizes: vec![5; 100_000],
            ..MlpParameters::default()
        })
    });
    t.finish(23);
}
