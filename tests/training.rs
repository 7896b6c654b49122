//! Training as a whole: what comes out does not depend on threads or interruptions.

use std::path::Path;

use backstitch::io::checkpoint::{Checkpoint, RunSettings};
use backstitch::io::fashion_mnist;
use backstitch::prelude::*;
use ndarray::ArrayD;

type State = Vec<(String, ArrayD<f32>)>;

fn model() -> Model {
    let net = Net::new()
        .push(dense(256).relu().init(Init::HeNormal))
        .push(dense(64).activation(Activation::Tanh))
        .push(dense(10));
    Model::new(net, &[784], 7).unwrap()
}

fn optimizer() -> Sgd {
    Sgd::new(0.02).unwrap().momentum(0.9).unwrap().weight_decay(1e-4).unwrap()
}

fn state(model: &Model) -> State {
    model.state().into_iter().map(|(name, value)| (name.to_owned(), value.to_array())).collect()
}

/// What the runs of [`train`] are told.
fn run_settings() -> RunSettings {
    RunSettings { seed: 5, batch_size: 32, settings: "settings".to_owned() }
}

/// Trains on the drawn sample from `history` on, to so many epochs.
fn train(model: &mut Model, optimizer: &mut Sgd, epochs: usize, history: History) -> History {
    let data = fashion_mnist::generate_sample("a test");
    let (rows, labels) = data.rows(&(0..700).collect::<Vec<_>>());
    let (test_rows, test_labels) = data.rows(&(6_000..6_200).collect::<Vec<_>>());
    let data = Dataset::new(rows.view().into_dyn(), Targets::Classes(&labels)).unwrap();
    let test = Dataset::new(test_rows.view().into_dyn(), Targets::Classes(&test_labels)).unwrap();
    let trainer = Trainer::new(epochs, 32, 5).unwrap().after(history);
    trainer.fit(model, optimizer, &data, Some(&test), &mut []).unwrap()
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let results = [1, 2, 3].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut model = model();
            let history = train(&mut model, &mut optimizer(), 2, History::default());
            (state(&model), history)
        })
    });
    assert!(results[0] == results[1], "1 and 2 threads");
    assert!(results[0] == results[2], "1 and 3 threads");
}

/// The network of `zoo::model4`, its convolutions by one algorithm.
fn five_convolutions(algorithm: Algorithm) -> Net {
    let conv = |filters, kernel: usize| {
        // Seven by seven is for im2col alone.
        let algorithm = if kernel == 7 { Algorithm::Im2col } else { algorithm };
        conv2d(filters, kernel).relu().same().algorithm(algorithm)
    };
    let normed = |net: Net, filters, kernel| net.push(conv(filters, kernel)).push(batch_norm());
    let net = normed(Net::new(), 64, 7).push(max_pool(2)).push(batch_norm());
    let net = normed(normed(net, 128, 5), 128, 3).push(max_pool(2)).push(batch_norm());
    normed(normed(net, 256, 3), 256, 3)
        .push(max_pool(2))
        .push(flatten())
        .push(dense(128).relu())
        .push(dense(64).relu())
        .push(dense(10))
}

#[test]
fn an_epoch_with_winograds_algorithm_ends_where_one_with_im2col_does() {
    let data = fashion_mnist::generate_sample("a test");
    let (rows, labels) = data.rows(&(0..640).collect::<Vec<_>>());
    let maps = rows.into_shape_with_order((640, 28, 28, 1)).unwrap().into_dyn();
    let data = Dataset::new(maps.view(), Targets::Classes(&labels)).unwrap();
    // Each loss is up to 2 per cent off by chance, either way, as rounding grows from step to step: so the mean of three.
    let losses = [Algorithm::Im2col, Algorithm::Winograd].map(|algorithm| {
        let one = |seed| {
            let mut model = Model::new(five_convolutions(algorithm), &[28, 28, 1], seed).unwrap();
            let mut adam = Adam::new(1e-3).unwrap();
            let history = Trainer::new(1, 64, 5).unwrap().fit(&mut model, &mut adam, &data, None, &mut []);
            history.unwrap().epochs[0].train_loss
        };
        (3..6).map(one).sum::<f64>() / 3.0
    });
    let [im2col, winograd] = losses;
    assert!(im2col != winograd && (winograd / im2col - 1.0).abs() < 0.01, "{losses:?}");
    assert!(im2col < 1.5, "{losses:?}");
}

#[test]
fn a_resumed_run_ends_with_the_same_bits() {
    let (mut straight, mut its_optimizer) = (model(), optimizer());
    let history = train(&mut straight, &mut its_optimizer, 5, History::default());

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.bin");
    {
        let (mut first, mut optimizer) = (model(), optimizer());
        let history = train(&mut first, &mut optimizer, 2, History::default());
        Checkpoint::new(run_settings(), &first, &optimizer, &history).save(&path).unwrap();
    }
    // A model and an optimizer with a past of their own, all of which must be overwritten.
    let (mut second, mut optimizer) = (model(), optimizer());
    train(&mut second, &mut optimizer, 1, History::default());
    let checkpoint = Checkpoint::load(&path).unwrap();
    let restored = checkpoint.restore(Path::new("c"), &run_settings(), &mut second, &mut optimizer).unwrap();
    assert_eq!(restored.epochs.len(), 2);
    let resumed = train(&mut second, &mut optimizer, 5, restored);

    assert_eq!(resumed, history);
    assert!(state(&second) == state(&straight));
}

/// Keeps a checkpoint of the second epoch.
struct KeepSecond(std::path::PathBuf);

impl Callback<f32> for KeepSecond {
    fn epoch(&mut self, at: &EpochEnd<'_, f32>) -> Result<Flow, CallbackError> {
        if at.record.epoch == 2 {
            Checkpoint::new(run_settings(), at.model, at.optimizer, at.history).save(&self.0)?;
        }
        Ok(Flow::Continue)
    }
}

