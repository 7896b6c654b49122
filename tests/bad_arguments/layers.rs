//! Layers, networks, the zoo and the networks of the examples.

use backstitch::prelude::*;
use backstitch::zoo;
use backstitch_examples::architecture_comparison::dense_ann;
use backstitch_examples::cnn_vs_fcnn::{model1, model4};

use crate::table::Table;
use crate::table::*;

#[test]
fn sizes_of_layers() {
    let mut t = Table::default();
    for (name, units) in [("2^40", HUGE), ("2^63", 1 << 63), ("usize::MAX", MAX)] {
        t.layer(&format!("dense {name}"), "dense1 (Dense", &[784], || dense(units).relu());
        t.layer(&format!("dense {name} over one feature"), "dense1", &[1], || dense(units).relu());
    }
    t.layer("dense 0", "got 0", &[784], || dense(0).relu());
    t.layer("dense of 256 GiB and as much of gradients", "512 GiB", &[1 << 18], || dense(1 << 18).relu());
    t.layer("dense over a map", "[8, 8, 3]", MAP, || dense(4).relu());
    t.layer("dense over usize::MAX", "dense1", &[MAX], || dense(4).relu());
    t.net("many dense layers that are too much together", "TiB, most of it for dense", &[1 << 17], || {
        (0..40).fold(Net::new(), |net, _| net.push(dense(1 << 17).relu()))
    });
    t.layer("conv2d of 0 filters", "got 0", MAP, || conv2d(0, 3).relu());
    t.layer("conv2d of 2^40 filters", "conv1", MAP, || conv2d(HUGE, 3).relu());
    t.layer("conv2d of usize::MAX filters", "conv1", MAP, || conv2d(MAX, 3).relu());
    for (name, n) in [("0", 0), ("2^40", HUGE), ("usize::MAX", MAX)] {
        let got = format!("{n}x{n}");
        t.layer(&format!("conv2d kernel {name}"), &got, MAP, || conv2d(4, n).relu());
        t.layer(&format!("conv2d kernel {name} with padding"), &got, MAP, || conv2d(4, n).relu().padding(n));
        t.layer(&format!("conv2d kernel {name}, same"), &got, MAP, || conv2d(4, n).relu().same());
        t.layer(&format!("conv2d stride {name}"), &got, MAP, || conv2d(4, 3).relu().stride(n));
        t.layer(&format!("conv2d stride {name}, same"), &got, MAP, || conv2d(4, 3).relu().stride(n).same());
        t.layer(&format!("conv2d dilation {name}"), &got, MAP, || conv2d(4, 3).relu().dilation(n));
        for kind in ["max", "avg"] {
            let both = |window: usize, stride: usize| {
                (max_pool(window).stride(stride), avg_pool(window).stride(stride))
            };
            let ((max, avg), (strided_max, strided_avg)) = (both(n, 1), both(2, n));
            if kind == "max" {
                t.layer(&format!("max_pool window {name}"), &got, MAP, || max);
                t.layer(&format!("max_pool stride {name}"), &got, MAP, || strided_max);
            } else {
                t.layer(&format!("avg_pool window {name}"), &got, MAP, || avg);
                t.layer(&format!("avg_pool stride {name}"), &got, MAP, || strided_avg);
            }
        }
    }
    for (name, n) in [("2^20", 1 << 20), ("2^40", HUGE), ("usize::MAX", MAX)] {
        t.layer(&format!("conv2d padding {name}"), "conv1", MAP, || conv2d(4, 3).relu().padding(n));
        t.layer(&format!("conv2d padding and stride {name}"), "conv1", MAP, || {
            conv2d(4, 3).relu().padding(n).stride(n)
        });
        t.layer(&format!("conv2d padding and dilation {name}"), "conv1", MAP, || {
            conv2d(4, 3).relu().padding(n).dilation(n)
        });
        t.layer(&format!("max_pool padding {name}"), &format!("{n}x{n}"), MAP, || max_pool(2).padding(n));
        t.layer(&format!("avg_pool padding {name}"), &format!("{n}x{n}"), MAP, || avg_pool(2).padding(n));
        t.layer(&format!("avg_pool window and padding {name}"), "avgpool1", MAP, || {
            avg_pool(n).padding(n / 2).stride(1).ceil()
        });
    }
    t.layer("conv2d with more work than ends", "multiplications for a sample", &[1000, 1000, 4], || {
        conv2d(8, 999).relu().same()
    });
    t.layer("conv2d of 2^24 in both ways", "conv1", &[1, 1, 1], || {
        conv2d(1, 1 << 24).relu().padding(1 << 23)
    });
    t.layer("Winograd with a stride", "stride 2x2", MAP, || {
        conv2d(4, 3).relu().stride(2).algorithm(Algorithm::Winograd)
    });
    t.layer("conv2d over features", "[784]", &[784], || conv2d(4, 3).relu());
    t.layer("max_pool over features", "[784]", &[784], || max_pool(2));
    for (name, groups) in [("0", 0), ("2", 2), ("2^40", HUGE), ("usize::MAX", MAX)] {
        t.layer(&format!("group_norm of {name} groups"), &format!("{groups}"), MAP, || group_norm(groups));
    }
    t.layer("group_norm of one number", "fewer groups", &[3], || group_norm(3));
    t.layer("layer_norm over one feature", "[8, 1]", &[8, 1], layer_norm);
    t.layer("instance_norm over features", "[784]", &[784], instance_norm);
    t.layer("layer_norm over usize::MAX", "layernorm1", &[MAX], layer_norm);
    t.layer("group_norm over usize::MAX", "groupnorm1", &[2, MAX], || group_norm(MAX));
    t.layer("prelu over usize::MAX", "prelu1", &[MAX], || prelu().per_channel());
    t.layer("gelu over usize::MAX", "gelu1", &[MAX, 8], gelu);
    t.layer("global_avg_pool over features", "[784]", &[784], global_avg_pool);
    t.layer("a kernel larger than the map", "[8, 8, 3]", MAP, || conv2d(4, 9).relu());
    t.net("flatten of a map that cannot be", "flatten1", &[1 << 20, 1 << 20, 1 << 20], || {
        Net::new().push(flatten())
    });
    t.net("flatten, then dense", "dense1", &[1 << 20, 1 << 20, 8], || {
        Net::new().push(flatten()).push(dense(10).relu())
    });
    t.finish(65);
}

