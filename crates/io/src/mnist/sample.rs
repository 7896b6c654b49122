//! Draws ten kinds of garments, for machines without a network, and for tests.

use backstitch_core::rng::{Purpose, stream};
use ndarray::{Array2, Array3, Axis};
use rand::Rng;

use super::images::{LabelledImages, MnistImages, Origin};

/// A corner in a square of side 1, x to the right and y down.
type Corner = (f32, f32);

/// A small set of drawn pictures that look like garments, in the ten classes. It is always the same, and is never called
/// Fashion-MNIST. The reason says why it is used.
pub fn generate_sample(reason: &str) -> MnistImages {
    MnistImages { train: draw(6_000, 0), test: draw(1_000, 1), origin: Origin::Sample(reason.to_owned()) }
}

/// Draws `count` pictures, class after class in turn. Another `part` gives other pictures.
fn draw(count: usize, part: u64) -> LabelledImages {
    let mut pixels = Array3::zeros((count, 28, 28));
    let labels: Vec<usize> = (0..count).map(|i| i % 10).collect();
    for (i, mut picture) in pixels.axis_iter_mut(Axis(0)).enumerate() {
        picture.assign(&one(labels[i], i as u64, part));
    }
    LabelledImages { pixels, labels }
}

/// One picture: the outline of the class, a little wider or longer, shifted, in a random shade of grey, with noise.
fn one(class: usize, index: u64, part: u64) -> Array2<u8> {
    let mut rng = stream(0x0067_6172_6d65_6e74, Purpose::Sample, part, index);
    let (wide, long) = (rng.random_range(0.75..1.1_f32), rng.random_range(0.85..1.05_f32));
    let (right, down) = (rng.random_range(-0.06..0.06_f32), rng.random_range(-0.04..0.04_f32));
    let shade = rng.random_range(90.0..230.0_f32);
    let fade = rng.random_range(-60.0..60.0_f32);
    let outlines = outlines(class, rng.random_range(0.0..1.0));
    Array2::from_shape_fn((28, 28), |(row, column)| {
        let x = ((column as f32 + 0.5) / 28.0 - 0.5 - right) / wide + 0.5;
        let y = ((row as f32 + 0.5) / 28.0 - 0.5 - down) / long + 0.5;
        let grain = rng.random_range(-25.0..25.0_f32);
        if outlines.iter().any(|outline| inside(outline, x, y)) {
            (shade + fade * (y - 0.5) + grain).clamp(20.0, 255.0) as u8
        } else {
            0
        }
    })
}

/// The parts of a garment. `style`, from 0 to 1, varies the shape.
fn outlines(class: usize, style: f32) -> Vec<Vec<Corner>> {
    let torso = |half: f32, hem: f32| {
        vec![(0.5 - half, 0.12), (0.5 + half, 0.12), (0.5 + half, hem), (0.5 - half, hem)]
    };
    let sleeves = |length: f32, width: f32| {
        let left = vec![(0.32, 0.12), (0.32, 0.12 + width), (0.14, length), (0.03, length - 0.04)];
        let right = left.iter().map(|&(x, y)| (1.0 - x, y)).collect();
        [left, right]
    };
    let with = |body: Vec<Corner>, sides: [Vec<Corner>; 2]| [vec![body], sides.to_vec()].concat();
    match class {
        0 => with(torso(0.2, 0.85), sleeves(0.35 + 0.08 * style, 0.18)),
        1 => vec![
            vec![(0.32, 0.05), (0.68, 0.05), (0.68, 0.2), (0.32, 0.2)],
            vec![(0.32, 0.2), (0.49, 0.2), (0.44, 0.95), (0.3, 0.95)],
            vec![(0.51, 0.2), (0.68, 0.2), (0.7, 0.95), (0.56, 0.95)],
        ],
        2 => with(torso(0.22, 0.85), sleeves(0.8 + 0.08 * style, 0.2)),
        3 => vec![
            vec![(0.38, 0.05), (0.62, 0.05), (0.6, 0.45), (0.4, 0.45)],
            vec![(0.4, 0.45), (0.6, 0.45), (0.68 + 0.06 * style, 0.96), (0.32 - 0.06 * style, 0.96)],
        ],
        4 => {
            let [left, right] = sleeves(0.85, 0.2);
            // A coat is open in front.
            vec![
                vec![(0.27, 0.08), (0.47, 0.08), (0.485, 0.96), (0.25, 0.96)],
                vec![(0.53, 0.08), (0.73, 0.08), (0.75, 0.96), (0.515, 0.96)],
                left,
                right,
            ]
        }
        5 => vec![
            vec![(0.05, 0.68), (0.95, 0.62), (0.97, 0.7), (0.05, 0.76)],
            vec![(0.2, 0.66), (0.45 + 0.1 * style, 0.35), (0.5 + 0.1 * style, 0.37), (0.28, 0.68)],
            vec![(0.6, 0.64), (0.78, 0.4), (0.83, 0.42), (0.7, 0.66)],
        ],
        6 => {
            let collar = vec![(0.4, 0.04), (0.6, 0.04), (0.56, 0.16), (0.44, 0.16)];
            [with(torso(0.2, 0.92), sleeves(0.6 + 0.1 * style, 0.16)), vec![collar]].concat()
        }
        7 => vec![vec![
            (0.05, 0.5),
            (0.3, 0.45),
            (0.6, 0.55),
            (0.93, 0.62),
            (0.97, 0.74),
            (0.05, 0.76 - 0.02 * style),
        ]],
        8 => vec![
            vec![(0.12, 0.4), (0.88, 0.4), (0.9, 0.85), (0.1, 0.85)],
            vec![(0.3, 0.4), (0.34 + 0.04 * style, 0.16), (0.39 + 0.04 * style, 0.16), (0.36, 0.4)],
            vec![(0.64, 0.4), (0.61 - 0.04 * style, 0.16), (0.66 - 0.04 * style, 0.16), (0.7, 0.4)],
            vec![(0.34, 0.14), (0.66, 0.14), (0.66, 0.2), (0.34, 0.2)],
        ],
        _ => vec![
            vec![(0.1, 0.1), (0.45, 0.1), (0.48, 0.5), (0.1, 0.6)],
            vec![(0.1, 0.5), (0.48, 0.48), (0.92, 0.68), (0.95, 0.85), (0.08, 0.85 + 0.05 * style)],
        ],
    }
}

/// Whether a point is inside an outline: a ray to the right crosses it an odd number of times.
fn inside(outline: &[Corner], x: f32, y: f32) -> bool {
    let next = outline.iter().cycle().skip(1);
    let crossings = outline
        .iter()
        .zip(next)
        .filter(|((x0, y0), (x1, y1))| (*y0 > y) != (*y1 > y) && x < x0 + (x1 - x0) * (y - y0) / (y1 - y0));
    crossings.count() % 2 == 1
}
