//! Decodes PNG to pixels, and encodes pixels as PNG.

use std::io::{self, Cursor};
use std::path::Path;

use ndarray::{Array3, ArrayView3};
use png::{BitDepth, ColorType, Decoder, DecodingError, Encoder, Limits, Reader, Transformations};

use super::stored::{Stored, check_size};
use crate::atomic;
use crate::error::Error;

/// Deflate makes at most 1,032 bytes from one (<https://zlib.net/zlib_tech.html>).
const MOST_INFLATED: u64 = 1_032;

/// The pixels of the picture that programs without animation show, 8 bits each, without transparency. The error says what is
/// wrong.
pub(super) fn decode(bytes: &[u8], with_exif: bool) -> Result<Stored, String> {
    let broken = |error: DecodingError| format!("a broken PNG: {error}");
    // Text and colour profiles are compressed too.
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: 64 << 20 });
    decoder.set_ignore_text_chunk(true);
    decoder.set_transformations(Transformations::normalize_to_color8());
    let header = decoder.read_header_info().map_err(broken)?;
    check_size(header.height as usize, header.width as usize)?;
    let promised = header.raw_bytes() as u64;
    let mut reader = decoder.read_info().map_err(broken)?;
    check_palette(&reader)?;
    if promised > MOST_INFLATED * bytes.len() as u64 {
        return Err("a broken PNG: it breaks off".to_owned());
    }
    let mut buffer = vec![0; reader.output_buffer_size().ok_or("a broken PNG: too large")?];
    let frame = reader.next_frame(&mut buffer).map_err(broken)?;
    let (height, width) = (frame.height as usize, frame.width as usize);
    let (channels, kept) = match frame.color_type {
        ColorType::Grayscale => (1, 1),
        ColorType::GrayscaleAlpha => (2, 1),
        ColorType::Rgb => (3, 3),
        ColorType::Rgba => (4, 3),
        ColorType::Indexed => return Err("a broken PNG: a palette without colours".to_owned()),
    };
    buffer.truncate(height * width * channels);
    if channels != kept {
        buffer = buffer.chunks_exact(channels).flat_map(|pixel| &pixel[..kept]).copied().collect();
    }
    let pixels = Array3::from_shape_vec((height, width, kept), buffer).map_err(|error| error.to_string())?;
    let exif = if with_exif { exif(reader)? } else { None };
    Ok(Stored { pixels, exif })
}

/// Writes a picture `[height, width, 3]` in red, green and blue, or `[height, width, 1]` in grey, 0 to 255, as a PNG file. The
/// folder must exist.
///
/// # Errors
/// If there are not one or three channels, a side is 0 or so large that [`super::read`] would refuse it, or the file cannot be written.
pub fn write(path: impl AsRef<Path>, pixels: ArrayView3<'_, u8>) -> Result<(), Error> {
    let path = path.as_ref();
    let (height, width, channels) = pixels.dim();
    let colour = match channels {
        1 => ColorType::Grayscale,
        3 => ColorType::Rgb,
        _ => return Err(Error::content(path, "pixels of 1 or 3 channels", channels)),
    };
    check_size(height, width).map_err(|got| Error::content(path, "a picture that can be read again", got))?;
    atomic::write(path, |to| {
        let mut encoder = Encoder::new(to, width as u32, height as u32);
        encoder.set_color(colour);
        encoder.set_depth(BitDepth::Eight);
        let written = encoder.write_header().and_then(|mut to| {
            to.write_image_data(&pixels.iter().copied().collect::<Vec<_>>())?;
            to.finish()
        });
        written.map_err(io::Error::other)
    })
}

/// `png` 0.18 does not check the palette, and panics when it makes a table from one that is not 1 to 256 times three bytes.
fn check_palette(reader: &Reader<Cursor<&[u8]>>) -> Result<(), String> {
    match &reader.info().palette {
        Some(palette) if !palette.len().is_multiple_of(3) || !(3..=768).contains(&palette.len()) => {
            Err(format!(
                "a broken PNG: a palette of {} bytes; it may have 1 to 256 colours of three bytes",
                palette.len()
            ))
        }
        _ => Ok(()),
    }
}

