//! SqueezeNet trained on ImageNet, for `grad_cam` and `class_visualization`.

use std::fs;
use std::path::{Path, PathBuf};

use backstitch::Picture;
use backstitch::prelude::*;
use backstitch::zoo;
use backstitch::{images, pytorch};
use ndarray::{Array3, ArrayView3};

use super::pictures::blue_green_red;
use super::{AnyError, Run};

/// What the network takes off blue, green and red.
pub const MEANS: [f32; 3] = [104.0, 117.0, 123.0];
/// Side of its pictures.
pub const SIDE: usize = 227;
/// Classes of ImageNet.
const CLASSES: usize = 1000;

/// Folders of photographs, each with its number among ImageNet's classes, counted from 0.
pub const TEN: [(&str, usize); 10] = [
    ("accordion", 401),
    ("panda", 388),
    ("revolver", 763),
    ("pizza", 963),
    ("dalmatian", 251),
    ("camera", 759),
    ("scorpion", 71),
    ("starfish", 327),
    ("grand_piano", 579),
    ("electric_guitar", 546),
];

/// SqueezeNet with its published weights, and the names of its classes.
pub struct ImageNet {
    pub model: Model,
    pub names: Vec<String>,
    data: PathBuf,
}

impl ImageNet {
    /// From the folder of data sets; there is nothing to take its place.
    pub fn open(run: &Run) -> Result<Self, AnyError> {
        let data = run.data_folder().ok_or(
            "--model squeezenet: expected the folder of its weights and photographs by --data, got none",
        )?;
        let mut model = Model::new(zoo::squeezenet(CLASSES), &[SIDE, SIDE, 3], 0)?;
        let weights = data.join("pretrained/squeezenet1_0.safetensors");
        pytorch::load(&weights, &mut model, zoo::squeezenet_published_name)?;
        let names = data.join("pretrained/imagenet_classes.txt");
        let text = fs::read_to_string(&names).map_err(|error| format!("{}: {error}", names.display()))?;
        // A line is a number of WordNet, then names: the first one will do.
        let name = |line: &str| {
            let names = line.split_once(' ').map_or(line, |(_, names)| names);
            names.split(',').next().unwrap_or(names).to_owned()
        };
        let classes: Vec<String> = text.lines().map(name).collect();
        if classes.len() != CLASSES {
            let (path, got) = (names.display(), classes.len());
            return Err(format!("{path}: expected {CLASSES} names of classes, a line each, got {got}").into());
        }
        Ok(Self { model, names: classes, data: data.to_owned() })
    }

    /// The folder of photographs.
    pub fn photographs(&self) -> PathBuf {
        self.data.join("caltech101-original")
    }

    /// The first photograph of a class's folder, as the network takes it.
    pub fn photograph(&self, folder: &str) -> Result<Array3<f32>, AnyError> {
        input(&self.photographs().join(folder).join("image_0001.jpg"))
    }
}

/// A photograph squashed to 227x227, blue, green and red less their means.
fn input(path: &Path) -> Result<Array3<f32>, AnyError> {
    let picture = images::resize(images::read(path)?.view(), SIDE, SIDE)?;
    Ok(Array3::from_shape_fn(picture.dim(), |(i, j, c)| f32::from(picture[[i, j, 2 - c]]) - MEANS[c]))
}

/// What the network takes, as a picture again.
pub fn picture(input: ArrayView3<'_, f32>) -> Result<Picture, AnyError> {
    blue_green_red(input, MEANS)
}
