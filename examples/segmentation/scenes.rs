//! Generated scenes: garments of Fashion-MNIST on a textured background among other shapes, with a class for each pixel.

use std::f32::consts::TAU;

use backstitch::data::SourceError;
use backstitch::prelude::*;
use backstitch::rng::{Purpose, stream};
use rand::Rng;
use rand::seq::IndexedRandom;

/// Width and height of a scene.
pub const SIDE: usize = 64;
/// What a pixel shows.
pub const CLASSES: [&str; 6] = ["background", "upper body", "trousers", "dress", "shoe", "bag"];
/// The class of each class of Fashion-MNIST.
const GROUPS: [usize; 10] = [1, 2, 1, 3, 1, 4, 1, 4, 5, 4];
/// A pixel belongs to a garment where the garment is lighter than this.
const LEAST: f32 = 0.05;

/// Scenes that are drawn when they are read. The same seed and number give the same scene; nothing is stored but the garments.
#[derive(Debug)]
pub struct Scenes {
    /// `[n, 28, 28, 1]`, from 0 to 1.
    garments: Tensor,
    /// The garments of each class of pixels but the background.
    of_class: [Vec<usize>; CLASSES.len() - 1],
    count: usize,
    seed: u64,
}

impl Scenes {
    /// `count` scenes with these garments.
    pub fn dataset(garments: &Dataset, count: usize, seed: u64) -> Result<Dataset> {
        let mut of_class: [Vec<usize>; CLASSES.len() - 1] = Default::default();
        for (garment, label) in garments.labels().unwrap_or_default().into_iter().enumerate() {
            of_class[GROUPS[label] - 1].push(garment);
        }
        Dataset::from_source(Self { garments: garments.inputs()?, of_class, count, seed })
    }
}

impl Source<f32> for Scenes {
    fn len(&self) -> usize {
        self.count
    }

    fn input_shape(&self) -> Shape {
        Shape::new(&[SIDE, SIDE, 1]).expect("three axes")
    }

    fn targets(&self) -> TargetKind {
        TargetKind::Classes(Shape::new(&[SIDE, SIDE]).expect("two axes"))
    }

    fn read(&self, sample: usize, to: &mut Sample<'_, f32>) -> Result<(), SourceError> {
        let mut rng = stream(self.seed, Purpose::Sample, 1, sample as u64);
        background(to.input, &mut rng);
        for _ in 0..rng.random_range(2..5) {
            shape(to.input, &mut rng);
        }
        to.classes.fill(0);
        for _ in 0..rng.random_range(2..4) {
            // A class first: half of all garments are for the upper body, and one in ten is a bag.
            let class = rng.random_range(1..CLASSES.len());
            let garments = &self.of_class[class - 1];
            let number = *garments.choose(&mut rng).ok_or("a class without a garment")?;
            let pixels = &self.garments.data()[number * 28 * 28..][..28 * 28];
            garment(to, pixels, class, &mut rng);
        }
        Ok(())
    }
}

/// Two waves and noise around a grey.
fn background(pixels: &mut [f32], rng: &mut impl Rng) {
    let grey: f32 = rng.random_range(0.1..0.6);
    let waves = [(); 2].map(|()| {
        let (angle, length) = (rng.random_range(0.0..TAU), rng.random_range(4.0..20.0_f32));
        (angle.cos() * TAU / length, angle.sin() * TAU / length, rng.random_range(0.02..0.12_f32))
    });
    for (i, pixel) in pixels.iter_mut().enumerate() {
        let (row, column) = ((i / SIDE) as f32, (i % SIDE) as f32);
        let wave: f32 = waves.iter().map(|(x, y, high)| high * (x * column + y * row).sin()).sum();
        *pixel = (grey + wave + rng.random_range(-0.06..0.06)).clamp(0.0, 1.0);
    }
}

/// Where a thing lies, and how it is turned and scaled.
struct Pose {
    row: f32,
    column: f32,
    cos: f32,
    sin: f32,
}

impl Pose {
    fn random(rng: &mut impl Rng, scale: f32) -> Self {
        let angle = rng.random_range(0.0..TAU);
        let (row, column) = (rng.random_range(8.0..56.0), rng.random_range(8.0..56.0));
        Self { row, column, cos: angle.cos() / scale, sin: angle.sin() / scale }
    }

    /// A pixel of the scene as seen from the thing: (0, 0) is its middle.
    fn inside(&self, pixel: usize) -> (f32, f32) {
        let (down, right) = ((pixel / SIDE) as f32 - self.row, (pixel % SIDE) as f32 - self.column);
        (self.cos * down - self.sin * right, self.sin * down + self.cos * right)
    }
}

/// An ellipse or a rectangle of one grey, which is part of the background.
fn shape(pixels: &mut [f32], rng: &mut impl Rng) {
    let pose = Pose::random(rng, 1.0);
    let (height, width) = (rng.random_range(3.0..14.0_f32), rng.random_range(3.0..14.0_f32));
    let (grey, round): (f32, bool) = (rng.random_range(0.2..1.0), rng.random());
    for (i, pixel) in pixels.iter_mut().enumerate() {
        let (down, right) = pose.inside(i);
        let (down, right) = ((down / height).abs(), (right / width).abs());
        let inside = if round { down * down + right * right < 1.0 } else { down.max(right) < 1.0 };
        if inside {
            *pixel = grey + rng.random_range(-0.03..0.03_f32).min(1.0 - grey);
        }
    }
}

/// A garment of this class: turned, scaled by 0.8 to 1.5, with a brightness of its own, over what is there. A pixel that it covers in part
/// shows both, and is of the class that has the larger part.
fn garment(to: &mut Sample<'_, f32>, garment: &[f32], class: usize, rng: &mut impl Rng) {
    let scale = rng.random_range(0.8..1.5);
    let (pose, bright) = (Pose::random(rng, scale), rng.random_range(0.6..1.0_f32));
    for (i, (pixel, own)) in to.input.iter_mut().zip(to.classes.iter_mut()).enumerate() {
        let (down, right) = pose.inside(i);
        let at = |f: &dyn Fn(f32) -> f32| between(garment, down + 13.5, right + 13.5, f);
        let cover = at(&|value| if value > LEAST { 1.0 } else { 0.0 });
        if cover > 0.0 {
            *pixel = (1.0 - cover) * *pixel + bright * at(&|value| if value > LEAST { value } else { 0.0 });
        }
        if cover > 0.5 {
            *own = class;
        }
    }
}

/// f of the four pixels around a place in 28 by 28, interpolated bilinearly; 0 outside.
fn between(pixels: &[f32], row: f32, column: f32, f: &dyn Fn(f32) -> f32) -> f32 {
    if !(0.0..27.0).contains(&row) || !(0.0..27.0).contains(&column) {
        return 0.0;
    }
    let (i, j) = (row as usize, column as usize);
    let (down, right) = (row - i as f32, column - j as f32);
    let line = |i: usize| f(pixels[28 * i + j]) * (1.0 - right) + f(pixels[28 * i + j + 1]) * right;
    line(i) * (1.0 - down) + line(i + 1) * down
}
