//! From a graph to results: layouts, memory plan, steps, and the executor that walks them.
mod executor;
mod memory_plan;
mod orders;
mod plan;
mod walk;

pub use executor::{Executor, Observation};
pub use plan::{Plan, PlanOptions, PlannedStep, PlannedTensor};
pub use walk::Walk;
