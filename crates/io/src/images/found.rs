//! A folder before its pictures are decoded, and how one picture is read.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::Options;
use super::kept::PixelFile;
use super::listing::{Listed, Listing, list};
use super::options::mixed;
use crate::error::Error;

/// A folder of pictures with their classes.
#[derive(Debug)]
pub(super) struct FolderIndex {
    pub root: PathBuf,
    pub options: Options,
    pub classes: Vec<String>,
    pub pictures: Vec<Listed>,
    pub channels: usize,
    pub skipped: Vec<Error>,
    pub ignored: Vec<PathBuf>,
    /// The file that keeps the decoded pixels, picture by picture.
    pub kept: Option<PixelFile>,
}

impl FolderIndex {
    pub fn list(root: &Path, options: &Options) -> Result<Self, Error> {
        let Listing { classes, pictures, ignored } = list(root)?;
        let channels = options.count_channels(&pictures)?;
        let (root, options, skipped) = (root.to_owned(), options.clone(), Vec::new());
        Ok(Self { root, options, classes, pictures, channels, skipped, ignored, kept: None })
    }

    /// The folders `train` and `val`, both with the classes of `train`.
    pub fn list_parts(folder: &Path, options: &Options) -> Result<[Self; 2], Error> {
        let train = Self::list(&folder.join("train"), options)?;
        let mut validation = Self::list(&folder.join("val"), options)?;
        let number = |name: &String| {
            let number = train.classes.iter().position(|class| class == name);
            let wrong =
                || Error::content(&validation.root, "classes of the training set", format!("{name:?}"));
            number.ok_or_else(wrong)
        };
        let numbers = validation.classes.iter().map(number).collect::<Result<Vec<_>, _>>()?;
        if train.channels != validation.channels {
            return Err(mixed(&validation.root, train.channels));
        }
        validation.pictures.iter_mut().for_each(|picture| picture.label = numbers[picture.label]);
        validation.classes.clone_from(&train.classes);
        Ok([train, validation])
    }

    /// Prepares a folder for reading picture by picture: opens its cache file, and leaves out damaged files if the options say
    /// so.
    pub fn ready(mut self) -> Result<Self, Error> {
        if let Some(cache) = &self.options.cache {
            self.kept = Some(PixelFile::open(cache, &self.root, &self.pictures, &self.options)?);
        }
        if self.options.skip_broken {
            let errors = (0..self.pictures.len()).into_par_iter().map(|i| self.pixels(i).err()).collect();
            self.leave_out(errors)?;
        }
        Ok(self)
    }

    /// The pixels of a picture, row by row.
    pub fn pixels(&self, i: usize) -> Result<Vec<u8>, Error> {
        let picture = &self.pictures[i];
        let size = self.options.height * self.options.width * self.channels;
        if let Some(kept) = &self.kept
            && let Some(pixels) = kept.read(picture.place, size)?
        {
            return Ok(pixels);
        }
        let pixels: Vec<u8> = self.options.read(picture, self.channels)?.into_iter().collect();
        if let Some(kept) = &self.kept {
            kept.write(picture.place, &pixels)?;
        }
        Ok(pixels)
    }

    /// Leaves out the pictures with an error, and returns which pictures stay.
    pub fn leave_out(&mut self, errors: Vec<Option<Error>>) -> Result<Vec<usize>, Error> {
        let good: Vec<usize> = (0..errors.len()).filter(|&i| errors[i].is_none()).collect();
        let mut is_good = errors.iter().map(Option::is_none);
        // A class without any validation picture is not an error of the files.
        let mut had = vec![false; self.classes.len()];
        self.pictures.iter().for_each(|picture| had[picture.label] = true);
        self.pictures.retain(|_| is_good.next() == Some(true));
        self.skipped.extend(errors.into_iter().flatten());
        self.pictures.iter().for_each(|picture| had[picture.label] = false);
        match had.iter().position(|&lost| lost) {
            None => Ok(good),
            Some(class) => {
                let name = Path::new(&self.classes[class]);
                Err(Error::content(name, "a class with pictures", "only broken files"))
            }
        }
    }
}
