//! The learning curve of a run.

use crate::{History, LineChart};

/// A chart of a [`History`].
pub trait Chart {
    /// The losses by epoch: of the training set, and of the validation set if there is one.
    ///
    /// ```
    /// use backstitch::prelude::*;
    /// let data: Dataset = blobs(60, 3, 0.1, 0)?;
    /// let mut model = Model::new(dense(3), &data.input_shape(), 0)?;
    /// let history = Trainer::new(Sgd::new(0.5)).epochs(5).fit(&mut model, &data)?;
    /// assert!(history.chart().svg()?.contains("Loss by epoch"));
    /// # Ok::<(), backstitch::Error>(())
    /// ```
    fn chart(&self) -> LineChart;
}

impl Chart for History {
    fn chart(&self) -> LineChart {
        LineChart::losses("Loss by epoch", self)
    }
}
