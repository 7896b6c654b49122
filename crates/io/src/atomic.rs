//! Writes a file as a whole or not at all, and locks a folder for one program.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::Error;

/// The content of a file is written to this: a buffered file with seeking.
pub trait Sink: Write + Seek {}
impl<T: Write + Seek> Sink for T {}

/// The names of unfinished files begin with this.
const UNFINISHED: &str = ".writing-";

/// The file that marks a folder as taken.
const LOCK: &str = ".lock";

/// Writes a file under a temporary name in the same folder, makes sure that it is on the disk, and renames it. If anything goes
/// wrong before that, an older file of that name stays as it was.
///
/// A link is followed: its target is written, and it stays a link. A new file gets the permissions that the system's `umask`
/// allows; a file that is replaced keeps its permissions. Unfinished files of earlier programs that were killed are removed from
/// the folder.
///
/// # Errors
/// If the folder does not exist or cannot be written to, the disk is full, `content` fails, or something with that name exists
/// and is not a file.
pub fn write(
    path: impl AsRef<Path>,
    content: impl FnOnce(&mut dyn Sink) -> io::Result<()>,
) -> Result<(), Error> {
    let path = path.as_ref();
    let target = followed(path).map_err(Error::io(path, "follow the link"))?;
    let old = match fs::metadata(&target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        old => Some(old.map_err(Error::io(path, "look at"))?),
    };
    if old.as_ref().is_some_and(|old| !old.is_file()) {
        let got = if target.is_dir() { "a folder" } else { "a device or another special file" };
        return Err(Error::content(path, "a file, or nothing", got));
    }
    let folder = folder_of(&target);
    if !folder.exists() {
        return Err(Error::NoFolder { path: path.to_owned(), folder: folder.to_owned() });
    }
    remove_unfinished(folder);
    let mut file = unfinished(folder).map_err(Error::io(path, "create"))?;
    let mut buffered = BufWriter::new(file.as_file_mut());
    content(&mut buffered).and_then(|()| buffered.flush()).map_err(Error::io(path, "write"))?;
    drop(buffered);
    let permissions = old.map_or(Ok(()), |old| file.as_file().set_permissions(old.permissions()));
    permissions.and_then(|()| file.as_file().sync_all()).map_err(Error::io(path, "write"))?;
    file.persist(&target).map_err(|error| Error::io(path, "rename")(error.error))?;
    sync_folder(folder).map_err(Error::io(folder, "sync"))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Follows a link, and further links, to a path that is no link or does not exist yet.
fn followed(path: &Path) -> io::Result<PathBuf> {
    // As many as Linux follows.
    const LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() => path = folder_of(&path).join(fs::read_link(&path)?),
            // If it cannot be looked at, opening it gives the error.
            _ => return Ok(path),
        }
    }
    Err(io::Error::other("links that point to each other in a circle"))
}

/// A new temporary file. It is locked while it is open, so that other programs know that somebody writes to it.
fn unfinished(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Without the bits of the umask.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    loop {
        let file = builder.prefix(UNFINISHED).tempfile_in(folder)?;
        match file.as_file().lock() {
            // Before it was locked, another program may have removed it as left over.
            Ok(()) if !file.path().exists() => {}
            // On a file system without locks nobody can lock it, so nobody removes it.
            _ => return Ok(file),
        }
    }
}

