//! IDX: the format of MNIST and Fashion-MNIST, of any rank and element type, gzipped or not.
//!
//! Two zero bytes, a type, the number of axes, their lengths as big-endian 32-bit numbers, then the
//! elements in C order, big-endian. (LeCun, Cortes and Burges, The MNIST database, "The IDX file
//! format".)

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use ndarray::{ArrayD, IxDyn};

use crate::error::Error;
use crate::input;
use crate::numbers::size_of_shape;

/// An array of one of the format's element types.
#[derive(Debug, Clone, PartialEq)]
pub enum Idx {
    /// Type 0x08.
    U8(ArrayD<u8>),
    /// Type 0x09.
    I8(ArrayD<i8>),
    /// Type 0x0B.
    I16(ArrayD<i16>),
    /// Type 0x0C.
    I32(ArrayD<i32>),
    /// Type 0x0D.
    F32(ArrayD<f32>),
    /// Type 0x0E.
    F64(ArrayD<f64>),
}

/// Reads an IDX file. If it begins like a gzip file, it is decompressed; several gzip members are one stream.
///
/// Memory is taken as elements arrive, at most twice their bytes. (gzip makes at most 1032 bytes from one.)
///
/// # Errors
/// If the file cannot be read, is not an IDX file, holds less or more than its header says, or its gzip stream is damaged.
pub fn read(path: impl AsRef<Path>) -> Result<Idx, Error> {
    let path = path.as_ref();
    let file = File::open(path).map_err(Error::io(path, "open"))?;
    let reader = BufReader::with_capacity(256 * 1024, file);
    parse(input::gunzipped(reader).map_err(Error::io(path, "read"))?, path)
}

/// Reads an IDX array whose elements must be bytes, as those of images and labels are.
///
/// # Errors
/// As [`read`], and if the elements are not bytes.
pub fn read_bytes(path: impl AsRef<Path>) -> Result<ArrayD<u8>, Error> {
    let path = path.as_ref();
    match read(path)? {
        Idx::U8(array) => Ok(array),
        other => Err(Error::content(
            path,
            "elements of type 0x08, unsigned bytes",
            format!("type {:#04x}", other.code()),
        )),
    }
}

/// Reads an IDX array from bytes. The path is for messages.
///
/// # Errors
/// As [`read`].
pub fn parse(mut reader: impl Read, path: impl AsRef<Path>) -> Result<Idx, Error> {
    let path = path.as_ref();
    let cut = |what: &'static str| {
        move |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Error::content(path, what, "the end of the file"),
            _ => Error::content(path, what, error),
        }
    };
    let mut head = [0; 4];
    reader.read_exact(&mut head).map_err(cut("an IDX header"))?;
    let [0, 0, code, axes] = head else {
        return Err(Error::content(
            path,
            "an IDX file, which begins with two zero bytes",
            format!("{head:02x?}"),
        ));
    };
    let mut shape = Vec::new();
    for _ in 0..axes {
        let mut length = [0; 4];
        reader.read_exact(&mut length).map_err(cut("an IDX header"))?;
        shape.push(u32::from_be_bytes(length) as usize);
    }
    let size = match code {
        0x08 | 0x09 => 1,
        0x0b => 2,
        0x0c | 0x0d => 4,
        0x0e => 8,
        _ => {
            let known = "an element type of 0x08, 0x09, 0x0b, 0x0c, 0x0d or 0x0e";
            return Err(Error::content(path, known, format!("{code:#04x}")));
        }
    };
    let Some(bytes) = size_of_shape(&shape, size) else {
        return Err(Error::content(path, "axes whose product fits in memory", format!("{shape:?}")));
    };
    // To the end, so that bytes that the header does not mention are noticed.
    let data = input::exactly(reader, bytes)
        .map_err(|unlike| Error::content(path, format!("{bytes} bytes of elements"), unlike))?;
    let shape = IxDyn(&shape);
    Ok(match code {
        0x08 => Idx::U8(array(shape, data)),
        0x09 => Idx::I8(array(shape, data.into_iter().map(u8::cast_signed).collect())),
        0x0b => Idx::I16(array(shape, big_endian(&data, i16::from_be_bytes))),
        0x0c => Idx::I32(array(shape, big_endian(&data, i32::from_be_bytes))),
        0x0d => Idx::F32(array(shape, big_endian(&data, f32::from_be_bytes))),
        _ => Idx::F64(array(shape, big_endian(&data, f64::from_be_bytes))),
    })
}

