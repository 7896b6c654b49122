//! Writing a file so that it is there whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, Write};
use std::path::Path;

use crate::error::Error;

/// What a file's content is written to: a buffered file that can also be sought in.
pub trait Sink: Write + Seek {}
impl<T: Write + Seek> Sink for T {}

/// Writes a file under a temporary name in the same folder, makes sure that it is on the disk, and
/// gives it its name. Whatever goes wrong on the way, an older file of that name stays as it was.
///
/// # Errors
/// If the folder cannot be written to, the disk is full, or `content` fails.
pub fn write(path: &Path, content: impl FnOnce(&mut dyn Sink) -> io::Result<()>) -> Result<(), Error> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(".writing-")
        .tempfile_in(folder)
        .map_err(Error::io(path, "create"))?;
    let mut buffered = BufWriter::new(file.as_file_mut());
    content(&mut buffered).and_then(|()| buffered.flush()).map_err(Error::io(path, "write"))?;
    drop(buffered);
    make_readable(file.as_file())
        .and_then(|()| file.as_file().sync_all())
        .map_err(Error::io(path, "write"))?;
    file.persist(path).map_err(|error| Error::io(path, "rename")(error.error))?;
    sync_folder(folder).map_err(Error::io(folder, "sync"))
}

/// Temporary files are private; the finished one should be as readable as any other.
fn make_readable(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}

/// The new name is only safe when the folder is on the disk, too.
fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

/// Makes a folder for results, and proves that it can hold so many bytes, before hours of work are
/// spent on what could then not be saved.
///
/// # Errors
/// If the folder cannot be made or written to, or has too little room.
pub fn prepare_folder(folder: &Path, bytes: u64) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(Error::io(folder, "create the folder"))?;
    let mut probe = tempfile::tempfile_in(folder).map_err(Error::io(folder, "write to the folder"))?;
    let block = [0_u8; 64 * 1024];
    let mut written = 0;
    while written < bytes {
        let part = block.len().min((bytes - written) as usize);
        probe.write_all(&block[..part]).map_err(Error::io(folder, "write to the folder"))?;
        written += part as u64;
    }
    probe.sync_all().map_err(Error::io(folder, "write to the folder"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        write(&path, |to| to.write_all(b"old")).unwrap();
        let error = write(&path, |to| {
            to.write_all(b"half of the n")?;
            Err(io::Error::other("disk on fire"))
        })
        .unwrap_err();
        assert!(error.to_string().ends_with("weights: could not write: disk on fire"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_written_file_is_readable_by_others() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write(&path, |to| to.write_all(b"x")).unwrap();
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o644);
    }

    #[test]
    fn a_folder_that_cannot_be_is_found_out_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = prepare_folder(&file.join("runs"), 10).unwrap_err().to_string();
        assert!(error.contains("runs: could not create the folder"), "{error}");
        prepare_folder(&folder.path().join("a/b"), 200_000).unwrap();
        assert_eq!(fs::read_dir(folder.path().join("a/b")).unwrap().count(), 0);
    }
}
