//! One array as NumPy's `.npy`: a line of Python with type, order and shape, then the numbers.
//!
//! (NumPy Enhancement Proposal 1, "A Simple File Format for NumPy Arrays", versions 1 to 3.)

use std::io::{self, Read, Write};

use ndarray::{ArrayD, ArrayViewD, IxDyn, ShapeBuilder};

use crate::input;
use crate::numbers::{Dtype, Number, size_of_shape};

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// A longer header is an error, as in NumPy.
const LONGEST_HEADER: usize = 10_000;

/// What was expected of an array, and what was found.
#[derive(Debug)]
pub(crate) struct Mismatch {
    pub(crate) expected: String,
    pub(crate) got: String,
}

impl Mismatch {
    fn new(expected: impl Into<String>, got: impl ToString) -> Self {
        Self { expected: expected.into(), got: got.to_string() }
    }
}

/// The header before the numbers.
#[derive(Debug, Clone)]
pub(crate) struct NpyHeader {
    dtype: Dtype,
    fortran: bool,
    shape: Vec<usize>,
    /// The bytes of all numbers.
    size: usize,
}

impl NpyHeader {
    /// Reads the header, and no more.
    pub(crate) fn read(reader: &mut impl Read) -> Result<Self, Mismatch> {
        let broken = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Mismatch::new("the header of an array", "the end of it"),
            _ => Mismatch::new("the header of an array", error),
        };
        let mut start = [0; 8];
        reader.read_exact(&mut start).map_err(broken)?;
        if !start.starts_with(MAGIC) {
            return Err(Mismatch::new("an array, which begins with NUMPY", format!("{:02x?}", &start[..6])));
        }
        let mut length = [0; 4];
        let width = match start[6] {
            1 => 2,
            2 | 3 => 4,
            other => return Err(Mismatch::new("version 1, 2 or 3 of the format", other)),
        };
        reader.read_exact(&mut length[..width]).map_err(broken)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > LONGEST_HEADER {
            return Err(Mismatch::new(format!("a header of at most {LONGEST_HEADER} bytes"), length));
        }
        let mut text = vec![0; length];
        reader.read_exact(&mut text).map_err(broken)?;
        let text = std::str::from_utf8(&text).map_err(|error| Mismatch::new("a header of text", error))?;
        let (descr, fortran, shape) = Dictionary { rest: text }.read().ok_or_else(|| {
            Mismatch::new(
                "a header with descr, fortran_order and shape of plain numbers",
                format!("{:?}", text.trim_end()),
            )
        })?;
        let dtype = Dtype::parse(descr).ok_or_else(|| {
            Mismatch::new("floats of 2 to 8 bytes or integers", format!("numbers of kind {descr:?}"))
        })?;
        let size = size_of_shape(&shape, dtype.bytes())
            .ok_or_else(|| Mismatch::new("a shape that fits in memory", format!("{shape:?}")))?;
        Ok(Self { dtype, fortran, shape, size })
    }

    /// The lengths of the axes.
    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The numbers after the header, up to the end.
    pub(crate) fn numbers<T: Number>(&self, reader: impl Read) -> Result<ArrayD<T>, Mismatch> {
        let expected = || format!("{} bytes of numbers for the shape {:?}", self.size, self.shape);
        let data = input::exactly(reader, self.size).map_err(|unlike| Mismatch::new(expected(), unlike))?;
        let numbers =
            self.dtype.decode(&data).map_err(|got| Mismatch::new("numbers that can be converted", got))?;
        ArrayD::from_shape_vec(IxDyn(&self.shape).set_f(self.fortran), numbers)
            .map_err(|error| Mismatch::new("an array that can be", error))
    }
}

/// The Python dictionary of a header: only strings, true and false, and a tuple of lengths.
struct Dictionary<'a> {
    rest: &'a str,
}

impl<'a> Dictionary<'a> {
    /// `descr`, `fortran_order` and `shape`. Each must be there once.
    fn read(mut self) -> Option<(&'a str, bool, Vec<usize>)> {
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        self.take("{")?;
        while self.take("}").is_none() {
            let key = self.string()?;
            self.take(":")?;
            let again = match key {
                "descr" => descr.replace(self.string()?).is_some(),
                "fortran_order" => fortran.replace(self.truth()?).is_some(),
                "shape" => shape.replace(self.lengths()?).is_some(),
                _ => return None,
            };
            if again || (self.take(",").is_none() && !self.rest.trim_start().starts_with('}')) {
                return None;
            }
        }
        self.rest.trim().is_empty().then_some((descr?, fortran?, shape?))
    }

