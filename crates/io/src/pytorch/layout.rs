//! Where PyTorch's numbers lie in our tensors.

use std::collections::BTreeMap;

use backstitch_core::{Model, Scalar, Shape, ShapeError};

/// The order of a tensor's numbers in a file of PyTorch, and here.
pub(super) enum Layout {
    /// The same.
    Same(Shape),
    /// `[outputs, channels, height, width]` there, `[height, width, channels, outputs]` here: kernels, and the weights of dense layers, which are
    /// kernels as large as the map before their flatten, or of one place.
    Turned { there: [usize; 4], kernel: bool },
}

impl Layout {
    /// Of a tensor of this shape, which belongs to a dense layer behind a flatten of the map, where there is one.
    pub(super) fn of(there: &[usize], map: Option<[usize; 3]>) -> Result<Self, ShapeError> {
        Ok(match (there, map) {
            (&[outputs, channels, height, width], _) => {
                Self::Turned { there: [outputs, channels, height, width], kernel: true }
            }
            (&[outputs, inputs], Some([height, width, channels])) if height * width * channels == inputs => {
                Self::Turned { there: [outputs, channels, height, width], kernel: false }
            }
            (&[outputs, inputs], _) => Self::Turned { there: [outputs, inputs, 1, 1], kernel: false },
            _ => Self::Same(Shape::new(there)?),
        })
    }

    /// The tensor's shape here.
    pub(super) fn shape(&self) -> Shape {
        match *self {
            Self::Same(shape) => shape,
            Self::Turned { there: [outputs, channels, height, width], kernel: true } => {
                Shape::from([height, width, channels, outputs])
            }
            Self::Turned { there: [outputs, channels, height, width], kernel: false } => {
                Shape::from([height * width * channels, outputs])
            }
        }
    }

    /// Where the number lies here that is the i-th there.
    pub(super) fn place(&self, i: usize) -> usize {
        match *self {
            Self::Same(_) => i,
            Self::Turned { there: [outputs, channels, height, width], .. } => {
                let (i, column) = (i / width, i % width);
                let (i, line) = (i / height, i % height);
                let (output, channel) = (i / channels, i % channels);
                ((line * width + column) * channels + channel) * outputs + output
            }
        }
    }
}

/// The map `[height, width, channels]` that is flattened before a dense layer, for the weights of every such layer.
pub(super) fn flattened_maps<F: Scalar>(model: &Model<F>) -> BTreeMap<String, [usize; 3]> {
    let summary = model.summary();
    let mut maps = BTreeMap::new();
    let (mut before, mut map) = (summary.input, None);
    for line in &summary.lines {
        if let ([height, width, channels], [_]) = (&*before, &*line.output) {
            // A global average leaves one number a channel, whose order is the same.
            map =
                (height * width * channels == line.output.elements()).then_some([*height, *width, *channels]);
        }
        if line.layer.starts_with("Dense")
            && let Some(map) = map.take()
        {
            maps.insert(format!("{}.weight", line.path), map);
        }
        before = line.output;
    }
    maps
}
