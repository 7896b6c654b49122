//! Keeps decoded pixels in one file, picture by picture, so that each picture is decoded once and none has to stay in memory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::Options;
use super::cache;
use super::listing::Listed;
use crate::error::Error;

/// A file of pictures, all of one size. At its position, each picture has its pixels, and after them a CRC-32C (RFC 3720) of the
/// position and the pixels. A position that was not written yet is a hole or beyond the end of the file. Its checksum is wrong,
/// like that of a damaged picture.
#[derive(Debug)]
pub(super) struct PixelFile {
    file: PathBuf,
}

/// Bytes of a checksum.
const SUM: usize = 4;

impl PixelFile {
    /// The cache file for these pictures, read with these options, in a folder for such files. Its name is made from the paths,
    /// lengths and modification times of the pictures, so that no picture has to be read to find it.
    pub fn open(folder: &Path, root: &Path, pictures: &[Listed], options: &Options) -> Result<Self, Error> {
        let root_now = fs::canonicalize(root).map_err(Error::io(root, "look at"))?;
        let marks = pictures.iter().map(|picture| format!("{} {:?};", root_now.display(), picture.stamp));
        fs::create_dir_all(folder).map_err(Error::io(folder, "create the folder"))?;
        let file = folder.join(format!("{}.pixels", cache::key(root, pictures, options, marks)));
        let kept = Self { file };
        // A cache that cannot be written is an error before training begins.
        kept.to_write()?;
        Ok(kept)
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The pixels at a position, if they are there and not damaged.
    pub fn read(&self, place: usize, size: usize) -> Result<Option<Vec<u8>>, Error> {
        let mut record = vec![0; size + SUM];
        let read = File::open(&self.file).and_then(|mut file| {
            file.seek(SeekFrom::Start(at(place, size)))?;
            file.read_exact(&mut record)
        });
        match read {
            Err(error) if [ErrorKind::NotFound, ErrorKind::UnexpectedEof].contains(&error.kind()) => Ok(None),
            Err(error) => Err(Error::io(&self.file, "read")(error)),
            Ok(()) => {
                let is_whole = record[size..] == checksum(place, &record[..size]);
                record.truncate(size);
                Ok(is_whole.then_some(record))
            }
        }
    }

    pub fn write(&self, place: usize, pixels: &[u8]) -> Result<(), Error> {
        let record = [pixels, &checksum(place, pixels)].concat();
        let mut file = self.to_write()?;
        let written =
            file.seek(SeekFrom::Start(at(place, pixels.len()))).and_then(|_| file.write_all(&record));
        written.map_err(Error::io(&self.file, "write"))
    }

    fn to_write(&self) -> Result<File, Error> {
        let file: io::Result<File> =
            OpenOptions::new().write(true).create(true).truncate(false).open(&self.file);
        file.map_err(Error::io(&self.file, "write"))
    }
}

/// The offset at which a picture begins.
fn at(place: usize, size: usize) -> u64 {
    place as u64 * (size + SUM) as u64
}

fn checksum(place: usize, pixels: &[u8]) -> [u8; SUM] {
    crc32c::crc32c_append(crc32c::crc32c(&(place as u64).to_le_bytes()), pixels).to_le_bytes()
}
