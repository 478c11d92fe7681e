//! A product of float rows with int8 weights on a caller's own tensors: rows are quantized by their own range, or by that of all of
//! them, as a dynamic linear layer of a model does it and with its steps. Nothing is allocated in a run.
//!
//! Rows pass in chunks, so that scratch does not follow their number. What may fail (a NaN, an infinity) is looked for before the
//! first float of the output is written.
use super::single_step::{SingleStepTensors, check_span};
use crate::error::{Error, Result};
use crate::kernels::VectorIsa;
use crate::kernels::quantize::{first_non_finite, min_max};
use crate::ops::{DYNAMIC_ENTRY_BYTES, Element, Memory, Order, QuantizeRowsStep, Slot, Step, StepInfo, StepRun, Tensor, TensorLayout};
use crate::quantize::{DynamicQuantization, Grain, QParams};
use crate::tensor::{ALIGNMENT, round_up};
use crate::threads::{Executor as Threads, Part};
use std::sync::{Mutex, PoisonError};

/// Work below which waking other threads costs more than it saves, in multiply-accumulates.
const ALONE_MACS: u64 = 1 << 18;
/// Bytes of quantized rows in a chunk, where that is between the least and the most rows: they stay in L2 while the weights pass.
const CHUNK_BYTES: usize = 256 << 10;
const CHUNK_ROWS: [usize; 2] = [16, 256];
/// Bytes behind the quantized rows that a kernel may read and ignore.
const SLACK: usize = 64;

/// The places of a dynamic product's tensors, each of one row, before its step is made.
pub struct DynamicRowTensors {
    /// f32, the caller's.
    pub src: Tensor,
    /// The row's bytes, in scratch.
    pub bytes: Tensor,
    /// The row's qparams, in scratch.
    pub table: Tensor,
    /// f32, the caller's, if any.
    pub residual: Option<Tensor>,
    /// f32, the caller's, dense.
    pub dst: Tensor,
}

impl DynamicRowTensors {
    /// Places for rows of `k` floats, `src` being input 0, the residual input 1 and `dst` output 0.
    pub fn new(k: usize, src: Tensor, residual: Option<Tensor>, dst: Tensor) -> Self {
        let scratch = |slot, dims: &[usize], element| {
            let layout = TensorLayout::new(dims, element, Order::RowMajor);
            Tensor { slot: Slot::Output(slot), sample_bytes: layout.held_bytes(), layout }
        };
        let bytes = scratch(1, &[1, k], Element::U8);
        let table = scratch(2, &[1, DYNAMIC_ENTRY_BYTES / size_of::<f32>()], Element::F32);
        Self { src, bytes, table, residual, dst }
    }
}

/// A planned product.
pub struct DynamicRows {
    quantize: QuantizeRowsStep,
    product: Box<dyn Step>,
    info: StepInfo,
    tensors: DynamicRowTensors,
    /// Rows of a chunk.
    chunk: usize,
}

/// What a look at all rows found.
struct Seen {
    min: f32,
    max: f32,
    /// The first row that has no qparams of its own, for each part the first of its rows.
    failed: Option<usize>,
}

impl DynamicRows {
    /// `product` as it was planned for these tensors, the bytes being its source.
    pub fn new(product: Box<dyn Step>, isa: VectorIsa, quantization: DynamicQuantization, tensors: DynamicRowTensors) -> Self {
        let DynamicRowTensors { src, bytes, table, .. } = &tensors;
        let chunk = (CHUNK_BYTES / bytes.sample_bytes.max(1)).clamp(CHUNK_ROWS[0], CHUNK_ROWS[1]);
        let quantize = QuantizeRowsStep {
            info: StepInfo::default(),
            isa,
            quantization,
            given: quantization.grain == Grain::PerTensor,
            src: src.clone(),
            table: table.clone(),
            dst: bytes.clone(),
            name: "src".to_owned(),
        };
        Self { info: product.info(), quantize, product, tensors, chunk }
    }

