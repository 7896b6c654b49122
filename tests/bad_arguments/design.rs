//! Nets, tied parameters, data sets and losses that do not fit each other.

use backstitch::prelude::*;
use ndarray::{Array1, Array2, Array3};

use crate::table::Table;

#[test]
fn nets_and_ties() {
    let mut t = Table::default();
    t.net("a net without a layer", "at least one layer, got none", &[4], Net::new);
    t.net("a chain of nothing", "at least one layer, got none", &[4], || chain![]);
    t.net(
        "a chain of chains of nothing",
        "at least one layer, got none",
        &[4],
        || chain![chain![], "a" => chain![]],
    );
    t.net(
        "a residual block of identities is a layer",
        "[4]",
        &[4],
        || chain![residual(chain![], chain![]), "head" => conv2d(2, 3)],
    );
    let net = || chain!["a" => dense(4), "b" => dense(4), "c" => chain![batch_norm(), dense(2)]];
    t.net("tie of an unknown name", "\"b.kernel\"", &[4], || net().tie("b.kernel", "a.weight"));
    t.net("tie with an unknown name", "\"a\"", &[4], || net().tie("b.weight", "a"));
    t.net("tie of nothing", "\"\"", &[4], || net().tie("", "a.weight"));
    t.net(
        "tie within a block by the name outside",
        "\"c.c.dense1.weight\"",
        &[4],
        || chain!["c" => chain![dense(4)].tie("c.dense1.weight", "dense1.weight")],
    );
    t.net("tie of other shapes", "[4, 2]", &[4], || net().tie("c.dense1.weight", "a.weight"));
    t.net("tie with itself", "the same one", &[4], || net().tie("a.weight", "a.weight"));
    t.net("tie of a statistic", "statistic", &[4], || net().tie("c.batchnorm1.running_mean", "b.bias"));
    t.net("two names of one chain", "\"a\"", &[4], || chain!["a" => dense(1), "a" => dense(1)]);
    t.finish(12);
}

#[test]
fn data_and_losses() {
    let mut t = Table::default();
    let x = || Array2::<f32>::zeros((20, 4));
    let data = Dataset::classes(x(), &[0; 20]).unwrap();
    for shares in [[0.9, 0.2], [0.5, 0.4], [1.0, 0.0], [1.5, -0.5], [f64::NAN, 1.0]] {
        t.refused(&format!("split of {shares:?}"), &format!("{shares:?}"), || data.split(shares, 0));
    }
    t.refused("split of no parts", "[]", || data.split([], 0));
    t.refused("split into more parts than samples", "got 20", || data.split([1.0 / 32.0; 32], 0));
    t.refused("subset beyond the end", "got 20", || data.subset(&[3, 20]));
    t.refused("folds of one", "got 1", || data.k_fold(1, 0));
    t.refused("as many labels as none", "got 0", || Dataset::classes(x(), &[]));
    t.refused("values of fewer samples", "got 3", || Dataset::values(x(), Array1::<f32>::zeros(3)));
    t.refused("weights of fewer samples", "got 2", || data.clone().weights(&[1.0, 2.0]));
    t.refused("weights below 0", "-1", || data.clone().weights(&[-1.0; 20]));
    let fit = |units: usize, data: &Dataset| {
        let mut model = Model::new(chain![dense(units)], &data.input_shape(), 0)?;
        Trainer::new(Sgd::new(0.1)).batch_size(2).fit(&mut model, data)
    };
    let values = Dataset::values(x(), Array2::<f32>::zeros((20, 3))).unwrap();
    t.refused("dense(10) with values of width 3", "[3]", || fit(10, &values));
    t.refused("dense(3) with classes up to 4", "got 4", || fit(3, &Dataset::classes(x(), &[4; 20])?));
    t.refused("classes for each of 5 positions", "got 10", || {
        fit(
            3,
            &Dataset::classes_at(
                Array3::<f32>::zeros((4, 5, 1)).into_shape_with_order((4, 5))?,
                &[5],
                &[0; 20],
            )?,
        )
    });
    t.refused("hinge with classes", "got classes", || {
        let mut model = Model::new(chain![dense(1)], &[4], 0)?;
        Trainer::new(Sgd::new(0.1)).loss(HINGE).fit(&mut model, &data)
    });
    t.refused("inputs of another width", "[3]", || {
        let mut model = Model::new(chain![dense(2)], &[3], 0)?;
        Trainer::new(Sgd::new(0.1)).fit(&mut model, &data)
    });
    t.finish(18);
}
