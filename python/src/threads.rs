//! The threads that compute, also in a process that was forked.
//!
//! `fork` copies one thread. In a child of a process that has used rayon's threads they are gone, and work for them would wait for ever.
//! So a child makes a pool of its own when it first computes.

use std::process;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use backstitch::Error;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// The process in which the module was imported. It uses rayon's global pool.
static HOME: OnceLock<u32> = OnceLock::new();

/// The pool of a forked process, and that process.
static FORKED: Mutex<Option<(u32, Arc<ThreadPool>)>> = Mutex::new(None);

/// Notes the process that imports the module.
pub fn remember_process() {
    HOME.get_or_init(process::id);
}

/// Runs work with the threads of this process.
pub fn run<T: Send>(work: impl FnOnce() -> Result<T, Error> + Send) -> Result<T, Error> {
    let this = process::id();
    if HOME.get().is_none_or(|&home| home == this) {
        return work();
    }
    pool_of(this)?.install(work)
}

fn pool_of(this: u32) -> Result<Arc<ThreadPool>, Error> {
    let mut forked = FORKED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, pool)) = forked.as_ref().filter(|(process, _)| *process == this) {
        return Ok(Arc::clone(pool));
    }
    let pool = ThreadPoolBuilder::new().build().map_err(|error| Error::Other(Box::new(error)))?;
    let pool = Arc::new(pool);
    // A pool that was inherited is not dropped: its threads, for which that would wait, are not here.
    if let Some(inherited) = forked.replace((this, Arc::clone(&pool))) {
        std::mem::forget(inherited);
    }
    Ok(pool)
}