    /// Skips a token and the spaces before it.
    fn take(&mut self, token: &str) -> Option<()> {
        self.rest = self.rest.trim_start().strip_prefix(token)?;
        Some(())
    }

    fn string(&mut self) -> Option<&'a str> {
        let quote = if self.take("'").is_some() { '\'' } else { self.take("\"").map(|()| '"')? };
        let (string, rest) = self.rest.split_once(quote)?;
        self.rest = rest;
        Some(string)
    }

    fn truth(&mut self) -> Option<bool> {
        if self.take("True").is_some() { Some(true) } else { self.take("False").map(|()| false) }
    }

    fn lengths(&mut self) -> Option<Vec<usize>> {
        let mut lengths = Vec::new();
        self.take("(")?;
        while self.take(")").is_none() {
            self.rest = self.rest.trim_start();
            let end = self.rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(self.rest.len());
            let (digits, rest) = self.rest.split_at(end);
            lengths.push(digits.parse().ok()?);
            // Python 2 wrote 3L.
            self.rest = rest.strip_prefix('L').unwrap_or(rest);
            if self.take(",").is_none() && !self.rest.trim_start().starts_with(')') {
                return None;
            }
        }
        Some(lengths)
    }
}

/// The number of bytes that [`write`] writes for an array.
pub(crate) fn written_size<T: Number>(array: &ArrayViewD<'_, T>) -> u64 {
    (header::<T>(array.shape()).len() + array.len() * size_of::<T>()) as u64
}

/// The header of an array in C order, version 1, padded so that the numbers begin at a multiple of 64.
fn header<T: Number>(shape: &[usize]) -> Vec<u8> {
    // As Python writes a tuple: (2, 3), and (2,) of one.
    let lengths: Vec<String> = shape.iter().map(ToString::to_string).collect();
    let lengths = lengths.join(", ") + if shape.len() == 1 { "," } else { "" };
    let text = format!("{{'descr': '{}', 'fortran_order': False, 'shape': ({lengths}), }}", T::DESCR);
    let length = (10 + text.len() + 1).next_multiple_of(64) - 10;
    // An `ndarray` array has about a dozen axes at most.
    let mut bytes = [&MAGIC[..], &[1, 0], &(length as u16).to_le_bytes()].concat();
    bytes.extend(format!("{text:<width$}\n", width = length - 1).bytes());
    bytes
}

