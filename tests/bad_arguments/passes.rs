//! Tensors, passes, traces and parameters.

use backstitch::optim::{OptimizerMemory, clip_gradients};
use backstitch::penalty::Penalty;
use backstitch::prelude::*;
use backstitch::{Grads, train};
use ndarray::{ArrayD, IxDyn};

use crate::table::Table;
use crate::table::*;

#[test]
fn tensors_and_shapes() {
    let mut t = Table::default();
    t.refused("zeros of 2^64", "[4294967296, 4294967296]", || Tensor::<f32>::zeros(&[1 << 32, 1 << 32]));
    t.refused("zeros of 2^40", "[1099511627776]", || Tensor::<f32>::zeros(&[HUGE]));
    t.refused("zeros of usize::MAX", "[18446744073709551615]", || Tensor::<f64>::zeros(&[MAX]));
    t.refused("zeros with an axis of 0 beside large ones", "[0, ", || Tensor::<f64>::zeros(&[0, HUGE, HUGE]));
    t.refused("zeros of 7 axes", "7 axes", || Tensor::<f32>::zeros(&[1; 7]));
    t.refused("zeros of 100,000 axes", "100000 axes", || Tensor::<f32>::zeros(&[1; 100_000]));
    t.refused("a shape of 7 axes", "7 axes", || Shape::new(&[1; 7]));
    t.refused("a batch of 6 axes", "7 axes", || Shape::from([1; 6]).batched(2));
    t.refused("an array of 7 axes", "7 axes", || Tensor::from_array(ArrayD::<f32>::zeros(IxDyn(&[1; 7]))));
    t.refused("an array of an empty seventh axis", "7 axes", || {
        Tensor::from_array(ArrayD::<f32>::zeros(IxDyn(&[1, 1, 1, 1, 1, 1, 0])))
    });
    let mut tensor = Tensor::<f32>::default();
    t.refused("set_shape of 2^64", "[4294967296, 4294967296]", || tensor.set_shape(&[1 << 32, 1 << 32]));
    t.refused("set_shape of 7 axes", "7 axes", || tensor.set_shape(&[2; 7]));
    let one = ArrayD::<f32>::zeros(IxDyn(&[1, 1]));
    let wide = |shape: [usize; 2]| one.broadcast(IxDyn(&shape)).unwrap();
    t.refused("a view that is larger than any memory", "[1099511627776, 4]", || {
        Tensor::from_array(wide([HUGE, 4]))
    });
    t.refused("a data set of such a view", "[2, 1099511627776]", || {
        Dataset::classes(wide([2, HUGE]), &[0, 1])
    });
    t.refused("predictions for such a view", "[1099511627776, 3]", || {
        let model: Model = Model::new(Net::new().push(dense(3).relu()), &[4], 0)?;
        model.predict(wide([HUGE, 4]))
    });
    let inputs = ArrayD::<f32>::zeros(IxDyn(&[1; 8]));
    t.refused("a data set of 8 axes", "8 axes", || Dataset::classes(&inputs, &[0]));
    t.finish(16);
}

