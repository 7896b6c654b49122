//! Folders whose pictures are read when they are needed.

use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use backstitch_core::augment::Augment;
use backstitch_core::data::Batch;
use backstitch_core::layers::{conv2d, dense, flatten};
use backstitch_core::optim::Adam;
use backstitch_core::train::{History, Run, Trainer};
use backstitch_core::{Dataset, Model, Net};

use super::tests::{GREY, PICTURE, options, tree};
use super::*;
use crate::checkpoint;

/// Shapes in files, eight of each class.
fn shapes() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let drawn = generate_sample(&Options::new(12, 12).unwrap()).validation;
    for (picture, file) in drawn.pixels.outer_iter().zip(&drawn.files) {
        let file = root.path().join(file.strip_prefix("drawn").unwrap()).with_extension("png");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        write(&file, picture).unwrap();
    }
    root
}

fn numbers(data: &Dataset) -> Vec<f32> {
    data.inputs().unwrap().data().to_vec()
}

/// The error of reading a sample.
fn failure(data: &Dataset, sample: usize) -> String {
    data.gather(&[sample], &mut Batch::default()).unwrap_err().to_string()
}

/// Makes a file look as if it was written later.
fn touch(file: &Path) {
    let later = SystemTime::now() + Duration::from_secs(60);
    File::options().write(true).open(file).unwrap().set_modified(later).unwrap();
}

