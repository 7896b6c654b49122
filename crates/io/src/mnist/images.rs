//! Reads pictures with their classes from the four files, and makes data sets from them.

use std::fmt;
use std::path::{Path, PathBuf};

use backstitch_core::{Dataset, Tensor};
use ndarray::{Array2, Array3, Axis, Ix1, Ix3};

use crate::error::Error;
use crate::idx;

/// The number of classes of a set.
const CLASSES: usize = 10;

/// Pictures with their classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledImages {
    /// `[n, 28, 28]`, 0 (background) to 255.
    pub pixels: Array3<u8>,
    /// The class of each picture.
    pub labels: Vec<usize>,
}

impl LabelledImages {
    /// The pictures as inputs `[28, 28, 1]` from 0 to 1 (min-max scaling of 0..255), with their classes.
    ///
    /// # Errors
    /// If there are no pictures, not one label for each picture, or no memory for four bytes per pixel.
    pub fn dataset(&self) -> Result<Dataset, backstitch_core::Error> {
        let (n, height, width) = self.pixels.dim();
        let mut inputs = Tensor::zeros(&[n, height, width, 1])?;
        inputs.data_mut().iter_mut().zip(&self.pixels).for_each(|(to, &from)| *to = f32::from(from) / 255.0);
        Dataset::classes(inputs, &self.labels)
    }
}

/// The pictures of a set as bytes, and their source.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MnistImages {
    /// The 60,000 training pictures.
    pub train: LabelledImages,
    /// The 10,000 test samples.
    pub test: LabelledImages,
    /// The origin of the pictures.
    pub origin: Origin,
}

/// A set as data sets, and its source.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MnistData {
    /// The 60,000 training samples: inputs `[28, 28, 1]` from 0 to 1, and classes.
    pub train: Dataset,
    /// The 10,000 test samples.
    pub test: Dataset,
    /// The names of the classes.
    pub classes: [&'static str; CLASSES],
    /// The origin of the pictures.
    pub origin: Origin,
}

impl fmt::Display for MnistData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} training and {} test images", self.origin, self.train.len(), self.test.len())
    }
}

/// The source of the pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Files of a data set.
    Files {
        /// The set's name.
        name: &'static str,
        /// The folder that holds them.
        folder: PathBuf,
    },
    /// Drawn by [`generate_sample`](super::generate_sample), because Fashion-MNIST was not available: the reason.
    Sample(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files { name, folder } => write!(f, "{name} from {}", folder.display()),
            Self::Sample(reason) => {
                write!(f, "GENERATED SAMPLE of drawn garments, not Fashion-MNIST: {reason}")
            }
        }
    }
}

impl MnistImages {
    /// The four files of a set.
    pub(crate) fn read(name: &'static str, folder: &Path) -> Result<Self, Error> {
        Ok(Self {
            train: read_part(folder, "train")?,
            test: read_part(folder, "t10k")?,
            origin: Origin::Files { name, folder: folder.to_owned() },
        })
    }