    /// The source, residual and destination of one row.
    pub fn tensors(&self) -> (&Tensor, Option<&Tensor>, &Tensor) {
        (&self.tensors.src, self.tensors.residual.as_ref(), &self.tensors.dst)
    }

    /// Name, operator, kernel.
    pub fn info(&self) -> &StepInfo {
        &self.info
    }

    fn part_scratch_bytes(&self) -> usize {
        round_up(self.product.scratch_bytes(usize::MAX), ALIGNMENT)
    }

    /// Bytes of a chunk's rows and of its table.
    fn chunk_bytes(&self) -> [usize; 2] {
        let DynamicRowTensors { bytes, table, .. } = &self.tensors;
        [round_up(self.chunk * bytes.sample_bytes + SLACK, ALIGNMENT), round_up(self.chunk * table.sample_bytes, ALIGNMENT)]
    }

    /// Scratch bytes that a run on that many threads needs, at any address.
    pub fn scratch_bytes(&self, threads: usize) -> usize {
        let [bytes, table] = self.chunk_bytes();
        threads.max(1) * self.part_scratch_bytes() + bytes + table + ALIGNMENT
    }

    /// Runs `rows` rows.
    ///
    /// # Errors
    /// As `SingleStep::run`; [`Error::NotFinite`] naming row and element, and nothing is written.
    pub fn run(&self, threads: &Threads, rows: usize, tensors: SingleStepTensors<'_>, scratch: &mut [u8]) -> Result<()> {
        let SingleStepTensors { src, residual, dst } = tensors;
        check_span("src", &self.tensors.src, rows, src.len())?;
        check_span("dst", &self.tensors.dst, rows, dst.len())?;
        match (&self.tensors.residual, residual) {
            (Some(tensor), Some(residual)) => check_span("residual", tensor, rows, residual.len())?,
            (None, None) => {}
            (Some(_), None) => return Err(Error::InvalidArgument("the residual is missing".into())),
            (None, Some(_)) => return Err(Error::InvalidArgument("a residual for an operator that was made without one".into())),
        }
        let members = if self.info.macs.saturating_mul(rows as u64) < ALONE_MACS { 1 } else { threads.threads().max(1) };
        if scratch.len() < self.scratch_bytes(members) {
            let message = format!("scratch has {} bytes where {} are needed", scratch.len(), self.scratch_bytes(members));
            return Err(Error::InvalidArgument(message));
        }
        let alone = Threads::Single;
        let team = Team { threads: if members == 1 { &alone } else { threads }, members };
        let common = match self.quantize.given || rows > self.chunk {
            true => self.look_at_all(&team, rows, src)?,
            false => None,
        };
        let skipped = scratch.as_ptr().align_offset(ALIGNMENT);
        let (parts, chunk) = scratch[skipped..].split_at_mut(members * self.part_scratch_bytes());
        let (bytes, table) = chunk.split_at_mut(self.chunk_bytes()[0]);
        bytes.fill(0);
        table.fill(0);
        if let Some(qparams) = common {
            table.chunks_exact_mut(self.tensors.table.sample_bytes).for_each(|entry| QuantizeRowsStep::give(entry, qparams));
        }
        let sample_bytes = |tensor: &Tensor| tensor.sample_bytes;
        let residual_bytes = self.tensors.residual.as_ref().map_or(0, sample_bytes);
        let (residual, dst) = (residual.map_or(std::ptr::null(), <[u8]>::as_ptr), dst.as_mut_ptr());
        for first in (0..rows).step_by(self.chunk) {
            let at = |tensor: &Tensor| first * tensor.sample_bytes;
            let inputs = [
                (src.as_ptr().wrapping_add(at(&self.tensors.src)), self.tensors.src.sample_bytes),
                (residual.wrapping_add(first * residual_bytes), residual_bytes),
            ];
            let outputs = [
                (dst.wrapping_add(at(&self.tensors.dst)), self.tensors.dst.sample_bytes),
                (bytes.as_mut_ptr(), self.tensors.bytes.sample_bytes),
                (table.as_mut_ptr(), self.tensors.table.sample_bytes),
            ];
            // SAFETY: the caller's tensors were checked for these rows and are borrowed meanwhile; scratch has room for a chunk.
            let memory = unsafe { Memory::without_arena(&inputs, &outputs) };
            let samples = self.chunk.min(rows - first);
            for step in [&self.quantize as &dyn Step, &*self.product] {
                self.run_step(&team, step, StepRange { memory: &memory, samples, first }, parts)?;
            }
        }
        Ok(())
    }

