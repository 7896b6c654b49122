//! Whole trainings: the result does not depend on threads or interruptions.

use backstitch::augment::Augment;
use backstitch::checkpoint::{self, SaveCheckpoints};
use backstitch::mnist::generate_sample;
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
    Sgd::new(0.02).momentum(0.9).weight_decay(1e-4)
}

fn state(model: &Model) -> State {
    model.state().into_iter().map(|(name, value)| (name.to_owned(), value.to_array())).collect()
}

/// Rows of the drawn sample with their classes.
fn garments<F: Scalar>(from: usize, count: usize) -> Dataset<F> {
    let data = generate_sample("a test");
    let (rows, labels) = data.rows(&(from..from + count).collect::<Vec<_>>());
    Dataset::classes(rows.mapv(|v| F::from_f64(v.into())), &labels).unwrap()
}

/// The same as maps.
fn maps(count: usize) -> Dataset {
    let data = generate_sample("a test");
    let (rows, labels) = data.rows(&(0..count).collect::<Vec<_>>());
    Dataset::classes(rows.into_shape_with_order((count, 28, 28, 1)).unwrap(), &labels).unwrap()
}

/// Trains on the drawn sample.
fn train(model: &mut Model, epochs: usize) -> History {
    let trainer = Trainer::new(optimizer()).epochs(epochs).seed(5).validation(&garments(6_000, 200));
    trainer.fit(model, &garments(0, 700)).unwrap()
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let results = [1, 2, 3].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut model = model();
            let history = train(&mut model, 2);
            (state(&model), history)
        })
    });
    assert!(results[0] == results[1], "1 and 2 threads");
    assert!(results[0] == results[2], "1 and 3 threads");
}

