//! Names, interpretability methods, and augmentation.

use backstitch::ReluRule;
use backstitch::augment::Augment;
use backstitch::explain::{
    Cam, Goal, Maximizer, activations, class_gradient, filters, gaussian_blur, grad_cam,
    gradient_times_input, guided_grad_cam, occlusion, saliency, smooth_grad, upsample,
};
use backstitch::prelude::*;
use backstitch::zoo;
use ndarray::{Array3, ArrayD, IxDyn};

use crate::table::Table;
use crate::table::*;

#[test]
fn names_and_patterns() {
    let mut t = Table::default();
    let mut model: Model = Model::new(zoo::resnet18(10), &[64, 64, 3], 0).unwrap();
    t.refused("a pattern of nothing", "\"\"", || model.freeze(""));
    t.refused("a name that is none among 102", "conv9", || model.freeze("conv9.weight"));
    t.refused("a pattern of many stars", "*a*a", || model.freeze(&format!("{}b", "*a".repeat(50_000))));
    t.refused("many stars in a row", "***", || model.unfreeze(&format!("{}no", "*".repeat(100_000))));
    t.refused("a name of a megabyte", "aaa", || model.unfreeze(&"a".repeat(1 << 20)));
    assert_eq!(model.names(&"*w*t".repeat(10_000)), Vec::<String>::new());
    assert_eq!(model.names("*").len(), 102);
    t.refused("filters of a layer that has none", "fc", || filters(&model, "fc"));
    t.refused("filters of nothing", "\"\"", || filters(&model, ""));
    t.finish(7);
}