/// The EXIF data. They may come after the pixels.
fn exif(mut reader: Reader<Cursor<&[u8]>>) -> Result<Option<Vec<u8>>, String> {
    reader.finish().map_err(|error| format!("a broken PNG: {error}"))?;
    Ok(reader.info().exif_metadata.as_ref().map(|exif| exif.to_vec()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::super::decode;

    fn fixture(name: &str) -> Vec<u8> {
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/images").join(name)).unwrap()
    }

    /// The kinds and contents of the chunks of a PNG file.
    fn chunks(bytes: &[u8]) -> Vec<([u8; 4], Vec<u8>)> {
        let (mut rest, mut chunks) = (&bytes[8..], Vec::new());
        while !rest.is_empty() {
            let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
            chunks.push((rest[4..8].try_into().unwrap(), rest[8..8 + length].to_vec()));
            rest = &rest[12 + length..];
        }
        chunks
    }

    /// A file of these chunks, with correct lengths and checksums.
    fn file(chunks: &[([u8; 4], Vec<u8>)]) -> Vec<u8> {
        let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
        for (kind, content) in chunks {
            bytes.extend((content.len() as u32).to_be_bytes());
            let checked = [&kind[..], content].concat();
            bytes.extend(&checked);
            bytes.extend(crc32fast::hash(&checked).to_be_bytes());
        }
        bytes
    }

    /// The file with other content in its first chunk of a kind.
    fn with(name: &str, kind: &[u8; 4], content: impl FnOnce(&[u8]) -> Vec<u8>) -> Vec<u8> {
        let mut chunks = chunks(&fixture(name));
        let chunk = chunks.iter_mut().find(|chunk| chunk.0 == *kind).unwrap();
        chunk.1 = content(&chunk.1);
        file(&chunks)
    }

    #[test]
    fn palettes_of_any_length_are_read_or_refused() {
        for length in (0..=60).chain(760..=780).chain([49, 1 << 16]) {
            let palette = |old: &[u8]| old.iter().copied().cycle().take(length).collect();
            let result = decode::decode(&with("palette.png", b"PLTE", palette), false);
            if length % 3 == 0 && (3..=768).contains(&length) {
                assert!(result.is_ok(), "{length}: {result:?}");
            } else {
                // `png` itself refuses the shortest and the longest ones.
                let error = result.unwrap_err();
                let expected = format!("a palette of {length} bytes");
                assert!(
                    error.contains(if (3..=768).contains(&length) { &expected } else { "a broken PNG" }),
                    "{error}"
                );
            }
        }
        // A suggested palette, which is not needed for the pixels.
        let mut suggested = chunks(&fixture("rgb.png"));
        suggested.insert(1, (*b"PLTE", vec![1; 49]));
        assert!(decode::decode(&file(&suggested), false).unwrap_err().contains("a palette of 49 bytes"));
        let mut without = chunks(&fixture("palette.png"));
        without.retain(|chunk| chunk.0 != *b"PLTE");
        assert!(decode::decode(&file(&without), false).is_err());
    }

    #[test]
    fn headers_of_any_length_are_read_or_refused() {
        for length in (0..20).filter(|&length| length != 13) {
            let cut = |old: &[u8]| old.iter().copied().cycle().take(length).collect();
            let result = decode::decode(&with("rgb.png", b"IHDR", cut), false);
            assert!(length > 13 || result.is_err(), "{length}");
        }
        for (at, value, what) in [
            (3, 0, "dimensions"),
            (7, 0, "dimensions"),
            (8, 3, "depth"),
            (9, 5, "color"),
            (12, 9, "nterlace"),
        ] {
            let change = |old: &[u8]| {
                old.iter().enumerate().map(|(i, &byte)| if i == at { value } else { byte }).collect()
            };
            let error = decode::decode(&with("rgb.png", b"IHDR", change), false).unwrap_err();
            assert!(error.contains(what), "{error}");
        }
        // 8192x8192 pixels are allowed, but cannot fit in this number of bytes.
        let large = |old: &[u8]| [&[0, 0, 0x20, 0, 0, 0, 0x20, 0], &old[8..]].concat();
        let error = decode::decode(&with("rgb.png", b"IHDR", large), false).unwrap_err();
        assert!(error.ends_with("it breaks off"), "{error}");
        // Empty pixels.
        assert!(decode::decode(&with("rgb.png", b"IDAT", |_| Vec::new()), false).is_err());
    }

    #[test]
    fn every_kind_of_pixel_is_read() {
        // One to sixteen bits, each kind of colour, with and without Adam7, written by the encoder of `png`.
        use png::{BitDepth, ColorType};
        let kinds = [
            (ColorType::Grayscale, BitDepth::One, 1),
            (ColorType::Grayscale, BitDepth::Four, 1),
            (ColorType::Grayscale, BitDepth::Sixteen, 1),
            (ColorType::GrayscaleAlpha, BitDepth::Eight, 1),
            (ColorType::Rgb, BitDepth::Sixteen, 3),
            (ColorType::Rgba, BitDepth::Sixteen, 3),
            (ColorType::Indexed, BitDepth::Two, 3),
        ];
        for (colour, depth, channels) in kinds {
            let mut bytes = Vec::new();
            let mut encoder = png::Encoder::new(&mut bytes, 5, 3);
            encoder.set_color(colour);
            encoder.set_depth(depth);
            if colour == ColorType::Indexed {
                encoder.set_palette(vec![9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0, 0]);
                encoder.set_trns(vec![0, 255, 3, 4]);
            }
            let row = (5 * colour.samples() * depth as usize).div_ceil(8);
            let data = vec![0; row * 3];
            encoder.write_header().unwrap().write_image_data(&data).unwrap();
            let picture = decode::decode(&bytes, false).unwrap();
            assert_eq!(picture.dim(), (3, 5, channels));
            if colour == ColorType::Indexed {
                assert_eq!(picture.as_slice().unwrap(), [9, 8, 7].repeat(15), "transparency is left out");
            }
        }
    }

    proptest! {
        // The checksums are correct, so that the code that reads the chunk gets the damage.
        #[test]
        fn damaged_chunks_are_errors_or_pictures_but_no_panic(
            which in 0..5_usize,
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..5),
            cut in prop::option::of((any::<prop::sample::Index>(), any::<prop::sample::Index>())),
            swapped in prop::option::of((any::<prop::sample::Index>(), any::<prop::sample::Index>())),
            upright in any::<bool>(),
        ) {
            let name = ["palette.png", "grey16.png", "rgba.png", "animated.png", "grey.png"][which];
            let mut chunks = chunks(&fixture(name));
            for (chunk, place, value) in changes {
                let count = chunks.len();
                let content = &mut chunks[chunk.index(count)].1;
                if !content.is_empty() {
                    let place = place.index(content.len());
                    content[place] = value;
                }
            }
            if let Some((chunk, length)) = cut {
                let count = chunks.len();
                let content = &mut chunks[chunk.index(count)].1;
                content.truncate(length.index(content.len() + 1));
            }
            if let Some((a, b)) = swapped {
                let count = chunks.len();
                chunks.swap(a.index(count), b.index(count));
            }
            if let Ok(picture) = decode::decode(&file(&chunks), upright) {
                prop_assert!([1, 3].contains(&picture.dim().2));
            }
        }
    }
}
