//! What the runtime runs: steps over tensors whose places were fixed when the plan was made.
use super::layout::TensorLayout;
use crate::error::Result;
use crate::tensor::SharedBytes;
use crate::threads::Part;

/// Where a tensor's bytes are. Offsets count bytes; a place holds the samples of one chunk one after another.
#[derive(Debug, Clone)]
pub enum Slot {
    /// In the arena: the samples that pass the step together.
    Arena(usize),
    /// In the arena: every sample of the chunk.
    Chunk(usize),
    /// The caller's input tensor with that index.
    Input(usize),
    /// The output tensor with that index: the caller's memory or its staging place.
    Output(usize),
    /// A constant.
    Constant(SharedBytes),
}

/// A tensor as a step sees it: where it is and how it lies.
#[derive(Debug, Clone)]
pub struct Tensor {
    /// Where.
    pub slot: Slot,
    /// How; one sample (`dims[0]` as planned).
    pub layout: TensorLayout,
    /// Bytes from one sample of a chunk to the next.
    pub sample_bytes: usize,
}

/// The caller's tensors of one run: addresses and bytes from one sample to the next.
#[derive(Debug, Default)]
pub struct BoundTensors {
    /// Inputs in the graph's order.
    pub inputs: Vec<(*const u8, usize)>,
    /// Outputs in the graph's order.
    pub outputs: Vec<(*mut u8, usize)>,
}

// SAFETY: plain addresses; whoever follows them (Memory) promises that they are valid.
unsafe impl Send for BoundTensors {}
// SAFETY: as above.
unsafe impl Sync for BoundTensors {}

/// The memory of one chunk's run: addresses behind [`Slot`]s.
///
/// Steps read and write through raw addresses, because the parts of a step write interleaved places of one tensor.
/// The plan guarantees that live tensors do not overlap, and each step that its parts write disjoint places.
#[derive(Debug)]
pub struct Memory<'a> {
    arena: *mut u8,
    inputs: &'a [(*const u8, usize)],
    outputs: &'a [(*mut u8, usize)],
    first_sample: usize,
    /// Where in its chunk the first sample is.
    chunk_sample: usize,
}

// SAFETY: addresses are shared by the members of a team; steps write disjoint places (see the type's comment).
unsafe impl Sync for Memory<'_> {}
// SAFETY: as above.
unsafe impl Send for Memory<'_> {}

impl<'a> Memory<'a> {
    /// Addresses of the chunk that starts at sample `first_sample` of the caller's tensors.
    ///
    /// # Safety
    /// `arena` is valid for the plan's arena size and `bound` for every sample of the chunk, as long as the value
    /// lives, and no other run uses the arena or these samples' outputs meanwhile.
    pub unsafe fn new(arena: *mut u8, bound: &'a BoundTensors, first_sample: usize) -> Self {
        Self { arena, inputs: &bound.inputs, outputs: &bound.outputs, first_sample, chunk_sample: 0 }
    }

    /// The same for samples that stand `chunk_sample` behind the first of their chunk.
    pub fn inside_chunk(self, chunk_sample: usize) -> Self {
        Self { chunk_sample, ..self }
    }

    /// Addresses of a step that stands alone: no arena, and tensors given as in [`BoundTensors`].
    ///
    /// # Safety
    /// As [`Memory::new`], for every sample of the run.
    pub unsafe fn without_arena(inputs: &'a [(*const u8, usize)], outputs: &'a [(*mut u8, usize)]) -> Self {
        Self { arena: std::ptr::null_mut(), inputs, outputs, first_sample: 0, chunk_sample: 0 }
    }

    /// The tensor's first byte, to read.
    pub fn src(&self, tensor: &Tensor) -> *const u8 {
        match &tensor.slot {
            Slot::Arena(_) | Slot::Chunk(_) => self.dst(tensor).cast_const(),
            Slot::Input(index) => {
                let (start, sample_bytes) = self.inputs[*index];
                start.wrapping_add(self.first_sample * sample_bytes)
            }
            Slot::Output(_) => self.dst(tensor).cast_const(),
            Slot::Constant(bytes) => bytes.as_ptr(),
        }
    }

    /// The tensor's first byte, to write; inputs and constants have none.
    pub fn dst(&self, tensor: &Tensor) -> *mut u8 {
        match &tensor.slot {
            Slot::Arena(offset) => self.arena.wrapping_add(*offset),
            Slot::Chunk(offset) => self.arena.wrapping_add(offset + self.chunk_sample * tensor.sample_bytes),
            Slot::Output(index) => {
                let (start, sample_bytes) = self.outputs[*index];
                start.wrapping_add(self.first_sample * sample_bytes)
            }
            Slot::Input(_) | Slot::Constant(_) => unreachable!("a step's destination is never an input or a constant"),
        }
    }

