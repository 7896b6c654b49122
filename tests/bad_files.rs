//! Cut or damaged files of weights and checkpoints: reading gives an error or the content, never a panic, and takes no
//! memory because of an announced size.
#![allow(unsafe_code, reason = "a global allocator is an unsafe trait; this one counts and passes on")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use backstitch::prelude::*;
use backstitch::rng::{Purpose, stream};
use backstitch::{checkpoint, pytorch, safetensors};
use rand::Rng;

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

fn more(bytes: usize) {
    let held = HELD.fetch_add(bytes, Ordering::Relaxed) + bytes;
    MOST.fetch_max(held, Ordering::Relaxed);
}

// SAFETY: every call is passed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        more(layout.size());
        // SAFETY: the caller keeps the promises of the same function.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        more(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        more(size);
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The memory of a reader's buffers and tables, for any file.
const BUFFERS: usize = 1 << 20;

fn model() -> Model {
    let net = Net::new().push(conv2d(3, [2, 3])).push(flatten()).push(batch_norm().relu()).push(dense(4));
    Model::new(net, &[3, 4, 2], 1).unwrap()
}

fn data() -> Dataset {
    let x =
        ndarray::Array::from_shape_fn((8, 3, 4, 2), |(n, i, j, c)| (n * 7 + i * 5 + j * 3 + c) as f32 % 4.0);
    Dataset::classes(x, &[0, 1, 2, 3, 0, 1, 2, 3]).unwrap()
}

fn trainer() -> Trainer<'static> {
    Trainer::new(Adam::new(0.1)).epochs(2).batch_size(4)
}

type Load = fn(&Path, &mut Model) -> Result<(), String>;

/// Beginnings of a good file, of many lengths, and the file with some bytes changed.
fn damage(path: &Path, step: usize, load: Load) {
    let mut model = model();
    let good = fs::read(path).unwrap();
    load(path, &mut model).unwrap();
    let mut check = |bytes: &[u8], what: &dyn Fn() -> String| {
        fs::write(path, bytes).unwrap();
        let before = HELD.load(Ordering::Relaxed);
        MOST.store(before, Ordering::Relaxed);
        let result = load(path, &mut model);
        let taken = MOST.load(Ordering::Relaxed) - before;
        assert!(taken < BUFFERS + 2 * bytes.len(), "{}: {taken} bytes, {result:?}", what());
        if let Err(error) = &result {
            let long = error.len() - path.display().to_string().len().min(error.len());
            assert!(long < 1_000, "{}: {error}", what());
        }
        result
    };
    for length in (0..good.len()).step_by(step) {
        let what = || format!("{length} of {} bytes", good.len());
        assert!(check(&good[..length], &what).is_err(), "{}: {}", path.display(), what());
    }
    let mut rng = stream(1, Purpose::GradientCheck, 0, 0);
    for i in 0..300 {
        let mut bytes = good.clone();
        for _ in 0..rng.random_range(1..5) {
            let at = rng.random_range(0..bytes.len());
            bytes[at] = rng.random();
        }
        let _ = check(&bytes, &|| format!("change {i}"));
    }
}

#[test]
fn cut_and_damaged_files_are_errors_and_take_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    safetensors::save(&path, &model()).unwrap();
    damage(&path, 1, |path, model| safetensors::load(path, model).map_err(|error| error.to_string()));
    let forms = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/pytorch/forms");
    for (form, step) in
        [("f16.safetensors", 1), ("weights_of_21_letters.pth", 7), ("wrapped.pth", 11), ("legacy.pth", 5)]
    {
        fs::copy(forms.join(form), &path).unwrap();
        damage(&path, step, |path, model| {
            pytorch::load(path, model, str::to_owned).map_err(|error| error.to_string())
        });
    }
    let samples = data();
    let mut first = model();
    let mut run = trainer().start(&mut first, &samples).unwrap();
    run.epoch().unwrap();
    checkpoint::save(&path, &run.checkpoint()).unwrap();
    damage(&path, 3, |path, model| {
        // The checksum is corrected, so that later checks have to find the damage.
        let mut bytes = fs::read(path).unwrap();
        if let Some(end) = bytes.len().checked_sub(4).filter(|&end| end > 16) {
            let checksum = crc32fast::hash(&bytes[16..end]);
            bytes[end..].copy_from_slice(&checksum.to_le_bytes());
            fs::write(path, bytes).unwrap();
        }
        let saved = checkpoint::load(path).map_err(|error| error.to_string())?;
        trainer().resume(saved).start(model, &data()).map(drop).map_err(|error| error.to_string())
    });
}
