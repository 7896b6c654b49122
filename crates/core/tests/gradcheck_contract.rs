//! Breaks every promise of a layer on purpose. The check finds each one, and each has its own message.

use backstitch_core::gradcheck::{GradientError, check_layer, check_net};
use backstitch_core::layers::dense;
use backstitch_core::{
    Backward, Context, Cost, Declare, Fan, Init, Layer, Mode, Net, Reads, Scalar, Shape, ShapeError, Tensor,
    Weights, WeightsMut, layer,
};

/// What is wrong with the layer below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    YPartly,
    YAdded,
    YResized,
    YCounted,
    YInfinite,
    DxAdded,
    DxPartly,
    DxResized,
    DxNeedsGrads,
    GradMissing,
    GradOverwritten,
    GradNeedsDx,
    GradUnwrapped,
    GradFollowsBias,
    ReadsNotX,
    ReadsNotXShape,
    ReadsNotY,
    Undeclared,
    UndeclaredInCommit,
    Unused,
    UnusedStatistic,
    LearnedInCommit,
    CostTooSmall,
    CostTooLarge,
    CostFixed,
    LeastZero,
    LeastTooSmall,
    CacheStale,
    EmptyPanics,
    EmptyGradient,
    SamplesMixed,
    NeighbourRead,
    TooSmallForF32,
    Panics,
    InputGradient,
    WeightGradient,
    GradientClipped,
}
use Fault::*;

/// y = exp(x · weight) + bias, feature by feature. The cache is x · weight.
#[derive(Debug, Clone, Copy)]
struct Scale(Fault);

impl<F: Scalar> Layer<F> for Scale {
    type Cache = Tensor<F>;

    fn output_shape(&self, input: &[usize]) -> Result<Shape, ShapeError> {
        Shape::new(input)
    }

    fn params(&self, input: &[usize], declare: &mut Declare) {
        let fan = Fan { inputs: 1, outputs: 1 };
        declare.learned("weight", &[input[0]], Init::One, fan);
        declare.learned("bias", &[input[0]], Init::Zero, fan);
        match self.0 {
            Unused => declare.learned("gain", &[input[0]], Init::One, fan),
            UnusedStatistic => declare.remembered("mean", &[input[0]], Init::One),
            _ => {}
        }
    }

    fn forward(
        &self,
        w: &Weights<'_, F>,
        x: &Tensor<F>,
        y: &mut Tensor<F>,
        cache: &mut Tensor<F>,
        ctx: &Context,
    ) {
        let (width, samples) = (x.width(), x.batch());
        let stale = self.0 == CacheStale && cache.shape() == x.shape();
        if cache.shape() != x.shape() {
            cache.set_shape(&x.shape()).unwrap();
        }
        if self.0 == YResized {
            y.set_shape(&[samples, 1, width]).unwrap();
        }
        if self.0 == EmptyPanics {
            assert!(samples > 0, "no samples");
        }
        let lacks = self.0 == LeastTooSmall && ctx.mode == Mode::Train;
        let shift = F::from_f64(if lacks { 1.0 / (samples as f64 - 1.0) } else { 0.0 });
        let tiny = F::from_f64(if self.0 == TooSmallForF32 { 1e-60 } else { 1.0 });
        let bias = if self.0 == Undeclared { &w["biases"] } else { &w["bias"] };
        for i in 0..samples * width {
            let mut z = x.data()[i] * w["weight"].data()[i % width];
            if self.0 == SamplesMixed {
                z += x.data().iter().fold(F::zero(), |sum, &x| sum + x) * F::from_f64(0.01);
            }
            if self.0 == NeighbourRead && i + 1 < samples * width {
                z += x.data()[i + 1] * F::from_f64(0.01);
            }
            if !(self.0 == YPartly && i == 1) {
                let before = if self.0 == YAdded { y.data()[i] } else { F::zero() };
                y.data_mut()[i] = before + z.exponential() * tiny / tiny + bias.data()[i % width] + shift;
            }
            cache.data_mut()[i] = if stale { cache.data()[i] } else { z };
        }
        if self.0 == YCounted {
            y.data_mut()[0] += F::from_f64(next() as f64);
        }
        if self.0 == YInfinite {
            y.data_mut()[2] = F::infinity();
        }
        assert!(!(self.0 == Panics && ctx.step == 7), "a step that is wrong");
    }

