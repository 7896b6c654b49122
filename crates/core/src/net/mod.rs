//! How layers are put together: the tree that a user writes.

mod attention;
pub(crate) mod fuse;
pub(crate) mod ids;
pub(crate) mod logits;
pub(crate) mod masks;
pub(crate) mod model;
pub(crate) mod needs;
pub(crate) mod not_finite;
pub(crate) mod operation;
pub(crate) mod pass;
pub(crate) mod pattern;
pub(crate) mod plan;
pub(crate) mod predict;
pub(crate) mod program;
mod recurrent;
pub(crate) mod stream;
pub(crate) mod summary;
pub(crate) mod ties;
pub(crate) mod trace;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use crate::error::join_path;
use crate::layer::AnyLayer;
use crate::layers::Activation;

/// A network without its numbers: layers, chains, sums and concatenations. Cheap to clone, and the same in `f32` and
/// in `f64`. [`Model::new`](crate::Model::new) gives it shapes and parameters.
///
/// A chain computes y = f_k(... f_2(f_1(x))); an empty one is the identity, as in the shortcut of a residual block.
///
/// ```
/// use backstitch::{Model, Net, layers::dense};
/// let net = Net::new().push(dense(16).relu()).named("output", dense(3));
/// let model: Model = Model::new(net, &[4], 42)?;
/// assert_eq!(model.names("*.weight"), ["dense1.weight", "output.weight"]);
/// assert_eq!(model.net().to_string(), "dense1: Dense 16, relu\noutput: Dense 3, linear");
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Net {
    pub(crate) node: Node,
    /// Tied parameters: the full name of one that has no numbers of its own, and that of the one whose numbers it uses.
    pub(crate) ties: Vec<(String, String)>,
    /// The kind by which a chain names it, where it is not that of its node.
    pub(crate) kind: Option<&'static str>,
    /// Whether its parts are named as those of the net around it.
    pub(crate) inline: bool,
}

/// What a net does.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    Layer(Arc<dyn AnyLayer>),
    /// Each takes the output of the one before.
    Chain(Vec<Child>),
    /// All take the same input; their outputs are added up.
    Sum(Vec<Child>, Activation),
    /// All take the same input; their outputs stand side by side along the last axis.
    Concat(Vec<Child>),
    /// A layer that takes the outputs of nets beside its input.
    With(Arc<dyn AnyLayer>, Vec<Child>),
    /// A named input of the model, whatever comes before.
    Input(Arc<str>),
}

/// A net inside another, with the name by which paths call it.
#[derive(Debug, Clone)]
pub(crate) struct Child {
    pub(crate) name: String,
    pub(crate) net: Net,
}

/// A named input of the model, beside its first one: what comes before this node in a chain is not used.
///
/// ```
/// use backstitch::{Model, Tensor, Keep, Context, Trace, chain, concat, input, layers::dense, Net};
/// // Two inputs: [3] and, under the name "age", [1].
/// let net = chain![concat([Net::new(), input("age")]), dense(2)];
/// let model: Model = Model::with_inputs(net, &[3], &[("age", &[1])], 0)?;
/// let mut trace = Trace::new(Keep::Last);
/// trace.set_input("age", &Tensor::zeros(&[5, 1])?);
/// model.forward(&Tensor::zeros(&[5, 3])?, &mut trace, &Context::evaluate())?;
/// assert_eq!(trace.output().shape().to_string(), "[5, 2]");
/// # Ok::<(), backstitch::Error>(())
/// ```
pub fn input(name: &str) -> Net {
    Net::of(Node::Input(name.into()))
}

/// Your own layer as a part of a net.
pub fn layer(layer: impl AnyLayer) -> Net {
    Net::of(Node::Layer(Arc::new(layer)))
}