/// The file of pixels in a cache folder.
fn pixels_in(cache: &Path) -> PathBuf {
    let files: Vec<_> = fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

#[test]
fn pixels_and_order_are_those_of_the_folder_in_memory() {
    let root = tree(&[
        ("b/2.png", PICTURE),
        ("b/10.jpg", GREY),
        ("a/x.jpg", GREY),
        ("c/1.png", PICTURE),
        ("c/notes.txt", b""),
    ]);
    let cache = tempfile::tempdir().unwrap();
    let grey = options().channels(Channels::Grey);
    let same_size = Options::new(13, 20).unwrap().upright();
    for (i, options) in [options(), grey, same_size].into_iter().enumerate() {
        let memory = read_folder(root.path(), &options, &|_, _| ()).unwrap();
        let of_memory = memory.dataset().unwrap();
        let own = cache.path().join(i.to_string());
        // Without a cache, with an empty one, and with a full one.
        for options in [options.clone(), options.clone().cache(own.clone()), options.cache(own)] {
            let folder = ImageFolder::open_with(root.path(), &options).unwrap();
            assert_eq!(folder.classes(), memory.classes);
            assert!(folder.files().eq(memory.files.iter().map(|file| &**file)));
            assert_eq!(folder.ignored(), [root.path().join("c/notes.txt")]);
            let data = folder.dataset();
            assert_eq!(data.input_shape(), of_memory.input_shape());
            assert_eq!((data.labels(), data.target_kind()), (of_memory.labels(), of_memory.target_kind()));
            for _ in 0..2 {
                assert_eq!(numbers(&data), numbers(&of_memory));
                assert_eq!(numbers(&data.shuffled(3)), numbers(&of_memory.shuffled(3)));
            }
        }
        let of_bytes = memory.pixels.iter().map(|&byte| f32::from(byte) / 255.0);
        assert!(numbers(&of_memory).into_iter().eq(of_bytes));
    }
}

#[test]
fn nothing_is_decoded_until_it_is_wanted_and_errors_name_the_file() {
    let root = tree(&[("a/1.png", PICTURE), ("a/2.png", b""), ("b/1.jpg", GREY), ("b/2.png", PICTURE)]);
    let data = ImageFolder::open(root.path(), 6, 8).unwrap().dataset();
    assert!(
        failure(&data, 1).ends_with("a/2.png: expected a PNG or JPEG picture, got an empty file"),
        "{}",
        failure(&data, 1)
    );
    fs::remove_file(root.path().join("b/1.jpg")).unwrap();
    assert!(failure(&data, 2).contains("b/1.jpg: could not open"), "{}", failure(&data, 2));
    // As long as before, and longer.
    touch(&root.path().join("b/2.png"));
    let changed =
        "expected a picture that has not changed since the folder was opened, got one that was written";
    assert!(failure(&data, 3).contains(&format!("b/2.png: {changed}")), "{}", failure(&data, 3));
    let one = root.path().join("a/1.png");
    let written = fs::metadata(&one).unwrap().modified().unwrap();
    fs::write(&one, GREY).unwrap();
    File::options().write(true).open(&one).unwrap().set_modified(written).unwrap();
    assert!(failure(&data, 0).contains(&format!("a/1.png: {changed}")), "{}", failure(&data, 0));
    // Training stops with it.
    let mut model = Model::new(Net::new().push(flatten()).push(dense(2)), &data.input_shape(), 0).unwrap();
    let error = Trainer::new(Adam::new(1e-3)).batch_size(2).fit(&mut model, &data).unwrap_err().to_string();
    assert!(error.contains("a/1.png: "), "{error}");
    // A mix of grey and coloured pictures is found only when they are read.
    let root = tree(&[("a/1.jpg", GREY), ("b/1.png", PICTURE)]);
    let mixed = ImageFolder::open_with(root.path(), &options().channels(Channels::AsStored)).unwrap();
    assert_eq!(*mixed.dataset().input_shape(), [6, 8, 1]);
    assert!(failure(&mixed.dataset(), 1).contains("b/1.png: expected grey pictures as the first one"));
}

#[test]
fn broken_files_are_left_out_at_once_where_that_is_wanted() {
    let files = [("a/1.png", &b""[..]), ("a/2.png", PICTURE), ("b/1.jpg", b"text"), ("b/2.jpg", GREY)];
    let (root, cache) = (tree(&files), tempfile::tempdir().unwrap());
    let memory = read_folder(root.path(), &options().skip_broken(), &|_, _| ()).unwrap().dataset().unwrap();
    let with_cache = options().skip_broken().cache(cache.path().to_owned());
    for options in [options().skip_broken(), with_cache.clone(), with_cache.clone()] {
        let folder = ImageFolder::open_with(root.path(), &options).unwrap();
        assert_eq!(folder.skipped().len(), 2);
        assert!(folder.skipped()[1].to_string().contains("b/1.jpg: expected a PNG or JPEG picture"));
        assert_eq!(folder.dataset().labels().unwrap(), [0, 1]);
        assert_eq!(numbers(&folder.dataset()), numbers(&memory));
        let said = folder.to_string();
        assert!(said.contains("2 pictures of 2 classes, read as [6, 8, 3], decoded "), "{said}");
        assert!(said.contains("2 broken files left out, the first ") && said.contains("a/1.png: "), "{said}");
    }
    fs::remove_file(root.path().join("b/2.jpg")).unwrap();
    let error = ImageFolder::open_with(root.path(), &with_cache).unwrap_err().to_string();
    assert_eq!(error, "b: expected a class with pictures, got only broken files");
}

#[test]
fn parts_have_the_classes_of_the_training_folder() {
    let root = tree(&[
        ("train/a/1.png", PICTURE),
        ("train/b/1.png", GREY),
        ("val/b/1.png", GREY),
        ("val/b/2.png", b""),
    ]);
    let [train, validation] = ImageFolder::open_parts(root.path(), &options().skip_broken()).unwrap();
    assert_eq!((train.classes(), validation.classes()), (validation.classes(), train.classes()));
    assert_eq!((train.dataset().labels(), validation.dataset().labels()), (Some(vec![0, 1]), Some(vec![1])));
    assert_eq!(validation.skipped().len(), 1);
    fs::rename(root.path().join("train/b"), root.path().join("train/c")).unwrap();
    let error = ImageFolder::open_parts(root.path(), &options()).unwrap_err().to_string();
    assert!(error.ends_with("val: expected classes of the training set, got \"b\""), "{error}");
    fs::remove_dir_all(root.path().join("val")).unwrap();
    let error = ImageFolder::open_parts(root.path(), &options()).unwrap_err().to_string();
    assert!(error.contains("val: could not open the folder"), "{error}");
}

#[test]
fn kept_pixels_are_taken_while_they_are_whole_and_the_files_the_same() {
    let root = shapes();
    let cache = tempfile::tempdir().unwrap();
    let options = Options::new(10, 10).unwrap().cache(cache.path().join("new"));
    let cache = cache.path().join("new");
    let open = || ImageFolder::open_with(root.path(), &options).unwrap();
    let (folder, expected) = (open(), numbers(&ImageFolder::open(root.path(), 10, 10).unwrap().dataset()));
    assert!(folder.to_string().contains(&format!("kept in {}", pixels_in(&cache).display())), "{folder}");
    assert_eq!(numbers(&folder.dataset()), expected);
    let (file, record) = (pixels_in(&cache), 10 * 10 * 3 + 4);
    let whole = fs::read(&file).unwrap();
    assert_eq!(whole.len(), 48 * record);
    // The file of the picture gets other bytes of the same length and with the same time. If it were read, the pixels would
    // differ.
    let first = folder.files().next().unwrap().to_owned();
    let good = fs::read(&first).unwrap();
    let spoil = |bytes: &[u8]| {
        let written = fs::metadata(&first).unwrap().modified().unwrap();
        fs::write(&first, bytes).unwrap();
        File::options().write(true).open(&first).unwrap().set_modified(written).unwrap();
    };
    spoil(&vec![0; good.len()]);
    assert_eq!(numbers(&open().dataset()), expected);
    // Damage, a record at the wrong position, a hole, and a file that ends too early: these pictures are decoded again.
    let mut damaged = whole.clone();
    damaged[7] ^= 1;
    let mut moved = whole.clone();
    moved.copy_within(record..2 * record, 0);
    let mut hole = whole.clone();
    hole[..record].fill(0);
    for bytes in [&damaged, &moved, &hole, &whole[..record - 1]] {
        fs::write(&file, bytes).unwrap();
        assert!(failure(&open().dataset(), 0).contains("got a file that begins with"));
        spoil(&good);
        assert_eq!(numbers(&open().dataset()), expected);
        assert_eq!(fs::read(&file).unwrap(), whole, "mended");
        spoil(&vec![0; good.len()]);
    }
    spoil(&good);
    fs::remove_file(&file).unwrap();
    assert_eq!(numbers(&folder.dataset()), expected);
    assert_eq!(fs::read(&file).unwrap(), whole);
    // Files that have changed, and other options, get a cache file of their own.
    touch(&first);
    assert_eq!(numbers(&folder.dataset()), expected, "as they were when the folder was opened");
    for (n, options) in [(2, options.clone()), (3, options.clone().upright())] {
        let folder = ImageFolder::open_with(root.path(), &options).unwrap();
        assert_eq!(numbers(&folder.dataset()), expected);
        assert_eq!(fs::read_dir(&cache).unwrap().count(), n);
    }
    let in_a_file = Options::new(10, 10).unwrap().cache(first.join("cache"));
    let error = ImageFolder::open_with(root.path(), &in_a_file).unwrap_err().to_string();
    assert!(error.contains("cache: could not create the folder"), "{error}");
}

fn network(data: &Dataset) -> Model {
    let net = Net::new().push(conv2d(4, 3).relu()).push(flatten()).push(dense(6));
    Model::new(net, &data.input_shape(), 1).unwrap()
}

/// One training that uses all of `Dataset`: sample weights, folds, mapped inputs, flips and shifts; interrupted or not.
fn trained(all: &Dataset, interrupted: bool) -> (History, Vec<Vec<f32>>) {
    let weights: Vec<f64> = (0..all.len()).map(|i| 1.0 + (i % 3) as f64).collect();
    let data =
        all.clone().weights(&weights).unwrap().shuffled(5).map(|x| x.iter_mut().for_each(|x| *x -= 0.5));
    let (train, validation) = data.k_fold(3, 1).unwrap().swap_remove(1);
    let augment = Augment::new().horizontal_flip().random_crop(1);
    let trainer = || {
        let trainer = Trainer::new(Adam::new(1e-2)).epochs(3).batch_size(7).augment(augment.clone());
        trainer.validation(&validation)
    };
    let mut model = network(&data);
    let history = if interrupted {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("run.checkpoint");
        let stop = |run: &Run| {
            Ok(if run.history().epochs.len() == 1 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        };
        let save = checkpoint::SaveCheckpoints::new(&file);
        trainer().callback(save).each_epoch(stop).fit(&mut network(&data), &train).unwrap();
        trainer().resume(checkpoint::load(&file).unwrap()).fit(&mut model, &train).unwrap()
    } else {
        trainer().fit(&mut model, &train).unwrap()
    };
    (history, model.state().values().map(|value| value.data().to_vec()).collect())
}

#[test]
fn training_has_the_bits_of_the_folder_in_memory() {
    let (root, cache) = (shapes(), tempfile::tempdir().unwrap());
    let options = Options::new(12, 12).unwrap();
    let memory = read_folder(root.path(), &options, &|_, _| ()).unwrap().dataset().unwrap();
    let expected = trained(&memory, false);
    for options in [options.clone(), options.cache(cache.path().to_owned())] {
        let data = ImageFolder::open_with(root.path(), &options).unwrap().dataset();
        for interrupted in [false, true] {
            assert_eq!(trained(&data, interrupted), expected);
        }
    }
}

#[test]
fn what_is_written_as_png_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("picture.png");
    let picture = ndarray::Array3::from_shape_fn((3, 5, 3), |(i, j, c)| (i * 60 + j * 7 + c) as u8);
    write(&file, picture.view()).unwrap();
    assert_eq!(read(&file).unwrap(), picture);
    // A view that is not row by row, in grey.
    let turned = picture.slice(ndarray::s![.., .., 1..2]).reversed_axes().permuted_axes([1, 2, 0]);
    write(&file, turned).unwrap();
    let grey = read(&file).unwrap();
    assert!((0..3).all(|c| grey.index_axis(ndarray::Axis(2), c) == turned.index_axis(ndarray::Axis(2), 0)));
    for (shape, expected) in [((2, 2, 2), "1 or 3 channels, got 2"), ((0, 2, 3), "that can be read again")] {
        let error = write(&file, ndarray::Array3::zeros(shape).view()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
