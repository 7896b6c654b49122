//! Decoded pixels in one file, so that the next run need not decode.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use md5::{Digest, Md5};
use ndarray::Array4;
use rayon::prelude::*;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::Options;
use crate::error::Error;
use crate::{atomic, cache};

/// Goes into every key: pixels decoded by another version, or otherwise (the last number), are not taken.
const VERSION: &str = concat!("backstitch pictures ", env!("CARGO_PKG_VERSION"), " 2");

/// Where programs of this user keep decoded pictures.
///
/// # Errors
/// If there is no home folder.
pub fn cache_folder() -> Result<PathBuf, Error> {
    cache::folder("images")
}

/// The file for these files, read with these options: named after an MD5 of the names below the root and of the bytes. It guards against pictures that
/// changed, not against malice.
pub(super) fn file(
    cache: &Path,
    root: &Path,
    files: &[PathBuf],
    options: &Options,
) -> Result<PathBuf, Error> {
    let digest = |path: &PathBuf| match fs::read(path) {
        Ok(bytes) => Ok(Md5::digest(&bytes)),
        Err(error) => Err(Error::io(path, "open")(error)),
    };
    let digests = files.par_iter().map(digest).collect::<Result<Vec<_>, _>>()?;
    let mut key = Md5::new();
    let Options { height, width, channels, upright, .. } = options;
    key.update(format!("{VERSION} {height}x{width} {channels:?} {upright} {}\n", files.len()));
    for (path, digest) in files.iter().zip(digests) {
        let name = path.strip_prefix(root).unwrap_or(path).as_os_str().as_encoded_bytes();
        key.update((name.len() as u64).to_le_bytes());
        key.update(name);
        key.update(digest);
    }
    let key: String = key.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(cache.join(format!("{key}.npz")))
}

/// Fills in the pixels; whether there were any. The file is compared, to the last byte of its header and its checksum, with what [`write`]
/// makes of pixels of this shape, so it decides nothing about how much is read.
///
/// # Errors
/// If the file is damaged or cannot be read.
pub(super) fn read(path: &Path, pixels: &mut Array4<u8>) -> Result<bool, Error> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        file => file.map_err(Error::io(path, "open"))?,
    };
    let damaged = |got: String| Error::content(path, format!("pixels of the shape {:?}", pixels.dim()), got);
    let mut archive = ZipArchive::new(file).map_err(|error| damaged(error.to_string()))?;
    let mut entry = archive.by_name(NAME).map_err(|error| damaged(error.to_string()))?;
    let expected = header(pixels.dim());
    let mut found = vec![0; expected.len()];
    entry.read_exact(&mut found).map_err(|error| damaged(error.to_string()))?;
    if found != expected {
        return Err(damaged("another header".to_owned()));
    }
    let bytes = pixels.as_slice_mut().expect("new, row by row");
    let rest = entry.read_exact(bytes).and_then(|()| entry.read(&mut [0]));
    match rest {
        Ok(0) => Ok(true),
        other => {
            let got = other.map_or_else(|error| error.to_string(), |_| "more of them".to_owned());
            pixels.fill(0);
            Err(Error::content(path, format!("pixels of the shape {:?}", pixels.dim()), got))
        }
    }
}

/// Writes the pixels as an `.npz` file with one array, `pixels`.
pub(super) fn write(path: &Path, pixels: &Array4<u8>) -> Result<(), Error> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(Error::io(folder, "create the folder"))?;
    }
    atomic::write(path, |to| {
        let mut archive = ZipWriter::new(to);
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        archive.start_file(NAME, options.large_file(true))?;
        archive.write_all(&header(pixels.dim()))?;
        archive.write_all(pixels.as_slice().expect("new, row by row"))?;
        archive.finish()?;
        Ok(())
    })
}

const NAME: &str = "pixels.npy";

/// What stands before the numbers of an array in NumPy's format, version 1.0: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.
fn header(shape: (usize, usize, usize, usize)) -> Vec<u8> {
    let text = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape:?}, }}");
    let padded = (10 + text.len() + 1).next_multiple_of(64) - 10;
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((padded as u16).to_le_bytes());
    bytes.extend(format!("{text:<width$}\n", width = padded - 1).bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use ndarray_npy::NpzReader;
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
    fn the_file_is_one_that_numpy_reads() {
        let (_folder, path) = written(&pixels());
        let mut npz = NpzReader::new(File::open(&path).unwrap()).unwrap();
        let found: Array4<u8> = npz.by_name("pixels").unwrap();
        assert_eq!(found, pixels());
        assert_eq!(header(SHAPE).len() % 64, 0);
        let mut read_back = Array4::zeros(SHAPE);
        assert!(read(&path, &mut read_back).unwrap());
        assert_eq!(read_back, pixels());
        assert!(!read(&path.with_extension("none"), &mut read_back).unwrap());
    }

    #[test]
    fn a_header_that_promises_more_or_less_is_damage() {
        for shape in [(1 << 20, 1 << 10, 1 << 10, 1), (1, 3, 4, 3), (3, 3, 4, 3), (3, 2, 4, 3)] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("pixels.npz");
            let mut archive = ZipWriter::new(File::create(&path).unwrap());
            archive.start_file(NAME, SimpleFileOptions::default()).unwrap();
            archive.write_all(&header(shape)).unwrap();
            archive.write_all(&[0; 72]).unwrap();
            archive.finish().unwrap();
            let error = read(&path, &mut pixels()).unwrap_err().to_string();
            assert!(
                error.contains("expected pixels of the shape (2, 3, 4, 3), got another header"),
                "{error}"
            );
        }
        // The right header, and more or fewer pixels.
        for count in [0, 71, 73] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("pixels.npz");
            let mut archive = ZipWriter::new(File::create(&path).unwrap());
            archive.start_file(NAME, SimpleFileOptions::default()).unwrap();
            archive.write_all(&[header(SHAPE), vec![0; count]].concat()).unwrap();
            archive.finish().unwrap();
            let mut into = pixels();
            assert!(read(&path, &mut into).is_err(), "{count}");
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