    fn backward(&self, w: &Weights<'_, F>, pass: Backward<'_, F>, cache: &mut Tensor<F>, _: &Context) {
        let Backward { x, y, dy, dx, mut grads, .. } = pass;
        let (width, wants_dx, wanted) = (dy.width(), dx.is_some(), grads.wants("bias"));
        if self.0 == ReadsNotY {
            assert_eq!(y.data().len(), cache.data().len());
        }
        let scale =
            F::from_f64(if self.0 == ReadsNotXShape { x.batch() as f64 / dy.batch() as f64 } else { 1.0 });
        let dz = |i: usize, dy: &[F]| dy[i] * cache.data()[i].exponential() * scale;
        if self.0 == GradUnwrapped {
            grads.add("bias").unwrap();
        }
        if self.0 != GradMissing
            && (self.0 != GradNeedsDx || wants_dx)
            && let Some(grad) = grads.add("bias")
        {
            for (i, &dy) in dy.data().iter().enumerate() {
                grad[i % width] += dy;
            }
            if self.0 == EmptyGradient && dy.batch() == 0 {
                grad[0] = F::one();
            }
        }
        if (self.0 != GradFollowsBias || wanted)
            && let Some(grad) = grads.add("weight")
        {
            if self.0 == GradOverwritten {
                grad.fill(F::zero());
            }
            for i in 0..dy.data().len() {
                let x = match self.0 {
                    WeightGradient if i == 0 => F::zero(),
                    ReadsNotXShape => x.data().get(i).copied().unwrap_or_default(),
                    _ => x.data()[i],
                };
                grad[i % width] += x * dz(i, dy.data());
            }
        }
        if let Unused = self.0 {
            grads.add("gain");
        }
        let Some(dx) = dx else { return };
        if self.0 == DxResized {
            dx.set_shape(&[dx.batch(), 1, width]).unwrap();
        }
        if self.0 == DxNeedsGrads && !wanted {
            return;
        }
        for i in 0..dy.data().len() {
            let before = if self.0 == DxAdded { dx.data()[i] } else { F::zero() };
            if !(self.0 == DxPartly && i == 1) {
                let weight = w["weight"].data()[if self.0 == InputGradient { 0 } else { i % width }];
                let clipped = self.0 == GradientClipped;
                let dz = dz(i, dy.data());
                let most = F::from_f64(20.0);
                dx.data_mut()[i] = before + weight * if clipped { dz.max(-most).min(most) } else { dz };
            }
        }
    }

    fn commit(&self, _: &Tensor<F>, state: &mut WeightsMut<'_, F>) {
        match self.0 {
            UndeclaredInCommit => state.data_mut("mean").fill(F::one()),
            LearnedInCommit => state.data_mut("bias").fill(F::one()),
            _ => {}
        }
    }

    fn cost(&self, input: &[usize]) -> Cost {
        let bytes = input[0] * size_of::<F>();
        let (sample_bytes, fixed_bytes) = match self.0 {
            CostTooSmall => (bytes - 8, 0),
            CostTooLarge => (bytes + 8, 0),
            CostFixed => (bytes, 16),
            _ => (bytes, 0),
        };
        let least_samples = usize::from(self.0 != LeastZero);
        Cost { sample_bytes, fixed_bytes, least_samples, ..Cost::default() }
    }

    fn reads(&self) -> Reads {
        Reads { x: !matches!(self.0, ReadsNotX | ReadsNotXShape), y: false }
    }
}

fn next() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static CALLS: AtomicU64 = AtomicU64::new(0);
    CALLS.fetch_add(1, Ordering::Relaxed)
}

