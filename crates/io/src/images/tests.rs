//! Folders that are read into memory.

use std::fs;
use std::path::Path;
use std::sync::Mutex;

use ndarray::Axis;

use super::decode::grey;
use super::*;

pub(super) const PICTURE: &[u8] = include_bytes!("../../../../fixtures/images/rgb.png");
pub(super) const GREY: &[u8] = include_bytes!("../../../../fixtures/images/grey.jpg");

/// Writes files under a new root.
pub(super) fn tree(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    root
}

pub(super) fn options() -> Options {
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
    assert_eq!(found.ignored, ["b/.DS_Store", "readme.txt"].map(|name| root.path().join(name)));
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
fn what_is_no_picture_by_name_is_passed_over_and_what_is_damaged_is_not() {
    let others = ["a/.DS_Store", "a/._1.png", "a/Thumbs.db", "a/desktop.ini", "a/notes.txt", "b/labels.csv"];
    let mut files: Vec<(&str, &[u8])> = others.iter().map(|&name| (name, &b"no picture"[..])).collect();
    files.extend([("a/1.PNG", PICTURE), ("a/2.jpeg", GREY), ("b/3.JPG", GREY), ("b/without", PICTURE)]);
    let root = tree(&files);
    let found = read_folder(root.path(), &options(), &|_, _| ()).unwrap();
    assert_eq!(found.labels, [0, 0, 1, 1]);
    assert_eq!(found.ignored, others.map(|name| root.path().join(name)));
    assert!(found.skipped.is_empty());
    // Damaged files, with every name that a picture may have; and formats that cannot be read.
    for name in
        ["b/4.png", "b/4.PNG", "b/4.jpg", "b/4.jfif", "b/4.gif", "b/4.webp", "b/4.bmp", "b/4.tiff", "b/4"]
    {
        fs::write(root.path().join(name), &PICTURE[..40]).unwrap();
        let error = failure(&root, &options());
        assert!(error.contains(&format!("{name}: expected a PNG or JPEG picture, got")), "{error}");
        let found = read_folder(root.path(), &options().skip_broken(), &|_, _| ()).unwrap();
        assert_eq!((found.skipped.len(), found.ignored.len()), (1, others.len()));
        fs::remove_file(root.path().join(name)).unwrap();
    }
    let root = tree(&[("a/notes.txt", b""), ("b/1.png", PICTURE)]);
    let error = failure(&root, &options());
    assert!(error.ends_with("a folder with 1 files and no picture by its name"), "{error}");
    let parts = tree(&[("a/1.png", PICTURE), ("a/2.png", PICTURE), ("a/notes.txt", b"")]);
    let parts = read_parts(parts.path(), &options(), (0.5, 0), &|_, _| ()).unwrap();
    assert_eq!((parts.train.ignored.len(), parts.validation.ignored.len()), (1, 0));
}

#[test]
fn channels_are_as_asked_for() {
    let read = |root: &tempfile::TempDir, channels| {
        read_folder(root.path(), &options().channels(channels), &|_, _| ()).map(|found| found.pixels)
    };
    let grey = tree(&[("a/1.jpg", GREY), ("b/1.jpg", GREY)]);
    let (one, three) = (read(&grey, Channels::Grey).unwrap(), read(&grey, Channels::Colour).unwrap());
    assert_eq!((one.shape(), three.shape()), (&[2, 6, 8, 1][..], &[2, 6, 8, 3][..]));
    assert!((0..3).all(|channel| three.index_axis(Axis(3), channel) == one.index_axis(Axis(3), 0)));
    assert_eq!(read(&grey, Channels::AsStored).unwrap(), one);
    let colour = tree(&[("a/1.png", PICTURE)]);
    assert_eq!(read(&colour, Channels::AsStored).unwrap(), read(&colour, Channels::Colour).unwrap());
    assert_eq!(read(&colour, Channels::Grey).unwrap().dim(), (1, 6, 8, 1));
    let both = tree(&[("a/1.jpg", GREY), ("b/1.png", PICTURE)]);
    let error = read(&both, Channels::AsStored).unwrap_err().to_string();
    assert!(
        error.contains("b/1.png: expected grey pictures as the first one, got a coloured one"),
        "{error}"
    );
    let parts = tree(&[("train/a/1.png", PICTURE), ("val/a/1.jpg", GREY)]);
    let options = options().channels(Channels::AsStored);
    let error = read_parts(parts.path(), &options, (0.5, 0), &|_, _| ()).unwrap_err().to_string();
    assert!(error.contains("val: expected coloured pictures as the first one, got a grey one"), "{error}");
    let broken = tree(&[("a/0.png", b""), ("a/1.jpg", GREY)]);
    let found = read_folder(broken.path(), &options.skip_broken(), &|_, _| ()).unwrap();
    assert_eq!(found.pixels.dim(), (1, 6, 8, 1));
}

#[test]
fn pictures_that_have_the_size_already_are_read_too() {
    let root = tree(&[("a/1.jpg", GREY), ("a/2.png", PICTURE)]);
    for channels in [Channels::Colour, Channels::Grey] {
        let options = Options::new(13, 20).unwrap().channels(channels).upright();
        let found = read_folder(root.path(), &options, &|_, _| ()).unwrap();
        let picture = read(root.path().join("a/2.png")).unwrap();
        let picture = if channels == Channels::Grey { grey(picture) } else { picture };
        assert_eq!(found.pixels.index_axis(Axis(0), 1), picture);
    }
}

#[test]
fn what_is_no_folder_of_classes_is_refused() {
    let root = tree(&[("readme.txt", b"")]);
    assert!(failure(&root, &options()).ends_with("expected a folder for each class, got none"));
    fs::create_dir(root.path().join("a")).unwrap();
    assert!(failure(&root, &options()).ends_with("a: expected pictures of a class, got an empty folder"));
    let root = tree(&[("a/1.png", PICTURE), ("a/more/2.png", PICTURE)]);
    assert!(failure(&root, &options()).ends_with(
        "a/more: expected a picture, got a folder: open the folder that holds the folders of the classes, and these hold pictures alone"
    ));
    let root = tree(&[("train/a/1.png", PICTURE), ("val/a/1.png", PICTURE)]);
    assert!(failure(&root, &options()).ends_with(
        "train/a: expected a picture, got a folder: open a folder that has train and val by ImageFolder::open_parts or images::read_parts"
    ));
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
    assert!(failure(&root, &options()).contains("a/up: expected a picture, got a folder: "));
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
    assert!(!read(options().channels(Channels::Grey)).from_cache && !read(options().upright()).from_cache);
    // A damaged cache is not used, and this is reported.
    for entry in fs::read_dir(cache.path().join("new")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).unwrap();
    }
    let third = read(options());
    assert!(!third.from_cache && third.pixels == first.pixels);
    let error = third.cache_error.unwrap().to_string();
    assert!(error.contains(".npz: expected ") && error.contains("pixels"), "{error}");
    let mended = read(options());
    assert!(mended.from_cache && mended.cache_error.is_none() && mended.pixels == first.pixels);
    // Another picture under the same name.
    fs::write(root.path().join("a/1.png"), GREY).unwrap();
    let fourth = read(options());
    assert!(!fourth.from_cache && fourth.pixels != first.pixels);
    // A file in the place of the cache folder: the pictures are read nevertheless.
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
    assert!(error.ends_with("val: expected classes of the training set, got \"b\""), "{error}");
    fs::remove_dir_all(root.path().join("train")).unwrap();
    let error = parts(&root).unwrap_err().to_string();
    assert!(error.ends_with("expected folders train and val, or neither, got only val"), "{error}");
    let root = tree(&[("a/1.png", PICTURE), ("a/2.png", GREY), ("b/1.png", PICTURE), ("b/2.png", PICTURE)]);
    let found = parts(&root).unwrap();
    assert_eq!((found.train.labels, found.validation.labels), (vec![0, 1], vec![0, 1]));
    assert!(found.train.files.iter().all(|file| !found.validation.files.contains(file)));
    fs::remove_file(root.path().join("b/2.png")).unwrap();
    assert!(parts(&root).unwrap_err().to_string().contains("at least 2 samples of class 1"));
}
