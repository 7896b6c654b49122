//! The zip archive that `torch.save` writes.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use tempfile::NamedTempFile;
use zip::read::{ArchiveOffset, Config};
use zip::{CompressionMethod, ZipArchive};

use crate::error::Error;

/// The bytes of the record at the end of an archive without a comment, and its first bytes.
const END: u64 = 22;
const END_BEGINS: &[u8] = b"PK\x05\x06";
/// The position and the text by which a tar archive is recognized.
const TAR: (u64, &[u8]) = (257, b"ustar");

/// Checks that an archive has only entries of PyTorch, that none is compressed, and that they hold no more bytes than the file.
/// If the reader of PyTorch's files would not find the directory of the archive, a copy is written in which it does.
///
/// A file that is not an archive passes. It may have one of the older forms.
pub(super) fn check(path: &Path, file: &File, length: u64) -> Result<Option<NamedTempFile>, Error> {
    let mut start = Vec::new();
    file.take(TAR.0 + TAR.1.len() as u64).read_to_end(&mut start).map_err(Error::io(path, "read"))?;
    if start.get(TAR.0 as usize..) == Some(TAR.1) {
        // Its entries may grow as they are read.
        let got = "a tar archive, as before version 0.1.10: load it in PyTorch and save it anew";
        return Err(damaged(path, got));
    }
    if !start.starts_with(b"PK\x03\x04") {
        return Ok(None);
    }
    // PyTorch's archives begin at the start of the file.
    let config = Config { archive_offset: ArchiveOffset::Known(0) };
    let mut archive =
        ZipArchive::with_config(config, BufReader::new(file)).map_err(|error| damaged(path, error))?;
    let mut bytes = 0_u64;
    for i in 0..archive.len() {
        let entry = archive.by_index_raw(i).map_err(|error| damaged(path, error))?;
        let name = entry.name().map_err(|error| damaged(path, error))?.into_owned();
        if !is_known(&name) {
            return Err(damaged(path, format!("an archive with the entry {name:?}")));
        }
        if entry.compression() != CompressionMethod::Stored {
            return Err(damaged(path, format!("an archive with the compressed entry {name:?}")));
        }
        bytes = bytes.saturating_add(entry.size());
    }
    if bytes > length {
        return Err(damaged(path, format!("an archive of {length} bytes with {bytes} in its entries")));
    }
    let directory = archive.central_directory_start();
    let found = ZipArchive::new(BufReader::new(file));
    if found.is_ok_and(|found| found.central_directory_start() == directory) {
        return Ok(None);
    }
    copy(file, length, directory).map(Some).map_err(Error::io(path, "copy"))
}

fn is_known(name: &str) -> bool {
    let entry = name.split_once('/').map_or(name, |(_, entry)| entry);
    let known = ["data.pkl", "version", "byteorder", ".format_version", ".storage_alignment"];
    known.contains(&entry) || entry.starts_with("data/") || entry.ends_with("serialization_id")
}

/// A copy of the archive without the bytes between its directory and its end record.
///
/// The reader first looks for the directory just before the end record. PyTorch has 76 bytes between the two (the records of
/// large archives). If the first entry of the directory has 76 bytes too, as with a name of 21 letters, the reader takes the
/// second entry for the first.
fn copy(mut file: &File, length: u64, directory: u64) -> io::Result<NamedTempFile> {
    let mut end = [0; END as usize];
    file.seek(SeekFrom::Start(length.saturating_sub(END)))?;
    file.read_exact(&mut end)?;
    let size = u32::from_le_bytes([end[12], end[13], end[14], end[15]]);
    let behind = directory + u64::from(size);
    if !end.starts_with(END_BEGINS) || behind > length - END {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its directory cannot be found"));
    }
    let mut copy = NamedTempFile::new()?;
    file.seek(SeekFrom::Start(0))?;
    io::copy(&mut file.take(behind), &mut copy)?;
    copy.write_all(&end)?;
    copy.flush()?;
    Ok(copy)
}

/// Whether `torch.save` wrote a file.
pub(crate) fn is_pickled(path: &Path) -> Result<bool, Error> {
    /// The first number in files of older versions of PyTorch, pickled.
    const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
    let mut start = Vec::new();
    let file = File::open(path).map_err(Error::io(path, "open"))?;
    file.take(1 << 12).read_to_end(&mut start).map_err(Error::io(path, "read"))?;
    let has = |bytes: &[u8]| start.windows(bytes.len()).any(|window| window == bytes);
    Ok(start.starts_with(b"PK") && has(b"data.pkl") || start.first() == Some(&0x80) && has(&MAGIC))
}