    /// Makes data sets from the pictures, and frees the bytes of each part as soon as it is converted.
    pub(super) fn into_datasets(self, classes: [&'static str; CLASSES]) -> Result<MnistData, Error> {
        let Self { train, test, origin } = self;
        let path = match &origin {
            Origin::Files { folder, .. } => folder.clone(),
            Origin::Sample(_) => PathBuf::from("generated sample"),
        };
        let dataset = |images: LabelledImages| images.dataset().map_err(Error::dataset(&path));
        Ok(MnistData { train: dataset(train)?, test: dataset(test)?, classes, origin })
    }

    /// Training and test pictures together, in this order.
    pub fn len(&self) -> usize {
        self.train.labels.len() + self.test.labels.len()
    }

    /// Whether there are no pictures.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The chosen pictures as rows of 784 numbers from 0 to 1 (min-max scaling of 0..255), and their labels. Indices count the
    /// training set first, then the test set.
    ///
    /// # Panics
    /// If an index is not below [`len`](Self::len).
    pub fn rows(&self, indices: &[usize]) -> (Array2<f32>, Vec<usize>) {
        let mut rows = Array2::zeros((indices.len(), 28 * 28));
        let mut labels = Vec::with_capacity(indices.len());
        for (mut row, &index) in rows.outer_iter_mut().zip(indices) {
            let first_test = self.train.labels.len();
            let (images, at) =
                if index < first_test { (&self.train, index) } else { (&self.test, index - first_test) };
            row.iter_mut().zip(images.pixels.index_axis(Axis(0), at)).for_each(|(to, &from)| {
                *to = f32::from(from) / 255.0;
            });
            labels.push(images.labels[at]);
        }
        (rows, labels)
    }
}

fn read_part(folder: &Path, part: &str) -> Result<LabelledImages, Error> {
    let pixels_path = find(folder, &format!("{part}-images"), "idx3-ubyte")?;
    let labels_path = find(folder, &format!("{part}-labels"), "idx1-ubyte")?;
    let pixels = idx::read_bytes(&pixels_path)?;
    let shape = format!("{:?}", pixels.shape());
    let pixels = pixels
        .into_dimensionality::<Ix3>()
        .ok()
        .filter(|pixels| pixels.dim().1 == 28 && pixels.dim().2 == 28);
    let pixels = pixels.ok_or_else(|| Error::content(&pixels_path, "pictures [n, 28, 28]", shape))?;
    let labels = idx::read_bytes(&labels_path)?;
    let shape = format!("{:?}", labels.shape());
    let labels =
        labels.into_dimensionality::<Ix1>().map_err(|_| Error::content(&labels_path, "labels [n]", shape))?;
    if labels.len() != pixels.len_of(Axis(0)) {
        let pictures = pixels_path.file_name().unwrap_or_default().display();
        let expected = format!("{} labels, one for each picture of {pictures}", pixels.dim().0);
        return Err(Error::content(&labels_path, expected, labels.len()));
    }
    if let Some(at) = labels.iter().position(|&label| usize::from(label) >= CLASSES) {
        return Err(Error::content(&labels_path, "labels from 0 to 9", format!("{} at {at}", labels[at])));
    }
    Ok(LabelledImages { pixels, labels: labels.iter().map(|&label| usize::from(label)).collect() })
}

/// The path of a file, in any of the ways in which its name is written.
fn find(folder: &Path, name: &str, kind: &str) -> Result<PathBuf, Error> {
    let names = ["-", "."].map(|between| format!("{name}{between}{kind}"));
    let files = names.iter().flat_map(|name| [format!("{name}.gz"), name.clone()]);
    let found = files.map(|file| folder.join(file)).find(|path| path.exists());
    let [dash, dot] = &names;
    found.ok_or_else(|| {
        Error::content(folder, format!("{dash} or {dot}, with .gz or without"), "no such file")
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ndarray::ArrayD;

    use super::*;
    use crate::idx::Idx;
    use crate::mnist::generate_sample;

    fn load(folder: &Path) -> Result<MnistImages, Error> {
        MnistImages::read("Fashion-MNIST", folder)
    }

    fn write(folder: &Path, name: &str, shape: &[usize], value: u8) {
        let array = ArrayD::from_elem(shape, value);
        fs::write(folder.join(name), Idx::U8(array).to_bytes().unwrap()).unwrap();
    }

    fn folder_with(images: &[usize], labels: usize, label: u8) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for part in ["train", "t10k"] {
            write(folder.path(), &format!("{part}-images-idx3-ubyte"), images, 51);
            write(folder.path(), &format!("{part}-labels-idx1-ubyte"), &[labels], label);
        }
        folder
    }

    #[test]
    fn rows_run_through_both_parts_and_are_scaled() {
        let folder = folder_with(&[3, 28, 28], 3, 9);
        let data = load(folder.path()).unwrap();
        assert_eq!(data.len(), 6);
        let (rows, labels) = data.rows(&[0, 5]);
        assert_eq!(rows.dim(), (2, 784));
        assert!(rows.iter().all(|&pixel| pixel == 0.2));
        assert_eq!(labels, [9, 9]);
    }

    #[test]
    fn files_that_do_not_belong_together_are_named() {
        let error = |folder: tempfile::TempDir| load(folder.path()).unwrap_err().to_string();
        let counts = error(folder_with(&[3, 28, 28], 4, 0));
        assert!(
            counts.contains("train-labels-idx1-ubyte: expected 3 labels, one for each picture of"),
            "{counts}"
        );
        assert!(counts.ends_with("train-images-idx3-ubyte, got 4"), "{counts}");
        let class = error(folder_with(&[3, 28, 28], 3, 10));
        assert!(
            class.ends_with("train-labels-idx1-ubyte: expected labels from 0 to 9, got 10 at 0"),
            "{class}"
        );
        let shape = error(folder_with(&[3, 20, 28], 3, 0));
        assert!(shape.ends_with("expected pictures [n, 28, 28], got [3, 20, 28]"), "{shape}");
        let missing = error(tempfile::tempdir().unwrap());
        let names = "train-images-idx3-ubyte or train-images.idx3-ubyte, with .gz or without";
        assert!(missing.ends_with(&format!(": expected {names}, got no such file")), "{missing}");
    }

    #[test]
    fn files_are_found_under_the_names_of_the_site_and_of_the_archives() {
        use flate2::{Compression, write::GzEncoder};
        use std::io::Write;
        for (between, gzip) in [("-", false), (".", false), ("-", true), (".", true)] {
            let folder = folder_with(&[3, 28, 28], 3, 9);
            for entry in fs::read_dir(folder.path()).unwrap() {
                let path = entry.unwrap().path();
                let name =
                    path.file_name().unwrap().to_str().unwrap().replace("-idx", &format!("{between}idx"));
                let mut content = fs::read(&path).unwrap();
                fs::remove_file(&path).unwrap();
                if gzip {
                    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                    encoder.write_all(&content).unwrap();
                    content = encoder.finish().unwrap();
                }
                let end = if gzip { ".gz" } else { "" };
                fs::write(folder.path().join(format!("{name}{end}")), content).unwrap();
            }
            assert_eq!(load(folder.path()).unwrap().len(), 6, "{between} {gzip}");
        }
    }

    #[test]
    fn the_sample_is_always_the_same_and_says_what_it_is() {
        let (sample, again) = (generate_sample("no network"), generate_sample("no network"));
        assert_eq!(sample.train, again.train);
        assert_eq!(sample.test, again.test);
        assert_eq!(
            sample.origin.to_string(),
            "GENERATED SAMPLE of drawn garments, not Fashion-MNIST: no network"
        );
        for class in 0..10 {
            assert_eq!(sample.train.labels.iter().filter(|&&label| label == class).count(), 600);
        }
        assert_ne!(
            sample.train.pixels.index_axis(ndarray::Axis(0), 0),
            sample.test.pixels.index_axis(ndarray::Axis(0), 0)
        );
    }
}
