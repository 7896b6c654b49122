//! Decoded pixels in one file, so that the next run need not decode.

use std::fs;
use std::path::{Path, PathBuf};

use md5::{Digest, Md5};
use ndarray::{Array4, Ix4};
use rayon::prelude::*;

use crate::error::Error;
use crate::npz::{Archive, Writer};
use crate::{atomic, cache};

/// Goes into every key: pixels decoded by another version are not taken.
const VERSION: &str = concat!("backstitch pictures ", env!("CARGO_PKG_VERSION"));

/// Where programs of this user keep decoded pictures.
///
/// # Errors
/// If there is no home folder.
pub fn cache_folder() -> Result<PathBuf, Error> {
    cache::folder("images")
}

/// The file for these files, in this size: named after an MD5 of the names below the root and of the bytes. It guards against pictures that
/// changed, not against malice.
pub(super) fn file(cache: &Path, root: &Path, files: &[PathBuf], size: [usize; 2]) -> Result<PathBuf, Error> {
    let digest = |path: &PathBuf| match fs::read(path) {
        Ok(bytes) => Ok(Md5::digest(&bytes)),
        Err(error) => Err(Error::io(path, "open")(error)),
    };
    let digests = files.par_iter().map(digest).collect::<Result<Vec<_>, _>>()?;
    let mut key = Md5::new();
    key.update(format!("{VERSION} {size:?} {}\n", files.len()));
    for (path, digest) in files.iter().zip(digests) {
        let name = path.strip_prefix(root).unwrap_or(path).as_os_str().as_encoded_bytes();
        key.update((name.len() as u64).to_le_bytes());
        key.update(name);
        key.update(digest);
    }
    let key: String = key.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(cache.join(format!("{key}.npz")))
}

/// The pixels, if the file is there and whole.
pub(super) fn read(file: &Path, shape: (usize, usize, usize, usize)) -> Option<Array4<u8>> {
    let mut archive = Archive::open(file).ok()?;
    if archive.shape("pixels")? != [shape.0, shape.1, shape.2, shape.3] {
        return None;
    }
    let pixels = archive.read("pixels").ok()?.into_dimensionality::<Ix4>().ok()?;
    pixels.is_standard_layout().then_some(pixels)
}

pub(super) fn write(file: &Path, pixels: &Array4<u8>) -> Result<(), Error> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(Error::io(folder, "create the folder"))?;
    }
    atomic::write(file, |to| {
        let mut npz = Writer::new(to);
        npz.add("pixels", pixels.view().into_dyn())?;
        npz.finish()
    })
}