#[test]
fn passes() {
    let mut t = Table::default();
    let (model, x) = (small(), batch(4));
    let train = Context::train(0, 0);
    let forward = |x: &Tensor| model.forward(x, &mut Trace::new(Keep::ForBackward), &train);
    t.refused("forward of an empty tensor", "[0]", || forward(&Tensor::default()));
    t.refused("forward of no samples", "[0, 8, 8, 3]", || forward(&batch(0)));
    t.refused("forward of rows", "[4, 192]", || forward(&Tensor::zeros(&[4, 192]).unwrap()));
    t.refused("forward of other channels", "[4, 8, 8, 1]", || {
        forward(&Tensor::zeros(&[4, 8, 8, 1]).unwrap())
    });
    t.refused("forward of one map without a batch", "[8, 8, 3]", || forward(&Tensor::zeros(MAP).unwrap()));
    t.refused("predict of no axes", "[]", || model.predict(ArrayD::zeros(IxDyn(&[])).view()));
    t.refused("predict of rows", "[4, 192]", || model.predict(ArrayD::zeros(IxDyn(&[4, 192])).view()));
    t.refused("predict of 9 axes", "[1, 1", || model.predict(ArrayD::zeros(IxDyn(&[1; 9])).view()));
    t.refused("probabilities of maps", "[8, 8, 2]", || {
        let model: Model = Model::new(Net::new().push(conv2d(2, 1).relu()), MAP, 0)?;
        model.predict_proba(ArrayD::zeros(IxDyn(&[1, 8, 8, 3])).view())
    });
    t.refused("forward that would take terabytes", "samples of", || {
        let net = Net::new().push(dense(1 << 22).relu()).push(dense(1).relu());
        let model: Model = Model::new(net, &[1], 0)?;
        model.forward(&Tensor::zeros(&[1 << 20, 1])?, &mut Trace::new(Keep::ForBackward), &train)
    });

    let mut model = small();
    let trace = || pass(&small(), &x, Keep::ForBackward);
    t.refused("backward with a fresh trace", "without a pass", || {
        model.backward(&x, &mut Trace::new(Keep::ForBackward), None, Some(&mut model.grads()), &train)
    });
    t.refused("backward with a fresh trace that keeps all", "without a pass", || {
        model.backward(&x, &mut Trace::new(Keep::All), None, Some(&mut model.grads()), &train)
    });
    t.refused("backward with a trace of another model", "another model", || {
        model.backward(&x, &mut trace(), None, Some(&mut model.grads()), &train)
    });
    t.refused("backward with a trace of another network", "another model", || {
        let other: Model = Model::new(Net::new().push(flatten()).push(dense(5).relu()), MAP, 0)?;
        model.backward(&x, &mut pass(&other, &x, Keep::ForBackward), None, Some(&mut model.grads()), &train)
    });
    t.refused("backward with the output alone", "Keep::Last", || {
        let mut trace = pass(&model, &x, Keep::Last);
        model.backward(&x, &mut trace, None, Some(&mut model.grads()), &train)
    });
    t.refused("backward with x of a larger batch", "[6, 8, 8, 3]", || {
        let mut trace = pass(&model, &x, Keep::ForBackward);
        model.backward(&batch(6), &mut trace, None, Some(&mut model.grads()), &train)
    });
    t.refused("backward with x of a smaller batch", "[2, 8, 8, 3]", || {
        let mut trace = pass(&model, &x, Keep::All);
        model.backward(&batch(2), &mut trace, Some(&mut Tensor::default()), Some(&mut model.grads()), &train)
    });
    t.refused("backward with x of another shape", "[4, 192]", || {
        let mut trace = pass(&model, &x, Keep::ForBackward);
        model.backward(&Tensor::zeros(&[4, 192])?, &mut trace, None, Some(&mut model.grads()), &train)
    });
    t.refused("backward with x that is empty", "[0]", || {
        let mut trace = pass(&model, &x, Keep::ForBackward);
        model.backward(&Tensor::default(), &mut trace, None, Some(&mut model.grads()), &train)
    });
    t.refused("backward with other numbers in x", "other numbers", || {
        let mut trace = pass(&model, &x, Keep::ForBackward);
        model.backward(&Tensor::zeros(&[4, 8, 8, 3])?, &mut trace, None, Some(&mut model.grads()), &train)
    });
    t.refused("backward without dy", "got [0]", || {
        let mut trace = Trace::new(Keep::ForBackward);
        model.forward(&x, &mut trace, &train)?;
        model.backward(&x, &mut trace, None, Some(&mut model.grads()), &train)
    });
    t.refused("backward with dy of another batch", "got [3, 5]", || {
        let mut trace = pass(&model, &x, Keep::ForBackward);
        trace.output_and_gradient().1.set_shape(&[3, 5])?;
        model.backward(&x, &mut trace, None, Some(&mut model.grads()), &train)
    });
    t.refused("backward with gradients of another model", "of another", || {
        let mut trace = pass(&model, &x, Keep::ForBackward);
        let other: Model = Model::new(dense(4), &[3], 0)?;
        model.backward(&x, &mut trace, None, Some(&mut other.grads()), &train)
    });
    t.refused("backward with the trace of a copy", "another model", || {
        let mut trace = pass(&model.clone(), &x, Keep::ForBackward);
        model.backward(&x, &mut trace, None, Some(&mut model.grads()), &train)
    });
    t.refused("backward with a trace from before something was frozen", "frozen", || {
        let mut model = small();
        let mut trace = pass(&model, &x, Keep::ForBackward);
        model.freeze("conv1.*")?;
        model.backward(&x, &mut trace, None, Some(&mut model.grads()), &train)
    });
    t.refused("backward after a forward pass that failed", "[2, 8, 8, 3]", || {
        let mut trace = pass(&model, &x, Keep::ForBackward);
        assert!(model.forward(&Tensor::default(), &mut trace, &train).is_err());
        model.backward(&batch(2), &mut trace, None, Some(&mut model.grads()), &train)
    });
    t.refused("commit of a fresh trace", "without a pass", || model.commit(&Trace::new(Keep::ForBackward)));
    t.refused("commit of the output alone", "Keep::Last", || model.commit(&pass(&small(), &x, Keep::Last)));
    t.refused("commit of another model's trace", "another model", || model.commit(&trace()));
    t.refused("a layer of a fresh trace", "a new one", || {
        Trace::<f32>::new(Keep::All).get("conv1").map(drop)
    });
    t.refused("a layer of a trace that does not keep all", "Keep::ForBackward", || {
        trace().get("conv1").map(drop)
    });
    let all = pass(&model, &x, Keep::All);
    for (name, path) in [
        ("a layer that is none", "conv9"),
        ("a path without a name", ""),
        ("a path into a layer", "conv1.weight"),
        ("a path of dots", "..."),
    ] {
        t.refused(name, path, || all.get(path).map(drop));
    }
    t.refused("a path of a megabyte", "aaa", || all.get(&"a".repeat(1 << 20)).map(drop));
    t.refused("a training pass of one sample over batch norm", "one sample", || {
        let net = Net::new().push(flatten()).push(batch_norm());
        let model: Model = Model::new(net, MAP, 0)?;
        model.forward(&batch(1), &mut Trace::new(Keep::ForBackward), &train)
    });
    t.finish(36);
}

