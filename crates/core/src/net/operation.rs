//! A model's list of operations, for code that walks through a network from outside: exporters, converters, drawings.

use crate::layer::weights::Slot;
use crate::net::model::Model;
use crate::net::program::{Op, OpKind, Program};
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// One operation of a model: a layer, a sum or a concatenation. Value 0 is the model's input, and operation i makes value i + 1.
#[derive(Debug, Clone, Copy)]
pub struct Operation<'a, F: Scalar> {
    program: &'a Program<F>,
    slots: &'a [Slot<F>],
    at: usize,
}

impl<F: Scalar> Model<F> {
    /// The operations in their order: each reads values that were made before.
    ///
    /// ```
    /// use backstitch::{Model, Net, layers::{batch_norm, dense}, residual};
    /// let net = Net::new().push(dense(8)).push(residual(Net::new().push(batch_norm()), Net::new()));
    /// let model: Model = Model::new(net, &[4], 0)?;
    /// let list: Vec<_> = model.operations().map(|operation| operation.path().to_owned()).collect();
    /// assert_eq!(list, ["dense1", "residual1.main.batchnorm1", "residual1"]);
    /// assert_eq!(model.operations().last().unwrap().inputs(), [2, 1]);
    /// # Ok::<(), backstitch::Error>(())
    /// ```
    pub fn operations(&self) -> impl Iterator<Item = Operation<'_, F>> {
        let (program, slots) = (&**self.program(), self.slots());
        (0..program.ops.len()).map(move |at| Operation { program, slots, at })
    }
}

impl<'a, F: Scalar> Operation<'a, F> {
    fn op(self) -> &'a Op<F> {
        &self.program.ops[self.at]
    }

    /// Its path in the network: `block2.main.conv1`.
    pub fn path(self) -> &'a str {
        &self.op().path
    }

    /// A short description that begins with its kind: `Conv2d 3x3, 64 filters, relu`.
    pub fn describe(self) -> String {
        self.op().kind.describe(self.inputs().len())
    }

    /// The layer, if it is one of this type.
    pub fn layer<L: 'static>(self) -> Option<&'a L> {
        self.op().kind.as_layer()
    }

    /// Whether it adds its inputs up.
    pub fn is_sum(self) -> bool {
        matches!(self.op().kind, OpKind::Sum(_))
    }

    /// Whether it puts its inputs side by side along the last axis.
    pub fn is_concat(self) -> bool {
        matches!(self.op().kind, OpKind::Concat)
    }

    /// The values it reads, in the order of the branches.
    pub fn inputs(self) -> &'a [usize] {
        &self.op().inputs
    }

    /// The first operation of its branches, counted from 0; the operation itself where it has none.
    pub fn first(self) -> usize {
        self.op().first
    }

    /// The value it writes.
    pub fn output(self) -> usize {
        self.at + 1
    }

    /// The shape of a value, of one sample.
    pub fn shape_of(self, value: usize) -> Option<Shape> {
        self.program.shapes.get(value).copied()
    }

    /// Its parameters and statistics, each with the name that the layer calls it by.
    pub fn slots(self) -> impl Iterator<Item = (&'static str, &'a Slot<F>)> {
        self.op().places.iter().map(move |&(name, at)| (name, &self.slots[at]))
    }
}
