//! Fashion-MNIST (Xiao, Rasul and Vollgraf 2017) as bytes: 70,000 grey pictures of 28x28 pixels in 10 classes; found on disk, fetched from
//! the network, or replaced by a drawn sample that says so. As data sets: [`mnist::FashionMnist::load`](crate::mnist::FashionMnist::load).

use std::path::Path;

use crate::error::Error;
use crate::mnist::{self, FASHION_MNIST, MnistImages};
pub use crate::mnist::{
    DATA_VARIABLE, FASHION_CLASSES as CLASSES, Images, MnistImages as FashionMnist, Progress, Source,
    generate_sample,
};

/// The set from `fashion-mnist/` in `folder`, else in the folder that `BACKSTITCH_DATA` names, else from the cache, else over the network
/// (feature `download`), else, where there is no network, a generated sample.
///
/// # Errors
/// If a folder is given that does not hold the set, files are damaged, or a download fails for another reason than that there is no network.
pub fn open(folder: Option<&Path>, progress: &mut dyn FnMut(Progress<'_>)) -> Result<MnistImages, Error> {
    mnist::open(&FASHION_MNIST, folder, progress)
}

/// Reads the four files of the data set: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, and two that begin with `t10k`. A dot may
/// stand for the dash before `idx`, and `.gz` behind the name, gzipped or not; of several the one with a dash and `.gz` comes first.
///
/// # Errors
/// If a file is missing or damaged, pictures and labels differ in number, or a label is no class.
pub fn load(folder: &Path) -> Result<MnistImages, Error> {
    MnistImages::read(FASHION_MNIST.name, folder)
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
