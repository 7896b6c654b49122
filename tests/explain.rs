//! Interpretability methods: the same numbers as PyTorch (`fixtures/pytorch/explain.py`), a planted cue that every
//! method must find, and a model that stays unchanged.

use std::collections::BTreeMap;
use std::path::Path;

use backstitch::ReluRule;
use backstitch::explain::{
    Cam, Goal, Maximizer, activations, class_gradient, grad_cam, gradient_times_input, guided_grad_cam,
    occlusion, saliency, smooth_grad,
};
use backstitch::npz;
use backstitch::prelude::*;
use backstitch::rng::{Purpose, stream};
use backstitch_examples::cnn_vs_fcnn::model2;
use ndarray::{Array2, Array3, ArrayD, Axis, IxDyn, s};
use rand::Rng;

fn fixture() -> BTreeMap<String, ArrayD<f64>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/pytorch/explain.npz");
    let mut npz = npz::Archive::open(&path).unwrap();
    let names: Vec<String> = npz.names().map(str::to_owned).collect();
    names.into_iter().map(|name| (name.clone(), npz.read(&name).unwrap())).collect()
}

fn model_of(fixture: &BTreeMap<String, ArrayD<f64>>) -> Model<f64> {
    let conv = |filters| conv2d(filters, 3).relu().padding(1);
    let net = Net::new().push(conv(6)).push(max_pool(2)).push(conv(8)).push(flatten()).push(dense(4));
    let mut model = Model::new(net, &[10, 12, 2], 0).unwrap();
    let state =
        model.state().into_keys().map(|name| (name.to_owned(), Tensor::from_array(&fixture[name]).unwrap()));
    let state = state.collect();
    model.load_state(&state).unwrap();
    model
}

#[track_caller]
fn close(ours: &ArrayD<f64>, theirs: &ArrayD<f64>, what: &str) {
    assert_eq!(ours.shape(), theirs.shape(), "{what}");
    let worst = ours.iter().zip(theirs).fold(0.0_f64, |worst, (a, b)| worst.max((a - b).abs()));
    let size = theirs.iter().fold(0.0_f64, |most, v| most.max(v.abs()));
    assert!(size > 0.0 && worst < 1e-10 * size, "{what}: {worst} of {size}");
}

#[test]
fn maps_and_gradients_are_those_of_pytorch() {
    let fixture = fixture();
    let model = model_of(&fixture);
    let (x, classes) = (fixture["x"].view(), [1, 3]);
    for (rule, name) in
        [(ReluRule::Plain, "plain"), (ReluRule::Guided, "guided"), (ReluRule::Deconvnet, "deconvnet")]
    {
        let gradient = class_gradient(&model, &x, &classes, rule).unwrap();
        close(&gradient, &fixture[&format!("gradient.{name}")], name);
    }
    for layer in ["conv1", "conv2"] {
        for (cam, name) in [(Cam::GradCam, "cam"), (Cam::PlusPlus, "plus_plus")] {
            let name = format!("{name}.{layer}");
            let maps = grad_cam(&model, &x, &classes, layer, cam).unwrap();
            close(&maps.maps.into_dyn(), &fixture[&name], &name);
            assert_eq!(maps.empty, [false, false]);
        }
    }
    let gradient = &fixture["gradient.plain"];
    let by_input = gradient_times_input(&model, &x, &classes).unwrap();
    close(&by_input, &(gradient * &x), "gradient x input");
    let guided = guided_grad_cam(&model, &x, &classes, "conv2").unwrap();
    let expected = &fixture["gradient.guided"] * &fixture["cam.conv2"].view().insert_axis(Axis(3));
    close(&guided, &expected, "guided Grad-CAM");
}

#[test]
fn nothing_in_the_model_moves() {
    let fixture = fixture();
    let model = model_of(&fixture);
    let x = fixture["x"].view();
    let before = model.predict(&x).unwrap();
    class_gradient(&model, &x, &[0, 1], ReluRule::Guided).unwrap();
    Maximizer::new(3, 0.1).unwrap().run(&model, &Goal::Class(2), Array3::zeros((10, 12, 2)).view()).unwrap();
    assert_eq!(model.predict(&x).unwrap(), before);
}

/// 16x16 noise. In pictures of class 1, a corner of 5x5 is bright.
const CUE: usize = 5;