/// The library's layers become nets by functions that are not generic, so that the compiler makes their code once,
/// in this crate, and not again in every program.
macro_rules! nets_of {
    ($($layer:ident)*) => {$(
        impl From<crate::layers::$layer> for Net {
            #[inline(never)]
            fn from(settings: crate::layers::$layer) -> Self {
                layer(settings)
            }
        }
    )*};
}
nets_of!(
    ActivationLayer AdaptiveAvgPool AvgPool BatchNorm Conv1d Conv2d Dense DepthwiseConv2d Dropout Embedding Flatten Gelu GlobalAvgPool
    GroupNorm HardSwish InstanceNorm LastPosition LayerNorm LearnedPositions MaxPool Pad Prelu RmsNorm Silu SinusoidalPositions
    Standardize TransposedConv2d Upsample
);

impl Default for Net {
    fn default() -> Self {
        Self::new()
    }
}

impl Net {
    /// An empty chain.
    pub fn new() -> Self {
        Self::of(Node::Chain(Vec::new()))
    }

    fn of(node: Node) -> Self {
        Self { node, ties: Vec::new(), kind: None, inline: false }
    }

    /// A layer that takes the outputs of other nets as further inputs, by name: attention over the output of an encoder, or a mask. Each of these
    /// nets takes the same input as the layer, or begins with a named [`input`] of the model. The layer reads them with [`Weights::input`](crate::Weights::input).
    pub fn with<N: Into<Self>>(
        layer: impl AnyLayer,
        inputs: impl IntoIterator<Item = (&'static str, N)>,
    ) -> Self {
        let child = |(name, net): (&str, N)| Child { name: name.to_owned(), net: net.into() };
        Self::of(Node::With(Arc::new(layer), inputs.into_iter().map(child).collect()))
    }

    /// Adds a layer or a net at the end. Its name is its kind and a number: `dense1`, `conv2`.
    #[must_use]
    pub fn push(self, next: impl Into<Self>) -> Self {
        let next = next.into();
        self.add(next, None)
    }

    /// Adds a layer or a net at the end with a name of your own. The name has no dot and is unique in this chain.
    #[must_use]
    pub fn named(self, name: impl Into<String>, next: impl Into<Self>) -> Self {
        let (name, next) = (name.into(), next.into());
        self.add(next, Some(name))
    }

    fn add(self, next: Self, name: Option<String>) -> Self {
        let mut chain = self.chained();
        if let Node::Chain(list) = &mut chain.node {
            let name = name.unwrap_or_else(|| free_name(list, &next.kind()));
            list.push(Child { name, net: next });
        }
        chain
    }

    /// Ties two parameters (weight tying; O. Press and L. Wolf 2017): the parameter called `name` uses the numbers of the one called
    /// `with`, and both gradients are added up. Both are full names as seen from this net: `decoder.out.weight`. Only `with` is a parameter
    /// of the model then: it is saved, counted and trained once.
    ///
    /// [`Model::new`](crate::Model::new) refuses a name that no parameter has, shapes that differ, statistics, and two parameters of one
    /// layer.
    ///
    /// ```
    /// use backstitch::{Model, chain, layers::dense};
    /// let net = chain!["a" => dense(8).relu(), "b" => dense(8).relu(), dense(3)].tie("b.weight", "a.weight");
    /// let model: Model = Model::new(net, &[8], 0)?;
    /// assert_eq!(model.names("*.weight"), ["a.weight", "dense1.weight"]);
    /// # Ok::<(), backstitch::Error>(())
    /// ```
    #[must_use]
    pub fn tie(mut self, name: &str, with: &str) -> Self {
        self.ties.push((name.to_owned(), with.to_owned()));
        self
    }

    /// Names the parts of this net as if they stood in the net around it: its own name is no part of theirs. For networks whose published weights have
    /// such names. Two parameters that get the same name this way are refused by [`Model::new`](crate::Model::new).
    ///
    /// ```
    /// use backstitch::{Model, chain, layers::{dense, layer_norm}, residual};
    /// let block = residual(chain!["norm" => layer_norm(), "mix" => dense(8)].inline(), chain![]);
    /// let model: Model = Model::new(chain!["h" => chain![backstitch::Net::from(block).inline()]], &[8], 0)?;
    /// assert_eq!(model.names("*weight"), ["h.mix.weight", "h.norm.weight"]);
    /// # Ok::<(), backstitch::Error>(())
    /// ```
    #[must_use]
    pub fn inline(mut self) -> Self {
        self.inline = true;
        self
    }

    /// The net as a chain, so that every layer of it has a name: one that is no chain becomes the first of a chain.
    pub(crate) fn chained(self) -> Self {
        match self.node {
            Node::Chain(_) => self,
            _ => {
                let name = free_name(&[], &self.kind());
                Self::of(Node::Chain(vec![Child { name, net: self }]))
            }
        }
    }

    /// What a chain calls it, with a number.
    fn kind(&self) -> String {
        if let Some(kind) = self.kind {
            return kind.to_owned();
        }
        let words = match &self.node {
            Node::Layer(layer) | Node::With(layer, _) => Arc::clone(layer).in_f32().describe(),
            Node::Input(_) => "input".to_owned(),
            Node::Chain(_) => "sequential".to_owned(),
            Node::Sum(..) => "residual".to_owned(),
            Node::Concat(_) => "concat".to_owned(),
        };
        let first = words.split([' ', ',']).next().unwrap_or_default().to_lowercase();
        first.trim_end_matches("2d").to_owned()
    }
}

/// The tree: a line for each layer, sum and concatenation, what is inside of them two spaces further right.
impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Vec::new();
        match &self.node {
            Node::Chain(list) => list.iter().for_each(|child| child.add_lines(0, &mut lines)),
            _ => {
                lines.push(self.title());
                self.add_children(2, &mut lines);
            }
        }
        lines.extend(self.ties.iter().map(|(name, with)| format!("{name} is tied to {with}")));
        f.write_str(&lines.join("\n"))
    }
}