#[test]
fn ways_of_looking_inside() {
    let mut t = Table::default();
    let mut model = small();
    let rows: Model = Model::new(Net::new().push(dense(3).relu()), &[4], 0).unwrap();
    let x = batch(2).to_array();
    let (x, one) = (x.view(), batch(1).to_array());
    let one = one.view();
    let flat = ArrayD::<f32>::zeros(IxDyn(&[2, 192]));
    let none = ArrayD::<f32>::zeros(IxDyn(&[0, 8, 8, 3]));
    let m = &mut model;
    t.refused("activations of no layer", "conv9", || activations(m, &x, "conv9"));
    t.refused("activations of rows", "[5]", || activations(m, &x, "dense1"));
    t.refused("activations for rows", "[2, 192]", || activations(m, flat.view(), "conv1"));
    for (cam, name) in [(Cam::GradCam, "grad_cam"), (Cam::PlusPlus, "grad_cam++")] {
        t.refused(&format!("{name} of too few classes"), "got 1", || grad_cam(m, &x, &[0], "conv1", cam));
        t.refused(&format!("{name} of too many classes"), "got 3", || grad_cam(m, &x, &[0; 3], "conv1", cam));
        t.refused(&format!("{name} of a class that is none"), "got 5", || {
            grad_cam(m, &x, &[0, 5], "conv1", cam)
        });
        t.refused(&format!("{name} of class usize::MAX"), "615", || grad_cam(m, &x, &[MAX, 0], "conv1", cam));
        t.refused(&format!("{name} at no layer"), "conv9", || grad_cam(m, &x, &[0, 1], "conv9", cam));
        t.refused(&format!("{name} at rows"), "[5]", || grad_cam(m, &x, &[0, 1], "dense1", cam));
        t.refused(&format!("{name} for rows"), "[2, 192]", || {
            grad_cam(m, flat.view(), &[0, 1], "conv1", cam)
        });
    }
    t.refused("guided_grad_cam at no layer", "\"\"", || guided_grad_cam(m, &x, &[0, 1], ""));
    t.refused("class_gradient of a class that is none", "got 7", || {
        class_gradient(m, &x, &[7, 0], ReluRule::Plain)
    });
    t.refused("saliency of too few classes", "got 0", || saliency(m, &x, &[], ReluRule::Guided));
    t.refused("gradient_times_input for rows", "[2, 192]", || gradient_times_input(m, flat.view(), &[0, 1]));
    for (name, samples, deviation, got) in [
        ("no samples", 0, 0.1, "got 0"),
        ("usize::MAX samples", MAX, 0.1, "18446744073709551615"),
        ("deviation NaN", 3, f64::NAN, "NaN"),
        ("deviation 0", 3, 0.0, "got 0"),
        ("deviation inf", 3, f64::INFINITY, "inf"),
        ("deviation -1", 3, -1.0, "-1"),
    ] {
        t.refused(&format!("smooth_grad, {name}"), got, || {
            smooth_grad(m, &x, &[0, 1], samples, deviation, 0)
        });
    }
    let wide = one.broadcast(IxDyn(&[HUGE, 8, 8, 3])).unwrap();
    t.refused("smooth_grad of 2^40 pictures", "got", || smooth_grad(m, &wide, &[0, 1], 3, 0.1, 0));
    t.refused("saliency of 2^40 pictures", "got", || saliency(m, &wide, &[0, 1], ReluRule::Plain));
    t.refused("activations of 2^40 pictures", "[1099511627776, 8, 8, 3]", || activations(m, &wide, "conv1"));
    t.refused("occlusion of 2^40 pictures", "1099511627776", || occlusion(m, &wide, 0, 2, 1, 0.0));
    t.refused("smooth_grad of a class that is none", "got 5", || smooth_grad(m, &x, &[0, 5], 1000, 0.1, 0));
    for (name, patch, stride, got) in [
        ("patch 0", 0, 1, "got 0"),
        ("stride 0", 2, 0, "got 0"),
        ("patch 9", 9, 1, "got 9"),
        ("patch usize::MAX", MAX, 1, "615"),
        ("stride usize::MAX", 2, MAX, "615"),
    ] {
        t.refused(&format!("occlusion, {name}"), got, || occlusion(m, &one, 0, patch, stride, 0.0));
    }
    t.refused("occlusion of two pictures", "got 2", || occlusion(m, &x, 0, 2, 1, 0.0));
    t.refused("occlusion of no picture", "got 0", || occlusion(m, none.view(), 0, 2, 1, 0.0));
    t.refused("occlusion of a class that is none", "got 5", || occlusion(m, &one, 5, 2, 1, 0.0));
    t.refused("occlusion of a model of rows", "[4]", || occlusion(&rows, &one, 0, 2, 1, 0.0));

    let maps = Array3::<f32>::zeros((1, 2, 2));
    for (name, height, width, got) in [
        ("nothing", 0, 5, "[0, 5]"),
        ("2^40 by 2^40", HUGE, HUGE, "1099511627776"),
        ("usize::MAX", MAX, 1, "615"),
        ("2^40 by 1", HUGE, 1, "[1, 1099511627776, 1]"),
    ] {
        t.refused(&format!("upsample to {name}"), got, || upsample(maps.view(), height, width));
    }
    t.refused("upsample of nothing", "[0, 3]", || upsample(Array3::<f32>::zeros((1, 0, 3)).view(), 4, 4));
    for value in [f64::NAN, -1.0, 1e300, f64::INFINITY, 9.0] {
        let mut picture = Array3::<f32>::zeros((8, 8, 3));
        let shown = value.to_string();
        t.refused(&format!("gaussian_blur of {value}"), &shown[..shown.len().min(20)], || {
            gaussian_blur(picture.view_mut(), value)
        });
    }

    let start = Array3::<f32>::zeros((8, 8, 3));
    let climb = Maximizer::new(2, 0.1).unwrap();
    t.refused("no iterations", "got 0", || Maximizer::new(0, 0.1));
    t.refused("usize::MAX iterations", "615", || Maximizer::new(MAX, 0.1));
    for value in [f64::NAN, 0.0, -1.0, f64::INFINITY] {
        t.refused(&format!("rate {value}"), &value.to_string(), || Maximizer::new(5, value));
        t.refused(&format!("blur {value}"), &value.to_string(), || climb.blur(value, 1));
    }
    for value in [f64::NAN, -0.1, 1.0, f64::INFINITY] {
        t.refused(&format!("decay {value}"), &value.to_string(), || climb.decay(value));
        t.refused(&format!("clip_small_norm {value}"), &value.to_string(), || climb.clip_small_norm(value));
        t.refused(&format!("clip_small_contribution {value}"), &value.to_string(), || {
            climb.clip_small_contribution(value)
        });
    }
    t.refused("blur every 0 steps", "got 0", || climb.blur(1.0, 0));
    t.refused("an empty range", "1 to 1", || climb.range(1.0, 1.0));
    t.refused("a range of NaN", "NaN", || climb.range(f64::NAN, 1.0));
    t.refused("noise of NaN", "NaN", || climb.noise(m, f64::NAN, 1.0));
    t.refused("noise of infinite width", "inf", || climb.noise(m, 0.0, f64::INFINITY));
    t.refused("noise for rows", "[4]", || climb.noise(&rows, 0.0, 1.0));
    let class = Goal::Class(0);
    let mut run = |name: &str, got: &str, climb: Maximizer, goal: &Goal, start: &Array3<f32>| {
        t.refused(name, got, || climb.run(m, goal, start.view()));
    };
    run("jitter of usize::MAX", "615", climb.jitter(MAX), &class, &start);
    run("jitter of 2^62", "4611686018427387904", climb.jitter(1 << 62), &class, &start);
    run("jitter wider than the picture", "got 9", climb.jitter(9), &class, &start);
    run("blur of 1e300", "1000000000000000", climb.blur(1e300, 1).unwrap(), &class, &start);
    run("class 5 of 5", "got 5", climb, &Goal::Class(5), &start);
    run("class usize::MAX", "615", climb, &Goal::Class(MAX), &start);
    let filter = |layer: &str, channel| Goal::Filter { layer: layer.to_owned(), channel };
    run("channel 4 of 4", "got 4", climb, &filter("conv1", 4), &start);
    run("channel usize::MAX", "615", climb, &filter("dense1", MAX), &start);
    run("a channel of no layer", "conv9", climb, &filter("conv9", 0), &start);
    run("a picture of nothing", "[0, 0, 3]", climb.jitter(1), &class, &Array3::zeros((0, 0, 3)));
    run("a picture of another size", "[8, 7, 3]", climb, &class, &Array3::zeros((8, 7, 3)));
    t.finish(81);
}

