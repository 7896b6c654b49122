//! The compiled part of the Python package `backstitch`.
//!
//! Python's classes hold settings only (`backstitch/*.py`). They are handed over as a kind and a dictionary (`settings`), and become nets
//! (`nets`), losses (`losses`) and trainers (`training`) here. Arrays arrive as C-contiguous `float32`: `backstitch/_arrays.py` converts.
//! Whatever computes does so through [`errors::compute`], without the GIL, and with panics caught.

mod data;
mod errors;
mod gradcheck;
mod losses;
mod model;
mod nets;
mod reports;
mod settings;
mod threads;
mod training;

use pyo3::prelude::*;

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    threads::remember_process();
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<nets::Net>()?;
    module.add_class::<data::Dataset>()?;
    module.add_class::<model::Model>()?;
    module.add_function(wrap_pyfunction!(nets::net, module)?)?;
    module.add_function(wrap_pyfunction!(nets::chain, module)?)?;
    module.add_function(wrap_pyfunction!(losses::check_loss, module)?)?;
    module.add_function(wrap_pyfunction!(training::fit, module)?)?;
    module.add_function(wrap_pyfunction!(training::check_optimizer, module)?)?;
    module.add_function(wrap_pyfunction!(training::check_schedule, module)?)?;
    module.add_function(wrap_pyfunction!(gradcheck::gradcheck, module)?)?;
    Ok(())
}
