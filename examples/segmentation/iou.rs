//! Intersection over union.

use backstitch::prelude::*;

use crate::scenes::CLASSES;

/// The mean over classes of intersection over union: of the pixels that truth or prediction give a class, the share that both do.
/// Classes that are in neither do not count.
#[derive(Debug)]
pub struct MeanIou;

const COUNT: usize = CLASSES.len();

impl Metric<f32> for MeanIou {
    fn name(&self) -> String {
        "mean_iou".to_owned()
    }

    fn check(&self, output: &[usize], targets: &Targets) -> Result<()> {
        targets.classes()?;
        match output.last() {
            Some(&COUNT) => Ok(()),
            _ => {
                Err(Error::argument("model output", format!("rows of {COUNT} logits"), format!("{output:?}")))
            }
        }
    }

    /// Counts pixels by their class in truth (row) and in prediction (column).
    fn add(&self, y: &Tensor, targets: &Targets, counts: &mut Vec<f64>) {
        counts.resize(COUNT * COUNT, 0.0);
        let Targets::Classes(truth) = targets else { return };
        for (&class, logits) in truth.iter().zip(y.data().chunks_exact(COUNT)) {
            counts[class * COUNT + largest(logits)] += 1.0;
        }
    }

    fn value(&self, counts: &[f64]) -> f64 {
        mean(&by_class(counts))
    }
}

/// The IoU of each class, `None` for one that is in neither truth nor prediction.
pub fn by_class(counts: &[f64]) -> Vec<Option<f64>> {
    let of = |class: usize| {
        let row: f64 = counts[class * COUNT..][..COUNT].iter().sum();
        let column: f64 = counts.iter().skip(class).step_by(COUNT).sum();
        let both = counts[class * COUNT + class];
        (row + column > 0.0).then(|| both / (row + column - both))
    };
    (0..COUNT).map(of).collect()
}

/// The mean of those that there are.
pub fn mean(ious: &[Option<f64>]) -> f64 {
    let (sum, count) = ious.iter().flatten().fold((0.0, 0.0), |(sum, count), iou| (sum + iou, count + 1.0));
    sum / count
}

/// The class with the largest logit; the first of several.
pub fn largest(logits: &[f32]) -> usize {
    (1..logits.len()).fold(0, |best, class| if logits[class] > logits[best] { class } else { best })
}
