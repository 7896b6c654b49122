//! How a folder of pictures is read.

use std::path::PathBuf;

use crate::error::Error;

/// How many numbers a pixel has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Channels {
    /// Three: red, green and blue. A grey picture becomes three equal ones.
    #[default]
    Colour,
    /// One: brightness. Of a coloured picture it is 0.299 red + 0.587 green + 0.114 blue (ITU-R BT.601), as in Pillow's mode `L`.
    Grey,
    /// As in the files: one where all of a folder are grey, three where all are coloured. A folder of both is an error.
    AsStored,
}

/// How pictures are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: Channels,
    pub(super) upright: bool,
    pub(super) skip_broken: bool,
    pub(super) cache: Option<PathBuf>,
}

impl Options {
    /// Pictures of this size, in pixels; larger and smaller ones are resized. In colour, and as the pixels lie in the file.
    ///
    /// # Errors
    /// If a side is 0 or above [`super::LARGEST_SIDE`].
    pub fn new(height: usize, width: usize) -> Result<Self, Error> {
        if [height, width].iter().any(|side| !(1..=super::LARGEST_SIDE).contains(side)) {
            return Err(Error::Resize {
                from: "a folder of pictures".to_owned(),
                to: format!("{height}x{width}"),
            });
        }
        let channels = Channels::default();
        Ok(Self { height, width, channels, upright: false, skip_broken: false, cache: None })
    }

    /// How many numbers a pixel has; three without this.
    #[must_use]
    pub fn channels(mut self, channels: Channels) -> Self {
        self.channels = channels;
        self
    }

    /// Turns and mirrors each picture as the EXIF data of its file say, as `PIL.ImageOps.exif_transpose` does. Cameras and telephones
    /// often store what they saw lying on its side, and note how it was held. Without this the pixels stay as they lie in the file,
    /// as with `torchvision.datasets.ImageFolder`.
    #[must_use]
    pub fn upright(mut self) -> Self {
        self.upright = true;
        self
    }

    /// Goes on without the files that are broken, and lists them in [`super::ImageFolder::skipped`].
    #[must_use]
    pub fn skip_broken(mut self) -> Self {
        self.skip_broken = true;
        self
    }

    /// Keeps the decoded pixels as one file in this folder, under a key of all files' names and bytes and of these options; the next
    /// time they come from there. A folder from which something was skipped is not kept.
    #[must_use]
    pub fn cache(mut self, folder: PathBuf) -> Self {
        self.cache = Some(folder);
        self
    }
}