    /// `len` elements of the tensor from element `start` of sample `sample`.
    ///
    /// # Safety
    /// No part writes these elements during the step.
    pub unsafe fn read<T: bytemuck::AnyBitPattern>(&self, tensor: &Tensor, sample: usize, start: usize, len: usize) -> &[T] {
        debug_assert!((start + len) * size_of::<T>() <= tensor.layout.held_bytes());
        // SAFETY: inside the tensor (asserted above in debug builds), initialized (the arena starts zeroed), aligned as
        // the plan aligns tensors to 64 bytes and callers' floats to 4; not written meanwhile by the caller's promise.
        unsafe { std::slice::from_raw_parts(self.src(tensor).add(sample * tensor.sample_bytes).cast::<T>().add(start), len) }
    }

    /// One value at the start of entry `index` of a table whose entries are `entry_bytes` apart.
    ///
    /// # Safety
    /// The entry lies in the table, and no part writes it during the step.
    pub unsafe fn read_entry<T: bytemuck::AnyBitPattern>(&self, table: &Tensor, index: usize, entry_bytes: usize) -> T {
        // SAFETY: inside the table by the caller's promise; the arena is initialized and tables are aligned to 64 bytes.
        unsafe { std::ptr::read_unaligned(self.src(table).add(index * entry_bytes).cast::<T>()) }
    }

    /// `len` elements of the tensor from element `start` of sample `sample`, to write.
    ///
    /// # Safety
    /// No other part reads or writes these elements during the step, and the caller makes no second slice of them.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn write<T: bytemuck::AnyBitPattern>(&self, tensor: &Tensor, sample: usize, start: usize, len: usize) -> &mut [T] {
        debug_assert!((start + len) * size_of::<T>() <= tensor.layout.held_bytes());
        // SAFETY: as in `read`; exclusive by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.dst(tensor).add(sample * tensor.sample_bytes).cast::<T>().add(start), len) }
    }
}

/// One call of a step: a part of the work on some samples.
pub struct StepRun<'a> {
    /// Addresses.
    pub memory: &'a Memory<'a>,
    /// Samples in this chunk.
    pub samples: usize,
    /// The first of them in the caller's tensors, for messages.
    pub first_sample: usize,
    /// Which part of the step this call does.
    pub part: Part,
    /// This thread's scratch, 64-byte aligned, at least [`Step::scratch_bytes`].
    pub scratch: &'a mut [u8],
}

/// What a step is, for profiles and layer info.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepInfo {
    /// The node's name.
    pub name: String,
    /// The operator.
    pub operator: &'static str,
    /// The kernel that runs it.
    pub kernel: &'static str,
    /// Multiply-accumulates of one sample, padded taps counted.
    pub macs: u64,
    /// Bytes of one sample's tensors that it reads and writes, each once.
    pub activation_bytes: u64,
    /// Bytes of its weights and constants, each once.
    pub weight_bytes: u64,
}

/// Parts of a step that a thread does by itself where others may help: what is lost when one waits for another's last part is a fraction
/// of that, and the channels of a late layer still fill whole panels.
pub const HELP_PARTS: usize = 8;

/// One planned operation.
pub trait Step: Send + Sync {
    /// Does `run.part` of the work. Every part together writes the whole output; parts write disjoint places.
    ///
    /// # Errors
    /// Dynamic quantization refuses NaN and infinities; everything else was checked when the plan was made.
    fn run(&self, run: &mut StepRun<'_>) -> Result<()>;

    /// Asks for the constants that a part of the work on so many samples begins with. Called by the thread that will most likely do it,
    /// while others are at work on the step before.
    fn fetch_constants(&self, part: Part, samples: usize) {
        let _ = (part, samples);
    }

    /// Scratch bytes of one part of a run on up to so many samples.
    fn scratch_bytes(&self, samples: usize) -> usize {
        let _ = samples;
        0
    }

    /// Into how many parts the step of one thread is cut where another can help: [`HELP_PARTS`] where parts cost nothing, 2 where they
    /// cost little beside a thread that waits, 1 where they are not worth it.
    fn help_parts(&self) -> usize {
        HELP_PARTS
    }

    /// Whether `run` may fail, so that outputs must be staged.
    fn may_fail(&self) -> bool {
        false
    }

    /// Name, operator, kernel.
    fn info(&self) -> StepInfo;
}
