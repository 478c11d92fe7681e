//! What every quantized number means: qparams, the requantization formula, observers, solvers and the qconfig.
mod qparams;

pub use qparams::{QParams, QType, Scheme};
