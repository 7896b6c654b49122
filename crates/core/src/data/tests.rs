//! Data sets: their parts, what is refused, samples that are read, and weights.

use ndarray::{Array2, array};

use super::*;
use crate::layers::dense;
use crate::losses::{CrossEntropy, Loss, MSE, Targets};
use crate::net::model::Model;
use crate::optim::Sgd;
use crate::train::{Trainer, evaluate};

fn numbered(samples: usize) -> Dataset {
    let x = Array2::from_shape_fn((samples, 2), |(i, j)| (2 * i + j) as f32);
    Dataset::classes(x, &(0..samples).map(|i| i % 3).collect::<Vec<_>>()).unwrap()
}

/// Which samples these are, by their first number.
fn names(data: &Dataset) -> Vec<usize> {
    data.inputs().unwrap().data().chunks(2).map(|row| row[0] as usize / 2).collect()
}

#[test]
fn parts_share_the_memory_and_have_every_sample_once() {
    let data = numbered(31);
    let [a, b] = data.split([0.8, 0.2], 3).unwrap();
    assert_eq!((a.len(), b.len()), (25, 6));
    let mut all = [names(&a), names(&b)].concat();
    all.sort_unstable();
    assert_eq!(all, (0..31).collect::<Vec<_>>());
    let part = a.subset(&[3, 3, 0]).unwrap();
    assert_eq!(names(&part), [names(&a)[3], names(&a)[3], names(&a)[0]]);
    assert_eq!(part.labels().unwrap(), names(&part).iter().map(|i| i % 3).collect::<Vec<_>>());
    let folds = data.k_fold(4, 1).unwrap();
    let mut judged: Vec<usize> = folds.iter().flat_map(|(_, judge)| names(judge)).collect();
    judged.sort_unstable();
    assert_eq!(judged, (0..31).collect::<Vec<_>>());
    let [train, judge] = data.stratified_split(0.3, 2).unwrap();
    assert_eq!((train.len() + judge.len(), judge.labels().unwrap().len()), (31, 9));
    let mut mixed = names(&data.shuffled(4));
    assert_ne!(mixed, (0..31).collect::<Vec<_>>());
    mixed.sort_unstable();
    assert_eq!(mixed, (0..31).collect::<Vec<_>>());
    assert_eq!(names(&data.take(2)), [0, 1]);
    assert_eq!(names(&data.map(|x| x.iter_mut().for_each(|x| *x *= 10.0)).take(3)), [0, 10, 20]);
}

#[test]
fn what_cannot_be_is_refused() {
    let message = |result: Result<Dataset, Error>| result.unwrap_err().to_string();
    assert!(message(Dataset::classes(Array2::zeros((0, 3)), &[])).contains("at least one sample"));
    assert!(message(Dataset::classes(Array2::zeros((2, 3)), &[0])).contains("labels: expected 2"));
    let nan = message(Dataset::classes(array![[0.0], [f32::NAN]], &[0, 1]));
    assert_eq!(nan, "inputs of sample 1: expected finite numbers, got NaN at [0]");
    assert!(
        message(Dataset::values(Array2::zeros((2, 3)), Array2::zeros((3, 1)))).contains("values: expected 2")
    );
    assert!(message(Dataset::classes_at(Array2::zeros((2, 3)), &[3], &[0; 5])).contains("expected 6"));
    let data = numbered(5);
    assert!(data.split([0.5, 0.6], 0).unwrap_err().to_string().contains("sum to 1"));
    assert!(message(data.subset(&[5])).contains("below 5") && data.subset(&[]).is_err());
    assert!(message(data.clone().weights(&[1.0; 4])).contains("5, one for each sample"));
    assert!(message(data.clone().weights(&[1.0, 1.0, 0.0, 1.0, 1.0])).contains("weight of sample 2"));
    let values: Dataset = Dataset::values(Array2::zeros((2, 3)), Array2::zeros((2, 1))).unwrap();
    assert!(values.stratified_split(0.5, 0).unwrap_err().to_string().contains("a class each"));
}

