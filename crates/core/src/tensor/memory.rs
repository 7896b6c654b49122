//! How much memory may be allocated. It is checked before, because a failed allocation ends the program.

use crate::error::Error;
use crate::tensor::shape::Shape;

/// The most bytes that one model, one pass or one tensor may need: 64 GiB. More is an error, and so is less
/// if this machine cannot provide it.
pub const MEMORY_LIMIT: u64 = 64 << 30;

/// The most multiplications that one sample's pass may take, 2^44: minutes of work. A model that needs more is an error, because it would
/// seem to hang.
pub const WORK_LIMIT: u64 = 1 << 44;

/// An allocation up to this size is not checked: the check takes time, and so much memory is always there.
const LITTLE: u64 = 1 << 20;

/// Checks that this number of bytes is within the limit and available.
pub(crate) fn is_there(bytes: u64) -> bool {
    bytes <= LITTLE || bytes <= MEMORY_LIMIT && can_be_had(bytes)
}

/// Whether the allocator returns this number of bytes in one piece. They are freed untouched, so the check itself uses no memory.
fn can_be_had(bytes: u64) -> bool {
    let mut probe: Vec<u8> = Vec::new();
    let there = usize::try_from(bytes).is_ok_and(|bytes| probe.try_reserve_exact(bytes).is_ok());
    // Without this the compiler may remove the allocation and assume that it succeeds.
    std::hint::black_box(&mut probe);
    there
}

/// Checks that there is memory for a tensor of this shape; `what` is its name in the message.
pub(crate) fn check_tensor<F>(what: &str, shape: &Shape) -> Result<(), Error> {
    // An axis of length 0 does not excuse the others: ndarray multiplies the lengths without it.
    let numbers = shape.iter().fold(1_u64, |product, &n| product.saturating_mul(n.max(1) as u64));
    let bytes = numbers.saturating_mul(size_of::<F>() as u64);
    if is_there(bytes) {
        return Ok(());
    }
    Err(Error::argument(what, expected(), format!("{shape} with {}", in_words(bytes))))
}

/// The most bytes of one result whose size depends on a caller's numbers, such as a confusion matrix. More is a mistake.
const RESULT_LIMIT: u64 = 4 << 30;

/// Checks that a result of these lengths, with `bytes` bytes a number, is not absurdly large. `got` is the argument that makes it large.
pub(crate) fn check_size(name: &str, got: usize, lengths: &[usize], bytes: usize) -> Result<(), Error> {
    // An axis of length 0 does not excuse the others.
    let total = lengths.iter().fold(bytes as u64, |total, &n| total.saturating_mul(n.max(1) as u64));
    if total <= RESULT_LIMIT {
        return Ok(());
    }
    let limit = in_words(RESULT_LIMIT);
    let expected = format!("few enough for {limit}, with {lengths:?} numbers of {bytes} bytes");
    Err(Error::argument(name, expected, got))
}

/// The available memory, in the words of an error.
pub(crate) fn expected() -> String {
    format!("memory that is there, and at most {}", in_words(MEMORY_LIMIT))
}

/// Bytes of this many numbers.
pub(crate) fn bytes<F>(numbers: usize) -> u64 {
    (numbers as u64).saturating_mul(size_of::<F>() as u64)
}

/// `3.5 GiB`.
pub(crate) fn in_words(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let unit = (0..UNITS.len() - 1).find(|&i| bytes >> (10 * (i + 1)) == 0).unwrap_or(UNITS.len() - 1);
    let value = bytes as f64 / 2_f64.powi(10 * unit as i32);
    let more = if bytes == u64::MAX { "more than " } else { "" };
    format!("{more}{} {}", (value * 10.0).round() / 10.0, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_machine_has_is_refused_before_it_is_taken() {
        assert!(is_there(8 << 20) && can_be_had(8 << 20));
        // More than there are addresses, although a vector may have that length.
        assert!(!can_be_had(1 << 62));
        assert!(!is_there(MEMORY_LIMIT + 1) && !is_there(u64::MAX));
        let message = check_tensor::<f64>("tensor", &Shape::from([1 << 40])).unwrap_err().to_string();
        let expected =
            "tensor: expected memory that is there, and at most 64 GiB, got [1099511627776] with 8 TiB";
        assert_eq!(message, expected);
        assert_eq!(in_words(u64::MAX), "more than 16 EiB");
        for shape in [[1 << 32, 1 << 32, 1], [0, 1 << 40, 1 << 40]] {
            assert!(check_tensor::<f32>("tensor", &Shape::from(shape)).is_err());
        }
    }

    #[test]
    fn bytes_are_said_in_the_largest_unit() {
        let all = [0, 1023, 1024, 3 << 29, 5 << 40].map(in_words);
        assert_eq!(all, ["0 bytes", "1023 bytes", "1 KiB", "1.5 GiB", "5 TiB"]);
    }
}