#[test]
fn a_run_with_a_schedule_goes_on_at_the_rate_it_had() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.bin");
    let data = fashion_mnist::generate_sample("a test");
    let (rows, labels) = data.rows(&(0..96).collect::<Vec<_>>());
    let data = Dataset::new(rows.view().into_dyn(), Targets::Classes(&labels)).unwrap();
    let trainer = || Trainer::new(4, 32, 5).unwrap().schedule(Schedule::step(1, 0.5).unwrap());
    let mut straight = model();
    let mut keep = KeepSecond(path.clone());
    let fitted = trainer().fit(&mut straight, &mut optimizer(), &data, None, &mut [&mut keep]).unwrap();
    // Another rate, which the checkpoint's replaces.
    let (mut resumed, mut other) = (model(), optimizer());
    other.set_learning_rate(0.7);
    let checkpoint = Checkpoint::load(&path).unwrap();
    let history = checkpoint.restore(&path, &run_settings(), &mut resumed, &mut other).unwrap();
    let rate = Optimizer::<f32>::learning_rate(&other);
    assert_eq!(rate, Optimizer::<f32>::learning_rate(&optimizer()));
    let history = trainer().after(history).fit(&mut resumed, &mut other, &data, None, &mut []).unwrap();
    assert_eq!(history, fitted);
    assert!(state(&resumed) == state(&straight));
}

#[test]
fn a_network_learns_the_drawn_garments() {
    let mut model = model();
    let history = train(&mut model, &mut optimizer(), 8, History::default());
    let last = history.epochs.last().unwrap();
    assert!(last.validation_accuracy.unwrap() > 0.9, "{last:?}");
    assert!(last.train_loss < history.epochs[0].train_loss / 4.0, "{history:?}");
}

struct StopAfter(usize);

impl Callback<f32> for StopAfter {
    fn epoch(&mut self, at: &EpochEnd<'_, f32>) -> Result<Flow, CallbackError> {
        Ok(if at.record.epoch == self.0 { Flow::Stop } else { Flow::Continue })
    }
}

#[test]
fn frozen_weights_keep_their_bits_through_training() {
    let data = fashion_mnist::generate_sample("a test");
    let (rows, labels) = data.rows(&(0..200).collect::<Vec<_>>());
    let maps = rows.into_shape_with_order((200, 28, 28, 1)).unwrap().into_dyn();
    let data = Dataset::new(maps.view(), Targets::Classes(&labels)).unwrap();
    let optimizers: [Box<dyn Optimizer<f32>>; 3] = [
        Box::new(optimizer()),
        Box::new(Adam::adamw(0.01, 0.1).unwrap()),
        Box::new(RmsProp::new(0.01).unwrap().weight_decay(0.1).unwrap()),
    ];
    for mut optimizer in optimizers {
        let net = Net::new()
            .push(conv2d(4, 3).stride(2))
            .push(batch_norm().relu())
            .push(residual(Net::new().push(conv2d(4, 3).relu().padding(1)), Net::new()).relu())
            .push(flatten())
            .push(dense(10));
        let mut model: Model = Model::new(net, &[28, 28, 1], 3).unwrap();
        let frozen = ["conv1.*", "batchnorm1.*", "residual1.*"].map(|part| model.freeze(part).unwrap());
        assert_eq!(frozen, [2, 4, 2]);
        let before = state(&model);
        Trainer::new(3, 32, 1).unwrap().fit(&mut model, optimizer.as_mut(), &data, None, &mut []).unwrap();
        for ((name, before), (_, after)) in before.iter().zip(&state(&model)) {
            let same = before.iter().zip(after).all(|(a, b)| a.to_bits() == b.to_bits());
            assert_eq!(same, !name.starts_with("dense1"), "{name}");
        }
    }
}

struct Failing;

impl Callback<f32> for Failing {
    fn epoch(&mut self, _at: &EpochEnd<'_, f32>) -> Result<Flow, CallbackError> {
        Err("the disk is full".into())
    }
}

#[test]
fn callbacks_can_stop_training_and_fail() {
    let data = fashion_mnist::generate_sample("a test");
    let (rows, labels) = data.rows(&(0..64).collect::<Vec<_>>());
    let data = Dataset::new(rows.view().into_dyn(), Targets::Classes(&labels)).unwrap();
    let trainer = Trainer::new(9, 32, 5).unwrap();
    let history = trainer.fit(&mut model(), &mut optimizer(), &data, None, &mut [&mut StopAfter(3)]).unwrap();
    assert_eq!(history.epochs.len(), 3);
    let error = trainer.fit(&mut model(), &mut optimizer(), &data, None, &mut [&mut Failing]).unwrap_err();
    assert_eq!(error.to_string(), "callback at epoch 1: the disk is full");
}

#[test]
fn an_exploding_loss_stops_and_says_where() {
    let data = fashion_mnist::generate_sample("a test");
    let (rows, labels) = data.rows(&(0..320).collect::<Vec<_>>());
    let data = Dataset::new(rows.view().into_dyn(), Targets::Classes(&labels)).unwrap();
    let trainer = Trainer::new(50, 32, 5).unwrap();
    // Linear all through: ReLU would die of such steps, with a finite loss.
    let net = Net::new().push(dense(64)).push(dense(10));
    let mut model = Model::new(net, &[784], 7).unwrap();
    let mut optimizer = Sgd::new(1e30).unwrap();
    let error = trainer.fit(&mut model, &mut optimizer, &data, None, &mut []).unwrap_err().to_string();
    assert!(error.contains("expected a finite training loss") && error.contains("epoch 1, step"), "{error}");
}
