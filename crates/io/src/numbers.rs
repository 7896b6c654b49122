//! The types of numbers in NumPy's files, and their conversion to the wanted type.

use half::f16;

/// A type of numbers that the array of a file can be read as, or written from.
///
/// Reading converts numbers that stay exact, and rounds `f64` to `f32`. A number that the wanted type cannot hold is an error.
pub trait Number: Copy + sealed::Sealed {
    /// NumPy's name of the type, little-endian.
    const DESCR: &'static str;
    /// The number in this type, if it can hold it; `f32` rounds.
    fn from_float(value: f64) -> Option<Self>;
    /// The number in this type, if it can hold it.
    fn from_integer(value: i128) -> Option<Self>;
    /// Appends its bytes, lowest first.
    fn append_to(self, bytes: &mut Vec<u8>);
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! number {
    ($kind:ty, $descr:literal, $from_float:expr, $from_integer:expr) => {
        impl sealed::Sealed for $kind {}
        impl Number for $kind {
            const DESCR: &'static str = $descr;
            fn from_float(value: f64) -> Option<Self> {
                $from_float(value)
            }
            fn from_integer(value: i128) -> Option<Self> {
                $from_integer(value)
            }
            fn append_to(self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }
        }
    };
}

number!(
    f32,
    "<f4",
    |value: f64| Some(value as f32).filter(|single| single.is_finite() || !value.is_finite()),
    |value: i128| Some(value as f32).filter(|&single| single as i128 == value)
);
number!(f64, "<f8", Some, |value: i128| Some(value as f64).filter(|&double| double as i128 == value));
number!(u8, "|u1", integer, |value: i128| Self::try_from(value).ok());
number!(i64, "<i8", integer, |value: i128| Self::try_from(value).ok());

/// A whole number that is stored as a float, as labels often are.
fn integer<T: TryFrom<i128>>(value: f64) -> Option<T> {
    let whole = value as i128;
    // Beyond 2^63 the cast saturates, and no type here has such a number.
    (whole as f64 == value).then(|| T::try_from(whole).ok()).flatten()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Float,
    Signed,
    Unsigned,
}

/// A type of numbers, as NumPy's `dtype` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dtype {
    class: Class,
    bytes: usize,
    big_endian: bool,
}

impl Dtype {
    /// Floats of 2, 4 and 8 bytes, integers of 1 to 8: `f4`, `<f8`, `>i2`, `|u1`.
    pub(crate) fn parse(descr: &str) -> Option<Self> {
        let (order, code) = match descr.as_bytes() {
            [order @ (b'<' | b'>' | b'|'), code @ ..] => (*order, code),
            code => (b'<', code),
        };
        let (class, bytes) = match code {
            [b'f', size @ (b'2' | b'4' | b'8')] => (Class::Float, size - b'0'),
            [b'i', size @ (b'1' | b'2' | b'4' | b'8')] => (Class::Signed, size - b'0'),
            [b'u', size @ (b'1' | b'2' | b'4' | b'8')] => (Class::Unsigned, size - b'0'),
            _ => return None,
        };
        // Only single bytes have no byte order.
        if order == b'|' && bytes != 1 {
            return None;
        }
        Some(Self { class, bytes: usize::from(bytes), big_endian: order == b'>' })
    }

    /// The number of bytes of one number.
    pub(crate) fn bytes(self) -> usize {
        self.bytes
    }

    /// The same type with the other byte order, or with the same.
    pub(crate) fn ordered(self, big_endian: bool) -> Self {
        Self { big_endian, ..self }
    }

    /// The numbers in these bytes, or the first number that the wanted type cannot hold.
    pub(crate) fn decode<T: Number>(self, data: &[u8]) -> Result<Vec<T>, String> {
        let floats = |value: f64| T::from_float(value).ok_or_else(|| unfit::<T>(value));
        let integers = |value: i128| T::from_integer(value).ok_or_else(|| unfit::<T>(value));
        match (self.class, self.bytes) {
            (Class::Float, 2) => self.each(data, |bytes| floats(f16::from_le_bytes(bytes).to_f64())),
            (Class::Float, 4) => self.each(data, |bytes| floats(f32::from_le_bytes(bytes).into())),
            (Class::Float, _) => self.each(data, |bytes| floats(f64::from_le_bytes(bytes))),
            (Class::Signed, 1) => self.each(data, |bytes| integers(i8::from_le_bytes(bytes).into())),
            (Class::Signed, 2) => self.each(data, |bytes| integers(i16::from_le_bytes(bytes).into())),
            (Class::Signed, 4) => self.each(data, |bytes| integers(i32::from_le_bytes(bytes).into())),
            (Class::Signed, _) => self.each(data, |bytes| integers(i64::from_le_bytes(bytes).into())),
            (Class::Unsigned, 1) => self.each(data, |bytes| integers(u8::from_le_bytes(bytes).into())),
            (Class::Unsigned, 2) => self.each(data, |bytes| integers(u16::from_le_bytes(bytes).into())),
            (Class::Unsigned, 4) => self.each(data, |bytes| integers(u32::from_le_bytes(bytes).into())),
            (Class::Unsigned, _) => self.each(data, |bytes| integers(u64::from_le_bytes(bytes).into())),
        }
    }