fn big_endian<const N: usize, T>(data: &[u8], from: impl Fn([u8; N]) -> T) -> Vec<T> {
    data.chunks_exact(N).map(|bytes| from(bytes.try_into().expect("chunks of N"))).collect()
}

fn array<T>(shape: IxDyn, data: Vec<T>) -> ArrayD<T> {
    ArrayD::from_shape_vec(shape, data).expect("as many elements as the shape has, which can be")
}

impl Idx {
    /// The type byte of the format.
    pub fn code(&self) -> u8 {
        match self {
            Self::U8(_) => 0x08,
            Self::I8(_) => 0x09,
            Self::I16(_) => 0x0b,
            Self::I32(_) => 0x0c,
            Self::F32(_) => 0x0d,
            Self::F64(_) => 0x0e,
        }
    }

    /// The array as the bytes of an IDX file, not gzipped.
    ///
    /// # Errors
    /// If an axis is longer than the format allows, or if there are too many axes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, backstitch_core::Error> {
        fn encode<T: Copy, const N: usize>(
            array: &ArrayD<T>,
            to: impl Fn(T) -> [u8; N],
        ) -> (Vec<usize>, Vec<u8>) {
            (array.shape().to_vec(), array.iter().flat_map(|&element| to(element)).collect())
        }
        let (shape, data) = match self {
            Self::U8(array) => encode(array, u8::to_be_bytes),
            Self::I8(array) => encode(array, i8::to_be_bytes),
            Self::I16(array) => encode(array, i16::to_be_bytes),
            Self::I32(array) => encode(array, i32::to_be_bytes),
            Self::F32(array) => encode(array, f32::to_be_bytes),
            Self::F64(array) => encode(array, f64::to_be_bytes),
        };
        let too_long =
            || backstitch_core::Error::argument("array", "at most 255 axes below 2^32", format!("{shape:?}"));
        let mut bytes = vec![0, 0, self.code(), u8::try_from(shape.len()).map_err(|_| too_long())?];
        for &length in &shape {
            bytes.extend(u32::try_from(length).map_err(|_| too_long())?.to_be_bytes());
        }
        bytes.extend(data);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};
    use ndarray::arr0;
    use proptest::prelude::*;

    use super::*;

    fn message(bytes: &[u8]) -> String {
        parse(bytes, Path::new("images-idx3-ubyte")).unwrap_err().to_string()
    }

    #[test]
    fn every_element_type_and_rank_comes_back() {
        let shape = IxDyn(&[2, 1, 3]);
        let arrays = [
            Idx::U8(ArrayD::from_shape_fn(shape.clone(), |i| (i[0] * 100 + i[2]) as u8)),
            Idx::I8(ArrayD::from_shape_fn(shape.clone(), |i| i[2] as i8 - 2)),
            Idx::I16(ArrayD::from_shape_fn(shape.clone(), |i| i[2] as i16 * -300)),
            Idx::I32(ArrayD::from_shape_fn(shape.clone(), |i| i[2] as i32 * -70_000)),
            Idx::F32(ArrayD::from_shape_fn(shape.clone(), |i| i[2] as f32 / 3.0)),
            Idx::F64(ArrayD::from_shape_fn(shape, |i| i[2] as f64 / 3.0)),
            Idx::F64(arr0(1.5).into_dyn()),
            Idx::U8(ArrayD::zeros(IxDyn(&[0, 28, 28]))),
        ];
        for array in arrays {
            let bytes = array.to_bytes().unwrap();
            assert_eq!(parse(&*bytes, Path::new("x")).unwrap(), array);
        }
    }

    #[test]
    fn damage_is_named() {
        let good = Idx::U8(ArrayD::zeros(IxDyn(&[2, 3]))).to_bytes().unwrap();
        assert_eq!(message(&good[..3]), "images-idx3-ubyte: expected an IDX header, got the end of the file");
        assert_eq!(message(&good[..7]), "images-idx3-ubyte: expected an IDX header, got the end of the file");
        assert_eq!(
            message(&good[..good.len() - 1]),
            "images-idx3-ubyte: expected 6 bytes of elements, got 5, then the end of the file"
        );
        assert_eq!(
            message(&[&good[..], &[7]].concat()),
            "images-idx3-ubyte: expected 6 bytes of elements, got more"
        );
        assert_eq!(
            message(b"PK\x03\x04"),
            "images-idx3-ubyte: expected an IDX file, which begins with two zero bytes, got [50, 4b, 03, 04]"
        );
        assert_eq!(
            message(&[0, 0, 0x0a, 1, 0, 0, 0, 1, 5]),
            "images-idx3-ubyte: expected an element type of 0x08, 0x09, 0x0b, 0x0c, 0x0d or 0x0e, got 0x0a"
        );
    }

    #[test]
    fn a_header_is_not_taken_at_its_word() {
        let huge = [&[0, 0, 8, 4][..], &[0xff; 16]].concat();
        assert!(message(&huge).contains("expected axes whose product fits in memory"), "{}", message(&huge));
        // The header announces 4 GiB, and 3 bytes of elements follow.
        let promising = [&[0, 0, 8, 1][..], &[0xff, 0xff, 0xff, 0xff, 1, 2, 3]].concat();
        assert!(
            message(&promising)
                .ends_with("expected 4294967295 bytes of elements, got 3, then the end of the file")
        );
    }

    #[test]
    fn axes_that_overflow_are_an_error_even_beside_one_of_no_length() {
        for zero in 0..4 {
            let mut axes = [[0xff; 4]; 4];
            axes[zero] = [0; 4];
            let error = message(&[&[0, 0, 8, 4][..], &axes.concat()].concat());
            assert!(error.contains("expected axes whose product fits in memory"), "{error}");
        }
        let many = [&[0, 0, 8, 255][..], &[0xff; 4 * 255]].concat();
        assert!(message(&many).len() < 400, "{}", message(&many));
        // 255 axes of length 1 are an array like any other.
        let many = [&[0, 0, 8, 255][..], &[0, 0, 0, 1].repeat(255), &[7]].concat();
        assert!(matches!(parse(&*many, Path::new("x")), Ok(Idx::U8(array)) if array.ndim() == 255));
    }

    #[test]
    fn members_of_gzip_are_one_file_and_have_no_more_than_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels-idx1-ubyte.gz");
        let member = |bytes: &[u8]| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        let array = ArrayD::from_shape_fn(IxDyn(&[1000]), |i| (i[0] * 7 % 10) as u8);
        let plain = Idx::U8(array.clone()).to_bytes().unwrap();
        let attempt = |members: &[&[u8]]| {
            std::fs::write(&path, members.iter().flat_map(|bytes| member(bytes)).collect::<Vec<_>>())
                .unwrap();
            read_bytes(&path).map_err(|error| error.to_string())
        };
        for cut in [1, 5, 8, 500] {
            assert_eq!(attempt(&[&plain[..cut], &plain[cut..]]).unwrap(), array, "cut at {cut}");
        }
        let more = attempt(&[&plain, b"more"]).unwrap_err();
        assert!(more.ends_with("expected 1000 bytes of elements, got more"), "{more}");
        let fewer = attempt(&[&plain[..500], &plain[500..999]]).unwrap_err();
        assert!(fewer.ends_with("got 991, then the end of the file"), "{fewer}");
    }

    #[test]
    fn gzip_that_is_cut_or_lies_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels-idx1-ubyte.gz");
        let plain =
            Idx::U8(ArrayD::from_shape_fn(IxDyn(&[1000]), |i| (i[0] * 7 % 10) as u8)).to_bytes().unwrap();
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&plain).unwrap();
        let good = encoder.finish().unwrap();
        let attempt = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read_bytes(&path).map_err(|error| error.to_string())
        };
        assert_eq!(attempt(&good).unwrap().len(), 1000);
        for cut in [10, good.len() / 2, good.len() - 9, good.len() - 4] {
            let error = attempt(&good[..cut]).unwrap_err();
            assert!(error.contains("labels-idx1-ubyte.gz: expected"), "{error}");
        }
        for lie in [good.len() - 1, good.len() - 6] {
            let mut bytes = good.clone();
            bytes[lie] ^= 0x55;
            let error = attempt(&bytes).unwrap_err();
            assert!(error.contains("corrupt"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&*bytes, Path::new("x"));
            let _ = parse(&*[&[0, 0, 8, 2][..], &bytes].concat(), Path::new("x"));
        }
    }
}
