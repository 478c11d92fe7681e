//! The safe Rust facade: what the C API and the command line call. One file an object.
mod calibration_file;
mod compare;
mod context;
mod float_graph;
mod graph_builder;
mod image_input;
mod kept_plans;
mod log;
mod model;
mod observer;
mod operator;
mod prepared;
mod progress;
mod recipe;
mod roof;
mod sensitivity;
mod session;
mod tune;
mod variant;
#[cfg(test)]
mod whole_batches;

// What callers of the operator door, the graph builder and image inputs name.
pub use crate::graph::{
    BatchNorm, Binary, Bounds, Conv2dAttributes, Direction, LayerFloats, Op, Padding, Pool, QuantizedType, RecurrentArrays,
    RecurrentAttributes, RecurrentCell, RecurrentInputs, RecurrentOutputs, Reshape, Unary, ValueId,
};
pub use crate::ops::StepInfo;
pub use crate::quantize::ImageNormalization;
pub use crate::runtime::{FlatQuantization, Profile, SingleStepTensors as OperatorTensors};
pub use calibration_file::{CalibrationState, Fingerprint, load as read_calibration};
pub use compare::{Comparison, INPUT_OPERATOR, LayerComparison, OutputComparison};
pub use context::{Context, ContextOptions, MAX_ISA_VARIABLE};
pub use float_graph::{FloatGraph, TensorInfo};
pub use graph_builder::FloatGraphBuilder;
pub use image_input::{ImageInput, InputKey};
pub use log::{Log, LogCallback, LogLevel};
pub use model::{LayerInfo, LayerPrecision, LoadMode, Model};
pub use observer::Observer;
pub use operator::{
    ConvSizes, DynamicGemmOptions, Operator, OperatorInfo, OperatorKind, OperatorOptions, OperatorOutput, PackedWeights, WeightSizes,
    WeightValues, dequantize_array, quantize_array,
};
pub use prepared::{CalibratedTensor, Prepared};
pub use progress::{Progress, ProgressCallback, Stage};
pub use recipe::{import_recipe, load_recipe, save_recipe};
pub use roof::Roof;
pub use sensitivity::{LayerSensitivity, Sensitivity, StepCallback, sensitivity};
pub use session::{KEPT_PLANS, Session, SessionOptions};
pub use tune::{Metric, Trial, TuneOptions, Tuned, tune};
