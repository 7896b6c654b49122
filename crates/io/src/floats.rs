//! The types of floating-point numbers that weights have in files.

use std::io::{self, Read};

use half::{bf16, f16};

/// A type of numbers that weights can have. All are little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Floats {
    F16,
    Bf16,
    F32,
    F64,
}

/// The types of [`Floats`], for messages.
pub(crate) const KINDS: &str = "numbers of f16, bf16, f32 or f64";

impl Floats {
    /// Passes on `count` numbers, one after the other.
    pub(crate) fn read(self, count: usize, bytes: impl Read, each: &mut dyn FnMut(f64)) -> io::Result<()> {
        match self {
            Self::F16 => read(count, bytes, |number| f16::from_le_bytes(number).to_f64(), each),
            Self::Bf16 => read(count, bytes, |number| bf16::from_le_bytes(number).to_f64(), each),
            Self::F32 => read(count, bytes, |number| f64::from(f32::from_le_bytes(number)), each),
            Self::F64 => read(count, bytes, f64::from_le_bytes, each),
        }
    }
}

fn read<const N: usize>(
    mut count: usize,
    mut bytes: impl Read,
    number: fn([u8; N]) -> f64,
    each: &mut dyn FnMut(f64),
) -> io::Result<()> {
    let mut block = [0; 1 << 13];
    while count > 0 {
        let part = count.min(block.len() / N);
        let block = &mut block[..part * N];
        bytes.read_exact(block)?;
        block.as_chunks::<N>().0.iter().for_each(|&bytes| each(number(bytes)));
        count -= part;
    }
    Ok(())
}
