//! Folders of pictures: `root/class/file`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use backstitch_core::split;
use ndarray::{Array4, Axis};
use rayon::prelude::*;

use super::{cache, read, resize};
use crate::error::Error;

/// How pictures are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub(super) height: usize,
    pub(super) width: usize,
    skip_broken: bool,
    cache: Option<PathBuf>,
}

impl Options {
    /// Pictures of this size, in pixels; larger and smaller ones are resized.
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
        Ok(Self { height, width, skip_broken: false, cache: None })
    }

    /// Goes on without the files that are no pictures, and lists them in [`ImageFolder::skipped`].
    #[must_use]
    pub fn skip_broken(mut self) -> Self {
        self.skip_broken = true;
        self
    }

    /// Keeps the decoded pixels as one file in this folder, under a key of all files' names and bytes and of the size; the next time
    /// they come from there. A folder from which something was skipped is not kept.
    #[must_use]
    pub fn cache(mut self, folder: PathBuf) -> Self {
        self.cache = Some(folder);
        self
    }
}

/// Pictures with their classes.
#[derive(Debug)]
#[non_exhaustive]
pub struct ImageFolder {
    /// Names of the classes, in order.
    pub classes: Vec<String>,
    /// `[n, height, width, 3]`: red, green and blue, 0 to 255.
    pub pixels: Array4<u8>,
    /// The class of each picture.
    pub labels: Vec<usize>,
    /// The file of each picture.
    pub files: Vec<PathBuf>,
    /// What was wrong with each file that was left out.
    pub skipped: Vec<Error>,
    /// Whether the pixels came from the cache.
    pub from_cache: bool,
    /// Why the pixels could not be kept in the cache, where they could not.
    pub cache_error: Option<Error>,
}

impl ImageFolder {
    /// The pictures with these numbers.
    fn part(&self, indices: &[usize]) -> Self {
        Self {
            classes: self.classes.clone(),
            pixels: self.pixels.select(Axis(0), indices),
            labels: indices.iter().map(|&i| self.labels[i]).collect(),
            files: indices.iter().map(|&i| self.files[i].clone()).collect(),
            skipped: Vec::new(),
            from_cache: self.from_cache,
            cache_error: None,
        }
    }
}

/// Pictures to train with and to judge by, of the same classes.
#[derive(Debug)]
pub struct Parts {
    /// To train with.
    pub train: ImageFolder,
    /// To judge by.
    pub validation: ImageFolder,
}

