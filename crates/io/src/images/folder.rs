//! Folders of pictures, each picture read when it is needed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backstitch_core::data::{Sample, Source, SourceError, TargetKind};
use backstitch_core::{Dataset, Shape};

use super::Options;
use super::found::FolderIndex;
use crate::error::Error;

/// A folder of pictures with one folder for each class, `root/class/file`: its classes and the names of its files. Pictures are
/// read from their files when a batch needs them. The next batch is read while the current one is trained on. So a folder may be
/// larger than memory. A clone shares the listing.
///
/// Decoding takes processor time: for photographs of 300x200 pixels, more than training a small network. With [`Options::cache`]
/// each picture is decoded once; later it is read from a file of pixels.
///
/// ```no_run
/// use backstitch::{Model, Net, Trainer, layers::*, optim::Adam};
/// use backstitch::images::ImageFolder;
/// let folder = ImageFolder::open("pictures", 64, 64)?;
/// println!("{folder}");
/// let [train, validation] = folder.dataset().stratified_split(0.1, 0)?;
/// let net = Net::new().push(conv2d(16, 5).relu()).push(max_pool(4)).push(flatten());
/// let mut model = Model::new(net.push(dense(folder.classes().len())), &train.input_shape(), 0)?;
/// Trainer::new(Adam::new(1e-3)).epochs(10).validation(&validation).fit(&mut model, &train)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct ImageFolder(Arc<FolderIndex>);

impl ImageFolder {
    /// Lists the pictures of a folder in the order of their names. They will be read in colour, in this size. None is decoded
    /// yet.
    ///
    /// Files whose names are not those of pictures are ignored ([`ignored`](Self::ignored)). The name of a picture ends
    /// in `.png`, `.jpg`, `.jpeg` or similar, or has no ending. Formats that cannot be read, such as `.gif`, are errors when they
    /// are read.
    ///
    /// # Errors
    /// If a side is 0 or above [`MAX_SIDE`](super::MAX_SIDE), or there are no class folders, or one of them is empty, holds a
    /// folder or has a name that is not UTF-8.
    pub fn open(folder: impl AsRef<Path>, height: usize, width: usize) -> Result<Self, Error> {
        Self::open_with(folder, &Options::new(height, width)?)
    }

    /// As [`open`](Self::open), with options. With [`Channels::AsStored`](super::Channels::AsStored) the first picture is
    /// decoded, to get the number of channels. With [`Options::skip_broken`] every picture is decoded, and pictures that cannot
    /// be decoded are left out ([`skipped`](Self::skipped)).
    ///
    /// # Errors
    /// As [`open`](Self::open). With `AsStored` also if the first picture cannot be read; with `skip_broken` if no picture of a
    /// class can be read; with [`Options::cache`] if the cache folder cannot be written to.
    pub fn open_with(folder: impl AsRef<Path>, options: &Options) -> Result<Self, Error> {
        Ok(Self(Arc::new(FolderIndex::list(folder.as_ref(), options)?.ready()?)))
    }

    /// The folders `train` and `val` of a folder: `[train, validation]`, both with the classes of `train`.
    ///
    /// # Errors
    /// As [`open_with`](Self::open_with). Also if `val` has a class that `train` lacks, or, with `AsStored`, if `val` has grey
    /// pictures and `train` has coloured ones.
    pub fn open_parts(folder: impl AsRef<Path>, options: &Options) -> Result<[Self; 2], Error> {
        let [train, validation] = FolderIndex::list_parts(folder.as_ref(), options)?;
        Ok([Self(Arc::new(train.ready()?)), Self(Arc::new(validation.ready()?))])
    }

    /// The pictures with their classes: inputs `[height, width, channels]` from 0 to 1 (bytes divided by 255), read when they are
    /// needed, in the order of [`files`](Self::files).
    ///
    /// If a file is damaged, has disappeared, or was written since the folder was opened (its length or its modification time
    /// differs), training stops with an error that names it. For pictures in the [`Options::cache`], the files are not examined
    /// again.
    pub fn dataset(&self) -> Dataset<f32> {
        Dataset::from_source(self.clone()).expect("a folder without pictures is refused when it is opened")
    }

    /// Names of the classes, in order.
    pub fn classes(&self) -> &[String] {
        &self.0.classes
    }

    /// The file of each picture.
    pub fn files(&self) -> impl ExactSizeIterator<Item = &Path> {
        self.0.pictures.iter().map(|picture| &*picture.file)
    }

    /// The error of each file that was left out.
    pub fn skipped(&self) -> &[Error] {
        &self.0.skipped
    }

    /// The files that were skipped because their names are not those of pictures: `Thumbs.db`, `notes.txt`, names that begin with
    /// a dot, and files beside the class folders.
    pub fn ignored(&self) -> &[PathBuf] {
        &self.0.ignored
    }
}

impl Source<f32> for ImageFolder {
    fn len(&self) -> usize {
        self.0.pictures.len()
    }

    fn input_shape(&self) -> Shape {
        Shape::from([self.0.options.height, self.0.options.width, self.0.channels])
    }

    fn targets(&self) -> TargetKind {
        TargetKind::Classes(Shape::from([]))
    }

    fn read(&self, sample: usize, to: &mut Sample<'_, f32>) -> Result<(), SourceError> {
        let pixels = self.0.pixels(sample)?;
        to.input.iter_mut().zip(&pixels).for_each(|(to, &byte)| *to = unit(byte));
        to.classes.fill(self.0.pictures[sample].label);
        Ok(())
    }

    fn class(&self, sample: usize) -> Option<usize> {
        Some(self.0.pictures[sample].label)
    }
}

/// A byte as a number from 0 to 1.
pub(super) fn unit(byte: u8) -> f32 {
    f32::from(byte) / 255.0
}

/// The number of pictures and classes and how they are read, on one line.
impl fmt::Display for ImageFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FolderIndex { root, classes, pictures, skipped, ignored, kept, .. } = &*self.0;
        let (n, shape) = (pictures.len(), self.input_shape());
        write!(f, "{}: {n} pictures of {} classes, read as {shape}", root.display(), classes.len())?;
        match kept {
            None => write!(f, ", decoded each time they are needed")?,
            Some(kept) => write!(f, ", decoded once and kept in {}", kept.file().display())?,
        }
        if let Some(first) = skipped.first() {
            write!(f, "; {} broken files left out, the first {first}", skipped.len())?;
        }
        if let Some(first) = ignored.first() {
            write!(f, "; {} files ignored, the first {}", ignored.len(), first.display())?;
        }
        Ok(())
    }
}
