//! The size of a file limits the memory of its reader, whatever sizes the file announces.
#![allow(unsafe_code, reason = "a global allocator is an unsafe trait; this one counts and passes on")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use backstitch_io::table::Table;
use backstitch_io::{idx, kaggle, npz, pickle};
use flate2::{Compression, write::GzEncoder};
use ndarray::ArrayD;

struct Counting;

static TAKEN: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

fn take(bytes: usize) {
    MOST.fetch_max(TAKEN.fetch_add(bytes, Ordering::Relaxed) + bytes, Ordering::Relaxed);
}

// SAFETY: every call is passed on unchanged to the system's allocator. A block counts twice while it is moved.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        // SAFETY: the caller keeps the promises of the same function.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        TAKEN.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        take(size);
        TAKEN.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MB: usize = 1_000_000;

/// The largest number of bytes on the heap while a file with this content is read, above the number before; and the
/// result of reading.
fn most<T>(bytes: &[u8], read: impl Fn(&Path) -> T) -> (usize, T) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    let before = TAKEN.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let result = read(file.path());
    (MOST.load(Ordering::Relaxed) - before, result)
}

#[track_caller]
fn check<T>(
    what: &str,
    bytes: &[u8],
    good: bool,
    limit: usize,
    read: impl Fn(&Path) -> Result<T, backstitch_io::Error>,
) {
    let (taken, result) = most(bytes, read);
    let message = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
    assert_eq!(result.is_ok(), good, "{what}: {message}");
    assert!(message.len() < 700 && !message.contains('\n'), "{what}: a message of {} bytes", message.len());
    assert!(taken <= limit, "{what}: {taken} bytes for a file of {}, where {limit} are allowed", bytes.len());
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Four bytes that look random, so that gzip cannot compress them.
fn noise(i: usize) -> f32 {
    (i as f32 * 12.9898).sin() * 43758.547
}

fn numbers(count: usize) -> ArrayD<f32> {
    ArrayD::from_shape_fn(vec![count], |i| noise(i[0]))
}

fn idx_files() {
    let good = idx::Idx::F32(numbers(MB)).to_bytes().unwrap();
    check("idx", &good, true, 2 * good.len() + MB, |path: &Path| idx::read(path));
    let mut promise = good.clone();
    promise[4..8].fill(0xff);
    check("idx that promises 16 GB", &promise, false, 3 * good.len(), |path: &Path| idx::read(path));
    let packed = gzipped(&promise);
    check("gzipped idx that promises 16 GB", &packed, false, 3 * good.len(), |path: &Path| idx::read(path));
    let bytes = [&[0, 0, 8, 3][..], &[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 200]].concat();
    check("idx of a header", &bytes, false, MB, |path: &Path| idx::read(path));
}

fn npz_files() {
    let mut good = std::io::Cursor::new(Vec::new());
    let mut writer = npz::Writer::new(&mut good);
    writer.add("a", numbers(MB).view()).unwrap();
    writer.finish().unwrap();
    let good = good.into_inner();
    let read = |path: &Path| npz::Archive::open(path)?.read::<f32>("a");
    check("npz", &good, true, 2 * good.len() + MB, read);
    // Changes the announced size in the header, with the same number of letters: 1000000 becomes 9999999.
    let mut promise = good.clone();
    let at = promise.windows(8).position(|window| window == b"1000000,").unwrap();
    promise[at..at + 7].fill(b'9');
    check("npz that promises 40 MB", &promise, false, 3 * good.len(), read);
}

fn pickles() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pkl");
    pickle::write(&path, &[numbers(MB)]).unwrap();
    let good = fs::read(&path).unwrap();
    check("pickle", &good, true, 2 * good.len() + MB, |path: &Path| pickle::read(path));
    // The opcodes between arrays may take 40 MB.
    let limit = 40 * MB;
    for (what, piece) in [
        ("marks", &b"("[..]),
        ("empty tuples", b")"),
        ("empty lists", b"]"),
        ("remembered values", b"N\x94"),
        ("one value, remembered", b"\x94"),
        ("remembered tuples", b")\x94"),
        ("lists", b"(l"),
        ("texts", b"V\n"),
    ] {
        let many = [b"\x80\x04N", &piece.repeat(2 * MB / piece.len())[..]].concat();
        check(what, &many, false, limit, |path: &Path| pickle::read(path));
    }
    let name = "x".repeat(MB);
    let names =
        [b"\x80\x04X\x40\x42\x0f\x00", name.as_bytes(), b"\x94", &b"h\x00h\x00\x93".repeat(10_000), b"."]
            .concat();
    check("functions of a long name", &names, false, limit, |path: &Path| pickle::read(path));
    let data =
        [b"\x80\x03](cnumpy.core.numeric\n_frombuffer\nq\x00(B\x00\x12\x7a\x00", &[0; 8 * MB][..]].concat();
    let first =
        [&data[..], b"q\x01cnumpy\ndtype\nU\x02f8\x85Rq\x02J\x40\x42\x0f\x00\x85q\x03U\x01Cq\x04tR"].concat();
    let many = [&first[..], &b"h\x00(h\x01h\x02h\x03h\x04tR".repeat(1000), b"e."].concat();
    check("one piece of data for many arrays", &many, false, 6 * many.len(), |path: &Path| {
        pickle::read(path)
    });
    // A tuple of 8000 numbers as the shape, each of which is a tuple of 8000 numbers.
    let shape = [b"(", &b"K\x01".repeat(8000)[..], b"tq\x00(", &b"h\x00".repeat(8000), b"t"].concat();
    let blowup = [
        b"\x80\x03cnumpy.core.numeric\n_frombuffer\n(C\x00cnumpy\ndtype\nU\x02f4\x85R",
        &shape[..],
        b"U\x01CtR.",
    ]
    .concat();
    check("a shape of shapes", &blowup, false, 5 * MB, |path: &Path| pickle::read(path));
}

