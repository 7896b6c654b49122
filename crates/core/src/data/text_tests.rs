//! Texts and sequences: what their batches hold, how training and evaluation go through them, and what is refused.

use ndarray::{Array2, array};

use super::*;
use crate::layer::{Context, Memory};
use crate::layers::{dense, embedding, gru, last_position, lstm};
use crate::losses::{CrossEntropy, IGNORED};
use crate::net::model::Model;
use crate::net::plan::Keep;
use crate::net::trace::Trace;
use crate::net::{Net, concat, input};
use crate::optim::Sgd;
use crate::train::{Trainer, evaluate, evaluate_with};

fn text(length: usize) -> Vec<usize> {
    (0..length).map(|i| (i * i + i / 3) % 7).collect()
}

fn model(time: usize) -> Model {
    let net = Net::new().push(embedding(7, 3)).push(lstm(4)).push(dense(7));
    Model::new(net, &[time], 3).unwrap()
}

fn names() -> Vec<Vec<usize>> {
    (0..23).map(|i| text(30)[i..i + 1 + i % 6].to_vec()).collect()
}

fn classifier(longest: usize) -> Model {
    let net = Net::new().push(embedding(7, 3)).push(gru(4).mask("mask")).push(last_position()).push(dense(2));
    Model::with_inputs(net, &[longest], &[("mask", &[longest])], 1).unwrap()
}

fn labels(count: usize) -> Vec<usize> {
    (0..count).map(|i| i % 2).collect()
}

#[test]
fn windows_are_every_window_with_the_next_ids() {
    let ids = text(12);
    let data: Dataset = Dataset::windows(&ids, 5).unwrap();
    assert_eq!(data.len(), 7);
    let mut batch = Batch::default();
    data.gather(&[6, 0], &mut batch).unwrap();
    let inputs: Vec<usize> = batch.inputs.data().iter().map(|&id| id as usize).collect();
    assert_eq!(inputs, [&ids[6..11], &ids[..5]].concat());
    assert_eq!(batch.classes, [&ids[7..12], &ids[1..6]].concat());
    // One window is enough, and splits are plain.
    assert_eq!(Dataset::<f32>::windows(&ids, 11).unwrap().len(), 1);
    assert_eq!(data.split([0.5, 0.5], 0).unwrap()[1].len(), 3);
}

#[test]
fn streams_evaluate_as_one_pass_over_each_stream() {
    let (ids, streams, time) = (text(64), 3, 4);
    let data: Dataset = Dataset::streams(&ids, streams, time).unwrap();
    // 63 / 12 pieces of each stream.
    assert_eq!((data.len(), data.stream_count()), (15, Some(3)));
    let whole = 5 * time;
    let (inputs, next): (Vec<_>, Vec<_>) = (0..streams * whole).map(|i| (ids[i] as f32, ids[i + 1])).unzip();
    let rows = Array2::from_shape_vec((streams, whole), inputs).unwrap();
    let together = Dataset::classes_at(rows, &[whole], &next).unwrap();
    let long = model(whole);
    let loss = |data: &Dataset| evaluate(&long, data).unwrap().get("loss").unwrap();
    assert!((loss(&data) - loss(&together)).abs() < 1e-6);
    // Single pieces that begin with zeros are something else.
    let pieces = data.take(data.len());
    assert_eq!(pieces.stream_count(), None);
    assert!((loss(&pieces) - loss(&together)).abs() > 1e-6);
}

#[test]
fn streams_train_with_the_state_of_the_piece_before() {
    let (ids, time) = (text(64), 4);
    let data: Dataset = Dataset::streams(&ids, 3, time).unwrap();
    let mut trained = model(time);
    let history = Trainer::new(Sgd::new(0.1)).epochs(2).fit(&mut trained, &data).unwrap();
    // The same steps by hand.
    let mut own = model(time);
    let rules = crate::train::StepSettings::new(Sgd::new(0.1), CrossEntropy::new());
    let (mut workspace, mut batch) = (crate::train::Workspace::new(&own), Batch::default());
    let mut losses = Vec::new();
    for _ in 0..2 {
        let mut sum = 0.0;
        for piece in 0..5 {
            data.gather(&[3 * piece, 3 * piece + 1, 3 * piece + 2], &mut batch).unwrap();
            let memory = if piece == 0 { Memory::Fresh } else { Memory::Continue };
            let ctx = Context { memory, ..Context::train(0, 0) };
            let Batch { inputs, named, .. } = &batch;
            let view = crate::train::BatchView { inputs, named, targets: batch.targets(), weights: None };
            let loss = crate::train::step(&mut own, &rules, view, 1.0, &mut workspace, &ctx).unwrap();
            sum += loss.data.value() / 5.0;
        }
        losses.push(sum);
    }
    assert_eq!(trained.state(), own.state());
    assert!(history.epochs.iter().zip(losses).all(|(a, b)| (a.get("train_loss").unwrap() - b).abs() < 1e-9));
    let wrong = Trainer::new(Sgd::new(0.1)).batch_size(4).fit(&mut own, &data).unwrap_err().to_string();
    assert_eq!(wrong, "batch_size: expected 3, the streams of the data, or none, got 4");
    Trainer::new(Sgd::new(0.1)).batch_size(3).epochs(1).validation(&data).fit(&mut own, &data).unwrap();
    let flip = crate::augment::Augment::new().horizontal_flip();
    assert!(Trainer::new(Sgd::new(0.1)).augment(flip).fit(&mut own, &data).is_err());
}

