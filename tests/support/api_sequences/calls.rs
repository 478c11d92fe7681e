//! The calls that a program may make.
use super::values::Source;
use super::{Machine, builder, doors, quantization, runs};

type Make = fn(&mut Machine, &mut Source);

/// One call, or a few that belong together. New ones go last: the committed programs count on the order.
const CALLS: &[Make] = &[
    quantization::context,
    quantization::graph,
    quantization::qconfig,
    quantization::set_qconfig,
    quantization::change_qconfig,
    quantization::prepare,
    quantization::calibrate,
    quantization::statistics_to_bytes,
    quantization::statistics_from_bytes,
    quantization::convert,
    quantization::progress,
    quantization::recipe,
    quantization::recipe_text,
    quantization::convert_with_recipe,
    quantization::files,
    runs::model_to_bytes,
    runs::model_from_bytes,
    runs::session,
    runs::run,
    runs::describe,
    runs::profile,
    runs::comparison,
    runs::compare,
    runs::sensitivity,
    runs::tune,
    runs::report,
    doors::observer,
    doors::observe,
    doors::merge_observers,
    doors::solve,
    doors::observer_bytes,
    doors::pack,
    doors::gemm,
    doors::conv2d,
    doors::run_operator,
    doors::quantize,
    doors::names,
    builder::new,
    builder::tensors,
    builder::layers,
    builder::elements,
    builder::shapes,
    builder::finish,
    free_one,
    set_up,
    convert_at_once,
];

pub struct Call(Make);

impl Call {
    pub fn read(source: &mut Source) -> Self {
        Self(CALLS[source.below(CALLS.len())])
    }

    pub fn make(self, machine: &mut Machine, source: &mut Source) {
        (self.0)(machine, source);
    }
}

/// Frees a handle, mostly by the function of its type.
fn free_one(machine: &mut Machine, source: &mut Source) {
    let kind = super::KINDS[source.below(super::KINDS.len())];
    let handle = machine.handle(kind, source);
    let by = if source.byte() >= 240 { super::KINDS[source.below(super::KINDS.len())] } else { kind };
    machine.free(by, handle);
}

/// What most programs begin with.
fn set_up(machine: &mut Machine, source: &mut Source) {
    for make in [quantization::context, quantization::graph, quantization::qconfig, quantization::prepare, quantization::calibrate] {
        make(machine, source);
    }
}

/// The way from a graph to a run.
fn convert_at_once(machine: &mut Machine, source: &mut Source) {
    for make in [quantization::convert, runs::session, runs::run] {
        make(machine, source);
    }
}
