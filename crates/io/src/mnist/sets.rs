//! The sets: their classes, and where their files are.

use std::path::{Path, PathBuf};

use super::images::{MnistData, MnistImages};
use super::progress::DownloadProgress;
use super::sample::generate_sample;
use crate::cache;
use crate::error::Error;

/// The environment variable that names the folder of data sets.
pub const DATA_VARIABLE: &str = "BACKSTITCH_DATA";

/// Names of the ten classes of Fashion-MNIST.
pub const FASHION_CLASSES: [&str; 10] = [
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

/// The files of a set, each named as it is published.
pub(super) const FILES: [&str; 4] = [
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
];

/// The bytes of each file, uncompressed. All sets have the same shapes.
#[cfg(feature = "download-http")]
const SIZES: [u64; 4] = [47_040_016, 60_008, 7_840_016, 10_008];

/// The differences between the sets.
#[derive(Debug)]
pub(super) struct Set {
    pub(crate) name: &'static str,
    /// Name of its folder inside a folder of data sets.
    pub(super) folder: &'static str,
    classes: [&'static str; 10],
    /// The address of the published files.
    pub(super) url: &'static str,
    /// The environment variable for another address.
    #[cfg_attr(not(feature = "download-http"), expect(dead_code))]
    pub(super) url_variable: &'static str,
    /// The MD5 of each of [`FILES`], gzipped as it is published, to notice damage (it is no protection against an attacker). They
    /// are those of torchvision's `mnist.py`.
    #[cfg_attr(not(feature = "download-http"), expect(dead_code))]
    pub(super) md5: [&'static str; 4],
    /// The sample that is drawn if the set is not available.
    sample: Option<fn(&str) -> MnistImages>,
}

/// Fashion-MNIST. Its server has HTTP only, without encryption. This is one reason why the checksum of every file is compared.
const FASHION_MNIST: Set = Set {
    name: "Fashion-MNIST",
    folder: "fashion-mnist",
    classes: FASHION_CLASSES,
    url: "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    url_variable: "BACKSTITCH_FASHION_MNIST_URL",
    md5: [
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ],
    sample: Some(generate_sample),
};

const MNIST: Set = Set {
    name: "MNIST",
    folder: "mnist",
    classes: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
    url: "https://ossci-datasets.s3.amazonaws.com/mnist",
    url_variable: "BACKSTITCH_MNIST_URL",
    md5: [
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ],
    sample: None,
};

const KMNIST: Set = Set {
    name: "KMNIST",
    folder: "kmnist",
    classes: ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"],
    url: "http://codh.rois.ac.jp/kmnist/dataset/kmnist",
    url_variable: "BACKSTITCH_KMNIST_URL",
    md5: [
        "bdb82020997e1d708af4cf47b453dcf7",
        "e144d726b3acfaa3e44228e80efcd344",
        "5c965bf0a639b31b8f53240b1b52f4d7",
        "7320c461ea6c1c855c0b718fb2a4b134",
    ],
    sample: None,
};

/// Fashion-MNIST (Xiao, Rasul and Vollgraf 2017): pieces of clothing.
#[derive(Debug, Clone, Copy)]
pub struct FashionMnist;

/// MNIST (LeCun, Bottou, Bengio and Haffner 1998): written digits.
#[derive(Debug, Clone, Copy)]
pub struct Mnist;

/// Kuzushiji-MNIST (Clanuwat et al. 2018): written characters of old Japanese books.
#[derive(Debug, Clone, Copy)]
pub struct Kmnist;

impl FashionMnist {
    /// Loads the set from `fashion-mnist/` in the folder that `BACKSTITCH_DATA` names. Without that variable: from the cache, or
    /// over the network (feature `download`). If the set is nowhere, this is a generated sample of garments, and `origin` says so.
    ///
    /// # Errors
    /// If `BACKSTITCH_DATA` names a folder without the set, a file is damaged, a download fails for another reason than a missing
    /// network, or there is no memory. It takes 4 bytes per pixel, 220 MB, and 55 MB more while it is read.
    pub fn load() -> Result<MnistData, Error> {
        load(&FASHION_MNIST)
    }

    /// Loads the set from the four files in this folder: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, and two that begin
    /// with `t10k`. A name may have a dot in place of the dash before `idx`, and may end in `.gz`, whether the file is gzipped or
    /// not. If there are several, the one with a dash and `.gz` is used.
    ///
    /// # Errors
    /// If a file is missing or damaged, the numbers of pictures and labels differ, a label is not a class, or there is no memory.
    pub fn load_from(folder: impl AsRef<Path>) -> Result<MnistData, Error> {
        load_from(&FASHION_MNIST, folder.as_ref())
    }

    /// The pictures as bytes: from `fashion-mnist/` in `folder`, or, without a folder, found as by [`load`](Self::load).
    /// `progress` gets the progress of a download.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn images(
        folder: Option<&Path>,
        progress: &mut dyn FnMut(DownloadProgress<'_>),
    ) -> Result<MnistImages, Error> {
        open(&FASHION_MNIST, folder, progress)
    }

    /// The generated sample: 6,000 training and 1,000 test pictures that look like garments, always the same. The reason says why it
    /// is used.
    ///
    /// # Errors
    /// If there is no memory.
    pub fn sample(reason: &str) -> Result<MnistData, Error> {
        generate_sample(reason).into_datasets(FASHION_CLASSES)
    }
}

impl Mnist {
    /// Loads the set from `mnist/` in the folder that `BACKSTITCH_DATA` names. Without that variable: from the cache, or over the
    /// network (feature `download`).
    ///
    /// # Errors
    /// As [`FashionMnist::load`]. Also if the set is nowhere: the message says where to put which files.
    pub fn load() -> Result<MnistData, Error> {
        load(&MNIST)
    }

    /// The set from the four files in this folder.
    ///
    /// # Errors
    /// As [`FashionMnist::load_from`].
    pub fn load_from(folder: impl AsRef<Path>) -> Result<MnistData, Error> {
        load_from(&MNIST, folder.as_ref())
    }
}

impl Kmnist {
    /// Loads the set from `kmnist/` in the folder that `BACKSTITCH_DATA` names. Without that variable: from the cache, or over
    /// the network (feature `download`).
    ///
    /// # Errors
    /// As [`Mnist::load`].
    pub fn load() -> Result<MnistData, Error> {
        load(&KMNIST)
    }

    /// The set from the four files in this folder.
    ///
    /// # Errors
    /// As [`FashionMnist::load_from`].
    pub fn load_from(folder: impl AsRef<Path>) -> Result<MnistData, Error> {
        load_from(&KMNIST, folder.as_ref())
    }
}

fn load(set: &Set) -> Result<MnistData, Error> {
    open(set, None, &mut |_| ())?.into_datasets(set.classes)
}

fn load_from(set: &Set, folder: &Path) -> Result<MnistData, Error> {
    MnistImages::read(set.name, folder)?.into_datasets(set.classes)
}

/// Loads a set from its folder in `folder`, or in the folder that `BACKSTITCH_DATA` names. Without either: from the cache, over
/// the network, or as its generated sample, if it has one.
fn open(
    set: &Set,
    folder: Option<&Path>,
    progress: &mut dyn FnMut(DownloadProgress<'_>),
) -> Result<MnistImages, Error> {
    let named = std::env::var_os(DATA_VARIABLE).map(PathBuf::from);
    match folder.or(named.as_deref()) {
        Some(folder) => MnistImages::read(set.name, &folder.join(set.folder)),
        None => open_cached(set, &cache::folder(set.folder)?, progress),
    }
}

/// Loads a set from a folder of the cache. It is downloaded to that folder if possible.
fn open_cached(
    set: &Set,
    folder: &Path,
    progress: &mut dyn FnMut(DownloadProgress<'_>),
) -> Result<MnistImages, Error> {
    let why = match fetch(set, folder, progress) {
        _ if FILES.iter().all(|file| folder.join(file).exists()) => {
            return MnistImages::read(set.name, folder);
        }
        Ok(()) => "no network is used (feature `download` is off)".to_owned(),
        Err(Error::Download { url, got, unreachable: true }) => {
            format!("the network does not answer ({url}: {got})")
        }
        Err(error) => return Err(error),
    };
    match set.sample {
        Some(sample) => {
            let any = FILES.iter().any(|file| folder.join(file).exists());
            let cached = if any { "not all four files" } else { "no files" };
            Ok(sample(&format!("{DATA_VARIABLE} names no folder, the cache has {cached}, and {why}")))
        }
        None => {
            let Set { name, folder: inside, url, .. } = set;
            let expected = format!(
                "{name}: train- and t10k-images-idx3-ubyte.gz, train- and t10k-labels-idx1-ubyte.gz of {url}, here or in {inside}/ of the \
                 folder that {DATA_VARIABLE} names"
            );
            Err(Error::content(folder, expected, format!("not all of them, and {why}")))
        }
    }
}

#[cfg(feature = "download-http")]
fn fetch(set: &Set, folder: &Path, progress: &mut dyn FnMut(DownloadProgress<'_>)) -> Result<(), Error> {
    let url = std::env::var(set.url_variable).unwrap_or_else(|_| set.url.to_owned());
    let remote = |i| super::download::Remote { name: FILES[i], size: SIZES[i], md5: set.md5[i] };
    super::download::download_to(folder, &url, &[0, 1, 2, 3].map(remote), progress)
}

#[cfg(not(feature = "download-http"))]
fn fetch(_: &Set, _: &Path, _: &mut dyn FnMut(DownloadProgress<'_>)) -> Result<(), Error> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ndarray::ArrayD;

    use super::*;
    use crate::idx::Idx;
    use crate::mnist::Origin;

    /// The four files with these labels; every pixel is 51.
    fn write_files(folder: &Path, end: &str, labels: &[u8]) {
        fs::create_dir_all(folder).unwrap();
        for part in ["train", "t10k"] {
            let write = |name: &str, idx: Idx| {
                fs::write(folder.join(format!("{part}-{name}{end}")), idx.to_bytes().unwrap()).unwrap();
            };
            write("images-idx3-ubyte", Idx::U8(ArrayD::from_elem(vec![labels.len(), 28, 28], 51)));
            write(
                "labels-idx1-ubyte",
                Idx::U8(ArrayD::from_shape_vec(vec![labels.len()], labels.to_vec()).unwrap()),
            );
        }
    }

    #[test]
    fn files_become_data_sets_that_say_where_they_are_from() {
        let folder = tempfile::tempdir().unwrap();
        write_files(folder.path(), "", &[3, 0, 9]);
        for (data, name, class) in [
            (FashionMnist::load_from(folder.path()), "Fashion-MNIST", "Dress"),
            (Mnist::load_from(folder.path()), "MNIST", "3"),
            (Kmnist::load_from(folder.path()), "KMNIST", "tsu"),
        ] {
            let data = data.unwrap();
            let place = folder.path().display();
            assert_eq!(data.to_string(), format!("{name} from {place}: 3 training and 3 test images"));
            assert_eq!(data.train.input_shape().to_string(), "[28, 28, 1]");
            assert_eq!(data.test.labels(), Some(vec![3, 0, 9]));
            assert_eq!(data.classes[3], class);
            assert!(data.train.inputs().unwrap().data().iter().all(|&pixel| pixel == 0.2));
        }
    }

    #[test]
    fn a_set_without_pictures_is_refused_and_named() {
        let folder = tempfile::tempdir().unwrap();
        write_files(folder.path(), "", &[]);
        let error = Mnist::load_from(folder.path()).unwrap_err().to_string();
        let place = folder.path().display();
        assert_eq!(error, format!("{place}: inputs: expected at least one sample, got [0, 28, 28, 1]"));
        let missing = Kmnist::load_from(folder.path().join("none")).unwrap_err().to_string();
        let expected = "none: expected train-images-idx3-ubyte or train-images.idx3-ubyte, with .gz or without, got no such file";
        assert!(missing.ends_with(expected), "{missing}");
    }

    #[test]
    fn what_is_given_or_cached_is_used_and_what_is_nowhere_says_what_would_help() {
        let folder = tempfile::tempdir().unwrap();
        write_files(&folder.path().join("kmnist"), "", &[1]);
        let given = open(&KMNIST, Some(folder.path()), &mut |_| ()).unwrap();
        assert_eq!(given.origin, Origin::Files { name: "KMNIST", folder: folder.path().join("kmnist") });
        let cache = folder.path().join("cache");
        write_files(&cache, ".gz", &[1]);
        assert_eq!(open_cached(&MNIST, &cache, &mut |_| ()).unwrap().len(), 2);
        // Nothing answers at this address, and without the feature there is no request.
        let nowhere =
            |sample| Set { url: "http://127.0.0.1:9", url_variable: "BACKSTITCH_NO_URL", sample, ..MNIST };
        fs::remove_file(cache.join(FILES[2])).unwrap();
        let error = open_cached(&nowhere(None), &cache, &mut |_| ()).unwrap_err().to_string();
        for part in [
            "cache: expected MNIST: train- and t10k-images",
            "in mnist/ of the folder that BACKSTITCH_DATA names",
            "not all of them, and ",
        ] {
            assert!(error.contains(part), "{error}");
        }
        assert!(!error.contains("more letters"), "{error}");
        let drawn = open_cached(&nowhere(Some(generate_sample)), &cache, &mut |_| ()).unwrap();
        assert!(
            matches!(&drawn.origin, Origin::Sample(why) if why.starts_with("BACKSTITCH_DATA names no folder, the cache has not all four files, and "))
        );
        let drawn =
            open_cached(&nowhere(Some(generate_sample)), &folder.path().join("none"), &mut |_| ()).unwrap();
        let source = drawn.origin.to_string();
        let why = "GENERATED SAMPLE of drawn garments, not Fashion-MNIST: BACKSTITCH_DATA names no folder, the cache has no files, and ";
        let network = source.strip_prefix(why).unwrap_or_else(|| panic!("{source}"));
        match cfg!(feature = "download-http") {
            true => {
                assert!(network.starts_with("the network does not answer (http://127.0.0.1:9"), "{source}");
            }
            false => assert_eq!(network, "no network is used (feature `download` is off)"),
        }
        let data = drawn.into_datasets(FASHION_CLASSES).unwrap();
        assert!(data.to_string().starts_with("GENERATED SAMPLE of drawn garments"), "{data}");
        assert_eq!((data.train.len(), data.test.len()), (6_000, 1_000));
    }
}
