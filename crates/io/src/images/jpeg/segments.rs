//! The parts of a JPEG file (ITU-T T.81, annex B).

use std::borrow::Cow;

/// The file from its start to the end of its picture, without the bytes that belong to no segment: some programs leave such between
/// headers, and readers pass over them, as libjpeg does. Else what is wrong.
pub(super) fn without_junk(bytes: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    const START: u8 = 0xd8;
    const END: u8 = 0xd9;
    const SCAN: u8 = 0xda;
    let cut = || "it breaks off".to_owned();
    // Until there is junk, all is kept as it lies.
    let (mut kept, mut at): (Option<Vec<u8>>, usize) = (None, 2);
    loop {
        let start = marker(bytes, at).ok_or_else(cut)?;
        let code = bytes[start + 1];
        // Restarts, and a mark for private use, stand alone and mean nothing here.
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

/// Where the next marker begins: at the last 0xff of a row of them, before another byte than 0.
fn marker(bytes: &[u8], from: usize) -> Option<usize> {
    let pairs = bytes.get(from..)?.windows(2);
    pairs
        .into_iter()
        .position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff))
        .map(|place| from + place)
}

/// Where a scan ends: at the first marker that is no restart.
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