impl Net {
    /// What it is, in a line.
    fn title(&self) -> String {
        match &self.node {
            Node::Layer(layer) | Node::With(layer, _) => Arc::clone(layer).in_f32().describe(),
            Node::Input(name) => format!("input {name}"),
            Node::Chain(list) if list.is_empty() => "identity".to_owned(),
            Node::Chain(_) => "chain".to_owned(),
            Node::Sum(_, activation) => format!("sum, {activation}"),
            Node::Concat(_) => "concatenation".to_owned(),
        }
    }

    fn add_children(&self, indent: usize, lines: &mut Vec<String>) {
        match &self.node {
            Node::Layer(_) | Node::Input(_) => {}
            Node::Chain(list) | Node::Sum(list, _) | Node::Concat(list) | Node::With(_, list) => {
                list.iter().for_each(|child| child.add_lines(indent, lines));
            }
        }
    }
}

impl Child {
    /// The path of its parts, in a net at this path.
    pub(crate) fn path(&self, of_net: &str) -> String {
        if self.net.inline { of_net.to_owned() } else { join_path(of_net, &self.name) }
    }

    fn add_lines(&self, indent: usize, lines: &mut Vec<String>) {
        lines.push(format!("{:indent$}{}: {}", "", self.name, self.net.title()));
        self.net.add_children(indent + 2, lines);
    }
}

fn free_name(list: &[Child], kind: &str) -> String {
    let taken: HashSet<&str> = list.iter().map(|child| child.name.as_str()).collect();
    // One of the first n + 1 numbers is free where there are n layers.
    let mut names = (1..=taken.len() + 1).map(|i| format!("{kind}{i}"));
    names.find(|name| !taken.contains(name.as_str())).unwrap_or_default()
}

/// A chain of layers, some of them under names of their own. The short form of [`Net::push`] and [`Net::named`].
///
/// ```
/// use backstitch::{Model, chain, layers::{conv2d, dense, flatten, max_pool}};
/// let net = chain![conv2d(16, 7).same().relu(), max_pool(2), flatten(), "head" => dense(10)];
/// let model: Model = Model::new(net, &[28, 28, 1], 0)?;
/// assert_eq!(model.top_level(), ["conv1", "maxpool1", "flatten1", "head"]);
/// # Ok::<(), backstitch::Error>(())
/// ```
#[macro_export]
macro_rules! chain {
    (@add $net:ident, $layer:expr) => { $net.push($layer) };
    (@add $net:ident, $name:expr => $layer:expr) => { $net.named($name, $layer) };
    ($($first:expr $(=> $layer:expr)?),* $(,)?) => {{
        let net = $crate::Net::new();
        $(let net = $crate::chain!(@add net, $first $(=> $layer)?);)*
        net
    }};
}

