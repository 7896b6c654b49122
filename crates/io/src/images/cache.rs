//! Keeps decoded pixels in one file, so that the next run does not decode again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use md5::{Digest, Md5};
use ndarray::{Array4, Ix4};
use rayon::prelude::*;

use super::Options;
use super::listing::Listed;
use crate::error::Error;
use crate::npz::{Archive, Writer};
use crate::{atomic, cache};

/// Part of every key, so that pixels from another version, or decoded in another way (the last number), are not used.
const VERSION: &str = concat!("backstitch pictures ", env!("CARGO_PKG_VERSION"), " 2");

/// The folder where this user's programs keep decoded pictures.
///
/// # Errors
/// If there is no home folder.
pub fn cache_folder() -> Result<PathBuf, Error> {
    cache::folder("images")
}

/// The cache file for these files, read with these options. Its name is an MD5 of the names below the root and of the bytes. This
/// notices pictures that changed; it is no protection against an attacker.
pub(super) fn file(
    cache: &Path,
    root: &Path,
    pictures: &[Listed],
    options: &Options,
) -> Result<PathBuf, Error> {
    let digest = |picture: &Listed| Ok(Md5::digest(picture.bytes()?));
    let digests = pictures.par_iter().map(digest).collect::<Result<Vec<_>, Error>>()?;
    Ok(cache.join(format!("{}.npz", key(root, pictures, options, digests))))
}

/// An MD5 of the options, the names below the root, and a mark of each file. All marks have one length, or each has its own end.
pub(super) fn key(
    root: &Path,
    pictures: &[Listed],
    options: &Options,
    marks: impl IntoIterator<Item = impl AsRef<[u8]>>,
) -> String {
    let mut key = Md5::new();
    let Options { height, width, channels, upright, .. } = options;
    key.update(format!("{VERSION} {height}x{width} {channels:?} {upright} {}\n", pictures.len()));
    for (picture, mark) in pictures.iter().zip(marks) {
        let name = picture.file.strip_prefix(root).unwrap_or(&picture.file).as_os_str().as_encoded_bytes();
        key.update((name.len() as u64).to_le_bytes());
        key.update(name);
        key.update(mark);
    }
    key.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Fills in the pixels, and returns whether there were any. The shape in the file is compared before anything is read, so the
/// file cannot decide how much memory is taken.
///
/// # Errors
/// If the file is damaged, holds other pixels, or cannot be read.
pub(super) fn read(path: &Path, pixels: &mut Array4<u8>) -> Result<bool, Error> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        found => found.map_err(Error::io(path, "open"))?,
    };
    let mut archive = Archive::open(path)?;
    let other = |got: String| Error::content(path, format!("pixels of the shape {:?}", pixels.shape()), got);
    match archive.shape(NAME) {
        Some(shape) if shape == pixels.shape() => {}
        Some(shape) => return Err(other(format!("{shape:?}"))),
        None => return Err(other(format!("no array {NAME}"))),
    }
    let found = archive.read(NAME)?.into_dimensionality::<Ix4>();
    let found = found.ok().filter(ndarray::ArrayBase::is_standard_layout);
    *pixels = found.ok_or_else(|| other("another order".to_owned()))?;
    Ok(true)
}

/// Writes the pixels as an `.npz` file with one array, `pixels`.
pub(super) fn write(path: &Path, pixels: &Array4<u8>) -> Result<(), Error> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(Error::io(folder, "create the folder"))?;
    }
    atomic::write(path, |to| {
        let mut npz = Writer::new(to);
        npz.add(NAME, pixels.view().into_dyn())?;
        npz.finish()
    })
}

/// The name of the array in the file.
const NAME: &str = "pixels";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHAPE: (usize, usize, usize, usize) = (2, 3, 4, 3);

    fn written(pixels: &Array4<u8>) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pixels.npz");
        write(&path, pixels).unwrap();
        (folder, path)
    }

    fn pixels() -> Array4<u8> {
        Array4::from_shape_fn(SHAPE, |(i, j, k, l)| (i * 36 + j * 12 + k * 3 + l + 1) as u8)
    }

    #[test]
    fn pixels_come_back_and_no_file_is_no_error() {
        let (_folder, path) = written(&pixels());
        let mut read_back = Array4::zeros(SHAPE);
        assert!(read(&path, &mut read_back).unwrap());
        assert_eq!(read_back, pixels());
        assert!(!read(&path.with_extension("none"), &mut read_back).unwrap());
    }

    #[test]
    fn pixels_of_another_shape_are_refused_and_change_nothing() {
        for shape in [(1, 3, 4, 3), (3, 3, 4, 3), (2, 4, 3, 3)] {
            let (_folder, path) = written(&Array4::zeros(shape));
            let mut into = pixels();
            let error = read(&path, &mut into).unwrap_err().to_string();
            assert!(error.contains("expected pixels of the shape [2, 3, 4, 3], got ["), "{error}");
            assert_eq!(into, pixels());
        }
    }

    proptest! {
        #[test]
        fn every_damage_is_an_error_or_changes_nothing(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            length in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let (_folder, path) = written(&pixels());
            let mut bytes = fs::read(&path).unwrap();
            for (place, value) in changes {
                let place = place.index(bytes.len());
                bytes[place] = value;
            }
            if let Some(length) = length {
                bytes.truncate(length.index(bytes.len()));
            }
            fs::write(&path, bytes).unwrap();
            let mut found = Array4::zeros(SHAPE);
            match read(&path, &mut found) {
                Ok(from_cache) => prop_assert!(from_cache && found == pixels()),
                Err(_) => prop_assert!(found == Array4::<u8>::zeros(SHAPE)),
            }
        }
    }
}
