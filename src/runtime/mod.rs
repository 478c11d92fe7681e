//! From a graph to results: layouts, memory plan, steps, the executor that walks them, and one step by itself.
mod executor;
mod flat_quantize;
mod memory_plan;
mod orders;
mod plan;
mod single_step;
mod profile;
mod walk;

pub use executor::{Executor, Observation};
pub use flat_quantize::FlatQuantization;
pub use plan::{Plan, PlanOptions, PlannedStep, PlannedTensor};
pub use single_step::{SingleStep, SingleStepTensors, span_bytes};
pub use profile::{Profile, StepCost};
pub use walk::Walk;
