//! One step on a caller's own tensors: no graph, no arena, and nothing allocated in a run.
use crate::error::{Error, Result};
use crate::ops::{Memory, Step, StepInfo, StepRun, Tensor};
use crate::tensor::{ALIGNMENT, round_up};
use crate::threads::{Executor as Threads, Part};
use std::sync::{Mutex, PoisonError};

/// Work below which waking other threads costs more than it saves, in multiply-accumulates.
const ALONE_MACS: u64 = 1 << 18;
/// Bytes that follow a staged sample: a kernel may read (and ignore) as many past it.
const STAGE_SLACK: usize = 64;

/// A planned convolution or linear layer whose tensors are the caller's. One sample is an image, or a row of a matrix.
pub struct SingleStep {
    step: Box<dyn Step>,
    info: StepInfo,
    src: Tensor,
    residual: Option<Tensor>,
    dst: Tensor,
    /// Whether the step reads up to 3 bytes past its source, so that the last sample runs on a copy.
    reads_past: bool,
}

/// The caller's tensors of one run.
pub struct SingleStepTensors<'a> {
    /// u8 source.
    pub src: &'a [u8],
    /// Residual of the destination's element type, where the step was planned with one.
    pub residual: Option<&'a [u8]>,
    /// Destination: between its pixels nothing is written.
    pub dst: &'a mut [u8],
}

/// Bytes that `samples` samples of a tensor span: from the first byte to the last, nothing behind the last pixel.
pub fn span_bytes(tensor: &Tensor, samples: usize) -> Option<usize> {
    let layout = &tensor.layout;
    if samples == 0 || layout.is_empty() {
        return Some(0);
    }
    let behind_last = (layout.inner_stride() - layout.inner()) * layout.element.size_bytes();
    (samples - 1).checked_mul(tensor.sample_bytes)?.checked_add(layout.held_bytes())?.checked_sub(behind_last)
}

