//! How a folder of pictures is read.

use std::path::{Path, PathBuf};

use ndarray::Array3;

use super::decode::{coloured, decode_file, grey};
use super::listing::Listed;
use super::resize;
use crate::error::Error;

/// The number of channels of a pixel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Channels {
    /// Three: red, green and blue. A grey picture becomes three equal ones.
    #[default]
    Colour,
    /// One: brightness. For a coloured picture it is 0.299 red + 0.587 green + 0.114 blue (ITU-R BT.601), as in Pillow's mode
    /// `L`.
    Grey,
    /// As in the files: one if all pictures of a folder are grey, three if all are coloured. A folder with both is an error.
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
    /// Pictures of this size, in pixels. Larger and smaller pictures are resized. In colour, without turning them upright.
    ///
    /// # Errors
    /// If a side is 0 or above [`super::MAX_SIDE`].
    pub fn new(height: usize, width: usize) -> Result<Self, Error> {
        if [height, width].iter().any(|side| !(1..=super::MAX_SIDE).contains(side)) {
            return Err(Error::Resize {
                from: "a folder of pictures".to_owned(),
                to: format!("{height}x{width}"),
            });
        }
        let channels = Channels::default();
        Ok(Self { height, width, channels, upright: false, skip_broken: false, cache: None })
    }

    /// Sets the number of channels of a pixel, three by default.
    #[must_use]
    pub fn channels(mut self, channels: Channels) -> Self {
        self.channels = channels;
        self
    }

    /// Turns and mirrors each picture as the EXIF data of its file say, as `PIL.ImageOps.exif_transpose` does. Cameras and
    /// telephones often store a picture lying on its side, and note how the camera was held. Without this option the pixels stay
    /// as they are in the file, as with `torchvision.datasets.ImageFolder`.
    #[must_use]
    pub fn upright(mut self) -> Self {
        self.upright = true;
        self
    }

    /// Leaves out damaged files, and lists them ([`super::ImageFolder::skipped`], [`super::Images::skipped`]). Only decoding
    /// shows which files are damaged, so [`super::ImageFolder::open_with`] then reads every file once.
    #[must_use]
    pub fn skip_broken(mut self) -> Self {
        self.skip_broken = true;
        self
    }

    /// Keeps the decoded pixels as one file in this folder. The next time, the pixels are read from there.
    ///
    /// Pictures that are read into memory ([`super::read_folder`]) are one `.npz` file. Its name is made from the names and bytes
    /// of all files and from these options. A folder from which a file was skipped is not kept. Pictures that are read when they
    /// are needed ([`super::ImageFolder::dataset`]) are one `.pixels` file, with height * width * channels + 4 bytes per picture.
    /// It is filled as pictures are read. Its name is made from the names, lengths and modification times of all files and from
    /// these options, so no picture is read to find it. Old cache files are not removed.
    #[must_use]
    pub fn cache(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache = Some(folder.into());
        self
    }

    /// The pixels of a file, with this number of channels, in the wanted size.
    pub(super) fn read(&self, picture: &Listed, channels: usize) -> Result<Array3<u8>, Error> {
        let stored = decode_file(&picture.file, &picture.bytes()?, self.upright)?;
        let stored = match self.channels {
            Channels::Colour => coloured(stored),
            Channels::Grey => grey(stored),
            Channels::AsStored if stored.dim().2 == channels => stored,
            Channels::AsStored => return Err(mixed(&picture.file, channels)),
        };
        resize(stored.view(), self.height, self.width)
    }

    /// The number of channels of the pictures. With `AsStored` it is that of the first picture that is not damaged.
    pub(super) fn count_channels(&self, pictures: &[Listed]) -> Result<usize, Error> {
        match self.channels {
            Channels::Colour => Ok(3),
            Channels::Grey => Ok(1),
            Channels::AsStored => {
                let mut stored =
                    pictures.iter().map(|picture| decode_file(&picture.file, &picture.bytes()?, false));
                let first = if self.skip_broken { stored.find(Result::is_ok) } else { stored.next() };
                Ok(first.transpose()?.map_or(3, |picture| picture.dim().2))
            }
        }
    }
}

/// The picture that was found where another number of channels was expected.
pub(super) fn mixed(path: &Path, channels: usize) -> Error {
    let kinds = ["grey pictures as the first one", "coloured pictures as the first one"];
    let [expected, got] = if channels == 1 { [kinds[0], "a coloured one"] } else { [kinds[1], "a grey one"] };
    Error::content(path, expected, format!("{got}; ask for Channels::Colour or Channels::Grey"))
}
