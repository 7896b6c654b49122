//! The parts of a JPEG file (ITU-T T.81, annex B).

use std::borrow::Cow;

/// The file from its start to the end of its picture, without bytes that belong to no segment. Some programs leave such bytes
/// between headers, and readers skip them, as libjpeg does. The error says what is wrong.
pub(super) fn without_junk(bytes: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    const START: u8 = 0xd8;
    const END: u8 = 0xd9;
    const SCAN: u8 = 0xda;
    let cut = || "it breaks off".to_owned();
    // Up to the first such bytes, the file is used without a copy.
    let (mut kept, mut at): (Option<Vec<u8>>, usize) = (None, 2);
    loop {
        let start = marker(bytes, at).ok_or_else(cut)?;
        let code = bytes[start + 1];
        // Restart markers, and a marker for private use, stand alone and have no meaning here.
        let alone = matches!(code, 0x01 | 0xd0..=0xd7);
        if (start > at || alone) && kept.is_none() {
            kept = Some(bytes[..at].to_vec());
        }
        if alone {
            at = start + 2;
            continue;
        }
        let end = match code {
            END => start + 2,
            START => return Err("another picture begins before its end".to_owned()),
            _ => {
                let length = bytes.get(start + 2..start + 4).ok_or_else(cut)?;
                let header = start + 2 + usize::from(u16::from_be_bytes([length[0], length[1]])).max(2);
                if code == SCAN { scan_end(bytes, header).ok_or_else(cut)? } else { header }
            }
        };
        let segment = bytes.get(start..end).ok_or_else(cut)?;
        if let Some(kept) = &mut kept {
            kept.extend(segment);
        }
        if code == END {
            return Ok(kept.map_or(Cow::Borrowed(&bytes[..end]), Cow::Owned));
        }
        at = end;
    }
}

/// The start of the next marker: the last 0xff of a series, before a byte that is not 0.
fn marker(bytes: &[u8], from: usize) -> Option<usize> {
    let pairs = bytes.get(from..)?.windows(2);
    pairs
        .into_iter()
        .position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff))
        .map(|place| from + place)
}

/// The end of a scan: the first marker that is no restart marker.
fn scan_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at = marker(bytes, at)?;
        if !matches!(bytes[at + 1], 0xd0..=0xd7) {
            return Some(at);
        }
        at += 2;
    }
}
