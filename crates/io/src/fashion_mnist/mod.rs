//! Fashion-MNIST (Xiao, Rasul and Vollgraf 2017): 70,000 grey pictures of 28x28 pixels in 10
//! classes; found on disk, fetched from the network, or replaced by a drawn sample that says so.

#[cfg(feature = "download")]
pub mod download;
mod sample;

use std::fmt;
use std::path::{Path, PathBuf};

use ndarray::{Array2, Array3, Ix1, Ix3};

use crate::error::Error;
use crate::idx;

/// Names of the ten classes.
pub const CLASSES: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];

/// The environment variable that names the folder of data sets.
pub const DATA_VARIABLE: &str = "BACKSTITCH_DATA";

/// Name of the data set's folder inside a folder of data sets.
const FOLDER: &str = "fashion-mnist";

/// Pictures with their classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// `[n, 28, 28]`, 0 (background) to 255.
    pub pixels: Array3<u8>,
    /// The class of each picture.
    pub labels: Vec<usize>,
}

/// The data set, and where it came from.
#[derive(Debug, Clone)]
pub struct FashionMnist {
    /// The 60,000 for training.
    pub train: Images,
    /// The 10,000 for testing.
    pub test: Images,
    /// Where it came from.
    pub source: Source,
}

/// Where the pictures came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Files of the data set in this folder.
    Files(PathBuf),
    /// Drawn by [`generate_sample`], because the data set could not be had: the reason.
    Sample(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files(folder) => write!(f, "Fashion-MNIST from {}", folder.display()),
            Self::Sample(reason) => {
                write!(f, "GENERATED SAMPLE of drawn garments, not Fashion-MNIST ({reason})")
            }
        }
    }
}

/// How far a download is.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// The file being fetched.
    pub file: &'a str,
    /// Bytes so far.
    pub received: u64,
    /// Bytes in all, where the server says.
    pub total: Option<u64>,
}

/// The data set from `folder`, else from the folder that `BACKSTITCH_DATA` names, else from the
/// cache, else over the network, else, where there is no network, a generated sample.
///
/// # Errors
/// If a folder is given that does not hold the data set, files are damaged, or a download fails for
/// another reason than that there is no network.
pub fn open(folder: Option<&Path>, progress: &mut dyn FnMut(Progress<'_>)) -> Result<FashionMnist, Error> {
    if let Some(folder) = folder {
        return load(&folder.join(FOLDER));
    }
    if let Some(folder) = std::env::var_os(DATA_VARIABLE) {
        return load(&Path::new(&folder).join(FOLDER));
    }
    #[cfg(feature = "download")]
    match download::into_cache(progress) {
        Ok(folder) => load(&folder),
        Err(error @ Error::Download { unreachable: true, .. }) => Ok(generate_sample(&error.to_string())),
        Err(error) => Err(error),
    }
    #[cfg(not(feature = "download"))]
    {
        let _ = progress;
        Ok(generate_sample("built without the feature `download`, and no folder was named"))
    }
}

/// Reads the four files of the data set: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, and two that begin with `t10k`. A dot may
/// stand for the dash before `idx`, and `.gz` behind the name, gzipped or not; of several the one with a dash and `.gz` comes first.
///
/// # Errors
/// If a file is missing or damaged, pictures and labels differ in number, or a label is no class.
pub fn load(folder: &Path) -> Result<FashionMnist, Error> {
    Ok(FashionMnist {
        train: load_part(folder, "train")?,
        test: load_part(folder, "t10k")?,
        source: Source::Files(folder.to_owned()),
    })
}

fn load_part(folder: &Path, part: &str) -> Result<Images, Error> {
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
    if labels.len() != pixels.len_of(ndarray::Axis(0)) {
        let pictures = pixels_path.file_name().unwrap_or_default().display();
        let expected = format!("{} labels, one a picture of {pictures}", pixels.dim().0);
        return Err(Error::content(&labels_path, expected, labels.len()));
    }
    if let Some(at) = labels.iter().position(|&label| usize::from(label) >= CLASSES.len()) {
        return Err(Error::content(&labels_path, "labels from 0 to 9", format!("{} at {at}", labels[at])));
    }
    Ok(Images { pixels, labels: labels.iter().map(|&label| usize::from(label)).collect() })
}

/// The file of a name in the ways in which it is written.
fn find(folder: &Path, name: &str, kind: &str) -> Result<PathBuf, Error> {
    let names = ["-", "."].map(|between| format!("{name}{between}{kind}"));
    let files = names.iter().flat_map(|name| [format!("{name}.gz"), name.clone()]);
    let found = files.map(|file| folder.join(file)).find(|path| path.exists());
    let [dash, dot] = &names;
    found.ok_or_else(|| {
        Error::content(folder, format!("{dash} or {dot}, with .gz or without"), "no such file")
    })
}

/// A small set of drawn, garment-like pictures in the ten classes: always the same, and never
/// called Fashion-MNIST. The reason says why it is used.
pub fn generate_sample(reason: &str) -> FashionMnist {
    FashionMnist {
        train: sample::draw(6_000, 0),
        test: sample::draw(1_000, 1),
        source: Source::Sample(reason.to_owned()),
    }
}

impl FashionMnist {
    /// Training and test pictures together, in this order.
    pub fn len(&self) -> usize {
        self.train.labels.len() + self.test.labels.len()
    }

    /// Whether there are no pictures.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The chosen pictures, counted through training and test set, as rows of 784 numbers from 0
    /// to 1 (min-max scaling of 0..255), and their labels.
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
            row.iter_mut().zip(images.pixels.index_axis(ndarray::Axis(0), at)).for_each(|(to, &from)| {
                *to = f32::from(from) / 255.0;
            });
            labels.push(images.labels[at]);
        }
        (rows, labels)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ndarray::ArrayD;

    use super::*;
    use crate::idx::Idx;

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
        assert!(counts.contains("train-labels-idx1-ubyte: expected 3 labels, one a picture of"), "{counts}");
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
            sample.source.to_string(),
            "GENERATED SAMPLE of drawn garments, not Fashion-MNIST (no network)"
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
