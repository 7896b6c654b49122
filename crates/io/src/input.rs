//! Reads the bytes of an untrusted file. Memory is taken as bytes arrive.

use std::fmt;
use std::io::{self, BufRead, Read};

use flate2::bufread::MultiGzDecoder;

/// Memory taken before the first byte arrives.
const FIRST: usize = 64 << 10;

/// Why the number of bytes is not the announced one.
#[derive(Debug)]
pub(crate) enum Unlike {
    /// There were fewer.
    Fewer(usize),
    /// There were more.
    More,
    /// There is no memory for what arrived.
    Memory,
    /// The bytes could not be read, or a checksum is wrong.
    Broken(io::Error),
}

impl fmt::Display for Unlike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fewer(count) => write!(f, "{count}, then the end of the file"),
            Self::More => f.write_str("more"),
            Self::Memory => f.write_str("no memory for them"),
            Self::Broken(error) => error.fmt(f),
        }
    }
}

/// The bytes of the reader, decompressed if they begin like a gzip file. Several members are one stream, as in the program gzip.
pub(crate) fn gunzipped<'a>(mut reader: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let gzipped = reader.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    Ok(if gzipped { Box::new(MultiGzDecoder::new(reader)) } else { Box::new(reader) })
}

/// All bytes up to the end; there must be `count`. An announced size alone takes no memory: the memory is at most twice the bytes
/// that have arrived, and at most `count`.
pub(crate) fn exactly(mut reader: impl Read, count: usize) -> Result<Vec<u8>, Unlike> {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        let piece = (count - bytes.len()).min(bytes.len().max(FIRST));
        bytes.try_reserve_exact(piece).map_err(|_| Unlike::Memory)?;
        let read = reader.by_ref().take(piece as u64).read_to_end(&mut bytes);
        if read.map_err(Unlike::Broken)? < piece {
            return Err(Unlike::Fewer(bytes.len()));
        }
    }
    // Reading to the end also makes gzip and zip compare their checksums.
    match reader.take(1).read_to_end(&mut Vec::new()) {
        Ok(0) => Ok(bytes),
        Ok(_) => Err(Unlike::More),
        Err(error) => Err(Unlike::Broken(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn member(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn text(bytes: &[u8]) -> Result<String, String> {
        let mut text = String::new();
        let read = gunzipped(bytes).and_then(|mut reader| reader.read_to_string(&mut text));
        read.map(|_| text).map_err(|error| error.to_string())
    }

    #[test]
    fn members_of_gzip_are_one_stream() {
        assert_eq!(text(b"plain").unwrap(), "plain");
        assert_eq!(text(&[member(b"one "), member(b""), member(b"two")].concat()).unwrap(), "one two");
        // Bytes after a member that are no member are an error; they are not skipped.
        assert!(text(&[&member(b"one")[..], b"rubbish"].concat()).is_err());
        assert!(text(&[&member(b"one")[..], &member(b"two")[..5]].concat()).is_err());
    }

    #[test]
    fn memory_follows_what_arrives() {
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|i| i as u8).collect();
        let all = exactly(&bytes[..], bytes.len()).unwrap();
        assert_eq!(all, bytes);
        assert_eq!(all.capacity(), bytes.len());
        assert!(exactly(&b""[..], 0).unwrap().is_empty());
        assert!(matches!(exactly(&bytes[..], usize::MAX), Err(Unlike::Fewer(1_000_000))));
        assert!(matches!(exactly(&bytes[..], 999_999), Err(Unlike::More)));
        assert!(matches!(exactly(&bytes[..1], 0), Err(Unlike::More)));
    }
}
