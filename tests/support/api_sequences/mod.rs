//! A program of calls of the C API, read from bytes: any order, with handles that are living, freed, of another type, random or NULL, with
//! wrong shapes, sizes, types and states. What is checked: each call returns a status that is not a panic's, and a call that fails has
//! written no byte of any output. An address sanitizer sees the rest.
mod builder;
mod calls;
mod doors;
mod quantization;
mod runs;
mod values;

use calls::Call;
use rsquant::ffi::*;
use values::Source;

/// Calls of one program.
const MOST_CALLS: usize = 24;
/// Bytes that a program may keep of files and buffers.
const MOST_BLOB_BYTES: usize = 1 << 20;
/// Milliseconds, about, of one program's calls that take long.
const MOST_LONG_CALLS: usize = 4;

/// Types of handles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Context,
    Graph,
    QConfig,
    Prepared,
    Recipe,
    Model,
    Session,
    Comparison,
    Sensitivity,
    Packed,
    Operator,
    Observer,
    Builder,
}

const KINDS: [Kind; 13] = [
    Kind::Context,
    Kind::Graph,
    Kind::QConfig,
    Kind::Prepared,
    Kind::Recipe,
    Kind::Model,
    Kind::Session,
    Kind::Comparison,
    Kind::Sensitivity,
    Kind::Packed,
    Kind::Operator,
    Kind::Observer,
    Kind::Builder,
];

/// What a program holds.
#[derive(Default)]
pub struct Machine {
    living: [Vec<usize>; KINDS.len()],
    freed: Vec<usize>,
    /// What functions wrote to buffers: models, statistics, texts.
    blobs: Vec<Vec<u8>>,
    values: Vec<rsq_value>,
    /// Weights that graphs borrow: freed after all handles.
    borrowed: Vec<Vec<f32>>,
    /// Calls that succeeded.
    succeeded: usize,
    /// What calls took that search for qparams, compare layers or write reports.
    long_calls: usize,
}

fn free(kind: Kind, handle: usize) {
    fn typed<T>(handle: usize) -> *mut T {
        std::ptr::without_provenance_mut(handle)
    }
    match kind {
        Kind::Context => rsq_context_free(typed(handle)),
        Kind::Graph => rsq_graph_free(typed(handle)),
        Kind::QConfig => rsq_qconfig_free(typed(handle)),
        Kind::Prepared => rsq_prepared_free(typed(handle)),
        Kind::Recipe => rsq_recipe_free(typed(handle)),
        Kind::Model => rsq_model_free(typed(handle)),
        Kind::Session => rsq_session_free(typed(handle)),
        Kind::Comparison => rsq_comparison_free(typed(handle)),
        Kind::Sensitivity => rsq_sensitivity_free(typed(handle)),
        Kind::Packed => rsq_packed_free(typed(handle)),
        Kind::Operator => rsq_operator_free(typed(handle)),
        Kind::Observer => rsq_observer_free(typed(handle)),
        Kind::Builder => rsq_graph_builder_free(typed(handle)),
    }
}

impl Machine {
    /// A handle for an argument of type `kind`: mostly a living one.
    fn handle(&self, kind: Kind, source: &mut Source) -> usize {
        let living = &self.living[kind as usize];
        let pick = |handles: &[usize], index: usize| handles.get(index % handles.len().max(1)).copied().unwrap_or(0);
        match source.byte() {
            0..=239 if !living.is_empty() => pick(living, living.len() - 1 - source.below(living.len())),
            0..=243 => pick(&self.freed, source.byte().into()),
            244..=247 => pick(&self.living[source.below(KINDS.len())], source.byte().into()),
            248..=251 => source.word() as usize,
            252 => pick(living, 0) ^ 1 << source.below(64),
            _ => 0,
        }
    }

    /// Frees a handle by the function of `kind`, which ignores it if it is none of its own.
    fn free(&mut self, kind: Kind, handle: usize) {
        free(kind, handle);
        let living = &mut self.living[kind as usize];
        if let Some(place) = living.iter().position(|&living| living == handle) {
            living.swap_remove(place);
            self.freed.push(handle);
        }
    }

    /// A call that makes an object: it is kept on success, and its output is untouched on failure.
    fn make<T>(&mut self, kind: Kind, source: &mut Source, make: impl FnOnce(*mut *mut T) -> rsq_status) {
        let canary = std::ptr::without_provenance_mut::<T>(0x5a5a_5a5a);
        let mut out = [canary; 3];
        let place = if source.byte() == 255 { std::ptr::null_mut() } else { &raw mut out[1] };
        if self.done(make(place)) {
            assert!(!place.is_null() && out[1] != canary, "a call succeeded and made nothing");
            self.living[kind as usize].push(out[1].addr());
        } else {
            assert!(out[1] == canary, "a failed call wrote its output");
        }
        assert!(out[0] == canary && out[2] == canary, "a call wrote beside its output");
    }

    /// Checks a status; whether the call succeeded.
    fn done(&mut self, status: rsq_status) -> bool {
        assert!((RSQ_OK..=RSQ_NOT_FOUND).contains(&status), "{status} is no status");
        assert!(status != RSQ_PANIC, "a panic: {}", values::message());
        self.succeeded += usize::from(status == RSQ_OK);
        status == RSQ_OK
    }

    /// Whether a call may be made that takes about so many milliseconds.
    fn may_take_long(&mut self, milliseconds: usize) -> bool {
        self.long_calls += milliseconds;
        self.long_calls <= MOST_LONG_CALLS
    }

    /// Keeps bytes for later calls.
    fn keep(&mut self, bytes: Vec<u8>) {
        if self.blobs.iter().map(Vec::len).sum::<usize>() + bytes.len() <= MOST_BLOB_BYTES {
            self.blobs.push(bytes);
        }
    }

    /// Bytes that a call wrote before, or others, at times with a change.
    fn blob(&self, source: &mut Source) -> Vec<u8> {
        let mut bytes = match self.blobs.len() {
            0 => source.bytes(16),
            count => self.blobs[count - 1 - source.below(count)].clone(),
        };
        if source.byte() >= 200 && !bytes.is_empty() {
            let at = source.word() as usize % bytes.len();
            bytes[at] ^= 1 << source.below(8);
        }
        bytes
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for kind in KINDS {
            std::mem::take(&mut self.living[kind as usize]).into_iter().for_each(|handle| free(kind, handle));
        }
    }
}

/// Runs the program that the bytes are. How many of its calls succeeded.
pub fn run(bytes: &[u8]) -> usize {
    let mut source = Source::new(bytes);
    let mut machine = Machine::default();
    for _ in 0..MOST_CALLS {
        if source.is_empty() {
            break;
        }
        Call::read(&mut source).make(&mut machine, &mut source);
    }
    machine.succeeded
}
