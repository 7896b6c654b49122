//! A model's table: a line a layer, from shapes and costs alone.

use std::fmt;

use crate::error::join_path;
use crate::layer::DynLayer;
use crate::net::model::Model;
use crate::net::plan::{TrainingBytes, training_bytes};
use crate::net::program::{Op, OpKind};
use crate::tensor::scalar::Scalar;
use crate::tensor::shape::Shape;

/// One layer in a [`Summary`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SummaryLine {
    /// Where the layer stands.
    pub path: String,
    /// What it is.
    pub layer: String,
    /// Shape of its output for one sample.
    pub output: Shape,
    /// Parameters that optimizers change.
    pub trainable: usize,
    /// Parameters that they do not.
    pub frozen: usize,
    /// Multiply-adds of a forward pass over one sample.
    pub multiply_adds: u64,
    /// Bytes of the output of one sample.
    pub activation_bytes: usize,
}

/// A model's layers, with totals. `Display` prints a table.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Shape of one input sample.
    pub input: Shape,
    /// A line for each layer that is no container.
    pub lines: Vec<SummaryLine>,
    /// Bytes of all parameters.
    pub parameter_bytes: usize,
    /// Bytes of the input and of all outputs of one sample: what prediction takes where every map is kept.
    pub all_bytes_per_sample: usize,
    /// The most bytes of the input and the output of any one layer, for one sample: what prediction takes where a map
    /// is given up once it has been read. (A block that adds or concatenates holds its input, or the other branches,
    /// besides.)
    pub live_bytes_per_sample: usize,
    /// Bytes that a training pass holds for each sample: activations and their gradients.
    pub training_bytes_per_sample: usize,
    /// The tied parameters: the full name of one that has no numbers of its own, and that of the one whose numbers it uses.
    pub ties: Vec<(String, String)>,
}

impl<F: Scalar> Model<F> {
    /// The layers with their parameters, multiply-adds and memory.
    pub fn summary(&self) -> Summary {
        let program = self.program();
        let (mut lines, mut live) = (Vec::new(), 0);
        for (i, op) in program.ops.iter().enumerate() {
            if let OpKind::Layer(layer) = &op.kind {
                let (input, output) = (&program.shapes[op.inputs[0]], program.shapes[i + 1]);
                let line = self.line(op, layer.as_ref(), input, output);
                live = live.max(input.elements() * size_of::<F>() + line.activation_bytes);
                lines.push(line);
            }
        }
        let training = training_bytes(program, &self.trainable());
        Summary {
            input: self.input_shape(),
            all_bytes_per_sample: self.input_shape().elements() * size_of::<F>()
                + lines.iter().map(|line| line.activation_bytes).sum::<usize>(),
            live_bytes_per_sample: live,
            lines,
            parameter_bytes: self.parameter_count() * size_of::<F>(),
            training_bytes_per_sample: training.per_sample,
            ties: self.ties().map(|(name, with)| (name, with.to_owned())).collect(),
        }
    }

    /// Bytes that a training pass over a batch holds: activations, their gradients and what layers keep.
    pub fn training_bytes(&self, batch: usize) -> usize {
        let TrainingBytes { per_sample, fixed } = training_bytes(self.program(), &self.trainable());
        per_sample.saturating_mul(batch).saturating_add(fixed)
    }

    fn line(&self, op: &Op<F>, layer: &dyn DynLayer<F>, input: &[usize], output: Shape) -> SummaryLine {
        // What is tied counts where it has its name.
        let slots = op.places.iter().map(|&(name, at)| (name, &self.slots()[at]));
        let own = slots.filter(|(name, slot)| slot.is_learned() && slot.name() == join_path(&op.path, name));
        let own = own.map(|(_, slot)| slot);
        let count = |frozen: bool| {
            let some = own.clone().filter(|slot| slot.is_frozen() == frozen);
            some.map(|slot| slot.value().data().len()).sum()
        };
        SummaryLine {
            path: op.path.clone(),
            layer: layer.describe(),
            output,
            trainable: count(false),
            frozen: count(true),
            multiply_adds: layer.cost(input).multiply_adds,
            activation_bytes: output.elements() * size_of::<F>(),
        }
    }
}

impl Summary {
    /// All parameters, trainable and frozen.
    pub fn parameters(&self) -> usize {
        self.lines.iter().fold(0, |sum, line| sum.saturating_add(line.trainable).saturating_add(line.frozen))
    }

