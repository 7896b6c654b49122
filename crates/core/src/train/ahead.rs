//! Reads the next batch while the current one is processed.

use crate::data::{Batch, Dataset};
use crate::error::Error;
use crate::tensor::scalar::Scalar;

/// Processes the first batch, and replaces it by the next samples.
///
/// Samples that are read when they are wanted are read into the second batch meanwhile, on the threads that the work leaves idle. Samples
/// in memory are copied afterwards, so that they need no second batch.
pub(super) fn while_reading<F: Scalar, T>(
    data: &Dataset<F>,
    next: Option<&[usize]>,
    [batch, ahead]: &mut [Batch<F>; 2],
    work: impl FnOnce(&mut Batch<F>) -> Result<T, Error>,
) -> Result<T, Error> {
    let Some(next) = next else { return work(batch) };
    if !data.is_read() {
        let done = work(batch)?;
        data.gather(next, batch)?;
        return Ok(done);
    }
    let mut read = Ok(());
    let done = rayon::in_place_scope(|scope| {
        let (read, ahead) = (&mut read, &mut *ahead);
        scope.spawn(move |_| *read = data.gather(next, ahead));
        work(batch)
    })?;
    read?;
    std::mem::swap(batch, ahead);
    Ok(done)
}
