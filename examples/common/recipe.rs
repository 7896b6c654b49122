//! How networks learn from photographs.

use backstitch::core::augment::Augment;
use backstitch::core::penalty::Penalty;
use backstitch::prelude::*;

use super::folders::{FolderFlags, Photographs};
use super::{AnyError, Run};

/// What is added to Adam at 0.001 in batches of 64.
#[derive(Clone, Copy)]
pub struct Recipe {
    /// Mirror images, and crops moved by up to 6 pixels with reflections at the edge.
    pub augment: bool,
    /// Label smoothing.
    pub smoothing: f64,
    /// L1 and L2 penalties.
    pub penalty: (f64, f64),
    /// AdamW and one cycle of the learning rate up to this, in place of Adam at 0.001.
    pub one_cycle: Option<f64>,
    /// Weight decay of AdamW.
    pub weight_decay: f64,
    /// Times the epochs of the others.
    pub longer: usize,
}

const BATCH: usize = 64;

impl Recipe {
    /// Nothing added.
    pub const PLAIN: Self = Self {
        augment: false,
        smoothing: 0.0,
        penalty: (0.0, 0.0),
        one_cycle: None,
        weight_decay: 0.05,
        longer: 1,
    };

    pub fn trainer<'c>(
        self,
        run: &Run,
        photographs: &Photographs,
        flags: FolderFlags,
    ) -> Result<Trainer<'c>, AnyError> {
        let epochs = run.epochs * self.longer;
        let mut loss = CrossEntropy::label_smoothing(self.smoothing)?;
        if flags.class_weights {
            loss = loss.class_weights(photographs.class_weights())?;
        }
        let mut augment = Augment::new();
        if self.augment {
            augment = augment.horizontal_flip().random_crop_reflected(6);
        }
        let (l1, l2) = self.penalty;
        let optimizer = self.one_cycle.map_or(Adam::new(1e-3), |rate| Adam::adamw(rate, self.weight_decay));
        let trainer = run.trainer(optimizer, BATCH).epochs(epochs);
        let trainer = trainer.penalty(Penalty::new(l1, l2)?).loss(loss).augment(augment);
        if self.one_cycle.is_none() {
            return Ok(trainer);
        }
        let steps = photographs.train.labels.len().div_ceil(BATCH) * epochs;
        Ok(trainer.schedule(Schedule::one_cycle(steps as u64)?))
    }
}
