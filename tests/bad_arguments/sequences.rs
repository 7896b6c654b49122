//! Networks of sequences: ids, positions, states, masks, heads.

use backstitch::prelude::*;
use ndarray::{Array2, Array3, array};

use crate::table::Table;
use crate::table::*;

#[test]
fn settings_of_sequence_layers() {
    let mut t = Table::default();
    t.layer("attention of 0 heads", "at least 1 head", &[4, 6], || attention(0));
    t.layer("attention of 4 heads over 2 numbers each of q, k, v", "4 heads", &[4, 6], || attention(4));
    t.layer("attention of usize::MAX heads", "heads", &[4, 6], || attention(MAX));
    t.layer("attention over a width that is not 3 parts", "[4, 7]", &[4, 7], || attention(1));
    t.layer("attention over rows", "[6]", &[6], || attention(1));
    t.refused("attention over a context of another width", "[3, 7]", || {
        let net = chain![attention(2).over(chain![input("context"), dense(7)])];
        Model::<f32>::with_inputs(net, &[4, 6], &[("context", &[3, 5])], 0)
    });
    for (name, units) in [("0", 0), ("usize::MAX", MAX)] {
        t.layer(&format!("rnn of {name} units"), &format!("{units}"), &[4, 3], || rnn(units));
        t.layer(&format!("lstm of {name} units"), &format!("{units}"), &[4, 3], || lstm(units));
        t.layer(&format!("gru of {name} units"), &format!("{units}"), &[4, 3], || gru(units));
        t.layer(&format!("embedding of {name} numbers"), &format!("{units}"), &[4], || embedding(5, units));
        t.layer(&format!("embedding of {name} ids"), &format!("{units}"), &[4], || embedding(units, 5));
    }
    t.layer("lstm of 0 layers", "0", &[4, 3], || lstm(2).layers(0));
    t.layer("lstm over rows", "[3]", &[3], || lstm(2));
    t.layer("positions for a longer sequence", "[9, 3]", &[9, 3], || learned_positions(8));
    t.net("a tied weight of another shape", "[5, 4]", &[4], || {
        chain!["e" => embedding(5, 4), "d" => dense(5)].tie("d.weight", "e.weight")
    });
    t.finish(20);
}

#[test]
fn passes_over_sequences() {
    let mut t = Table::default();
    let model: Model = Model::new(chain![embedding(5, 4), lstm(3)], &[4], 0).unwrap();
    t.refused("an id that there is not", "5 at [0, 1]", || model.predict(array![[0.0, 5.0]]));
    t.refused("an id below 0", "-1 at [1, 0]", || model.predict(array![[0.0], [-1.0]]));
    t.refused("half an id", "0.5 at [0, 0]", || model.predict(array![[0.5]]));
    t.refused("an id that is NaN", "NaN at [0, 0]", || model.predict(array![[f32::NAN]]));
    t.refused("sequences of length 0", "[2, 0]", || model.predict(Array2::zeros((2, 0))));
    t.refused("a longer sequence", "[1, 5]", || model.predict(Array2::zeros((1, 5))));
    t.refused("a state of another number of samples", "got 1", || {
        let mut stream = model.stream();
        stream.next(Array2::zeros((2, 3)))?;
        stream.next(Array2::zeros((1, 3))).map(drop)
    });
    let net = chain![attention(1).mask("mask")];
    let masked: Model = Model::with_inputs(net, &[2, 3], &[("mask", &[2])], 0).unwrap();
    let predict = |mask: Array2<f32>| {
        let x = Array3::zeros((mask.nrows(), 2, 3));
        masked.predict_with(&x, &[("mask", &mask)])
    };
    t.refused("a mask that hides everything of one sample", "none of sample 1", || {
        predict(array![[1.0, 0.0], [0.0, 0.0]])
    });
    t.refused("a mask of halves", "0.5 at [0, 1]", || predict(array![[1.0, 0.5]]));
    t.refused("a mask with NaN", "NaN at [0, 0]", || predict(array![[f32::NAN, 1.0]]));
    t.refused("a mask of another length", "[1, 3]", || predict(array![[1.0, 1.0, 1.0]]));
    t.refused("no mask", "mask", || masked.predict(Array3::zeros((1, 2, 3))));
    t.finish(12);
}