/// Removes the temporary files that nobody has locked: those of programs that were killed. A file that cannot be removed stays;
/// it does no harm.
fn remove_unfinished(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if !is_file || !entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) {
            continue;
        }
        let Ok(file) = File::open(entry.path()) else { continue };
        if file.try_lock().is_ok() {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The new name is safe only when the folder is on the disk, too.
fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

/// Makes a folder for results, and checks that it can hold `bytes` bytes. A program calls it before hours of work whose result it
/// could not save.
///
/// # Errors
/// If the folder cannot be made or written to, or has too little room.
pub fn prepare_folder(folder: impl AsRef<Path>, bytes: u64) -> Result<(), Error> {
    let folder = folder.as_ref();
    let target = followed(folder).map_err(Error::io(folder, "follow the link"))?;
    fs::create_dir_all(target).map_err(Error::io(folder, "create the folder"))?;
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

/// A folder that no other program writes to while this lock exists. The end of the program frees it in any case.
///
/// ```
/// use backstitch::atomic::FolderLock;
/// let folder = tempfile::tempdir()?;
/// let lock = FolderLock::acquire(folder.path())?;
/// assert!(FolderLock::acquire(folder.path()).is_err());
/// drop(lock);
/// FolderLock::acquire(folder.path())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Locks a folder. The file `.lock` in it holds the number of the process, and stays there afterwards. Unfinished files of
    /// programs that were killed are removed.
    ///
    /// # Errors
    /// If this or another process has locked the folder already, the folder cannot be written to, or its file system has no
    /// locks.
    pub fn acquire(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref();
        let path = folder.join(LOCK);
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = file.map_err(Error::io(&path, "create"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let read = file.take(20).read_to_string(&mut holder);
                let by =
                    if read.is_ok() && !holder.is_empty() { format!(", {holder},") } else { String::new() };
                let got =
                    format!("one that another process{by} writes to; wait for it, or name another folder");
                return Err(Error::content(folder, "a folder for results of one program at a time", got));
            }
            Err(TryLockError::Error(error)) => return Err(Error::io(&path, "lock")(error)),
        }
        let process = std::process::id().to_string();
        let noted = file.set_len(0).and_then(|()| file.write_all(process.as_bytes()));
        noted.map_err(Error::io(&path, "write"))?;
        remove_unfinished(folder);
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

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
        assert_eq!(names(folder.path()), ["weights"]);
    }

    #[cfg(unix)]
    #[test]
    fn permissions_are_those_of_any_new_file_or_stay() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777;
        let path = folder.path().join("file");
        write(&path, |to| to.write_all(b"x")).unwrap();
        // For any umask of the user who runs the tests.
        File::create(folder.path().join("plain")).unwrap();
        assert_eq!(mode("file"), mode("plain"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        write(&path, |to| to.write_all(b"y")).unwrap();
        assert_eq!(mode("file"), 0o640);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_stay_links() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("elsewhere")).unwrap();
        fs::write(at("elsewhere/old"), "old").unwrap();
        symlink("elsewhere/old", at("to file")).unwrap();
        symlink("to file", at("to link")).unwrap();
        symlink("elsewhere/new", at("to nothing")).unwrap();
        symlink("elsewhere", at("to folder")).unwrap();
        for (name, target) in [
            ("to file", "elsewhere/old"),
            ("to link", "elsewhere/old"),
            ("to nothing", "elsewhere/new"),
            ("to folder/new", "elsewhere/new"),
        ] {
            write(at(name), |to| to.write_all(name.as_bytes())).unwrap();
            assert_eq!(fs::read(at(target)).unwrap(), name.as_bytes(), "{name}");
        }
        for link in ["to file", "to link", "to nothing", "to folder"] {
            assert!(fs::symlink_metadata(at(link)).unwrap().is_symlink(), "{link}");
        }
        assert_eq!(names(&at("elsewhere")), ["new", "old"]);
        symlink("round", at("round")).unwrap();
        let error = write(at("round"), |_| Ok(())).unwrap_err().to_string();
        assert!(error.contains("round: could not follow the link"), "{error}");
        symlink("not there yet", at("results")).unwrap();
        prepare_folder(at("results"), 10).unwrap();
        assert!(at("not there yet").is_dir());
    }

    #[test]
    fn only_files_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let error = write(folder.path(), |_| Ok(())).unwrap_err().to_string();
        assert!(error.ends_with("expected a file, or nothing, got a folder"), "{error}");
        if cfg!(unix) {
            let error = write(Path::new("/dev/null"), |_| Ok(())).unwrap_err().to_string();
            assert!(error.ends_with("got a device or another special file"), "{error}");
        }
        let missing = folder.path().join("no/such");
        let error = write(missing.join("file"), |_| Ok(())).unwrap_err().to_string();
        let expected = format!(
            "file: could not write: the folder {} does not exist, create it first",
            missing.display()
        );
        assert!(error.ends_with(&expected), "{error}");
    }

    #[test]
    fn what_a_killed_program_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in [".writing-left", ".written", "writing-x"] {
            fs::write(at(name), "half").unwrap();
        }
        fs::create_dir(at(".writing-folder")).unwrap();
        let living = File::create(at(".writing-living")).unwrap();
        living.lock().unwrap();
        write(at("file"), |to| {
            // Other threads that write at the same time do not remove this file as left over.
            write(at("other"), |to| to.write_all(b"2")).unwrap();
            to.write_all(b"1")
        })
        .unwrap();
        let all = [".writing-folder", ".writing-living", ".written", "file", "other", "writing-x"];
        assert_eq!(names(folder.path()), all);
        drop(living);
        let _lock = FolderLock::acquire(folder.path()).unwrap();
        assert!(!at(".writing-living").exists());
    }

    #[test]
    fn a_folder_is_taken_once() {
        let folder = tempfile::tempdir().unwrap();
        let first = FolderLock::acquire(folder.path()).unwrap();
        let error = FolderLock::acquire(folder.path()).unwrap_err().to_string();
        let process = std::process::id();
        assert!(error.contains(&format!("got one that another process, {process}, writes to")), "{error}");
        write(folder.path().join("file"), |to| to.write_all(b"x")).unwrap();
        drop(first);
        FolderLock::acquire(folder.path()).unwrap();
        let error = FolderLock::acquire(folder.path().join("none")).unwrap_err().to_string();
        assert!(error.contains("could not create"), "{error}");
    }

    #[test]
    fn a_folder_that_cannot_be_is_found_out_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = prepare_folder(file.join("runs"), 10).unwrap_err().to_string();
        assert!(error.contains("runs: could not create the folder"), "{error}");
        prepare_folder(folder.path().join("a/b"), 200_000).unwrap();
        assert_eq!(fs::read_dir(folder.path().join("a/b")).unwrap().count(), 0);
    }
}
