//! The values on the stack while a pickle is read. Nothing of the file is copied: bytes and texts stay as they are in the file
//! until an array is made from them.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

use ndarray::ArrayD;

use crate::numbers::Dtype;

#[derive(Clone, Debug)]
pub(super) enum Object<'a> {
    None,
    Bool(bool),
    Int(i64),
    Bytes(Bytes<'a>),
    Text(Text<'a>),
    Tuple(Rc<Vec<Object<'a>>>),
    List(Rc<RefCell<Vec<Object<'a>>>>),
    Global(Global),
    Dtype(Rc<Cell<Dtype>>),
    Array(Rc<RefCell<Option<ArrayD<f32>>>>),
}

/// A text, as it is in the file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Text<'a> {
    Utf8(&'a str),
    /// The line of protocol 0, in which `\u00e9` and bytes from 128 stand for letters ("raw-unicode-escape").
    Escaped(&'a [u8]),
}

/// Bytes, as they are in the file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bytes<'a> {
    Plain(&'a [u8]),
    /// A text whose letters are the bytes: the form of bytes in protocols 0 to 2 of Python 3.
    Latin1(Text<'a>),
    /// A string in quotes with `\x00`: the form of bytes in protocol 0 of Python 2.
    Quoted(&'a [u8]),
}

/// The functions and types that pickles of arrays name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global {
    Reconstruct,
    FromBuffer,
    Ndarray,
    Dtype,
    /// `_codecs.encode(text, "latin1")`, with which protocols 0 to 2 make bytes.
    Encode,
    /// `bytes()`, with which they make empty bytes.
    NoBytes,
}

impl Global {
    pub(super) fn of(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Self::Reconstruct,
            ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => Self::FromBuffer,
            ("numpy", "ndarray") => Self::Ndarray,
            ("numpy", "dtype") => Self::Dtype,
            ("_codecs", "encode") => Self::Encode,
            ("__builtin__" | "builtins", "bytes") => Self::NoBytes,
            _ => return None,
        })
    }
}

impl<'a> Object<'a> {
    /// A short text such as that of a dtype, which Python 2 wrote as bytes.
    pub(super) fn word(&self) -> Option<&'a str> {
        match self {
            Self::Text(Text::Utf8(text)) => Some(text),
            Self::Text(Text::Escaped(bytes)) | Self::Bytes(Bytes::Plain(bytes) | Bytes::Quoted(bytes)) => {
                let plain = !bytes.contains(&b'\\') && bytes.is_ascii();
                plain.then(|| std::str::from_utf8(bytes).ok()).flatten()
            }
            _ => None,
        }
    }

    /// True or false, which protocol 0 may write as a number.
    pub(super) fn truth(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::Int(value @ 0..=1) => Some(*value == 1),
            _ => None,
        }
    }

    /// Its name in messages.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bool(_) => "True or False",
            Self::Int(_) => "a number",
            Self::Bytes(_) => "bytes",
            Self::Text(_) => "a text",
            Self::Tuple(_) => "a tuple",
            Self::List(_) => "a list",
            Self::Global(_) => "a function",
            Self::Dtype(_) => "a dtype",
            Self::Array(_) => "an array",
        }
    }
}

impl<'a> Bytes<'a> {
    /// The bytes themselves, or why the value has none.
    pub(super) fn decode(self) -> Result<Cow<'a, [u8]>, &'static str> {
        match self {
            Self::Plain(bytes) => Ok(bytes.into()),
            Self::Latin1(Text::Utf8(text)) => {
                let bytes: Option<Vec<u8>> = text.chars().map(|letter| u8::try_from(letter).ok()).collect();
                Ok(bytes.ok_or("a letter that is no byte")?.into())
            }
            Self::Latin1(Text::Escaped(line)) => {
                unescape(line).map(Cow::from).ok_or("a letter that is no byte")
            }
            Self::Quoted(inner) => {
                unquote(inner).map(Cow::from).ok_or("an escape that Python does not write")
            }
        }
    }
}

/// Decodes `\u00e9`. Other backslashes stand for themselves.
fn unescape(line: &[u8]) -> Option<Vec<u8>> {
    let (mut bytes, mut rest) = (Vec::with_capacity(line.len()), line);
    while let [first, more @ ..] = rest {
        (bytes, rest) = match (first, more) {
            (b'\\', [b'u', digits @ ..]) => push_hex(bytes, digits, 4)?,
            (b'\\', [b'U', digits @ ..]) => push_hex(bytes, digits, 8)?,
            _ => push(bytes, *first, more),
        };
    }
    Some(bytes)
}

/// Decodes a string that Python 2 wrote between quotes.
fn unquote(inner: &[u8]) -> Option<Vec<u8>> {
    let (mut bytes, mut rest) = (Vec::with_capacity(inner.len()), inner);
    while let [first, more @ ..] = rest {
        (bytes, rest) = match (first, more) {
            (b'\\', [b'x', digits @ ..]) => push_hex(bytes, digits, 2)?,
            (b'\\', [b'n', more @ ..]) => push(bytes, b'\n', more),
            (b'\\', [b'r', more @ ..]) => push(bytes, b'\r', more),
            (b'\\', [b't', more @ ..]) => push(bytes, b'\t', more),
            (b'\\', [same @ (b'\\' | b'\'' | b'"'), more @ ..]) => push(bytes, *same, more),
            (b'\\', _) => return None,
            _ => push(bytes, *first, more),
        };
    }
    Some(bytes)
}

fn push(mut bytes: Vec<u8>, byte: u8, rest: &[u8]) -> (Vec<u8>, &[u8]) {
    bytes.push(byte);
    (bytes, rest)
}

/// Appends the byte of the first two hexadecimal digits.
fn push_hex(bytes: Vec<u8>, from: &[u8], digits: usize) -> Option<(Vec<u8>, &[u8])> {
    let (digits, rest) = from.split_at_checked(digits)?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let number = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    Some(push(bytes, u8::try_from(number).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_the_same_however_they_are_written() {
        let expected = b"\x00\\\n\rA\xe9\xff'".to_vec();
        let decode = |bytes: Bytes<'static>| bytes.decode().unwrap().into_owned();
        assert_eq!(decode(Bytes::Plain(b"\x00\\\n\rA\xe9\xff'")), expected);
        assert_eq!(decode(Bytes::Latin1(Text::Utf8("\0\\\n\rA\u{e9}\u{ff}'"))), expected);
        assert_eq!(
            decode(Bytes::Latin1(Text::Escaped(b"\\u0000\\u005c\\u000a\\u000dA\xe9\\U000000ff'"))),
            expected
        );
        assert_eq!(decode(Bytes::Latin1(Text::Escaped(b"\\a\\"))), b"\\a\\");
        assert_eq!(decode(Bytes::Quoted(b"\\x00\\\\\\n\\rA\\xe9\\xff\\'")), expected);
    }

    #[test]
    fn what_is_no_byte_is_an_error() {
        assert!(Bytes::Latin1(Text::Utf8("\u{100}")).decode().is_err());
        for escaped in ["\\u0100", "\\u00", "\\u00+1", "\\U00000100"] {
            assert!(Bytes::Latin1(Text::Escaped(escaped.as_bytes())).decode().is_err(), "{escaped}");
        }
        for quoted in ["\\x0", "\\xg0", "\\", "\\q"] {
            assert!(Bytes::Quoted(quoted.as_bytes()).decode().is_err(), "{quoted}");
        }
    }
}
