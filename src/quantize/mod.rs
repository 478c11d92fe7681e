//! What every quantized number means: qparams, the requantization formula, observers, solvers, the qconfig and the recipe.
mod dynamic;
#[cfg(any(test, feature = "test-internals"))]
pub mod golden;
mod image_bytes;
pub(crate) mod json;
pub mod metrics;
pub mod observer;
pub mod qconfig;
mod qparams;
pub mod recipe;
pub mod requantize;
mod solver;
mod weights;

pub use dynamic::{DynamicQuantization, DynamicRule};
pub use image_bytes::{BYTE_DIVISOR, ByteValues, ImageNormalization};
pub use observer::{ObserverKind, ObserverState};
pub use qconfig::{Grain, LayerQConfig, LayerSettings, Mode, QConfig};
pub use qparams::{QParams, QType, SCALE_FLOOR, Scheme, Target, choose_qparams, quantize_value};
pub use recipe::Recipe;
pub use requantize::MAX_DEPTH;
pub use solver::{DEFAULT_PERCENTILE, Solved, SolverKind, solve, solve_range, solve_tied};
pub use weights::{QuantizedWeights, WeightQConfig, quantize_weights, quantize_weights_with};