#[test]
fn augmentations() {
    let mut t = Table::default();
    for value in [f64::NAN, 0.0, -1.0, 1.1, f64::INFINITY] {
        t.refused(&format!("random_resized_crop {value}"), &value.to_string(), || {
            Augment::new().random_resized_crop(value)
        });
    }
    t.refused("as many deviations as not means", "got 1", || Augment::new().normalize(&[0.0, 0.0], &[1.0]));
    t.refused("a normalization of nothing", "got 0", || Augment::new().normalize(&[], &[]));
    for value in [f64::NAN, f64::INFINITY, 1e300] {
        let shown = value.to_string();
        let shown = &shown[..shown.len().min(10)];
        t.refused(&format!("mean {value}"), shown, || Augment::new().normalize(&[value], &[1.0]));
        t.refused(&format!("deviation {value}"), shown, || Augment::new().normalize(&[0.0], &[value]));
    }
    for value in [0.0, -1.0, 1e-300] {
        t.refused(&format!("deviation of {value}"), "0", || Augment::new().normalize(&[0.0], &[value]));
    }
    let three = Augment::new().normalize(&[0.5; 3], &[0.5; 3]).unwrap();
    for (name, shape) in [
        ("one channel", &[2, 4, 4, 1][..]),
        ("two channels", &[2, 4, 4, 2]),
        ("four channels", &[3, 4, 4, 4]),
        ("rows", &[4, 3]),
        ("nothing", &[0]),
    ] {
        let mut maps = Tensor::<f32>::zeros(shape).unwrap();
        t.refused(&format!("normalization of {name}"), "got", || three.apply_normalization(&mut maps));
        assert!(maps.data().iter().all(|&v| v == 0.0), "{name}: changed before it was refused");
    }
    let inputs = ArrayD::<f32>::zeros(IxDyn(&[4, 8, 8, 3]));
    let data = Dataset::classes(&inputs, &[0, 1, 2, 3]).unwrap();
    let mut fit = |name: &str, got: &str, augment: Augment| {
        t.refused(name, got, || {
            let trainer = Trainer::new(Sgd::new(0.1)).epochs(1).batch_size(2).augment(augment);
            trainer.fit(&mut small(), &data)
        });
    };
    fit("a crop of usize::MAX", "615", Augment::new().random_crop(MAX));
    fit("a crop of 2^62", "4611686018427387904", Augment::new().random_crop(1 << 62));
    fit("a crop of the whole map", "got 8", Augment::new().random_crop(8));
    fit("a reflected crop of usize::MAX", "615", Augment::new().random_crop_reflected(MAX));
    fit("a reflected crop of the whole map", "got 8", Augment::new().random_crop_reflected(8));
    fit("two means for three channels", "got 2", Augment::new().normalize(&[0.0; 2], &[1.0; 2]).unwrap());
    t.finish(27);
}