/// Whether a tensor of `bytes` bytes holds `samples` samples; `name` is for the message.
///
/// # Errors
/// [`Error::ShapeMismatch`].
pub(super) fn check_span(name: &str, tensor: &Tensor, samples: usize, bytes: usize) -> Result<()> {
    let needed = span_bytes(tensor, samples);
    if needed.is_some_and(|needed| needed <= bytes) {
        return Ok(());
    }
    let needed = needed.map_or("more than memory holds".to_owned(), |needed| needed.to_string());
    Err(Error::ShapeMismatch(format!("{name} has {bytes} bytes where {needed} are needed for {samples} samples")))
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

impl SingleStep {
    /// `step` as it was planned for these tensors, whose slots are input 0, input 1 and output 0.
    pub fn new(step: Box<dyn Step>, src: Tensor, residual: Option<Tensor>, dst: Tensor, reads_past: bool) -> Self {
        Self { info: step.info(), step, src, residual, dst, reads_past }
    }

    /// The source, residual and destination of one sample.
    pub fn tensors(&self) -> (&Tensor, Option<&Tensor>, &Tensor) {
        (&self.src, self.residual.as_ref(), &self.dst)
    }

    /// Name, operator, kernel.
    pub fn info(&self) -> &StepInfo {
        &self.info
    }

    fn part_scratch_bytes(&self) -> usize {
        round_up(self.step.scratch_bytes(usize::MAX), ALIGNMENT)
    }

    fn stage_bytes(&self) -> usize {
        if self.reads_past { span_bytes(&self.src, 1).unwrap_or(0) + STAGE_SLACK } else { 0 }
    }

    /// Scratch bytes that a run on that many threads needs, at any address.
    pub fn scratch_bytes(&self, threads: usize) -> usize {
        threads.max(1) * self.part_scratch_bytes() + self.stage_bytes() + ALIGNMENT
    }

    /// Runs `samples` samples.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] for a tensor that is too short, [`Error::InvalidArgument`] for a residual that is missing or not
    /// wanted and for too little scratch; nothing is written then. [`Error::Panic`].
    pub fn run(&self, threads: &Threads, samples: usize, tensors: SingleStepTensors<'_>, scratch: &mut [u8]) -> Result<()> {
        let SingleStepTensors { src, residual, dst } = tensors;
        check_span("src", &self.src, samples, src.len())?;
        check_span("dst", &self.dst, samples, dst.len())?;
        match (&self.residual, residual) {
            (Some(tensor), Some(residual)) => check_span("residual", tensor, samples, residual.len())?,
            (None, None) => {}
            (Some(_), None) => return Err(Error::InvalidArgument("the residual is missing".into())),
            (None, Some(_)) => return Err(Error::InvalidArgument("a residual for an operator that was made without one".into())),
        }
        let members = if self.info.macs.saturating_mul(samples as u64) < ALONE_MACS { 1 } else { threads.threads().max(1) };
        if scratch.len() < self.scratch_bytes(members) {
            let message = format!("scratch has {} bytes where {} are needed", scratch.len(), self.scratch_bytes(members));
            return Err(Error::InvalidArgument(message));
        }
        if samples == 0 || self.dst.layout.is_empty() {
            return Ok(());
        }
        let skipped = scratch.as_ptr().align_offset(ALIGNMENT);
        let (parts, stage) = scratch[skipped..].split_at_mut(members * self.part_scratch_bytes());
        let at = |tensor: &Tensor, sample: usize| sample * tensor.sample_bytes;
        let residual = residual.map_or(std::ptr::null(), <[u8]>::as_ptr);
        let residual_at = |sample| self.residual.as_ref().map_or(residual, |tensor| residual.wrapping_add(at(tensor, sample)));
        let in_place = if self.reads_past { samples - 1 } else { samples };
        let dst = dst.as_mut_ptr();
        // What a kernel reads past these samples are bytes of the last one.
        self.run_samples(threads, members, in_place, [src.as_ptr(), residual], dst, parts)?;
        if in_place < samples {
            let last = &src[at(&self.src, in_place)..][..span_bytes(&self.src, 1).unwrap_or(0)];
            let (copy, slack) = stage[..self.stage_bytes()].split_at_mut(last.len());
            copy.copy_from_slice(last);
            slack.fill(0);
            let dst = dst.wrapping_add(at(&self.dst, in_place));
            self.run_samples(threads, members, 1, [stage.as_ptr(), residual_at(in_place)], dst, parts)?;
        }
        Ok(())
    }

    /// Runs samples whose tensors [`SingleStep::run`] has checked.
    fn run_samples(
        &self,
        threads: &Threads,
        members: usize,
        samples: usize,
        [src, residual]: [*const u8; 2],
        dst: *mut u8,
        scratch: &mut [u8],
    ) -> Result<()> {
        if samples == 0 {
            return Ok(());
        }
        let residual_bytes = self.residual.as_ref().map_or(0, |tensor| tensor.sample_bytes);
        let inputs = [(src, self.src.sample_bytes), (residual, residual_bytes)];
        let outputs = [(dst, self.dst.sample_bytes)];
        // SAFETY: `run` checked the tensors' sizes for these samples, and borrows them for as long as this takes.
        let memory = unsafe { Memory::without_arena(&inputs, &outputs) };
        let failure = Mutex::new(None);
        let (bytes, scratch) = (self.part_scratch_bytes(), Shared(scratch.as_mut_ptr()));
        let work = |part: Part| {
            // SAFETY: the scratch has `bytes` bytes for each part, and each part is run once.
            let scratch = unsafe { std::slice::from_raw_parts_mut(scratch.address().add(part.index * bytes), bytes) };
            let mut run = StepRun { memory: &memory, samples, first_sample: 0, part, scratch };
            if let Err(error) = self.step.run(&mut run) {
                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        };
        let alone = Threads::Single;
        let threads = if members == 1 { &alone } else { threads };
        threads.fork_join(members, &work)?;
        failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }
}