fn message(fault: Fault) -> String {
    let error = check_layer(Scale(fault), &[3], 2, &Context::train(1, 7), 5).unwrap_err();
    error.to_string()
}

/// A fault, and its message.
const FAULTS: [(Fault, &str); 37] = [
    (
        YPartly,
        "Scale: expected every number of y written by forward in training, got outputs that depend on what lay in y before,",
    ),
    (
        YAdded,
        "Scale: expected every number of y written by forward in training, got outputs that depend on what lay in y before,",
    ),
    (YResized, "Scale: expected y of [3, 3] after forward, as output_shape says, got [3, 1, 3]; "),
    (YCounted, "Scale: expected the same y of two equal forward passes in training, got "),
    (YInfinite, "Scale: expected finite outputs in training, got inf at [0, 2]; "),
    (
        DxAdded,
        "Scale: expected every number of dx overwritten by backward in training, got a dx that depends on what lay in it before,",
    ),
    (
        DxPartly,
        "Scale: expected every number of dx overwritten by backward in training, got a dx that depends on what lay in it before,",
    ),
    (DxResized, "Scale: expected dx of [3, 3] after backward, the shape of x, got [3, 1, 3]; "),
    (DxNeedsGrads, "Scale: expected the same dx whether or not parameter gradients are wanted, got "),
    (
        GradMissing,
        "Scale: expected a gradient of parameter \"bias\" from backward, for params declares it, got none; ",
    ),
    (
        GradOverwritten,
        "Scale: expected twice the gradient of parameter \"weight\" after two equal backward passes, got the same as after one: it is overwritten; ",
    ),
    (
        GradNeedsDx,
        "Scale: expected the same gradient of parameter \"bias\" whether or not dx is wanted, got none; ",
    ),
    (
        GradUnwrapped,
        "Scale: expected no panic (backward without parameter gradients, training, 3 samples), got a panic: called `Option::unwrap()`",
    ),
    (
        GradFollowsBias,
        "Scale: expected the same gradient of parameter \"weight\" with \"bias\" frozen, got none; ",
    ),
    (
        ReadsNotX,
        "Scale: expected a backward that does without pass.x, for reads() says x: false, got a panic: index out of bounds",
    ),
    (
        ReadsNotXShape,
        "Scale: expected a backward that does without pass.x, for reads() says x: false, got other gradients when it is empty; set x: true",
    ),
    (
        ReadsNotY,
        "Scale: expected a backward that does without pass.y, for reads() says y: false, got a panic: assertion",
    ),
    (
        Undeclared,
        "Scale: expected only names that Layer::params declares, which are [\"weight\", \"bias\"] (forward, training, 3 samples), got a layer that asked for \"biases\"; declare it",
    ),
    (
        UndeclaredInCommit,
        "Scale: expected only names that Layer::params declares, which are [\"weight\", \"bias\"] (commit), got a layer that asked for \"mean\"",
    ),
    (
        Unused,
        "Scale: expected outputs that depend on \"gain\", for params declares it, got the same outputs whatever its numbers; ",
    ),
    (
        UnusedStatistic,
        "Scale: expected outputs that depend on \"mean\", for params declares it, got the same outputs whatever its numbers; ",
    ),
    (
        LearnedInCommit,
        "Scale: expected a commit that leaves parameter \"bias\" as it is, got other numbers after it; ",
    ),
    (
        CostTooSmall,
        "Scale: expected a cache as cost says, 64 bytes of 4 samples and 112 of 7 (sample_bytes 16, fixed_bytes 0), got 96 and 168 bytes; ",
    ),
    (
        CostTooLarge,
        "Scale: expected a cache as cost says, 128 bytes of 4 samples and 224 of 7 (sample_bytes 32, fixed_bytes 0), got 96 and 168 bytes; ",
    ),
    (
        CostFixed,
        "Scale: expected a cache as cost says, 112 bytes of 4 samples and 184 of 7 (sample_bytes 24, fixed_bytes 16), got 96 and 168 bytes; ",
    ),
    (LeastZero, "Scale: expected a least_samples of at least 1 from cost, got 0; "),
    (
        LeastTooSmall,
        "Scale: expected finite numbers from a training pass over 1, the least_samples of cost, got inf; ",
    ),
    (
        CacheStale,
        "Scale: expected the same results with a new cache and with one that served another pass before, got others; ",
    ),
    (EmptyPanics, "Scale: expected no panic (forward, evaluation, 0 samples), got a panic: no samples; "),
    (EmptyGradient, "Scale: expected gradients of 0 from a batch of no samples, got 1; "),
    (
        SamplesMixed,
        "Scale: expected outputs of a sample that do not depend on the others of the batch, in evaluation, got ",
    ),
    (
        NeighbourRead,
        "Scale: expected outputs of a sample that do not depend on the others of the batch, in evaluation, got ",
    ),
    (TooSmallForF32, "Scale: expected the outputs in f32 to be those in f64, "),
    (Panics, "Scale: expected no panic (forward, training, 3 samples), got a panic: a step that is wrong; "),
    (
        GradientClipped,
        "Scale: expected a backward that is linear in dy, 1000 times the gradients for 1000 times dy, got others; ",
    ),
    (InputGradient, "Scale: expected derivatives to agree within 1e-6, got "),
    (
        WeightGradient,
        "Scale: expected derivatives to agree within 1e-6, got 1 of 12 that do not; the worst is layer.weight[0]: by hand ",
    ),
];