/// The sum of two branches, then an activation: y = activation(main(x) + shortcut(x)) (He et al.
/// 2016, equations 1 and 2).
///
/// The shortcut is the identity where it is an empty [`Net`], or a projection: a 1x1 convolution that gives x the
/// shape of main(x). Their names are `main` and `shortcut`.
///
/// # Shapes
/// x has any shape that main accepts; main(x), shortcut(x) and y have the same shape.
///
/// # Backward
/// With dz = dL/d(main(x) + shortcut(x)): main and the shortcut both get dz, and dL/dx is the sum of their
/// input gradients; that of the identity is dz itself.
///
/// ```
/// use backstitch::{Model, Net, layers::conv2d, residual};
/// let main = Net::new().push(conv2d(16, 3).same().relu()).push(conv2d(16, 3).same());
/// let model: Model = Model::new(residual(main, Net::new()).relu(), &[8, 8, 16], 0)?;
/// assert_eq!(model.output_shape().to_string(), "[8, 8, 16]");
/// # Ok::<(), backstitch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Residual {
    main: Net,
    shortcut: Net,
    activation: Activation,
}

/// The sum of two branches. An empty shortcut is the identity.
pub fn residual(main: impl Into<Net>, shortcut: impl Into<Net>) -> Residual {
    Residual { main: main.into(), shortcut: shortcut.into(), activation: Activation::Linear }
}

impl Residual {
    /// Applies an activation to the sum.
    #[must_use]
    pub fn activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// Applies a ReLU to the sum.
    #[must_use]
    pub fn relu(self) -> Self {
        self.activation(Activation::Relu)
    }
}

impl From<Residual> for Net {
    fn from(Residual { main, shortcut, activation }: Residual) -> Self {
        let child = |name: &str, net| Child { name: name.to_owned(), net };
        Self::of(Node::Sum(vec![child("main", main), child("shortcut", shortcut)], activation))
    }
}

/// The outputs of several branches over one input, side by side along the last axis (Szegedy et al. 2015, figure 2).
/// Their names are `branch1`, `branch2`, ...
///
/// # Shapes
/// x has any shape that all branches accept; their outputs agree in every axis but the last, whose lengths add up in y.
///
/// # Backward
/// Each branch gets its own columns of dL/dy; dL/dx is the sum of the branches' input gradients.
///
/// ```
/// use backstitch::{Model, concat, layers::conv2d};
/// let branch = |filters, kernel: usize| conv2d(filters, kernel).same().relu();
/// let model: Model = Model::new(concat([branch(16, 1), branch(24, 3), branch(8, 5)]), &[14, 14, 32], 0)?;
/// assert_eq!(model.output_shape().to_string(), "[14, 14, 48]");
/// # Ok::<(), backstitch::Error>(())
/// ```
pub fn concat<N: Into<Net>>(branches: impl IntoIterator<Item = N>) -> Net {
    let child = |(i, net): (usize, N)| Child { name: format!("branch{}", i + 1), net: net.into() };
    Net::of(Node::Concat(branches.into_iter().enumerate().map(child).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{conv2d, dense};

    #[test]
    fn a_net_is_printed_as_its_tree() {
        let main = Net::new().push(conv2d(4, 3).same().relu()).push(conv2d(4, 3).same());
        let net = Net::new()
            .push(residual(main, Net::new()).relu())
            .named("heads", concat([dense(2), dense(2)]))
            .tie("heads.branch2.weight", "heads.branch1.weight");
        let expected = "\
residual1: sum, relu
  main: chain
    conv1: Conv2d 3x3, 4 filters, padding same, relu
    conv2: Conv2d 3x3, 4 filters, padding same, linear
  shortcut: identity
heads: concatenation
  branch1: Dense 2, linear
  branch2: Dense 2, linear
heads.branch2.weight is tied to heads.branch1.weight";
        assert_eq!(net.to_string(), expected);
        assert_eq!(Net::from(dense(2)).to_string(), "Dense 2, linear");
    }
}