fn pictures(count: usize, seed: u64) -> (ArrayD<f32>, Vec<usize>) {
    let mut rng = stream(seed, Purpose::Sample, 0, 0);
    let mut x = ArrayD::from_shape_simple_fn(IxDyn(&[count, 16, 16, 1]), || rng.random_range(0.0_f32..0.6));
    let labels: Vec<usize> = (0..count).map(|i| i % 2).collect();
    for (mut picture, _) in x.axis_iter_mut(Axis(0)).zip(&labels).filter(|(_, label)| **label == 1) {
        picture.slice_mut(s![..CUE, ..CUE, ..]).mapv_inplace(|v| v + 0.4);
    }
    (x, labels)
}

/// A network that averages over positions, as Grad-CAM's weights do, or one that distinguishes positions.
fn trained(knows_places: bool) -> Model {
    let conv = |filters| conv2d(filters, 3).relu().same();
    let maps = Net::new().push(conv(8)).push(max_pool(2)).push(conv(8));
    let rows = if knows_places { maps.push(flatten()) } else { maps.push(global_avg_pool()) };
    let mut model = Model::new(rows.push(dense(2)), &[16, 16, 1], 1).unwrap();
    let (x, labels) = pictures(400, 1);
    let data = Dataset::classes(&x, &labels).unwrap();
    let trainer = Trainer::new(Adam::new(3e-3)).epochs(30).batch_size(20);
    let history = trainer.fit(&mut model, &data).unwrap();
    assert!(history.last("train_accuracy").unwrap() > 0.99);
    model
}

/// The mean over the cue, and the mean over the rest.
fn inside_and_outside(map: &Array2<f32>) -> (f32, f32) {
    let inside = map.slice(s![..CUE, ..CUE]);
    let (sum, count) = (inside.sum(), inside.len() as f32);
    (sum / count, (map.sum() - sum) / (map.len() as f32 - count))
}

#[test]
fn every_method_points_at_a_planted_cue() {
    let mut model = trained(false);
    let (x, labels) = pictures(2, 9);
    assert_eq!(labels[1], 1);
    let x = x.slice_axis(Axis(0), (1..2).into()).to_owned().into_dyn();
    let x = x.view();
    let first = |maps: Array3<f32>| maps.index_axis(Axis(0), 0).to_owned();
    let flat = |gradient: ArrayD<f32>| {
        first(gradient.index_axis(Axis(3), 0).to_owned().into_dimensionality().unwrap()).mapv(f32::abs)
    };
    let cam = |model: &Model, layer, cam| first(grad_cam(model, &x, &[1], layer, cam).unwrap().maps);
    let rule = |model: &mut Model, rule| first(saliency(model, &x, &[1], rule).unwrap());
    let maps = [
        ("Grad-CAM, last convolution", cam(&model, "conv2", Cam::GradCam)),
        ("Grad-CAM++, last convolution", cam(&model, "conv2", Cam::PlusPlus)),
        ("guided Grad-CAM", flat(guided_grad_cam(&model, &x, &[1], "conv2").unwrap())),
        ("saliency", rule(&mut model, ReluRule::Plain)),
        ("guided backpropagation", rule(&mut model, ReluRule::Guided)),
        ("deconvnet", rule(&mut model, ReluRule::Deconvnet)),
        ("gradient x input", flat(gradient_times_input(&model, &x, &[1]).unwrap())),
        ("SmoothGrad", first(smooth_grad(&model, &x, &[1], 20, 0.1, 0).unwrap())),
        ("occlusion", occlusion(&model, &x, 1, 4, 2, 0.3).unwrap()),
    ];
    for (name, map) in maps {
        let (inside, outside) = inside_and_outside(&map);
        // The rule of a deconvnet does not ask which neurons were active. It finds the cue only weakly, and other
        // things too.
        let factor = if name == "deconvnet" { 1.0 } else { 2.0 };
        assert!(inside > factor * outside && inside > 0.0, "{name}: {inside} inside, {outside} outside");
    }
    let model = trained(true);
    let maximizer = Maximizer::new(60, 0.02).unwrap().decay(0.02).unwrap().range(0.0, 1.0).unwrap();
    let start = maximizer.noise(&model, 0.3, 0.05).unwrap();
    let wanted = maximizer.run(&model, &Goal::Class(1), start.view()).unwrap();
    let (inside, outside) = inside_and_outside(&wanted.picture.index_axis(Axis(2), 0).to_owned());
    assert!(inside > outside, "what the class wants: {inside} inside, {outside} outside");
    assert!(wanted.responses.last() > wanted.responses.first());
}