    fn each<const N: usize, T>(
        self,
        data: &[u8],
        from: impl Fn([u8; N]) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        let ordered = data.as_chunks().0.iter().map(|&(mut bytes)| {
            if self.big_endian {
                bytes.reverse();
            }
            from(bytes)
        });
        // `collect` would not know the number of elements in advance.
        let mut numbers = Vec::new();
        numbers.try_reserve_exact(data.len() / N).map_err(|_| "no memory for them".to_owned())?;
        for number in ordered {
            numbers.push(number?);
        }
        Ok(numbers)
    }
}

fn unfit<T: Number>(value: impl std::fmt::Display) -> String {
    format!("the number {value}, which {} cannot hold", std::any::type_name::<T>())
}

/// The bytes of an array of this shape, if such an array is possible. The product without axes of length 0 must fit in memory
/// too, because `ndarray` refuses other shapes.
pub(crate) fn size_of_shape(shape: &[usize], bytes: usize) -> Option<usize> {
    let mut lengths = shape.iter().filter(|&&length| length > 0);
    let product = lengths.try_fold(bytes, |product, &length| product.checked_mul(length));
    let product = product.filter(|&product| product <= isize::MAX as usize)?;
    Some(if shape.contains(&0) { 0 } else { product })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode<T: Number>(descr: &str, data: &[u8]) -> Result<Vec<T>, String> {
        Dtype::parse(descr).unwrap().decode(data)
    }

    #[test]
    fn every_kind_has_its_numbers_in_both_orders() {
        assert_eq!(decode::<f32>("<f2", &[0x00, 0xc2, 0x01, 0x00]).unwrap(), [-3.0, 5.960_464_5e-8]);
        assert_eq!(decode::<f32>(">f2", &[0xc2, 0x00]).unwrap(), [-3.0]);
        assert_eq!(decode::<f32>("f4", &1.5_f32.to_le_bytes()).unwrap(), [1.5]);
        assert_eq!(decode::<f32>(">f8", &0.1_f64.to_be_bytes()).unwrap(), [0.1]);
        assert_eq!(decode::<f64>("<f8", &0.1_f64.to_le_bytes()).unwrap(), [0.1]);
        assert_eq!(decode::<i64>("|i1", &[0xfe]).unwrap(), [-2]);
        assert_eq!(decode::<i64>(">i2", &[0xff, 0xfe]).unwrap(), [-2]);
        assert_eq!(decode::<i64>("<i4", &(-70_000_i32).to_le_bytes()).unwrap(), [-70_000]);
        assert_eq!(decode::<i64>(">i8", &i64::MIN.to_be_bytes()).unwrap(), [i64::MIN]);
        assert_eq!(decode::<u8>("u1", &[255]).unwrap(), [255]);
        assert_eq!(decode::<f32>("<u2", &[1, 2]).unwrap(), [513.0]);
        assert_eq!(decode::<f64>("<u4", &[255; 4]).unwrap(), [4_294_967_295.0]);
        assert_eq!(
            decode::<f32>(">u8", &(1_u64 << 63).to_be_bytes()).unwrap(),
            [9_223_372_036_854_775_808.0]
        );
        for unknown in ["", "f", "f3", "f16", "|f4", "=f4", "b1", "O", "<U5", "c8", "f4f4"] {
            assert_eq!(Dtype::parse(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn what_a_kind_cannot_hold_is_an_error() {
        assert_eq!(decode::<f32>("<f4", &f32::INFINITY.to_le_bytes()).unwrap(), [f32::INFINITY]);
        assert!(decode::<f32>("<f8", &f64::NAN.to_le_bytes()).unwrap()[0].is_nan());
        assert_eq!(
            decode::<f32>("<f8", &1e39_f64.to_le_bytes()).unwrap_err(),
            "the number 1000000000000000000000000000000000000000, which f32 cannot hold"
        );
        assert_eq!(decode::<f32>("<i4", &16_777_216_i32.to_le_bytes()).unwrap(), [16_777_216.0]);
        assert!(decode::<f32>("<i4", &16_777_217_i32.to_le_bytes()).is_err());
        assert!(decode::<f32>("<u8", &u64::MAX.to_le_bytes()).is_err());
        assert!(decode::<f64>("<i8", &i64::MAX.to_le_bytes()).is_err());
        assert_eq!(decode::<u8>("<f4", &9_f32.to_le_bytes()).unwrap(), [9]);
        for number in [-1.0_f32, 0.5, 256.0, f32::NAN, f32::INFINITY] {
            assert!(decode::<u8>("<f4", &number.to_le_bytes()).is_err(), "{number}");
        }
        assert!(decode::<i64>("<u8", &u64::MAX.to_le_bytes()).is_err());
    }

    #[test]
    fn shapes_that_cannot_be_have_no_size() {
        assert_eq!(size_of_shape(&[2, 3], 4), Some(24));
        assert_eq!(size_of_shape(&[], 8), Some(8));
        assert_eq!(size_of_shape(&[0, 1 << 20], 4), Some(0));
        assert_eq!(size_of_shape(&[1 << 31, 1 << 31], 4), None);
        assert_eq!(size_of_shape(&[0, 1 << 31, 1 << 31], 4), None);
        assert_eq!(size_of_shape(&[1 << 62], 2), None);
    }
}
