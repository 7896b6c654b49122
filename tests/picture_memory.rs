//! A small file that announces a large picture takes no memory for it.
#![allow(unsafe_code, reason = "a global allocator is an unsafe trait; this one counts and passes on")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use backstitch::images::{self, ImageFolder, Options};
use backstitch::prelude::*;

struct Counting;

static TAKEN: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

fn count(more: usize) {
    MOST.fetch_max(TAKEN.fetch_add(more, Ordering::Relaxed) + more, Ordering::Relaxed);
}

// SAFETY: every call is passed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the promises of the same function.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        TAKEN.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The largest memory at one time, above the memory at the start.
fn most(work: impl FnOnce()) -> usize {
    let before = TAKEN.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    work();
    MOST.load(Ordering::Relaxed) - before
}

/// The tables and buffers of the decoders, for any file.
const DECODERS: usize = 1 << 20;

/// A byte of a PNG can become 1,032 bytes, and a bit of a JPEG can be a block. Each pixel takes some bytes.
const MOST_FOR_A_BYTE: usize = 1032 * 16;

#[test]
fn memory_follows_the_file_and_not_its_promise() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/images");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("promise");
    // Sizes in the header up to the limits and above, in files of some hundred bytes.
    for (name, frame) in
        [("rgb.jpg", Some(0xc0)), ("progressive.jpg", Some(0xc2)), ("rgb.png", None), ("palette.png", None)]
    {
        let good = fs::read(fixtures.join(name)).unwrap();
        for side in [100_u32, 1000, 4000, 8192, 16_000, 65_535] {
            let mut bytes = good.clone();
            if let Some(marker) = frame {
                let frame = bytes.windows(2).position(|two| two == [0xff, marker]).unwrap();
                let side = (side as u16).to_be_bytes();
                bytes[frame + 5..frame + 9].copy_from_slice(&[side, side].concat());
            } else {
                let side = side.to_be_bytes();
                bytes[16..24].copy_from_slice(&[side, side].concat());
                let checksum = crc32(&bytes[12..29]);
                bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
            }
            fs::write(&path, &bytes).unwrap();
            let mut result = None;
            let taken = most(|| result = Some(images::read(&path)));
            // If a JPEG has fewer blocks than it says, but enough bytes for them, the rest is grey, as with libjpeg.
            assert!(result.unwrap().is_err() || (frame.is_some() && side < 1000), "{name}, {side}");
            assert!(taken < DECODERS + MOST_FOR_A_BYTE * bytes.len(), "{name}, {side}: {taken} bytes");
        }
    }
    a_cache_that_promises_a_terabyte_takes_no_memory(&fixtures);
    a_folder_that_is_read_when_wanted_takes_the_memory_of_two_batches();
}

/// 200 pictures of 48 KB as `f32`, in batches of 8. The memory is that of two batches, of the pictures being decoded,
/// and of a small model.
fn a_folder_that_is_read_when_wanted_takes_the_memory_of_two_batches() {
    let (root, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let options = Options::new(64, 64).unwrap();
    let drawn = images::generate_sample(&options).train;
    for (i, picture) in drawn.pixels.outer_iter().enumerate().take(200) {
        let class = root.path().join(&drawn.classes[drawn.labels[i]]);
        fs::create_dir_all(&class).unwrap();
        images::write(class.join(format!("{i}.png")), picture).unwrap();
    }
    drop(drawn);
    for options in [options.clone(), options.cache(cache.path().to_owned())] {
        let taken = most(|| {
            let data = ImageFolder::open_with(root.path(), &options).unwrap().dataset();
            let net = Net::new().push(avg_pool(8)).push(flatten()).push(dense(6));
            let mut model = Model::new(net, &data.input_shape(), 0).unwrap();
            let history = Trainer::new(Sgd::new(0.1)).epochs(2).batch_size(8).fit(&mut model, &data).unwrap();
            assert_eq!(history.epochs.len(), 2);
        });
        let (batch, all) = (8 * 64 * 64 * 3 * 4, 200 * 64 * 64 * 3 * 4);
        assert!(taken > 2 * batch && taken < 6 * batch && taken < all / 3, "{taken} bytes");
    }
}

fn a_cache_that_promises_a_terabyte_takes_no_memory(fixtures: &Path) {
    let (root, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir(root.path().join("class")).unwrap();
    fs::copy(fixtures.join("rgb.png"), root.path().join("class/1.png")).unwrap();
    let options = Options::new(8, 8).unwrap().cache(cache.path().to_owned());
    let read = || images::read_folder(root.path(), &options, &|_, _| ()).unwrap();
    let first = read();
    let file = fs::read_dir(cache.path()).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&file).unwrap();
    let place = bytes.windows(12).position(|part| part == b"(1, 8, 8, 3)").unwrap();
    // The same number of letters, with the numbers 2^20, 2^20 and 2^20.
    bytes[place..place + 38].copy_from_slice(b"(1048576,1048576,1048576,3), }        ");
    fs::write(&file, bytes).unwrap();
    let mut second = None;
    let taken = most(|| second = Some(read()));
    let second = second.unwrap();
    assert!(!second.from_cache && second.pixels == first.pixels);
    let error = second.cache_error.unwrap().to_string();
    assert!(error.contains("expected pixels of the shape [1, 8, 8, 3], got [1048576, "), "{error}");
    assert!(taken < 4 * DECODERS, "{taken} bytes");
}

/// The checksum of PNG's chunks (ISO 3309), bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, bit: u32| (crc >> 1) ^ if (crc ^ bit) & 1 == 1 { 0xedb8_8320 } else { 0 };
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc, |crc, bit| step(crc, u32::from(byte) >> bit)))
}