#[test]
fn texts_that_cannot_be_are_refused() {
    let message = |result: Result<Dataset, Error>| result.unwrap_err().to_string();
    let windows = |ids: &[usize], time| message(Dataset::windows(ids, time));
    assert_eq!(windows(&[], 4), "ids: expected at least 5, for 4 positions and the id after them, got 0");
    assert_eq!(windows(&[1; 4], 4), "ids: expected at least 5, for 4 positions and the id after them, got 4");
    assert_eq!(windows(&[1; 4], 0), "time: expected at least 1, got 0");
    assert!(windows(&[1; 4], usize::MAX).starts_with("ids: expected at least"));
    assert_eq!(windows(&[0, 1 << 25, 1], 1), "ids: expected at most 16777216, got 33554432");
    let streams = |streams, time| message(Dataset::streams(&[1; 12], streams, time));
    assert_eq!(
        streams(3, 4),
        "ids: expected at least 13, for 3 streams of 4 positions and the id after them, got 12"
    );
    assert_eq!(streams(0, 4), "streams: expected at least 1, got 0");
    assert_eq!(streams(3, 0), "time: expected at least 1, got 0");
    assert!(streams(usize::MAX, 2).starts_with("ids: expected at least"));
    // An id that the model does not have, before it is met.
    let data: Dataset = Dataset::windows(&[0, 1, 2, 3, 0, 1, 7], 2).unwrap();
    let error = evaluate(&model(2), &data).unwrap_err().to_string();
    assert_eq!(error, "ids: expected below 7, the ids of embedding1, got 7");
    let net = Net::new().push(embedding(8, 3)).push(lstm(4)).push(dense(7));
    let error = evaluate(&Model::new(net, &[2], 0).unwrap(), &data).unwrap_err().to_string();
    assert_eq!(error, "targets: expected classes below 7, the outputs of the model, got 7");
}

#[test]
fn sequences_are_cut_to_the_longest_of_their_batch() {
    let data: Dataset = Dataset::sequences(&[vec![1, 2, 3, 4], vec![5], vec![6, 1]], &[0, 1, 1]).unwrap();
    assert_eq!(data.to_string(), "3 samples: inputs [4], a class each, \"mask\" [4]");
    let mut batch = Batch::default();
    data.gather(&[1, 2], &mut batch).unwrap();
    assert_eq!(batch.inputs, Tensor::from_array(array![[0.0, 5.0], [6.0, 1.0]]).unwrap());
    assert_eq!(
        batch.named,
        [("mask".to_owned(), Tensor::from_array(array![[0.0, 1.0], [1.0, 1.0]]).unwrap())]
    );
    assert_eq!(data.inputs().unwrap().shape(), Shape::from([3, 4]));
    assert_eq!(data.labels().unwrap(), [0, 1, 1]);
    let part = data.subset(&[2]).unwrap();
    part.gather(&[0], &mut batch).unwrap();
    assert_eq!(batch.inputs.data(), [6.0, 1.0]);
    let data: Dataset = Dataset::next_ids(&[vec![1, 2, 3, 4], vec![5, 6]]).unwrap();
    data.gather(&[0, 1], &mut batch).unwrap();
    assert_eq!(batch.inputs.data(), [1.0, 2.0, 3.0, 5.0, 0.0, 0.0]);
    assert_eq!(batch.classes, [2, 3, 4, 6, IGNORED, IGNORED]);
    assert_eq!(batch.named[0].1.data(), [1.0, 1.0, 1.0, 1.0, 0.0, 0.0]);
}