#[test]
fn gradients_of_another_model() {
    let mut t = Table::default();
    let (mut model, other) = (small(), Model::new(dense(4), &[3], 0).unwrap());
    let before = model.clone();
    let mut grads: Grads = other.grads();
    t.refused("clipping", "of another", || clip_gradients(&model, &mut grads, 1.0));
    t.refused("a penalty", "of another", || Penalty::new(0.1, 0.1)?.add_gradients(&model, &mut grads));
    let mut memory = OptimizerMemory::new();
    t.refused("sgd", "of another", || memory.step(&Sgd::new(0.1), 0.1, &mut model, &grads));
    t.refused("adam", "of another", || memory.step(&Adam::new(0.1), 0.1, &mut model, &grads));
    t.refused("a step", "of another", || {
        let mut workspace = train::Workspace::new(&model);
        workspace.grads = other.grads();
        let (rules, ctx) =
            (train::StepSettings::new(Sgd::new(0.1), CrossEntropy::new()), Context::train(0, 0));
        let (inputs, targets) = (&batch(4), Targets::Classes(&[0, 1, 2, 3]));
        let examples = train::BatchView { inputs, named: &[], targets, weights: None };
        train::step(&mut model, &rules, examples, 1.0, &mut workspace, &ctx)
    });
    assert_eq!(model.state(), before.state());
    t.finish(5);
}