/// Model 4 of the example cnn_vs_fcnn, with one algorithm for all its convolutions.
fn five_convolutions(algorithm: Algorithm) -> Net {
    let conv = |filters, kernel: usize| {
        // Only im2col computes 7x7 kernels.
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
    let data = maps(640);
    // Each loss can differ by up to 2 per cent in either direction by chance, because rounding errors grow from step to
    // step. So the mean of three is compared.
    let losses = [Algorithm::Im2col, Algorithm::Winograd].map(|algorithm| {
        let one = |seed| {
            let mut model = Model::new(five_convolutions(algorithm), &[28, 28, 1], seed).unwrap();
            let trainer = Trainer::new(Adam::new(1e-3)).epochs(1).batch_size(64).seed(5);
            trainer.fit(&mut model, &data).unwrap().last("train_loss").unwrap()
        };
        (3..6).map(one).sum::<f64>() / 3.0
    });
    let [im2col, winograd] = losses;
    assert!(im2col != winograd && (winograd / im2col - 1.0).abs() < 0.01, "{losses:?}");
    assert!(im2col < 1.5, "{losses:?}");
}

/// Runs a trainer to the end. Then runs it again, interrupted after each epoch in turn and in the middle of the next,
/// and resumed from the file.
fn resumes<F: Scalar>(
    name: &str,
    net: &Net,
    data: &Dataset<F>,
    trainer: &dyn Fn() -> Trainer<'static, F>,
) -> History {
    let folder = tempfile::tempdir().unwrap();
    let new = || Model::<F>::new(net.clone(), &data.input_shape(), 7).unwrap();
    let mut straight = new();
    let history = trainer().fit(&mut straight, data).unwrap();
    for done in 1..history.epochs.len() {
        let path = folder.path().join(format!("{done}.checkpoint"));
        // In the middle of the next epoch, as with Ctrl-C.
        let stop = move |at: &StepEnd| {
            if (at.epoch, at.step) == (done + 1, 2) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let mut interrupted = new();
        let save = SaveCheckpoints::new(&path);
        trainer().callback(save).each_step(stop).fit(&mut interrupted, data).unwrap();
        let mut resumed = new();
        let saved = checkpoint::load_if_exists(&path).unwrap();
        assert_eq!(saved.as_ref().map(|saved| saved.history.epochs.len()), Some(done), "{name}");
        let again = trainer().resume(saved).fit(&mut resumed, data).unwrap();
        assert_eq!(again, history, "{name}, after epoch {done}");
        assert_eq!(resumed.state(), straight.state(), "{name}, after epoch {done}");
    }
    history
}

fn all_resume<F: Scalar>() {
    let data = garments::<F>(0, 200);
    let net = Net::new().push(dense(24).relu()).push(dropout(0.3)).push(dense(10));
    let momentum = || Trainer::new(Sgd::new(0.1).momentum(0.9)).epochs(5).seed(5);
    resumes("dropout", &net, &data, &momentum);
    let judged = || Trainer::new(Adam::new(0.02)).epochs(12).validation(&garments::<F>(6_000, 60));
    let early = || judged().epochs(30).early_stopping(2);
    let history = resumes("early stopping", &net, &data, &early);
    assert!(history.restored.is_some_and(|best| best < history.epochs.len()), "{history}");
    let plateau = || judged().schedule(Schedule::on_plateau(0, 0.5).unwrap());
    resumes("a plateau schedule", &net, &data, &plateau);
    let cosine = || judged().schedule(Schedule::cosine(84).unwrap().warm_up(5)).clip_norm(0.5);
    resumes("a cosine and clipping", &net, &data, &cosine);
    let norm = Net::new().push(dense(16)).push(batch_norm().relu()).push(dense(10));
    resumes("running statistics", &norm, &data, &momentum);
}

#[test]
fn an_interrupted_run_ends_with_the_same_bits_in_f32() {
    all_resume::<f32>();
    let net = Net::new().push(conv2d(4, 3).stride(2).relu()).push(flatten()).push(dense(10));
    let augment = || Augment::new().horizontal_flip().random_crop(2);
    let augmented = || Trainer::new(RmsProp::new(0.002)).epochs(4).augment(augment());
    resumes("augmentation", &net, &maps(100), &augmented);
}

#[test]
fn an_interrupted_run_ends_with_the_same_bits_in_f64() {
    all_resume::<f64>();
}

#[test]
fn settings_that_differ_are_refused_by_name() {
    let data = garments::<f32>(0, 64);
    let trainer = || Trainer::new(Sgd::new(0.1)).epochs(2).seed(5).setting("activation", "relu");
    let mut first = model();
    let mut run = trainer().start(&mut first, &data).unwrap();
    run.epoch().unwrap();
    let saved = run.checkpoint();
    let before = state(&model());
    let refused = |trainer: Trainer<'static>, data: &Dataset, expected: &str| {
        let mut model = model();
        let error = trainer.resume(saved.clone()).fit(&mut model, data).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(state(&model) == before, "{expected}");
    };
    refused(trainer().seed(6), &data, "seed of the checkpoint: expected 6, got 5");
    refused(trainer().batch_size(16), &data, "batch_size of the checkpoint: expected 16, got 32");
    refused(trainer().clip_norm(1.0), &data, "clip_norm of the checkpoint");
    refused(trainer().loss(MultiClassHinge), &data, "loss of the checkpoint");
    refused(trainer().early_stopping(3).validation(&data), &data, "validation samples of the checkpoint");
    refused(trainer().augment(Augment::new().horizontal_flip()), &garments(0, 64), "samples to augment");
    refused(trainer().drop_last(), &data, "drop_last of the checkpoint");
    refused(trainer(), &garments(0, 65), "training samples of the checkpoint: expected 65, got 64");
    refused(trainer(), &garments(1, 64), "training data of the checkpoint: expected fingerprint ");
    refused(trainer(), &data.shuffled(1), "; it takes the same samples in the same order");
    refused(trainer().schedule(Schedule::cosine(9).unwrap()), &data, "schedule of the checkpoint");
    refused(trainer().setting("more", 1), &data, "more of the checkpoint: expected 1, got none");
    let other = Trainer::new(Adam::new(0.1)).epochs(2).seed(5).setting("activation", "relu");
    refused(other, &data, "optimizer of the checkpoint");
    let other = Trainer::new(Sgd::new(0.1)).epochs(2).seed(5);
    refused(other, &data, "no others, got activation relu");
    // The number of epochs may differ.
    trainer().epochs(9).resume(saved).start(&mut model(), &data).unwrap();
}

#[test]
fn a_network_learns_the_drawn_garments() {
    let mut model = model();
    let history = train(&mut model, 8);
    let last = history.epochs.last().unwrap();
    assert!(last.get("validation_accuracy").unwrap() > 0.9, "{last:?}");
    let losses = history.series("train_loss");
    assert!(losses[7] < losses[0] / 4.0, "{history:?}");
}

#[test]
fn frozen_weights_keep_their_bits_through_training() {
    fn trainers() -> [Trainer<'static>; 3] {
        let rms = RmsProp::new(0.01).weight_decay(0.1);
        [Trainer::new(optimizer()), Trainer::new(Adam::adamw(0.01, 0.1)), Trainer::new(rms)]
    }
    let data = maps(200);
    for trainer in trainers() {
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
        trainer.epochs(3).seed(1).fit(&mut model, &data).unwrap();
        for ((name, before), (_, after)) in before.iter().zip(&state(&model)) {
            let same = before.iter().zip(after).all(|(a, b)| a.to_bits() == b.to_bits());
            assert_eq!(same, !name.starts_with("dense1"), "{name}");
        }
    }
}

#[test]
fn callbacks_can_stop_training_and_fail() {
    let data = garments(0, 64);
    let trainer = || Trainer::new(optimizer()).epochs(9).seed(5);
    let stop = |run: &Run| {
        Ok(if run.history().epochs.len() == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    let history = trainer().each_epoch(stop).fit(&mut model(), &data).unwrap();
    assert_eq!(history.epochs.len(), 3);
    let fail = |_: &Run| Err("the disk is full".into());
    let error = trainer().each_epoch(fail).fit(&mut model(), &data).unwrap_err();
    assert_eq!(error.to_string(), "callback at epoch 1: the disk is full");
}

#[test]
fn an_exploding_loss_stops_and_says_where() {
    let data: Dataset = garments(0, 320);
    // Linear layers only: with such steps, ReLUs would become 0 everywhere, with a finite loss.
    let net = Net::new().push(dense(64)).push(dense(10));
    let mut model = Model::new(net, &[784], 7).unwrap();
    let trainer = Trainer::new(Sgd::new(1e30)).epochs(50).seed(5);
    let error = trainer.fit(&mut model, &data).unwrap_err().to_string();
    assert!(error.contains("expected a finite training loss") && error.contains("epoch 1, step"), "{error}");
}