#[test]
fn filled_positions_count_nowhere() {
    let sequences = names();
    let labels = labels(sequences.len());
    let data: Dataset = Dataset::sequences(&sequences, &labels).unwrap();
    let next: Dataset =
        Dataset::next_ids(&sequences.iter().map(|s| [&s[..], &[1]].concat()).collect::<Vec<_>>()).unwrap();
    // One by one, nothing is filled up.
    for (data, model) in [(&data, &classifier(6)), (&next, &model(6))] {
        let all = evaluate(model, data).unwrap().get("loss").unwrap();
        let (mut sum, mut count) = (0.0, 0.0);
        for i in 0..data.len() {
            let one = data.subset(&[i]).unwrap();
            let positions = if data.ignored().is_some() { sequences[i].len() as f64 } else { 1.0 };
            sum += positions * evaluate(model, &one).unwrap().get("loss").unwrap();
            count += positions;
        }
        assert!((all - sum / count).abs() < 1e-6);
    }
    // A validation set may be shorter than the model.
    let short = data.subset(&[0, 1, 2]).unwrap();
    let mut model = classifier(6);
    let trainer = || Trainer::new(Sgd::new(0.1)).batch_size(5).epochs(2);
    let history = trainer().validation(&short).fit(&mut model, &data).unwrap();
    assert!(history.last("validation_loss").is_some());
    let weighted = data.clone().weights(&vec![2.0; data.len()]).unwrap();
    trainer().fit(&mut model, &weighted).unwrap();
    let [a, b] = [(); 2].map(|()| {
        let mut model = classifier(9);
        trainer().seed(4).fit(&mut model, &data).unwrap();
        model.state()["dense1.weight"].clone()
    });
    assert_eq!(a, b);
}

#[test]
fn batches_of_training_have_sequences_of_similar_length() {
    let sequences: Vec<Vec<usize>> = (0..1003).map(|i| vec![1; 1 + (i * 7919) % 97]).collect();
    let data: Dataset =
        Dataset::next_ids(&sequences.iter().map(|s| [&s[..], &[0]].concat()).collect::<Vec<_>>()).unwrap();
    let order = data.training_order(1, 1, 10);
    assert_ne!(order, data.training_order(1, 2, 10));
    assert_eq!(order, data.training_order(1, 1, 10));
    let filled = |order: &[usize]| {
        let batches = order.chunks(10).map(|batch| {
            let lengths = batch.iter().map(|&i| sequences[i].len());
            batch.len() * lengths.clone().max().unwrap() - lengths.sum::<usize>()
        });
        batches.sum::<usize>()
    };
    let plain: Vec<usize> = (0..1003).collect();
    assert!(10 * filled(&order) < filled(&plain), "{} of {}", filled(&order), filled(&plain));
    let mut all = order;
    all.sort_unstable();
    assert_eq!(all, plain);
}

#[test]
fn sequences_that_cannot_be_are_refused() {
    let message = |result: Result<Dataset, Error>| result.unwrap_err().to_string();
    let none: [Vec<usize>; 0] = [];
    assert_eq!(message(Dataset::sequences(&none, &[])), "samples: expected at least one, got 0");
    let empty = [vec![1], vec![]];
    assert_eq!(message(Dataset::sequences(&empty, &[0, 0])), "ids of sequence 1: expected at least 1, got 0");
    assert_eq!(message(Dataset::next_ids(&empty)), "ids of sequence 0: expected at least 2, got 1");
    assert_eq!(message(Dataset::sequences(&empty, &[0])), "labels: expected 2, one for each sequence, got 1");
    let data: Dataset = Dataset::sequences(&names(), &labels(23)).unwrap();
    // A model that does not read the mask would count filled positions.
    let net = Net::new().push(embedding(7, 3)).push(gru(4)).push(last_position()).push(dense(2));
    let error = evaluate(&Model::new(net, &[6], 0).unwrap(), &data).unwrap_err().to_string();
    assert!(
        error.starts_with("input \"mask\": expected a model that reads it, made by Model::with_inputs"),
        "{error}"
    );
    // Longer ones than the model's.
    let error = evaluate(&classifier(5), &data).unwrap_err().to_string();
    assert_eq!(error, "inputs: expected samples of [5], got [6]");
    let error = evaluate(&classifier(6), &Dataset::sequences(&names(), &[2; 23]).unwrap()).unwrap_err();
    assert!(error.to_string().contains("got 2"), "{error}");
    // A loss that does not ignore filled positions.
    let next: Dataset = Dataset::next_ids(&[vec![1, 2], vec![1, 2, 3]]).unwrap();
    let error = evaluate_with(&model(2), &next, CrossEntropy::label_smoothing(0.1).unwrap()).unwrap_err();
    assert!(error.to_string().contains("CrossEntropy::ignore_index(IGNORED)"), "{error}");
    let loss = CrossEntropy::label_smoothing(0.1).unwrap().ignore_index(IGNORED);
    evaluate_with(&model(2), &next, loss).unwrap();
    // A model of one length.
    let net = Net::new().push(dense(3));
    let error = evaluate(&Model::new(net, &[2], 0).unwrap(), &next).unwrap_err().to_string();
    assert!(error.contains("expected"), "{error}");
}