#[test]
fn every_broken_promise_is_found_with_a_message_of_its_own() {
    let passed = check_layer(Scale(None), &[3], 2, &Context::train(1, 7), 5).unwrap();
    assert_eq!((passed.compared, passed.total, passed.kinks.len()), (2 * 3 + 3 + 3, 12, 0));
    check_layer(Scale(None), &[3], 2, &Context::evaluate(), 5).unwrap();
    for (fault, expected) in FAULTS {
        let message = message(fault);
        assert!(message.starts_with(expected), "{fault:?}: {message}");
    }
}

/// Three layers of which one is wrong.
fn net(faults: [Fault; 3]) -> Net {
    let [a, b, c] = faults;
    Net::new()
        .push(dense(4))
        .named("first", layer(Scale(a)))
        .named("second", layer(Scale(b)))
        .push(dense(3))
        .named("third", layer(Scale(c)))
}

#[test]
fn in_a_net_the_wrong_layer_is_named_and_not_the_parameter_that_suffers_most() {
    let check = |faults| check_net(net(faults), &[5], 2, &Context::train(1, 7), 5);
    check([None; 3]).unwrap();
    // A wrong dx makes the gradients of earlier parameters wrong, not those of its own layer.
    let error = check([None, InputGradient, None]).unwrap_err();
    let GradientError::Wrong { layer, worst, .. } = &error else { panic!("{error}") };
    assert_eq!((layer.as_str(), worst.of.as_str()), ("second (Scale)", "its input"), "{error}");
    // If two are wrong, the one nearest to the output is named.
    let error = check([InputGradient, None, InputGradient]).unwrap_err().to_string();
    assert!(error.starts_with("third (Scale): expected derivatives to agree"), "{error}");
    let error = check([None, WeightGradient, None]).unwrap_err().to_string();
    assert!(error.contains("the worst is second.weight[0]"), "{error}");
    for (fault, expected) in FAULTS {
        // The net's own checks come first for what a forward pass shows.
        let error = check([None, fault, None]).map(|_| fault).unwrap_err().to_string();
        let (_, expected) = expected.split_once(' ').unwrap();
        let kind = &expected[..expected.find([',', '(', '"', '[', '1']).unwrap_or(expected.len())];
        assert!(error.starts_with(&format!("second (Scale): {kind}")), "{fault:?}: {error}");
    }
}
