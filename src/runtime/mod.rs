//! From a graph to results: layouts, memory plan, steps, the executor that walks them, and one step by itself.
mod dynamic_rows;
mod executor;
mod flat_quantize;
mod memory_plan;
mod orders;
mod plan;
mod profile;
mod single_step;
mod stages;
mod walk;

pub use dynamic_rows::{DynamicRowTensors, DynamicRows};
pub use executor::{Executor, Observation};
pub use flat_quantize::FlatQuantization;
pub use plan::{ImageInputs, Plan, PlanOptions, PlannedStep, PlannedTensor};
pub use profile::{Profile, Recorder, StepCost};
pub use single_step::{SingleStep, SingleStepTensors, span_bytes};
pub use walk::Walk;