#[test]
fn settings_of_layers() {
    let mut t = Table::default();
    for (name, value) in [
        ("NaN", f64::NAN),
        ("-0.1", -0.1),
        ("1", 1.0),
        ("1e308", 1e308),
        ("inf", f64::INFINITY),
        ("-inf", f64::NEG_INFINITY),
    ] {
        let shown = value.to_string();
        let got = &shown[..shown.len().min(20)];
        t.layer(&format!("dropout {name}"), got, &[4], || dropout(value));
        let leaky = Activation::LeakyRelu(value as _);
        t.layer(&format!("slope {name}"), "slope", &[4], || dense(3).activation(leaky));
        t.layer(&format!("slope {name} of a convolution"), "slope", MAP, || conv2d(3, 3).activation(leaky));
        t.layer(&format!("slope {name} of a normalization"), "slope", MAP, || batch_norm().activation(leaky));
        t.layer(&format!("slope {name} of a layer of its own"), "slope", &[4], || activation(leaky));
        t.net(&format!("slope {name} behind a sum"), "residual1", &[4], || {
            let main = Net::new().push(dense(4).relu());
            Net::new().push(residual(main, Net::new()).activation(leaky))
        });
        t.net(&format!("lenet5 with dropout {name}"), "dropout", &[64, 64, 3], || {
            zoo::Lenet5 { dropout: if value == 1.0 { 2.0 } else { value }, ..Default::default() }.build(10)
        });
        if value != 1.0 {
            t.layer(&format!("momentum {name}"), got, &[4], || batch_norm().momentum(value));
        }
    }
    for (name, value) in [("NaN", f64::NAN), ("0", 0.0), ("-1", -1.0), ("inf", f64::INFINITY)] {
        let got = &value.to_string();
        t.layer(&format!("epsilon {name}"), got, &[4], || batch_norm().epsilon(value));
        t.layer(&format!("epsilon {name} of layer_norm"), got, &[4], || layer_norm().epsilon(value));
        t.layer(&format!("epsilon {name} of rms_norm"), got, &[4], || rms_norm().epsilon(value));
        t.layer(&format!("epsilon {name} of group_norm"), got, &[4], || group_norm(2).epsilon(value));
        t.layer(&format!("epsilon {name} of instance_norm"), got, MAP, || instance_norm().epsilon(value));
        let elu = Activation::Elu(value);
        t.layer(&format!("alpha {name} of elu"), "alpha", &[4], || dense(3).activation(elu));
    }
    t.net("concat of nothing", "got 0", MAP, || Net::new().push(concat::<Net>([])));
    t.net("concat of maps that differ", "[6, 6, 4]", MAP, || {
        let branch = |kernel: usize| Net::new().push(conv2d(4, kernel).relu());
        Net::new().push(concat([branch(1), branch(3)]))
    });
    t.net("concat of widths that overflow", "concat1", &[2], || {
        let branch = |units: usize| Net::new().push(dense(units).relu());
        Net::new().push(concat([branch(MAX / 2), branch(MAX), branch(MAX)]))
    });
    t.net("concat of rows and maps", "[4]", MAP, || {
        let flat = Net::new().push(flatten()).push(dense(4).relu());
        Net::new().push(concat([Net::new().push(conv2d(4, 1).relu()), flat]))
    });
    t.net("a sum of shapes that differ", "[4]", &[4], || {
        Net::new().push(residual(Net::new().push(dense(5).relu()), Net::new()).relu())
    });
    for (name, called) in [
        ("an empty name", String::new()),
        ("a name with a dot", "a.b".to_owned()),
        ("a name with a line break", "a\nb".to_owned()),
        ("a name of 100,000 letters", "a".repeat(100_000)),
    ] {
        t.net(name, "got", &[4], || Net::new().named(&called, dense(3).relu()));
    }
    t.net("two layers of one name", "\"same\"", &[4], || {
        Net::new().named("same", dense(3).relu()).named("same", dense(3).relu())
    });
    for (name, input) in [
        ("an input without axes", &[][..]),
        ("an input of nothing", &[0]),
        ("a map without rows", &[0, 8, 3]),
        ("an input of 7 axes", &[1; 7]),
        ("an input of 1000 axes", &[1; 1000]),
        ("an input of usize::MAX", &[MAX, MAX]),
    ] {
        t.net(name, if input.len() > 100 { "1, 1, 1" } else { "got" }, input, || Net::new().push(flatten()));
    }
    t.refused("an initializer that is none", "xavier", || "xavier".parse::<Init>());
    t.refused("an activation that is none", "swish", || "swish".parse::<Activation>());
    t.refused("an activation with a name of a megabyte", "got aaa", || {
        "a".repeat(1 << 20).parse::<Activation>()
    });
    t.finish(60);
}