fn tables() {
    let read = |path: &Path| kaggle::read(path, "label");
    for (head, row) in [("label,a,b,c", "1,2,3,4"), ("label,a", "1,2")] {
        let good = format!("{head}\n{}", format!("{row}\n").repeat(MB));
        check("csv", good.as_bytes(), true, 8 * good.len(), read);
    }
    let whole = |path: &Path| Table::read(path);
    // One letter per row, and lists that have just doubled their size.
    let narrow = format!("x\n{}", "1\n".repeat(1_050_000));
    check("table of one letter a row", narrow.as_bytes(), true, 22 * narrow.len(), whole);
    check("table of nothing but commas", &b",".repeat(4 * MB), false, 50 * MB, whole);
    let open = format!("x,y\n1,\"{}", "1\n".repeat(4 * MB));
    check("table of a quote that is not closed", open.as_bytes(), false, 10 * MB, whole);
    check("csv of nothing but commas", &b",".repeat(4 * MB), false, 50 * MB, read);
    let wide = format!("label{}\n", ",a".repeat(500_000));
    check("csv of many columns", wide.as_bytes(), false, 50 * MB, read);
    let open = format!("label,a\n1,\"{}", "1\n".repeat(4 * MB));
    check("csv of a quote that is not closed", open.as_bytes(), false, 10 * MB, read);
    let long = format!("label,a\n1,{}\n", "x".repeat(900_000));
    check("csv of a long word", long.as_bytes(), false, 10 * MB, read);
    let label = format!("label,a\n{},1\n", "9".repeat(900_000));
    check("csv of a long label", label.as_bytes(), false, 10 * MB, read);
}

/// Reads a file by path, and ignores the result.
type Reader = fn(&Path);

/// Changes single bytes of small good files. No change makes a reader panic or take more than its limit.
fn damaged_files() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    let read = |path: &str| fs::read(fixtures.join(path)).unwrap();
    let idx = idx::Idx::F64(numbers(30).mapv(f64::from)).to_bytes().unwrap();
    let read_idx = |path: &Path| drop(idx::read(path));
    let read_pickle = |path: &Path| drop(pickle::read(path));
    let read_table = |path: &Path| drop((kaggle::read(path, "label"), kaggle::read_pictures(path)));
    let read_npz = |path: &Path| {
        let Ok(mut archive) = npz::Archive::open(path) else { return };
        let names: Vec<String> = archive.names().map(str::to_owned).collect();
        names.iter().for_each(|name| drop(archive.read::<f32>(name)));
    };
    let files: [(Vec<u8>, Reader); 8] = [
        (gzipped(&idx), read_idx),
        (idx, read_idx),
        (read("npz/compressed.npz"), read_npz),
        (read("pickle/protocol0.pkl"), read_pickle),
        (read("pickle/protocol2.pkl"), read_pickle),
        (read("pickle/protocol5.pkl"), read_pickle),
        (read("pickle/python2_protocol0.pkl"), read_pickle),
        (b"Id,label,a,b\r\n1,9.0,0.5,\"7\"\r\n".to_vec(), read_table),
    ];
    for (good, read) in &files {
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] = [0xff, good[at] ^ 0x01, b'9'][at % 3];
            let (taken, ()) = most(&bytes, read);
            assert!(taken <= MB, "{taken} bytes with {:#04x} at {at} of {} bytes", bytes[at], good.len());
        }
    }
}

/// One test only, because the memory of another test would count too.
#[test]
fn memory_is_bounded_by_the_file() {
    idx_files();
    npz_files();
    pickles();
    tables();
    damaged_files();
}
