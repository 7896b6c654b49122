//! Folders of pictures, all decoded at once.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use backstitch_core::{Dataset, split};
use ndarray::{Array4, Axis};
use rayon::prelude::*;

use super::folder::unit;
use super::found::FolderIndex;
use super::{Options, cache};
use crate::error::Error;

/// Pictures in memory, with their classes.
#[derive(Debug)]
#[non_exhaustive]
pub struct Images {
    /// Names of the classes, in order.
    pub classes: Vec<String>,
    /// `[n, height, width, 3]`: red, green and blue, 0 to 255; or `[n, height, width, 1]`, grey ([`Options::channels`]).
    pub pixels: Array4<u8>,
    /// The class of each picture.
    pub labels: Vec<usize>,
    /// The file of each picture.
    pub files: Vec<PathBuf>,
    /// The error of each file that was left out.
    pub skipped: Vec<Error>,
    /// The files that were skipped because their names are not those of pictures: `Thumbs.db`, `notes.txt`, names that begin with
    /// a dot, and files beside the class folders.
    pub ignored: Vec<PathBuf>,
    /// Whether the pixels came from the cache.
    pub from_cache: bool,
    /// Why the pixels could not be read from the cache (it was damaged) or written to it.
    pub cache_error: Option<Error>,
}

impl Images {
    /// The pictures with their classes: inputs `[height, width, channels]` from 0 to 1 (bytes divided by 255), four bytes per
    /// number.
    ///
    /// # Errors
    /// If there are no pictures, or not one class for each picture.
    pub fn dataset(&self) -> Result<Dataset<f32>, backstitch_core::Error> {
        Dataset::classes(self.pixels.mapv(unit), &self.labels)
    }

    /// The pictures with these numbers.
    fn part(&self, indices: &[usize]) -> Self {
        Self {
            classes: self.classes.clone(),
            pixels: self.pixels.select(Axis(0), indices),
            labels: indices.iter().map(|&i| self.labels[i]).collect(),
            files: indices.iter().map(|&i| self.files[i].clone()).collect(),
            skipped: Vec::new(),
            ignored: Vec::new(),
            from_cache: self.from_cache,
            cache_error: None,
        }
    }
}

/// Training and validation pictures with the same classes.
#[derive(Debug)]
#[non_exhaustive]
pub struct Parts {
    /// The training pictures.
    pub train: Images,
    /// The validation pictures.
    pub validation: Images,
}

/// Decodes all pictures of a folder with one folder for each class into memory, in the order of their names.
/// ([`ImageFolder`](super::ImageFolder) reads them when they are needed instead.) `progress` gets the number of decoded files and
/// the number of all files, from several threads.
///
/// Files whose names are not those of pictures are ignored and listed in [`Images::ignored`]. The name of a picture ends in
/// `.png`, `.jpg`, `.jpeg` or similar, or has no ending. Formats that cannot be read, such as `.gif`, are errors.
///
/// # Errors
/// If there are no class folders, or one of them is empty, holds a folder or has a name that is not UTF-8. If a file is damaged
/// or not a picture (see [`super::read`]): the error is about the first such file by name. With [`Options::skip_broken`] damaged
/// files are an error only if no picture of a class is left. With [`Channels::AsStored`](super::Channels::AsStored) also if grey
/// and coloured pictures are mixed.
pub fn read_folder(
    folder: impl AsRef<Path>,
    options: &Options,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Images, Error> {
    let folder = folder.as_ref();
    read(FolderIndex::list(folder, options)?, progress)
}

/// The pictures of `folder/train` and `folder/val`. If neither exists, those of the folder itself: a random share of each class
/// becomes the validation set.
///
/// # Errors
/// As [`read_folder`] and [`split::stratified`]. Also if there is only one of the two folders, if `val` has a class that `train`
/// lacks, or, with [`Channels::AsStored`](super::Channels::AsStored), if `val` has grey pictures and `train` has coloured ones.
pub fn read_parts(
    folder: impl AsRef<Path>,
    options: &Options,
    (validation, seed): (f64, u64),
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Parts, Error> {
    let folder = folder.as_ref();
    match ["train", "val"].map(|name| folder.join(name).is_dir()) {
        [true, true] => {
            let [train, validation] = FolderIndex::list_parts(folder, options)?;
            Ok(Parts { train: read(train, progress)?, validation: read(validation, progress)? })
        }
        [false, false] => {
            let mut all = read_folder(folder, options, progress)?;
            let fold = split::stratified(&all.labels, validation, seed).map_err(Error::model(folder))?;
            let mut train = all.part(&fold.train);
            (train.skipped, train.cache_error) = (std::mem::take(&mut all.skipped), all.cache_error.take());
            train.ignored = std::mem::take(&mut all.ignored);
            Ok(Parts { train, validation: all.part(&fold.validation) })
        }
        [has_train, _] => {
            let got = if has_train { "only train" } else { "only val" };
            Err(Error::content(folder, "folders train and val, or neither", got))
        }
    }
}

/// All pictures of a listing, from the cache or decoded.
fn read(mut found: FolderIndex, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<Images, Error> {
    let Options { height, width, cache, .. } = found.options.clone();
    let mut pixels = Array4::zeros((found.pictures.len(), height, width, found.channels));
    let file =
        cache.map(|cache| cache::file(&cache, &found.root, &found.pictures, &found.options)).transpose()?;
    let (from_cache, mut cache_error) =
        match file.as_deref().map_or(Ok(false), |file| cache::read(file, &mut pixels)) {
            Ok(from_cache) => (from_cache, None),
            Err(damage) => (false, Some(damage)),
        };
    if !from_cache {
        pixels = decode(&mut found, pixels, progress)?;
        if let (Some(file), true) = (file, found.skipped.is_empty()) {
            cache_error = cache::write(&file, &pixels).err().or(cache_error);
        }
    }
    let FolderIndex { classes, pictures, skipped, ignored, .. } = found;
    let (labels, files) = pictures.into_iter().map(|picture| (picture.label, picture.file)).unzip();
    Ok(Images { classes, pixels, labels, files, skipped, ignored, from_cache, cache_error })
}

/// Decodes every file into its place. Leaves out files that cannot be decoded, if the options say so.
fn decode(
    found: &mut FolderIndex,
    mut pixels: Array4<u8>,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Array4<u8>, Error> {
    let (count, done) = (found.pictures.len(), AtomicUsize::new(0));
    let size = pixels.len() / count;
    let places = pixels.as_slice_mut().expect("new, row by row").par_chunks_exact_mut(size);
    let one = |(i, place): (usize, &mut [u8])| {
        let picture = found.pixels(i);
        progress(done.fetch_add(1, Ordering::Relaxed) + 1, count);
        picture.map(|picture| place.copy_from_slice(&picture)).err()
    };
    let errors: Vec<Option<Error>> = places.enumerate().map(one).collect();
    if errors.iter().all(Option::is_none) {
        return Ok(pixels);
    }
    if !found.options.skip_broken {
        return errors.into_iter().flatten().next().map_or(Ok(pixels), Err);
    }
    let good = found.leave_out(errors)?;
    Ok(pixels.select(Axis(0), &good))
}