#[test]
fn networks_of_the_zoo() {
    let mut t = Table::default();
    type Zoo = (&'static str, fn(usize) -> Net, &'static [usize]);
    let zoo: [Zoo; 7] = [
        ("resnet18", zoo::resnet18, &[64, 64, 3]),
        ("vgg16", zoo::vgg16, &[32, 32, 3]),
        ("lenet5", zoo::lenet5, &[64, 64, 3]),
        ("lenet_fashion", zoo::lenet_fashion, &[28, 28, 1]),
        ("squeezenet", zoo::squeezenet, &[64, 64, 3]),
        ("dense_ann", dense_ann, &[28, 28, 1]),
        (
            "Lenet5",
            |classes| zoo::Lenet5 { padded: true, batch_norm: true, ..Default::default() }.build(classes),
            &[64, 64, 3],
        ),
    ];
    for (name, net, input) in zoo {
        t.net(&format!("{name} for no classes"), "got 0", input, || net(0));
        t.net(&format!("{name} for 2^40 classes"), "got", input, || net(HUGE));
        t.net(&format!("{name} for usize::MAX classes"), "model", input, || net(MAX));
        let mut large = vec![1 << 30; input.len()];
        large[input.len() - 1] = input[input.len() - 1];
        t.net(&format!("{name} over a map of 2^60"), "got", &large, || net(10));
        t.net(&format!("{name} over nothing"), "[0, 0, 3]", &[0, 0, 3], || net(10));
    }
    t.net("model1 over a map of 2^40", "dense1", &[1 << 20, 1 << 20, 1], model1);
    t.net("model4 over a map of 3x3", "got", &[3, 3, 1], model4);
    t.finish(37);
}
