//! Writes the pickle of a list of arrays, opcode by opcode (protocol 3, which every Python 3 reads). The calls are those of
//! NumPy's own pickles: `_reconstruct` makes an empty array, then its state is set to (version, shape, dtype, Fortran order,
//! bytes).

use std::io::{self, Write};

use ndarray::ArrayD;

/// Writes `[array, array, ...]`.
pub(super) fn list(to: &mut (impl Write + ?Sized), arrays: &[ArrayD<f32>]) -> io::Result<()> {
    to.write_all(b"\x80\x03](")?; // protocol 3, an empty list, a mark
    for array in arrays {
        one(to, array)?;
    }
    to.write_all(b"e.") // append all since the mark, stop
}

fn one(to: &mut (impl Write + ?Sized), array: &ArrayD<f32>) -> io::Result<()> {
    // _reconstruct(ndarray, (0,), b"b"): both NumPy 1 and 2 know this module path.
    to.write_all(b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R")?;
    to.write_all(b"(K\x01(")?;
    for &length in array.shape() {
        let length = i32::try_from(length).map_err(io::Error::other)?;
        to.write_all(b"J")?;
        to.write_all(&length.to_le_bytes())?;
    }
    // The dtype: dtype("f4", False, True), its state (3, "<", None, None, None, -1, -1, 0).
    to.write_all(b"tcnumpy\ndtype\nX\x02\x00\x00\x00f4\x89\x88\x87R")?;
    to.write_all(b"(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb")?;
    let bytes: Vec<u8> = array.iter().flat_map(|value| value.to_le_bytes()).collect();
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    to.write_all(b"\x89B")?; // not Fortran order; the bytes
    to.write_all(&length.to_le_bytes())?;
    to.write_all(&bytes)?;
    to.write_all(b"tb")
}