/// Samples that are made as they are read, one of which cannot be.
#[derive(Debug)]
struct Made {
    broken: Option<usize>,
}

impl Source<f32> for Made {
    fn len(&self) -> usize {
        40
    }
    fn input_shape(&self) -> Shape {
        Shape::from([2])
    }
    fn targets(&self) -> TargetKind {
        TargetKind::Classes(Shape::from([]))
    }
    fn read(&self, sample: usize, to: &mut Sample<'_, f32>) -> Result<(), SourceError> {
        if self.broken == Some(sample) {
            return Err("the file is gone".into());
        }
        to.input.copy_from_slice(&[(sample % 7) as f32, (sample % 3) as f32]);
        to.classes[0] = sample % 3;
        Ok(())
    }
}

#[test]
fn samples_that_are_read_train_with_the_bits_of_those_in_memory() {
    let read = Dataset::from_source(Made { broken: None }).unwrap();
    let labels: Vec<usize> = (0..40).map(|i| i % 3).collect();
    let memory = Dataset::classes(read.inputs().unwrap(), &labels).unwrap();
    let [a, b] = [&read, &memory].map(|data| {
        let mut model = Model::new(dense(3), &[2], 1).unwrap();
        let trainer = Trainer::new(Sgd::new(0.1)).epochs(3).batch_size(7);
        let history = trainer.validation(data).fit(&mut model, data).unwrap();
        (history, model.state()["dense1.weight"].clone(), evaluate(&model, data).unwrap())
    });
    assert_eq!(a, b);
    let broken = Dataset::from_source(Made { broken: Some(11) }).unwrap();
    let mut model = Model::new(dense(3), &[2], 1).unwrap();
    let error = Trainer::new(Sgd::new(0.1)).fit(&mut model, &broken).unwrap_err().to_string();
    assert_eq!(error, "sample 11: the file is gone");
}

#[test]
fn weights_count_in_training_and_in_judging() {
    let data = numbered(6);
    let mut weights = vec![1.0; 6];
    weights[2] = 2.0;
    let weighted = data.clone().weights(&weights).unwrap();
    let repeated = data.subset(&[0, 1, 2, 2, 3, 4, 5]).unwrap();
    let model: Model = Model::new(dense(3), &[2], 1).unwrap();
    let loss = |data: &Dataset| evaluate(&model, data).unwrap().get("loss").unwrap();
    assert!((loss(&weighted) - loss(&repeated)).abs() < 1e-6);
    assert!((loss(&weighted) - loss(&data)).abs() > 1e-3);
    assert_eq!(weighted.to_string(), "6 samples: inputs [2], a class each, with weights");
    // A part keeps the weights of its samples.
    assert_eq!(weighted.subset(&[5, 2]).unwrap().sample_weights(), Some(&[1.0, 2.0][..]));
    // A loss of one's own that takes no weights is refused before training.
    #[derive(Debug)]
    struct Own;
    impl Loss<f32> for Own {
        fn check(&self, output: &[usize], targets: &Targets<'_, f32>) -> Result<(), Error> {
            CrossEntropy::new().check(output, targets)
        }
        fn loss(
            &self,
            y: &Tensor,
            targets: &Targets<'_, f32>,
            dy: Option<&mut Tensor>,
        ) -> Result<crate::losses::Mean, Error> {
            CrossEntropy::new().loss(y, targets, dy)
        }
    }
    let trainer = || Trainer::new(Sgd::new(0.1)).batch_size(3);
    let mut model = Model::new(dense(3), &[2], 1).unwrap();
    trainer().fit(&mut model, &weighted).unwrap();
    let error = trainer().loss(Own).fit(&mut model, &weighted).unwrap_err().to_string();
    assert!(error.contains("weights of samples: expected a loss with Loss::weighted"), "{error}");
    assert!(trainer().loss(MSE).fit(&mut model, &weighted).is_err());
}