#[test]
fn named_inputs_go_with_their_samples() {
    let x = Array2::from_shape_fn((9, 2), |(i, j)| (2 * i + j) as f32);
    let age = Array2::from_shape_fn((9, 1), |(i, _)| i as f32);
    let plain = Dataset::classes(&x, &labels(9)).unwrap();
    let data = plain.clone().with_input("age", &age).unwrap();
    let mut batch = Batch::default();
    let part = data.shuffled(3).subset(&[4, 4, 0]).unwrap();
    part.gather(&[2, 0, 1], &mut batch).unwrap();
    let own: Vec<f32> = batch.inputs.data().chunks(2).map(|row| row[0] / 2.0).collect();
    assert_eq!(batch.named[0].1.data(), own);
    // The model sees them: training on both is training on three columns.
    let net = Net::new().push(concat([Net::new(), input("age")])).push(dense(2));
    let two = || Model::<f32>::with_inputs(net.clone(), &[2], &[("age", &[1])], 5).unwrap();
    let three = Array2::from_shape_fn((9, 3), |(i, j)| if j < 2 { x[[i, j]] } else { age[[i, 0]] });
    let joined = Dataset::classes(&three, &labels(9)).unwrap();
    let fit = |mut model: Model, data: &Dataset| {
        let trainer = Trainer::new(Sgd::new(0.01)).batch_size(4).epochs(3).validation(data);
        (trainer.fit(&mut model, data).unwrap(), model)
    };
    let (history, own) = fit(two(), &data);
    let (expected, other) = fit(Model::new(Net::new().push(dense(2)), &[3], 5).unwrap(), &joined);
    assert_eq!(history.epochs, expected.epochs);
    assert_eq!(own.predict_with(&x, &[("age", &age)]).unwrap(), other.predict(&three).unwrap());
    let error = |data: &Dataset| evaluate(&own, data).unwrap_err().to_string();
    assert_eq!(
        error(&plain),
        "input \"age\": expected [1] for each sample, from Dataset::with_input, got none"
    );
    let wide = plain.clone().with_input("age", &x).unwrap();
    assert_eq!(error(&wide), "input \"age\": expected samples of [1], got [2]");
    let more = data.clone().with_input("size", &age).unwrap();
    assert!(
        error(&more).starts_with("input \"size\": expected one of the inputs of the model, age, got [1]"),
        "{}",
        error(&more)
    );
    assert!(data.clone().with_input("age", &age).is_err());
    assert!(
        plain
            .clone()
            .with_input("age", Array2::<f32>::zeros((8, 1)))
            .unwrap_err()
            .to_string()
            .contains("expected 9")
    );
    assert!(plain.clone().with_input("age", array![[f32::NAN]]).is_err());
    let message = |result: Result<ndarray::ArrayD<f32>, Error>| result.unwrap_err().to_string();
    assert!(message(own.predict(&x)).starts_with("input \"age\": expected an array"));
    assert!(message(own.predict_with(&x, &[("age", &x)])).starts_with("input \"age\": expected [9, 1]"));
    let both = [("age", &age), ("height", &age)];
    assert!(message(own.predict_with(&x, &both)).starts_with("input \"height\""));
}

#[test]
fn a_shorter_sequence_is_predicted_and_a_state_of_another_batch_is_refused() {
    let model = model(6);
    let short = array![[1.0, 2.0], [3.0, 4.0]];
    assert_eq!(model.predict(&short).unwrap().shape(), [2, 2, 7]);
    let mut trace = Trace::new(Keep::Last);
    model.forward(&Tensor::from_array(&short).unwrap(), &mut trace, &Context::evaluate()).unwrap();
    let ctx = Context { memory: Memory::Continue, ..Context::evaluate() };
    let error = model.forward(&Tensor::zeros(&[3, 2]).unwrap(), &mut trace, &ctx).unwrap_err().to_string();
    assert!(error.contains("2 samples"), "{error}");
}