/// All pictures of a folder that has one folder for each class, in the order of their names. `progress` is told how many files of how many are
/// decoded, from several threads.
///
/// Files beside the class folders, and what has a name with a dot in front, are passed over.
///
/// # Errors
/// If there are no class folders, one of them is empty, holds a folder or has a name that is not UTF-8, or a file is
/// no picture (see [`read`]), the first such file by name; with [`Options::skip_broken`] only if no picture of a class is left.
pub fn read_folder(
    folder: &Path,
    options: &Options,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<ImageFolder, Error> {
    let Listing { classes, files, labels } = list(folder)?;
    let mut found = ImageFolder {
        classes,
        pixels: Array4::zeros((files.len(), options.height, options.width, 3)),
        labels,
        files,
        skipped: Vec::new(),
        from_cache: false,
        cache_error: None,
    };
    let cache_file = match &options.cache {
        Some(cache) => Some(cache::file(cache, folder, &found.files, [options.height, options.width])?),
        None => None,
    };
    if let Some(pixels) = cache_file.as_deref().and_then(|file| cache::read(file, found.pixels.dim())) {
        found.pixels = pixels;
        found.from_cache = true;
        return Ok(found);
    }
    decode_all(&mut found, options, progress)?;
    if let (Some(file), true) = (cache_file, found.skipped.is_empty()) {
        found.cache_error = cache::write(&file, &found.pixels).err();
    }
    Ok(found)
}

/// The pictures of `folder/train` and `folder/val`; or, where there is neither, of the folder itself, of which this share of each class is for
/// judging, by chance.
///
/// # Errors
/// As [`read_folder`] and [`split::stratified`]; if there is only one of the two folders, or `val` has a class that `train` lacks.
pub fn read_parts(
    folder: &Path,
    options: &Options,
    (validation, seed): (f64, u64),
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Parts, Error> {
    let [train, val] = ["train", "val"].map(|name| folder.join(name));
    match (train.is_dir(), val.is_dir()) {
        (true, true) => {
            let train = read_folder(&train, options, progress)?;
            let mut validation = read_folder(&val, options, progress)?;
            let number = |name: &String| {
                let number = train.classes.iter().position(|class| class == name);
                let wrong = || Error::content(&val, "classes of the training part", format!("{name:?}"));
                number.ok_or_else(wrong)
            };
            let numbers = validation.classes.iter().map(number).collect::<Result<Vec<_>, _>>()?;
            validation.labels.iter_mut().for_each(|label| *label = numbers[*label]);
            validation.classes.clone_from(&train.classes);
            Ok(Parts { train, validation })
        }
        (false, false) => {
            let mut all = read_folder(folder, options, progress)?;
            let fold = split::stratified(&all.labels, validation, seed).map_err(Error::model(folder))?;
            let mut train = all.part(&fold.train);
            (train.skipped, train.cache_error) = (std::mem::take(&mut all.skipped), all.cache_error.take());
            Ok(Parts { train, validation: all.part(&fold.validation) })
        }
        (has_train, _) => {
            let got = if has_train { "only train" } else { "only val" };
            Err(Error::content(folder, "folders train and val, or neither", got))
        }
    }
}

struct Listing {
    classes: Vec<String>,
    files: Vec<PathBuf>,
    labels: Vec<usize>,
}

fn list(folder: &Path) -> Result<Listing, Error> {
    let mut listing = Listing { classes: Vec::new(), files: Vec::new(), labels: Vec::new() };
    for path in entries(folder)? {
        if !fs::metadata(&path).map_err(Error::io(&path, "look at"))?.is_dir() {
            continue;
        }
        let name = path.file_name().and_then(|name| name.to_str());
        let name =
            name.ok_or_else(|| Error::content(&path, "the name of a class in UTF-8", "another name"))?;
        let files = entries(&path)?;
        if files.is_empty() {
            return Err(Error::content(&path, "pictures of a class", "an empty folder"));
        }
        for file in files {
            // A link that leads round in a circle ends here too, as does a folder, which could hold its own parent.
            if file.is_dir() {
                return Err(Error::content(&file, "a picture", "a folder"));
            }
            listing.files.push(file);
            listing.labels.push(listing.classes.len());
        }
        listing.classes.push(name.to_owned());
    }
    if listing.classes.is_empty() {
        return Err(Error::content(folder, "a folder for each class", "none"));
    }
    Ok(listing)
}

/// What is in a folder, in the order of names, without what has a dot in front.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io(folder, "open the folder"))? {
        let entry = entry.map_err(Error::io(folder, "read the folder"))?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// Decodes every file into its place, and leaves out those that cannot be, where that is wanted.
fn decode_all(
    found: &mut ImageFolder,
    options: &Options,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<(), Error> {
    let (count, done) = (found.files.len(), AtomicUsize::new(0));
    let size = options.height * options.width * 3;
    let places = found.pixels.as_slice_mut().expect("new, row by row").par_chunks_exact_mut(size);
    let errors: Vec<Option<Error>> = places
        .zip(&found.files)
        .map(|(place, file)| {
            let picture =
                read(file).and_then(|picture| resize(picture.view(), options.height, options.width));
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, count);
            picture.map(|picture| place.copy_from_slice(picture.as_slice().expect("row by row"))).err()
        })
        .collect();
    if errors.iter().all(Option::is_none) {
        return Ok(());
    }
    let good: Vec<usize> = (0..count).filter(|&i| errors[i].is_none()).collect();
    let mut errors = errors.into_iter().flatten();
    if !options.skip_broken {
        return errors.next().map_or(Ok(()), Err);
    }
    *found = found.part(&good);
    found.skipped = errors.collect();
    let empty = (0..found.classes.len()).find(|class| !found.labels.contains(class));
    empty.map_or(Ok(()), |class| {
        let name = Path::new(&found.classes[class]);
        Err(Error::content(name, "a class with pictures", "only broken files"))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    const PICTURE: &[u8] = include_bytes!("../../../../fixtures/images/rgb.png");
    const GREY: &[u8] = include_bytes!("../../../../fixtures/images/grey.jpg");

    /// Writes files under a new root.
    fn tree(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        root
    }

    fn options() -> Options {
        Options::new(6, 8).unwrap()
    }

    fn failure(root: &tempfile::TempDir, options: &Options) -> String {
        read_folder(root.path(), options, &|_, _| ()).unwrap_err().to_string()
    }

    #[test]
    fn classes_are_folders_in_the_order_of_their_names() {
        let root = tree(&[
            ("b/2.png", PICTURE),
            ("b/10.png", PICTURE),
            ("a/x.jpg", GREY),
            ("readme.txt", b""),
            ("b/.DS_Store", b"no picture"),
        ]);
        let seen = Mutex::new(Vec::new());
        let found =
            read_folder(root.path(), &options(), &|done, of| seen.lock().unwrap().push((done, of))).unwrap();
        assert_eq!((found.classes, found.labels), (vec!["a".to_owned(), "b".to_owned()], vec![0, 1, 1]));
        assert_eq!(found.pixels.shape(), [3, 6, 8, 3]);
        assert_eq!(found.pixels.index_axis(Axis(0), 1), found.pixels.index_axis(Axis(0), 2));
        let names: Vec<_> = found.files.iter().map(|f| f.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["x.jpg", "10.png", "2.png"]);
        let mut seen = seen.into_inner().unwrap();
        seen.sort_unstable();
        assert_eq!(seen, [(1, 3), (2, 3), (3, 3)]);
    }

    #[test]
    fn broken_files_are_named_or_counted() {
        let root = tree(&[("a/1.png", PICTURE), ("a/2.png", b""), ("b/1.jpg", b"text"), ("b/2.jpg", GREY)]);
        let error = failure(&root, &options());
        assert!(error.ends_with("a/2.png: expected a PNG or JPEG picture, got an empty file"), "{error}");
        let found = read_folder(root.path(), &options().skip_broken(), &|_, _| ()).unwrap();
        assert_eq!((found.labels, found.skipped.len()), (vec![0, 1], 2));
        assert_eq!((found.pixels.shape()[0], found.files.len()), (2, 2));
        fs::remove_file(root.path().join("b/2.jpg")).unwrap();
        let error = failure(&root, &options().skip_broken());
        assert_eq!(error, "b: expected a class with pictures, got only broken files");
    }

    #[test]
    fn what_is_no_folder_of_classes_is_refused() {
        let root = tree(&[("readme.txt", b"")]);
        assert!(failure(&root, &options()).ends_with("expected a folder for each class, got none"));
        fs::create_dir(root.path().join("a")).unwrap();
        assert!(failure(&root, &options()).ends_with("a: expected pictures of a class, got an empty folder"));
        let root = tree(&[("a/1.png", PICTURE), ("a/more/2.png", PICTURE)]);
        assert!(failure(&root, &options()).ends_with("a/more: expected a picture, got a folder"));
        let error = read_folder(Path::new("no/such"), &options(), &|_, _| ()).unwrap_err().to_string();
        assert!(error.starts_with("no/such: could not open the folder"), "{error}");
        assert!(Options::new(0, 8).is_err() && Options::new(8, 1 << 20).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn links_that_loop_and_names_that_are_no_text_are_errors() {
        use std::os::unix::ffi::OsStrExt;
        use std::os::unix::fs::symlink;
        let root = tree(&[("a/1.png", PICTURE)]);
        symlink(root.path(), root.path().join("a/up")).unwrap();
        assert!(failure(&root, &options()).ends_with("a/up: expected a picture, got a folder"));
        fs::remove_file(root.path().join("a/up")).unwrap();
        symlink("round", root.path().join("a/round")).unwrap();
        assert!(failure(&root, &options()).contains("a/round: could not open"));
        fs::remove_file(root.path().join("a/round")).unwrap();
        symlink("circle", root.path().join("circle")).unwrap();
        assert!(failure(&root, &options()).contains("circle: could not look at"));
        fs::remove_file(root.path().join("circle")).unwrap();
        // A file may have any name; the name of a class is text.
        let strange = std::ffi::OsStr::from_bytes(b"\xff\xfe.png");
        fs::rename(root.path().join("a/1.png"), root.path().join("a").join(strange)).unwrap();
        assert_eq!(read_folder(root.path(), &options(), &|_, _| ()).unwrap().labels, [0]);
        fs::rename(root.path().join("a"), root.path().join(std::ffi::OsStr::from_bytes(b"\xff"))).unwrap();
        assert!(failure(&root, &options()).contains("expected the name of a class in UTF-8"));
    }

    #[test]
    fn the_cache_is_taken_while_the_files_are_the_same() {
        let root = tree(&[("a/1.png", PICTURE), ("b/1.jpg", GREY)]);
        let cache = tempfile::tempdir().unwrap();
        let read = |options: Options| {
            read_folder(root.path(), &options.cache(cache.path().join("new")), &|_, _| ()).unwrap()
        };
        let first = read(options());
        assert!(!first.from_cache && first.cache_error.is_none());
        let second = read(options());
        assert!(second.from_cache && second.pixels == first.pixels && second.labels == first.labels);
        assert!(!read(Options::new(5, 5).unwrap()).from_cache);
        // A damaged cache is no cache.
        for entry in fs::read_dir(cache.path().join("new")).unwrap() {
            let path = entry.unwrap().path();
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(path, bytes).unwrap();
        }
        let third = read(options());
        assert!(!third.from_cache && third.pixels == first.pixels);
        // Another picture under the same name.
        fs::write(root.path().join("a/1.png"), GREY).unwrap();
        let fourth = read(options());
        assert!(!fourth.from_cache && fourth.pixels != first.pixels);
        // A file where the cache's folder should be: pictures all the same.
        let options = options().cache(root.path().join("a/1.png"));
        let fifth = read_folder(root.path(), &options, &|_, _| ()).unwrap();
        assert!(fifth.cache_error.is_some() && fifth.pixels == fourth.pixels);
    }

    #[test]
    fn parts_are_folders_or_a_share_of_every_class() {
        let parts = |root: &tempfile::TempDir| read_parts(root.path(), &options(), (0.5, 0), &|_, _| ());
        let root = tree(&[("train/a/1.png", PICTURE), ("train/b/1.png", GREY), ("val/b/1.png", GREY)]);
        let found = parts(&root).unwrap();
        assert_eq!((found.train.labels, found.validation.labels), (vec![0, 1], vec![1]));
        assert_eq!(found.validation.classes, ["a", "b"]);
        fs::rename(root.path().join("train/b"), root.path().join("train/c")).unwrap();
        let error = parts(&root).unwrap_err().to_string();
        assert!(error.ends_with("val: expected classes of the training part, got \"b\""), "{error}");
        fs::remove_dir_all(root.path().join("train")).unwrap();
        let error = parts(&root).unwrap_err().to_string();
        assert!(error.ends_with("expected folders train and val, or neither, got only val"), "{error}");
        let root =
            tree(&[("a/1.png", PICTURE), ("a/2.png", GREY), ("b/1.png", PICTURE), ("b/2.png", PICTURE)]);
        let found = parts(&root).unwrap();
        assert_eq!((found.train.labels, found.validation.labels), (vec![0, 1], vec![0, 1]));
        assert!(found.train.files.iter().all(|file| !found.validation.files.contains(file)));
        fs::remove_file(root.path().join("b/2.png")).unwrap();
        assert!(parts(&root).unwrap_err().to_string().contains("at least 2 samples of class 1"));
    }
}