    /// Multiply-adds of a forward pass over one sample.
    pub fn multiply_adds(&self) -> u64 {
        self.lines.iter().fold(0, |sum, line| sum.saturating_add(line.multiply_adds))
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<[String; 6]> = self
            .lines
            .iter()
            .map(|line| {
                [
                    line.path.clone(),
                    line.layer.clone(),
                    line.output.to_string(),
                    with_commas(line.trainable.saturating_add(line.frozen) as u64),
                    with_commas(line.multiply_adds),
                    with_commas(line.activation_bytes as u64),
                ]
            })
            .collect();
        let head = ["path", "layer", "output", "parameters", "multiply-adds", "activation bytes"];
        let width = |i: usize| rows.iter().map(|row| row[i].len()).chain([head[i].len()]).max().unwrap_or(0);
        let widths: [usize; 6] = std::array::from_fn(width);
        let mut line = |cells: [&str; 6]| {
            let [a, b, c, d, e, g] = widths;
            let [path, layer, output, parameters, multiply_adds, bytes] = cells;
            let text = format!(
                "{path:a$}  {layer:b$}  {output:c$}  {parameters:>d$}  {multiply_adds:>e$}  {bytes:>g$}"
            );
            writeln!(f, "{}", text.trim_end())
        };
        line(head)?;
        for row in &rows {
            line(row.each_ref().map(String::as_str))?;
        }
        self.ties.iter().try_for_each(|(name, with)| writeln!(f, "{name} is tied to {with}"))?;
        let trainable = self.lines.iter().fold(0_usize, |sum, line| sum.saturating_add(line.trainable));
        writeln!(
            f,
            "input {}; parameters {} ({} trainable, {} frozen), {} bytes; {} multiply-adds a sample",
            self.input,
            with_commas(self.parameters() as u64),
            with_commas(trainable as u64),
            with_commas(self.parameters().saturating_sub(trainable) as u64),
            with_commas(self.parameter_bytes as u64),
            with_commas(self.multiply_adds()),
        )?;
        write!(f, "training holds {} bytes a sample", with_commas(self.training_bytes_per_sample as u64))
    }
}

/// 6484330 as `6,484,330`.
fn with_commas(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|g| std::str::from_utf8(g).unwrap_or("")).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::Context;
    use crate::layers::dense;
    use crate::net::Net;
    use crate::net::plan::Keep;
    use crate::net::trace::Trace;
    use crate::tensor::Tensor;

    fn model() -> Model {
        let net =
            Net::new().push(dense(256).relu()).push(dense(128).relu()).push(dense(64).relu()).push(dense(10));
        Model::new(net, &[784], 0).unwrap()
    }

    #[test]
    fn the_table_shows_every_layer_and_the_totals() {
        let expected = "\
path    layer             output  parameters  multiply-adds  activation bytes
dense1  Dense 256, relu   [256]      200,960        200,704             1,024
dense2  Dense 128, relu   [128]       32,896         32,768               512
dense3  Dense 64, relu    [64]         8,256          8,192               256
dense4  Dense 10, linear  [10]           650            640                40
input [784]; parameters 242,762 (242,762 trainable, 0 frozen), 971,048 bytes; 242,304 multiply-adds a sample
training holds 3,408 bytes a sample";
        assert_eq!(model().summary().to_string(), expected);
    }

    #[test]
    fn tied_parameters_are_named() {
        let net = Net::new().named("a", dense(8)).named("b", dense(8)).tie("b.weight", "a.weight");
        let model: Model = Model::new(net, &[8], 0).unwrap();
        let shown = model.summary().to_string();
        assert!(shown.contains("\nb.weight is tied to a.weight\ninput [8]; parameters 80 "), "{shown}");
    }

    #[test]
    fn the_bytes_are_those_of_the_trace() {
        let model = model();
        let mut trace = Trace::new(Keep::ForBackward);
        let x = Tensor::zeros(&[32, 784]).unwrap();
        let ctx = Context::train(0, 0);
        model.forward(&x, &mut trace, &ctx).unwrap();
        let (y, dy) = trace.output_and_gradient();
        dy.resize(&y.shape());
        model.backward(&x, &mut trace, None, Some(&mut model.grads()), &ctx).unwrap();
        assert_eq!(trace.bytes(), 32 * model.summary().training_bytes_per_sample);
        assert_eq!(trace.bytes(), model.training_bytes(32));
    }
}
