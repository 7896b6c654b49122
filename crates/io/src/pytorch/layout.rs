//! The positions of PyTorch's numbers in our tensors.
//!
//! PyTorch has channels first, we have them last. For a map this is an order of axes. After a flatten it is an order of features,
//! and it concerns every layer with parameters for each feature. [`orders`](super::orders) follows this order through the
//! network.

use std::rc::Rc;

use backstitch_core::Shape;

/// Our position of each of PyTorch's features; `None` if the order is the same.
pub(super) type Order = Option<Rc<[usize]>>;

/// The order of a tensor's numbers in a file of PyTorch, and in backstitch (here).
#[derive(Debug, Clone)]
pub(crate) struct TensorOrder {
    pub(super) here: Shape,
    pub(super) axes: Axes,
}

#[derive(Debug, Clone)]
pub(super) enum Axes {
    /// The same.
    Same,
    /// A number for each feature.
    Features(Order),
    /// `[outputs, inputs]` there, `[inputs, outputs]` here.
    Matrix { inputs: Order, outputs: Order },
    /// `[filters, channels, height, width]` there, `[height, width, channels, filters]` here; or both without the height.
    Kernel,
}

/// The shape here of a tensor with this shape in PyTorch (there).
pub(crate) fn shape_here(there: &[usize]) -> Vec<usize> {
    match *there {
        [filters, channels, height, width] => vec![height, width, channels, filters],
        [outputs, inputs] => vec![inputs, outputs],
        _ => there.to_vec(),
    }
}

impl TensorOrder {
    /// The layout of a tensor if the number of axes alone decides it.
    pub(super) fn by_axes(here: Shape) -> Self {
        let axes = match here.len() {
            4 => Axes::Kernel,
            2 => Axes::Matrix { inputs: None, outputs: None },
            _ => Axes::Same,
        };
        Self { here, axes }
    }

    /// The shape here of a tensor in this order that has this shape there.
    pub(crate) fn shape_here(&self, there: &[usize]) -> Vec<usize> {
        match (&self.axes, there) {
            (Axes::Same, there) => there.to_vec(),
            (Axes::Kernel, &[filters, channels, width]) => vec![width, channels, filters],
            _ => shape_here(there),
        }
    }

    /// The shape of the tensor there.
    pub(crate) fn shape_there(&self) -> Vec<usize> {
        match (&self.axes, &*self.here) {
            (Axes::Kernel, &[height, width, channels, filters]) => vec![filters, channels, height, width],
            (Axes::Kernel, &[width, channels, filters]) => vec![filters, channels, width],
            (Axes::Matrix { .. }, &[inputs, outputs]) => vec![outputs, inputs],
            (_, here) => here.to_vec(),
        }
    }

    /// The position here of the i-th number there.
    pub(crate) fn place(&self, i: usize) -> usize {
        match (&self.axes, &*self.here) {
            (Axes::Features(order), _) => place(order, i),
            (Axes::Matrix { inputs, outputs }, &[columns, rows]) => {
                place(inputs, i % columns) * rows + place(outputs, i / columns)
            }
            (Axes::Kernel, &[ref area @ .., channels, filters]) => {
                let area: usize = area.iter().product();
                let (i, tap) = (i / area, i % area);
                let (filter, channel) = (i / channels, i % channels);
                (tap * channels + channel) * filters + filter
            }
            _ => i,
        }
    }

    /// Whether all numbers have the same order.
    pub(crate) fn is_same(&self) -> bool {
        self.shape_there() == *self.here && (0..self.here.elements()).all(|i| self.place(i) == i)
    }
}

pub(super) fn place(order: &Order, i: usize) -> usize {
    order.as_ref().map_or(i, |order| order[i])
}

/// The order after a flatten of a map `[height, width, channels]`.
pub(super) fn flattened([height, width, channels]: [usize; 3]) -> Order {
    let there = (0..channels).flat_map(|channel| (0..height * width).map(move |place| (channel, place)));
    order(there.map(|(channel, place)| place * channels + channel).collect())
}

/// An order; `None` if it is the same.
pub(super) fn order(places: Vec<usize>) -> Order {
    let same = places.iter().enumerate().all(|(i, &place)| i == place);
    (!same).then(|| places.into())
}

/// The order within features that are side by side with others; the same if the others are mixed in.
pub(super) fn part(whole: &Order, from: usize, width: usize) -> Order {
    let places = (from..from + width).map(|i| place(whole, i).checked_sub(from).filter(|&at| at < width));
    places.collect::<Option<Vec<_>>>().and_then(order)
}
