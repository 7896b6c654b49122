//! Decoded pixels in one file, picture by picture, so that each is decoded once and none need stay in memory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::Options;
use super::cache;
use super::listing::Listed;
use crate::error::Error;

/// A file of pictures, all of one size: at its place each has its pixels and behind them a CRC-32C (RFC 3720) of place and pixels. A
/// place that was not written yet is a hole or behind the end of the file, and its checksum is wrong, as is that of a damaged one.
#[derive(Debug)]
pub(super) struct PixelFile {
    file: PathBuf,
}

/// Bytes of a checksum.
const SUM: usize = 4;

impl PixelFile {
    /// The file for these pictures, read with these options, in a folder for such files. The name is made from what tells without reading
    /// them that they are the same: where they are, and their lengths and times of writing.
    pub fn open(folder: &Path, root: &Path, pictures: &[Listed], options: &Options) -> Result<Self, Error> {
        let root_now = fs::canonicalize(root).map_err(Error::io(root, "look at"))?;
        let marks = pictures.iter().map(|picture| format!("{} {:?};", root_now.display(), picture.stamp));
        fs::create_dir_all(folder).map_err(Error::io(folder, "create the folder"))?;
        let file = folder.join(format!("{}.pixels", cache::key(root, pictures, options, marks)));
        let kept = Self { file };
        // What cannot be written is found before training begins.
        kept.to_write()?;
        Ok(kept)
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The pixels at a place, if they are there and whole.
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

/// Where a picture begins.
fn at(place: usize, size: usize) -> u64 {
    place as u64 * (size + SUM) as u64
}

fn checksum(place: usize, pixels: &[u8]) -> [u8; SUM] {
    crc32c::crc32c_append(crc32c::crc32c(&(place as u64).to_le_bytes()), pixels).to_le_bytes()
}