/// Writes an array in C order.
pub(crate) fn write<T: Number>(to: &mut impl Write, array: &ArrayViewD<'_, T>) -> io::Result<()> {
    const BLOCK: usize = 1 << 16;
    let mut block = header::<T>(array.shape());
    for &number in array {
        if block.len() >= BLOCK {
            to.write_all(&block)?;
            block.clear();
        }
        number.append_to(&mut block);
    }
    to.write_all(&block)
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use proptest::prelude::*;

    use super::*;

    fn read<T: Number>(bytes: &[u8]) -> Result<ArrayD<T>, String> {
        let mut reader = bytes;
        let header = NpyHeader::read(&mut reader);
        let array = header.and_then(|header| header.numbers(reader));
        array.map_err(|wrong| format!("expected {}, got {}", wrong.expected, wrong.got))
    }

    fn file(version: u8, header: &str, numbers: &[u8]) -> Vec<u8> {
        let length = (header.len() as u32).to_le_bytes();
        let length = if version == 1 { &length[..2] } else { &length };
        [&MAGIC[..], &[version, 0], length, header.as_bytes(), numbers].concat()
    }

    fn floats(header: &str, numbers: &[f32]) -> Result<ArrayD<f32>, String> {
        read(&file(1, header, &numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>()))
    }

    #[test]
    fn what_is_written_comes_back() {
        let array = array![[1.0_f32, -2.5, 3.0], [0.25, f32::MAX, 1e-40]];
        for array in [
            array.clone().into_dyn(),
            array.t().to_owned().into_dyn(),
            array.sum_axis(ndarray::Axis(0)).into_dyn(),
        ] {
            let mut bytes = Vec::new();
            write(&mut bytes, &array.view()).unwrap();
            assert_eq!(bytes.len() as u64, written_size(&array.view()));
            assert_eq!((bytes.len() - array.len() * 4) % 64, 0);
            assert_eq!(read::<f32>(&bytes).unwrap(), array);
        }
        let (scalar, empty) = (ndarray::arr0(7_u8).into_dyn(), ArrayD::<u8>::zeros(IxDyn(&[3, 0])));
        for array in [scalar, empty] {
            let mut bytes = Vec::new();
            write(&mut bytes, &array.view()).unwrap();
            assert_eq!(read::<u8>(&bytes).unwrap(), array);
        }
    }

    #[test]
    fn headers_of_other_writers_are_read() {
        let numbers = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let rows = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]].into_dyn();
        assert_eq!(
            floats("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }  \n", &numbers).unwrap(),
            rows
        );
        assert_eq!(
            floats("{\"shape\":(2L,3L),\"fortran_order\":False,\"descr\":\"<f4\"}", &numbers).unwrap(),
            rows
        );
        let turned = floats("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3)}", &numbers).unwrap();
        assert_eq!(turned, array![[1.0, 3.0, 5.0], [2.0, 4.0, 6.0]].into_dyn());
        let header = "{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }";
        for version in [1, 2, 3] {
            assert_eq!(
                read::<f32>(&file(version, header, &2.5_f32.to_be_bytes())).unwrap(),
                array![2.5].into_dyn()
            );
        }
        assert_eq!(floats("{'descr': '<f4', 'fortran_order': False, 'shape': ()}", &[9.0]).unwrap()[[]], 9.0);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let with = |descr: &str, shape: &str| {
            format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}")
        };
        let error = |header: &str| floats(header, &[1.0]).unwrap_err();
        assert_eq!(
            error(&with("'<f4'", "(1099511627776,)")),
            "expected 4398046511104 bytes of numbers for the shape [1099511627776], got 4, then the end of the file"
        );
        assert_eq!(
            error(&with("'<f4'", "(0, 4294967296, 4294967296)")),
            "expected a shape that fits in memory, got [0, 4294967296, 4294967296]"
        );
        assert!(error(&with("'<f4'", "(0,)")).ends_with("got more"));
        assert_eq!(
            error(&with("'|O'", "(1,)")),
            "expected floats of 2 to 8 bytes or integers, got numbers of kind \"|O\""
        );
        assert!(error(&with("'<c8'", "(1,)")).ends_with("\"<c8\""));
        for header in [
            &with("[('a', '<f4')]", "(1,)")[..],
            &with("'<f4'", "(-1,)"),
            &with("'<f4'", "1"),
            &with("'<f4'", "(1 1)"),
            &with("'<f4'", "(99999999999999999999,)"),
            "{'descr': '<f4', 'shape': (1,)}",
            "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}",
            "{'descr': '<f4' 'fortran_order': False, 'shape': (1,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': ()}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)",
        ] {
            assert!(error(header).starts_with("expected a header with descr"), "{header}");
        }
        assert!(read::<f32>(&file(4, "", &[])).unwrap_err().starts_with("expected version 1, 2 or 3"));
        assert!(
            read::<f32>(b"\x93NUMPX\x01\x00ab")
                .unwrap_err()
                .starts_with("expected an array, which begins with NUMPY")
        );
        let long = [&MAGIC[..], &[2, 0, 0xff, 0xff, 0xff, 0xff]].concat();
        assert_eq!(
            read::<f32>(&long).unwrap_err(),
            "expected a header of at most 10000 bytes, got 4294967295"
        );
    }

    #[test]
    fn a_file_cut_anywhere_is_an_error() {
        let mut bytes = Vec::new();
        write(&mut bytes, &array![[1.0_f32, 2.0]].into_dyn().view()).unwrap();
        for end in 0..bytes.len() {
            assert!(read::<f32>(&bytes[..end]).is_err(), "cut at {end}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            header in "[{}'(),:L0-9a-z_ ]{0,60}",
        ) {
            let _ = floats(&header, &[1.0]);
            let mut bytes = file(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (1, 2), }", &[0; 8]);
            for (place, value) in changes {
                let place = place.index(bytes.len());
                bytes[place] = value;
            }
            let _ = read::<f32>(&bytes);
        }
    }
}
