//! Layers of a user's own, and what is made of layers.

use backstitch::core::cost::Cost;
use backstitch::core::layer::{Fan, Place};
use backstitch::core::{Param, ShapeError, Slot, SlotMut};
use backstitch::prelude::*;

use crate::table::*;

/// A layer of a user's own that does not say what it takes.
#[derive(Debug)]
struct Silent {
    shape: Vec<usize>,
    fan: Fan,
    output: Vec<usize>,
    parameter: Param,
}

impl Layer<f32> for Silent {
    fn describe(&self) -> String {
        "Silent".to_owned()
    }
    fn output_shape(&self, _input: &[usize]) -> Result<Shape, ShapeError> {
        Shape::new(&self.output)
    }
    fn build(&mut self, _input: &[usize], place: &Place) {
        self.parameter = place.param("weight", &self.shape, Init::HeNormal, self.fan);
    }
    fn forward(&self, _x: &Tensor, _t: &mut Trace, _ctx: &Context) {}
    fn backward(&mut self, _x: &Tensor, _t: &mut Trace, _dx: Option<&mut Tensor>, _ctx: &Context) {}
    fn commit(&mut self, _t: &Trace) {}
    fn visit<'a>(&'a self, f: &mut dyn FnMut(Slot<'a, f32>)) {
        f(Slot::Param(&self.parameter));
    }
    fn visit_mut(&mut self, f: &mut dyn FnMut(SlotMut<'_, f32>)) {
        f(SlotMut::Param(&mut self.parameter));
    }
    fn cost(&self, _input: &[usize]) -> Cost {
        Cost::default()
    }
    fn children(&self) -> Children<'_, f32> {
        Children::None
    }
}

#[test]
fn layers_of_ones_own_and_what_is_made_of_layers() {
    let mut t = Table::default();
    let silent = |shape: &[usize], fan: (usize, usize), output: &[usize]| Silent {
        shape: shape.to_vec(),
        fan: Fan { inputs: fan.0, outputs: fan.1 },
        output: output.to_vec(),
        parameter: Param::default(),
    };
    t.layer("a parameter of 2^40", "silent1.weight", &[4], || silent(&[HUGE], (1, 1), &[4]));
    t.layer("a parameter of 2^64", "[4294967296, 4294967296]", &[4], || silent(&[1 << 32; 2], (1, 1), &[4]));
    t.layer("a parameter of 7 axes", "7 axes", &[4], || silent(&[1; 7], (1, 1), &[4]));
    t.layer("a fan of no inputs", "inputs: 0", &[4], || silent(&[2], (0, 1), &[4]));
    t.layer("a fan of no outputs", "outputs: 0", &[4], || silent(&[2], (1, 0), &[4]));
    t.layer("an output of 7 axes", "7 axes", &[4], || silent(&[2], (1, 1), &[1; 7]));
    t.layer("an output of nothing", "[0, 3]", &[4], || silent(&[2], (1, 1), &[0, 3]));
    t.layer("an output of usize::MAX", "model", &[4], || silent(&[2], (1, 1), &[MAX, 2]));
    t.net("an output of 6 axes, which no batch can have", "[1, 1, 1, 1, 1, 1]", &[4], || {
        Sequential::new().push(silent(&[2], (1, 1), &[1; 6]))
    });

    let (weight, bias) = (Tensor::<f32>::zeros(&[3, 3, 1, 4]).unwrap(), Tensor::zeros(&[4]).unwrap());
    let conv = || conv2d::<f32>(4, 3, RELU).padding(Padding::Same);
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
    t.finish(18);
}
