//! Networks drawn at random: each is refused with an error of one line, or it runs.

use backstitch_core::layers::{
    Padding, avg_pool, batch_norm, conv2d, dense, dropout, flatten, global_avg_pool, max_pool,
};
use backstitch_core::{Context, Keep, Model, Net, Tensor, Trace, concat, residual};
use proptest::prelude::*;

const MAX: usize = usize::MAX;
const HUGE: usize = 1 << 40;

/// A setting: mostly small, sometimes 0 or far too large.
fn setting() -> impl Strategy<Value = usize> {
    prop_oneof![
        12 => 1_usize..5,
        1 => Just(0),
        1 => prop_oneof![Just(1 << 20), Just(1 << 24), Just(1 << 37), Just(HUGE), Just(MAX / 2), Just(MAX)],
    ]
}

/// Units or filters: either a few, or more than any machine can hold. Sizes between them would be built.
fn units() -> impl Strategy<Value = usize> {
    prop_oneof![12 => 1_usize..7, 1 => Just(0), 1 => prop_oneof![Just(HUGE), Just(MAX / 2), Just(MAX)]]
}

#[derive(Debug, Clone)]
enum Drawn {
    Dense(usize),
    Conv([usize; 5], bool),
    MaxPool([usize; 3], bool),
    AvgPool([usize; 3], bool),
    Norm(f64),
    Drop(f64),
    Flat,
    Global,
    Sum(usize),
    Concat(usize, usize),
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let rate = prop_oneof![4 => 0.0_f64..0.9, 1 => Just(f64::NAN), 1 => Just(-1.0), 1 => Just(1.0)];
    let five = (units(), [setting(), setting(), setting(), setting()]);
    let three = || (setting(), setting(), prop_oneof![3 => Just(0), 1 => setting()]);
    prop_oneof![
        units().prop_map(Drawn::Dense),
        (five, any::<bool>())
            .prop_map(|((filters, [a, b, c, d]), same)| Drawn::Conv([filters, a, b, c, d], same)),
        (three(), any::<bool>()).prop_map(|((a, b, c), ceil)| Drawn::MaxPool([a, b, c], ceil)),
        (three(), any::<bool>()).prop_map(|((a, b, c), ceil)| Drawn::AvgPool([a, b, c], ceil)),
        rate.clone().prop_map(Drawn::Norm),
        rate.prop_map(Drawn::Drop),
        Just(Drawn::Flat),
        Just(Drawn::Global),
        units().prop_map(Drawn::Sum),
        (units(), units()).prop_map(|(a, b)| Drawn::Concat(a, b)),
    ]
}

fn add(net: Net, layer: &Drawn) -> Net {
    let branch = |units: usize| Net::new().push(conv2d(units, 1).relu());
    match *layer {
        Drawn::Dense(units) => net.push(dense(units).relu()),
        Drawn::Conv([filters, kernel, stride, dilation, padding], same) => {
            let padding = if same { Padding::Same } else { Padding::from(padding) };
            net.push(conv2d(filters, kernel).relu().stride(stride).dilation(dilation).padding(padding))
        }
        Drawn::MaxPool([window, stride, padding], ceil) => {
            let pool = max_pool(window).stride(stride).padding(padding);
            net.push(if ceil { pool.ceil() } else { pool })
        }
        Drawn::AvgPool([window, stride, padding], ceil) => {
            let pool = avg_pool(window).stride(stride).padding(padding);
            net.push(if ceil { pool.ceil() } else { pool })
        }
        Drawn::Norm(momentum) => net.push(batch_norm().momentum(momentum)),
        Drawn::Drop(rate) => net.push(dropout(rate)),
        Drawn::Flat => net.push(flatten()),
        Drawn::Global => net.push(global_avg_pool()),
        Drawn::Sum(units) => net.push(residual(branch(units), Net::new()).relu()),
        Drawn::Concat(a, b) => net.push(concat([branch(a), branch(b)])),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn any_network_is_refused_or_runs(
        input in prop_oneof![
            4 => [1_usize..7, 1..7, 1..4].prop_map(|axes| axes.to_vec()),
            1 => proptest::collection::vec(units(), 0..8),
        ],
        layers in proptest::collection::vec(drawn(), 1..4),
    ) {
        let net = layers.iter().fold(Net::new(), add);
        let model: Result<Model, _> = Model::new(net, &input, 1);
        if let Err(error) = &model {
            let message = error.to_string();
            prop_assert!(message.len() <= 400 && !message.contains('\n'), "{}", message);
        }
        if let Ok(mut model) = model
            && model.summary().training_bytes_per_sample < 1 << 20
        {
            let (mut trace, mut dx) = (Trace::new(Keep::ForBackward), Tensor::default());
            let mut x = Tensor::zeros(&model.input_shape().batched(3).unwrap()).unwrap();
            x.data_mut().iter_mut().enumerate().for_each(|(i, v)| *v = (i % 7) as f32);
            let ctx = Context::train(1, 1);
            model.forward(&x, &mut trace, &ctx).unwrap();
            prop_assert_eq!(trace.output().shape(), model.output_shape().batched(3).unwrap());
            let (y, dy) = trace.output_and_gradient();
            dy.copy_from(y);
            let mut grads = model.grads();
            model.backward(&x, &mut trace, None, Some(&mut grads), &ctx).unwrap();
            prop_assert_eq!(trace.bytes(), model.training_bytes(3));
            model.forward(&x, &mut trace, &ctx).unwrap();
            let (y, dy) = trace.output_and_gradient();
            dy.copy_from(y);
            model.backward(&x, &mut trace, Some(&mut dx), Some(&mut grads), &ctx).unwrap();
            model.commit(&trace).unwrap();
            prop_assert_eq!(dx.shape(), x.shape());
            // A batch without samples is not an error if nothing is trained on it.
            let (none, ctx) = (Tensor::zeros(&model.input_shape().batched(0).unwrap()).unwrap(), Context::evaluate());
            let mut trace = Trace::new(Keep::All);
            model.forward(&none, &mut trace, &ctx).unwrap();
            let (y, dy) = trace.output_and_gradient();
            dy.copy_from(y);
            model.backward(&none, &mut trace, Some(&mut dx), Some(&mut model.grads()), &ctx).unwrap();
            prop_assert_eq!(dx.shape(), none.shape());
            prop_assert_eq!(model.predict(x.view()).unwrap().len(), 3 * model.output_shape().elements());
        }
    }
}
