//! Draws six kinds of coloured shapes, for machines without the photographs, and for tests.

use std::path::PathBuf;

use backstitch_core::rng::{Purpose, stream};
use ndarray::{Array4, ArrayViewMut3, Axis, stack};
use rand::Rng;

use super::decode::grey;
use super::{Channels, Images, Options, Parts};

/// The classes, and the number of training pictures of each: as uneven as in real folders.
const SHAPES: [(&str, usize); 6] =
    [("ball", 60), ("box", 50), ("cross", 40), ("kite", 30), ("ring", 20), ("stripes", 12)];

/// The number of validation pictures of each class.
const JUDGED: usize = 8;

/// Draws pictures of shapes, in colour unless [`Channels::Grey`] is set. They are not photographs, and every program that uses
/// them has to say so.
pub fn generate_sample(options: &Options) -> Parts {
    Parts {
        train: draw(options, 0, &SHAPES.map(|(_, count)| count)),
        validation: draw(options, 1, &[JUDGED; SHAPES.len()]),
    }
}

fn draw(options: &Options, part: u64, counts: &[usize]) -> Images {
    let labels: Vec<usize> =
        counts.iter().enumerate().flat_map(|(class, &count)| vec![class; count]).collect();
    let mut pixels = Array4::zeros((labels.len(), options.height, options.width, 3));
    for (i, (picture, &class)) in pixels.axis_iter_mut(Axis(0)).zip(&labels).enumerate() {
        one(picture, class, i as u64, part);
    }
    if options.channels == Channels::Grey {
        let grey: Vec<_> = pixels.outer_iter().map(|picture| grey(picture.to_owned())).collect();
        let views: Vec<_> = grey.iter().map(|picture| picture.view()).collect();
        pixels = stack(Axis(0), &views).expect("pictures of one shape");
    }
    let name = |i: usize| PathBuf::from(format!("drawn/{}/{i}", SHAPES[labels[i]].0));
    Images {
        classes: SHAPES.iter().map(|(name, _)| (*name).to_owned()).collect(),
        files: (0..labels.len()).map(name).collect(),
        pixels,
        labels,
        skipped: Vec::new(),
        ignored: Vec::new(),
        from_cache: false,
        cache_error: None,
    }
}

/// One picture: the shape in one colour on a background of another, at a random position, turned a little, with noise.
fn one(mut picture: ArrayViewMut3<'_, u8>, class: usize, index: u64, part: u64) {
    let mut rng = stream(0x7368_6170_6573, Purpose::Sample, part, index);
    let mut colour = || [0; 3].map(|_: u8| rng.random_range(20.0..235.0_f32));
    let (ground, shape) = (colour(), colour());
    let (right, down) = (rng.random_range(-0.12..0.12_f32), rng.random_range(-0.12..0.12_f32));
    let (size, turn) = (rng.random_range(0.7..1.2_f32), rng.random_range(-0.3..0.3_f32));
    let (height, width, _) = picture.dim();
    for row in 0..height {
        for column in 0..width {
            let x = ((column as f32 + 0.5) / width as f32 - 0.5 - right) / size;
            let y = ((row as f32 + 0.5) / height as f32 - 0.5 - down) / size;
            let inside = inside(class, x * turn.cos() - y * turn.sin(), x * turn.sin() + y * turn.cos());
            let colour = if inside { shape } else { ground };
            for (channel, value) in colour.into_iter().enumerate() {
                let grain = rng.random_range(-15.0..15.0_f32);
                picture[[row, column, channel]] = (value + grain) as u8;
            }
        }
    }
}

/// Whether a point, relative to the middle, belongs to the shape.
fn inside(class: usize, x: f32, y: f32) -> bool {
    let (away, aside, above) = (x.hypot(y), x.abs(), y.abs());
    match class {
        0 => away < 0.3,
        1 => aside < 0.27 && above < 0.27,
        2 => (aside < 0.09 || above < 0.09) && aside < 0.36 && above < 0.36,
        3 => aside * 1.4 + above < 0.36,
        4 => (0.2..0.34).contains(&away),
        _ => above < 0.34 && (y * 14.0).rem_euclid(2.0) < 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_the_same_classes_and_other_pictures() {
        let options = Options::new(24, 32).unwrap();
        let Parts { train, validation } = generate_sample(&options);
        assert_eq!(train.pixels.shape(), [212, 24, 32, 3]);
        assert_eq!((train.classes.len(), validation.labels.len()), (6, 48));
        assert_ne!(
            train.pixels.index_axis(Axis(0), 0),
            validation.pixels.index_axis(Axis(0), 0),
            "another draw"
        );
        assert_eq!(generate_sample(&options).train.pixels, train.pixels);
        let grey = generate_sample(&options.channels(Channels::Grey)).validation;
        assert_eq!(grey.pixels.shape(), [48, 24, 32, 1]);
    }
}