#[test]
fn a_filter_is_given_what_it_responds_to() {
    let model = trained(false);
    let maximizer = Maximizer::new(40, 0.05).unwrap().jitter(2).seed(5).range(0.0, 1.0).unwrap();
    let start = maximizer.noise(&model, 0.5, 0.1).unwrap();
    let goal = Goal::Filter { layer: "conv2".to_owned(), channel: 3 };
    let result = maximizer.run(&model, &goal, start.view()).unwrap();
    let again = maximizer.run(&model, &goal, start.view()).unwrap();
    assert_eq!(result, again, "one seed, one picture");
    assert!(result.no_gradient || result.responses.last() > result.responses.first());
    // With all regularizers at once the result is still a picture.
    let all = maximizer.decay(0.01).unwrap().blur(0.6, 2).unwrap();
    let all = all.clip_small_norm(0.1).unwrap().clip_small_contribution(0.1).unwrap();
    let picture = all.run(&model, &Goal::Class(0), start.view()).unwrap().picture;
    assert!(picture.iter().all(|v| v.is_finite()));
}

#[test]
fn what_cannot_be_shown_is_said() {
    let model: Model = Model::new(model2(), &[28, 28, 1], 0).unwrap();
    let x = ArrayD::from_elem(IxDyn(&[1, 28, 28, 1]), 0.5);
    let cam = |classes: &[usize], layer: &str| {
        grad_cam(&model, x.view(), classes, layer, Cam::GradCam).unwrap_err().to_string()
    };
    let unknown = cam(&[3], "conv9");
    assert!(unknown.starts_with("layer \"conv9\": expected one of conv1, maxpool1, conv2"), "{unknown}");
    assert_eq!(
        cam(&[3], "dense1"),
        "layer dense1: expected outputs of [height, width, channels], got outputs of [64]"
    );
    assert_eq!(cam(&[10], "conv1"), "classes: expected classes from 0 to 9, got 10");
    assert_eq!(cam(&[1, 2], "conv1"), "classes: expected 1, one for each sample, got 2");
    let small = ArrayD::from_elem(IxDyn(&[1, 20, 28, 1]), 0.5);
    let error = saliency(&model, small.view(), &[1], ReluRule::Plain).unwrap_err().to_string();
    assert_eq!(error, "input: expected [samples, 28, 28, 1], got [1, 20, 28, 1]");
    let error = occlusion(&model, x.view(), 1, 0, 1, 0.0).unwrap_err().to_string();
    assert_eq!(error, "patch: expected from 1 to 28, got 0");
    let goal = Goal::Filter { layer: "conv1".to_owned(), channel: 16 };
    let error = Maximizer::new(1, 0.1).unwrap().run(&model, &goal, Array3::zeros((28, 28, 1)).view());
    assert_eq!(error.unwrap_err().to_string(), "channel: expected from 0 to 15, a channel of conv1, got 16");
    // A batch without pictures is not an error: there is nothing to show.
    let none = ArrayD::zeros(IxDyn(&[0, 28, 28, 1]));
    let cam = grad_cam(&model, none.view(), &[], "conv3", Cam::GradCam).unwrap();
    assert_eq!((cam.maps.dim(), cam.empty.len()), ((0, 28, 28), 0));
    assert_eq!(activations(&model, x.view(), "conv2").unwrap().dim(), (1, 14, 14, 32));
}

#[test]
fn a_class_without_any_gradient_has_an_empty_map() {
    let mut model: Model = Model::new(model2(), &[28, 28, 1], 0).unwrap();
    let dense2 = model.slots_mut().filter(|slot| slot.name().starts_with("dense2"));
    dense2.for_each(|mut slot| slot.data_mut().fill(0.0));
    let x = ArrayD::from_elem(IxDyn(&[2, 28, 28, 1]), 0.5);
    let cam = grad_cam(&model, x.view(), &[0, 1], "conv3", Cam::PlusPlus).unwrap();
    assert_eq!(cam.empty, [true, true]);
    assert!(cam.maps.iter().all(|&value| value == 0.0));
}