    /// Whether every row (or the whole tensor, whose qparams it gives) can be quantized.
    fn look_at_all(&self, team: &Team<'_>, rows: usize, src: &[u8]) -> Result<Option<QParams>> {
        let (quantization, isa) = (self.quantize.quantization, self.quantize.isa);
        let inputs = [(src.as_ptr(), self.tensors.src.sample_bytes)];
        // SAFETY: the source was checked for these rows and is borrowed meanwhile.
        let memory = unsafe { Memory::without_arena(&inputs, &[]) };
        let k = self.tensors.src.layout.inner();
        // SAFETY: nobody writes the source.
        let row = |index| unsafe { memory.read::<f32>(&self.tensors.src, index, 0, k) };
        let seen = Mutex::new(Seen { min: 0.0, max: 0.0, failed: None });
        let look = |part: Part| {
            let mut mine = Seen { min: 0.0, max: 0.0, failed: None };
            for index in part.range(rows) {
                let range = min_max(isa, row(index));
                let (min, max) = (range.min.min(0.0), range.max.max(0.0));
                (mine.min, mine.max) = (mine.min.min(min), mine.max.max(max));
                if !range.finite || quantization.qparams(min, max).is_err() {
                    mine.failed = Some(index);
                    break;
                }
            }
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            (seen.min, seen.max) = (seen.min.min(mine.min), seen.max.max(mine.max));
            seen.failed = [seen.failed, mine.failed].into_iter().flatten().min();
        };
        team.threads.fork_join(team.members, &look)?;
        let seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        let refuse = |index: usize| {
            let element = first_non_finite(row(index)).unwrap_or(0);
            let value = row(index).get(element).copied().unwrap_or(f32::NAN);
            Err(Error::NotFinite(format!("tensor src, sample {index}, element {element} is {value}")))
        };
        match seen.failed {
            Some(index) => refuse(index),
            None if self.quantize.given => quantization.qparams(seen.min, seen.max).map(Some),
            None => Ok(None),
        }
    }

    /// Runs a step on a chunk, each part with scratch of its own.
    fn run_step(&self, team: &Team<'_>, step: &dyn Step, range: StepRange<'_>, scratch: &mut [u8]) -> Result<()> {
        let failure = Mutex::new(None);
        let (bytes, scratch) = (self.part_scratch_bytes(), Shared(scratch.as_mut_ptr()));
        let StepRange { memory, samples, first } = range;
        let work = |part: Part| {
            // SAFETY: the scratch has `bytes` bytes for each part, and each part is run once.
            let scratch = unsafe { std::slice::from_raw_parts_mut(scratch.address().add(part.index * bytes), bytes) };
            if let Err(error) = step.run(&mut StepRun { memory, samples, first_sample: first, part, scratch }) {
                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        };
        team.threads.fork_join(team.members, &work)?;
        failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }
}

/// The threads of a run.
struct Team<'a> {
    threads: &'a Threads,
    members: usize,
}

/// A chunk: where its rows are, how many, and the first of them.
struct StepRange<'a> {
    memory: &'a Memory<'a>,
    samples: usize,
    first: usize,
}

/// An address that the parts of a step share.
struct Shared(*mut u8);

// SAFETY: whoever follows the address promises that the places are disjoint.
unsafe impl Sync for Shared {}

impl Shared {
    fn address(&self) -> *mut u8 {
        self.0
    }
}