pub(super) fn damaged(path: &Path, error: impl ToString) -> Error {
    Error::content(path, "weights by torch.save, or safetensors", error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pytorch::file::WeightsFile;

    /// The names of the entries of an archive by PyTorch, without the name of the archive.
    fn entries() -> Vec<(String, Vec<u8>)> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/pytorch/weights.pth");
        let mut archive = ZipArchive::new(File::open(path).unwrap()).unwrap();
        let mut entries = Vec::new();
        for i in 0..archive.len() {
            let mut entry = archive.by_index(i).unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            entries.push((entry.name().unwrap().split_once('/').unwrap().1.to_owned(), bytes));
        }
        entries
    }

    /// The bytes after the signature that an entry has both before its numbers and in the directory.
    fn about(name: &str, bytes: &[u8]) -> Vec<u8> {
        let mut about = vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        about.extend(crc32fast::hash(bytes).to_le_bytes());
        about.extend((bytes.len() as u32).to_le_bytes());
        about.extend((bytes.len() as u32).to_le_bytes());
        about.extend((name.len() as u16).to_le_bytes());
        about.extend([0, 0]);
        about
    }

    /// An archive as PyTorch writes it: between the directory and the end are the records of large archives.
    fn archive(name: &str, entries: &[(String, Vec<u8>)]) -> Vec<u8> {
        let (mut file, mut directory) = (Vec::new(), Vec::new());
        for (entry, bytes) in entries {
            let name = format!("{name}/{entry}");
            directory.extend(b"PK\x01\x02\0\0");
            directory.extend(about(&name, bytes));
            directory.extend([0; 10]);
            directory.extend((file.len() as u32).to_le_bytes());
            directory.extend(name.as_bytes());
            file.extend(b"PK\x03\x04");
            file.extend(about(&name, bytes));
            file.extend(name.as_bytes());
            file.extend(bytes);
        }
        let (start, size, count) = (file.len() as u64, directory.len() as u64, entries.len() as u64);
        file.extend(directory);
        let records = file.len() as u64;
        file.extend(b"PK\x06\x06");
        file.extend(44_u64.to_le_bytes());
        file.extend([0; 12]);
        [count, count, size, start].iter().for_each(|number| file.extend(number.to_le_bytes()));
        file.extend(b"PK\x06\x07\0\0\0\0");
        file.extend(records.to_le_bytes());
        file.extend(1_u32.to_le_bytes());
        file.extend(END_BEGINS);
        file.extend([0; 4]);
        [count, count].iter().for_each(|&number| file.extend((number as u16).to_le_bytes()));
        [size, start].iter().for_each(|&number| file.extend((number as u32).to_le_bytes()));
        file.extend([0, 0]);
        file
    }

    #[test]
    fn an_archive_of_any_name_is_read() {
        let (folder, entries) = (tempfile::tempdir().unwrap(), entries());
        let mut copied = Vec::new();
        for letters in 1..=64 {
            let path = folder.path().join("weights.pth");
            std::fs::write(&path, archive(&"a".repeat(letters), &entries)).unwrap();
            let length = path.metadata().unwrap().len();
            if check(&path, &File::open(&path).unwrap(), length).unwrap().is_some() {
                copied.push(letters);
            }
            let file = WeightsFile::open(&path).unwrap();
            assert_eq!(file.shapes()["classifier.0.weight"], [5, 24], "{letters} letters");
            let mut count = 0;
            file.read("classifier.0.weight", &mut |_| count += 1).unwrap();
            assert_eq!(count, 120, "{letters} letters");
        }
        // The reader finds the directory of all others itself.
        assert_eq!(copied, [21]);
    }

    #[test]
    fn entries_that_could_grow_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.pth");
        let good = archive("a", &entries());
        let refused = |bytes: &[u8], expected: &str| {
            std::fs::write(&path, bytes).unwrap();
            let error = WeightsFile::open(&path).err().unwrap().to_string();
            assert!(error.contains(expected), "{error}");
        };
        let at = good.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
        let mut compressed = good.clone();
        compressed[at + 10] = 8;
        refused(&compressed, "an archive with the compressed entry \"a/data.pkl\"");
        let mut long = good.clone();
        long[at + 23] = 1;
        long[at + 27] = 1;
        refused(&long, "in its entries");
    }
}
