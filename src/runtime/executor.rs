//! Walks a plan. Full rounds of a batch give each thread a chunk of samples of its own, from the first step to the last,
//! without meeting the others; what is left is computed by all threads together, step by step. The bits are the same.
//! Either is a step of one [`SharedSteps`], on our own threads as on the caller's. A thread that finds no chunk helps the others with
//! theirs ([`OpenSteps`]).
use super::plan::{Plan, PlannedTensor};
use super::profile::{Profile, Recorder};
use super::stages::Stage;
use crate::error::{Error, Result};
use crate::ops::{BoundTensors, HELP_PARTS, Memory, Step, StepRun, Tensor};
use crate::tensor::AlignedBuffer;
use crate::threads::{Executor as Threads, OpenSteps, OwnSteps, Part, SharedSteps, StepOf};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Memory of a session: an arena and scratch for each thread, and staged outputs; and the plan that runs in it. Runs one batch
/// at a time.
pub struct Executor {
    pub(super) plan: Arc<Plan>,
    pub(super) members: Vec<MemberMemory>,
    pub(super) bound: BoundTensors,
    /// Outputs of plans that may fail: copied to the caller when the run has succeeded.
    pub(super) staging: Vec<AlignedBuffer>,
    max_samples: usize,
    /// Where the threads of a run meet.
    steps: SharedSteps,
    /// Of the run: first sample and part of the step that failed.
    failure: Mutex<Option<((usize, usize), Error)>>,
    /// Present where runs are profiled.
    recorder: Option<Recorder>,
}

/// Aligned so that members lock theirs without taking a cache line from each other.
#[repr(align(128))]
pub(super) struct MemberMemory {
    pub(super) arena: Mutex<AlignedBuffer>,
    pub(super) scratch: Mutex<AlignedBuffer>,
    /// Of the arena, for members that compute in it together: found once a run, not under a lock at each step.
    shared: SharedArena,
    /// The steps of the member's chunks.
    chunk: OpenSteps,
}

/// The address of an arena.
#[derive(Clone, Copy)]
struct SharedArena(*mut u8);

// SAFETY: an address. What is done with it is up to `run_step`, which says why it may.
unsafe impl Send for SharedArena {}
// SAFETY: as above.
unsafe impl Sync for SharedArena {}

/// The full chunks of a run: members take them one after another.
struct Chunks<'a> {
    /// The next to be taken.
    next: &'a AtomicUsize,
    /// Members that found none left.
    helpers: &'a AtomicUsize,
    /// How many there are.
    full: usize,
    /// How many members take them.
    members: usize,
    /// Samples in each.
    samples: usize,
    /// Samples of the run: the last chunk may have fewer.
    samples_of_run: usize,
}

impl Chunks<'_> {
    /// First sample and samples of the next chunk.
    fn take(&self) -> Option<(usize, usize)> {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        (index < self.full).then(|| (index * self.samples, self.samples.min(self.samples_of_run - index * self.samples)))
    }

    /// Parts of a member's next step: one where nobody would help. `is_long` of a step so late in a chunk, and for so many samples, that
    /// who comes to help should not wait for the one after it.
    fn parts(&self, step: &dyn Step, is_long: bool) -> usize {
        let parts = step.help_parts();
        let are_free = parts == HELP_PARTS && self.members > 1;
        let will_help = || is_long && are_free && self.next.load(Ordering::Relaxed) >= self.full;
        if self.helpers.load(Ordering::Relaxed) > 0 || will_help() { parts } else { 1 }
    }
}

/// A computed or input tensor of floats, as calibration sees it: the samples of one chunk.
pub struct Observation<'a> {
    /// Index of the step that made it, or `None` for an input.
    pub step: Option<usize>,
    /// Index of the input, where it is one.
    pub input: Option<usize>,
    /// The tensor.
    pub tensor: &'a Tensor,
    /// The chunk's memory.
    memory: &'a Memory<'a>,
    samples: usize,
}

impl Observation<'_> {
    /// The floats of one sample of the chunk; f32 tensors only.
    pub fn floats(&self, sample: usize) -> &[f32] {
        // SAFETY: the step that made the tensor has finished and no other runs.
        unsafe { self.memory.read(self.tensor, sample, 0, self.tensor.layout.held_len()) }
    }

    /// Samples in the chunk.
    pub fn samples(&self) -> usize {
        self.samples
    }
}

fn unlocked(buffer: &mut Mutex<AlignedBuffer>) -> &mut AlignedBuffer {
    buffer.get_mut().unwrap_or_else(PoisonError::into_inner)
}

/// Replaces `buffer` where it has fewer than `bytes` bytes.
fn grow(buffer: &mut AlignedBuffer, bytes: usize, what: &str) -> Result<()> {
    if buffer.len() < bytes {
        *buffer = AlignedBuffer::zeroed(bytes, what)?;
    }
    Ok(())
}

/// The stages of a chunk of `samples` samples, group by group: stage, first sample in the chunk, samples.
fn passes(stages: &[Stage], samples: usize) -> impl Iterator<Item = (&Stage, usize, usize)> {
    stages
        .iter()
        .flat_map(move |stage| (0..samples).step_by(stage.samples).map(move |first| (stage, first, stage.samples.min(samples - first))))
}

impl Executor {
    /// Memory for batches of up to `max_samples` on up to `threads` threads.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new(plan: Arc<Plan>, threads: usize, max_samples: usize) -> Result<Self> {
        let no_bytes = || Ok(Mutex::new(AlignedBuffer::zeroed(0, "nothing")?));
        let shared = SharedArena(std::ptr::null_mut());
        let member =
            |_| -> Result<MemberMemory> { Ok(MemberMemory { arena: no_bytes()?, scratch: no_bytes()?, shared, chunk: OpenSteps::new() }) };
        let members = (0..threads.max(1)).map(member).collect::<Result<Vec<_>>>()?;
        let bound = BoundTensors {
            inputs: plan.inputs.iter().map(|_| (std::ptr::null(), 0)).collect(),
            outputs: plan.output_dims.iter().map(|_| (std::ptr::null_mut(), 0)).collect(),
        };
        let failure = Mutex::new(None);
        let staging = Vec::new();
        let steps = SharedSteps::new(members.len());
        let mut executor = Self { plan: Arc::clone(&plan), members, bound, staging, max_samples, steps, failure, recorder: None };
        executor.switch(plan, max_samples)?;
        Ok(executor)
    }

    /// Runs `plan`, of the same graph for other input shapes, from now on, for batches of up to `max_samples`: in the same memory,
    /// which grows where that is too small, and never shrinks. Without growth nothing is allocated. On failure the executor
    /// is as it was.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn switch(&mut self, plan: Arc<Plan>, max_samples: usize) -> Result<()> {
        let chunks = if plan.chunk_samples == 0 { 1 } else { max_samples.max(1) };
        for (member, memory) in self.members.iter_mut().enumerate() {
            // A thread that never has a chunk of its own needs no arena.
            let arena_bytes = if member < chunks { plan.arena_bytes } else { 0 };
            grow(unlocked(&mut memory.arena), arena_bytes, "a session's arena")?;
            grow(unlocked(&mut memory.scratch), plan.scratch_bytes, "a session's scratch")?;
        }
        let sample_bytes = |dims: &[usize]| dims.iter().product::<usize>() * size_of::<f32>();
        let samples = if plan.chunk_samples == 0 { 1 } else { max_samples };
        if plan.may_fail {
            self.staging.reserve(plan.output_dims.len().saturating_sub(self.staging.len()));
            for (index, dims) in plan.output_dims.iter().enumerate() {
                if index == self.staging.len() {
                    self.staging.push(AlignedBuffer::zeroed(0, "nothing")?);
                }
                grow(&mut self.staging[index], sample_bytes(dims).saturating_mul(samples), "a session's staged outputs")?;
            }
        }
        let input_bytes = |input: &PlannedTensor| input.tensor.layout.held_bytes();
        self.bound.inputs.iter_mut().zip(&plan.inputs).for_each(|(bound, input)| *bound = (std::ptr::null(), input_bytes(input)));
        let outputs = self.bound.outputs.iter_mut().zip(&plan.output_dims);
        outputs.for_each(|(bound, dims)| *bound = (std::ptr::null_mut(), sample_bytes(dims)));
        self.plan = plan;
        self.max_samples = max_samples;
        Ok(())
    }

    /// Takes over what was counted for the plan that runs now, and gives what was counted for the one before.
    pub fn exchange_recorder(&mut self, recorder: Option<Recorder>) -> Option<Recorder> {
        std::mem::replace(&mut self.recorder, recorder)
    }

    /// The plan.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Counts from here on what each step costs, from zero.
    pub fn start_profile(&mut self) {
        self.recorder = Some(self.recorder_for(&self.plan));
    }

    /// Counters at zero for what `plan`, of the same graph, costs here.
    pub fn recorder_for(&self, plan: &Plan) -> Recorder {
        Recorder::new(plan.steps.len(), self.members.len())
    }

    /// What was counted since [`Executor::start_profile`]; `None` without it.
    pub fn profile(&self) -> Option<Profile> {
        self.recorder.as_ref().map(Recorder::profile)
    }

    /// The largest batch.
    pub fn max_samples(&self) -> usize {
        self.max_samples
    }

    /// Bytes held: arenas, scratch, staging.
    pub fn memory_bytes(&self) -> usize {
        let held = |buffer: &Mutex<AlignedBuffer>| buffer.lock().unwrap_or_else(PoisonError::into_inner).len();
        let members: usize = self.members.iter().map(|member| held(&member.arena) + held(&member.scratch)).sum();
        members + self.staging.iter().map(|buffer| buffer.len()).sum::<usize>()
    }

    pub(super) fn bind(&mut self, samples: usize, inputs: &[&[u8]], outputs: &mut [&mut [u8]]) -> Result<()> {
        let batches = if self.plan.chunk_samples == 0 { 1 } else { samples };
        let fits = |name: &str, index: usize, bytes: usize, sample_bytes: usize| {
            let needed = sample_bytes * batches;
            let message = || format!("{name} {index} has {bytes} bytes where {needed} are needed");
            if bytes == needed { Ok(()) } else { Err(Error::ShapeMismatch(message())) }
        };
        if samples > self.max_samples {
            return Err(Error::ShapeMismatch(format!("a batch of {samples} where the session was made for up to {}", self.max_samples)));
        }
        if inputs.len() != self.bound.inputs.len() || outputs.len() != self.bound.outputs.len() {
            let (i, o) = (self.bound.inputs.len(), self.bound.outputs.len());
            return Err(Error::InvalidArgument(format!(
                "{} inputs and {} outputs where {i} and {o} are needed",
                inputs.len(),
                outputs.len()
            )));
        }
        for (index, (input, bound)) in inputs.iter().zip(&mut self.bound.inputs).enumerate() {
            fits("input", index, input.len(), bound.1)?;
            bound.0 = input.as_ptr();
        }
        for (index, (output, bound)) in outputs.iter_mut().zip(&mut self.bound.outputs).enumerate() {
            fits("output", index, output.len(), bound.1)?;
            bound.0 = match self.staging.get_mut(index) {
                Some(staged) => staged.as_mut_ptr(),
                None => output.as_mut_ptr(),
            };
        }
        Ok(())
    }

    /// Samples as the plan counts them, and samples of a chunk: a plan for whole batches has one.
    fn chunks_of(&self, samples: usize) -> (usize, usize) {
        if self.plan.chunk_samples == 0 { (1, 1) } else { (samples, self.plan.chunk_samples) }
    }

    /// Runs `samples` samples: inputs and outputs are dense f32 bytes in the graph's order (image bytes where
    /// the plan says so). Allocates nothing.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] for bytes that do not fit; [`Error::NotFinite`] from a dynamic layer, with the outputs
    /// untouched; [`Error::Panic`].
    pub fn run(&mut self, threads: &Threads, samples: usize, inputs: &[&[u8]], outputs: &mut [&mut [u8]]) -> Result<()> {
        self.bind(samples, inputs, outputs)?;
        if samples == 0 {
            return Ok(());
        }
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.steps.reset();
        for member in &mut self.members {
            member.shared = SharedArena(unlocked(&mut member.arena).as_mut_ptr());
            member.chunk.reset();
        }
        let this = &*self;
        let start = this.recorder.as_ref().map(|_| Instant::now());
        let members = threads.threads().min(this.members.len());
        let (samples, chunk) = this.chunks_of(samples);
        // Shorter chunks where there would not be one for each member.
        let chunk = chunk.min(samples.div_ceil(members)).max(1);
        let count = samples.div_ceil(chunk);
        let (next, helpers) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let task = |task: Part| {
            let mut steps = this.steps.task(task);
            let parts = steps.parts();
            // Each part takes whole chunks while there are some for everyone; what is left is computed by all, step by step.
            let full = if parts == 1 { count } else { count / parts * parts };
            let chunks = Chunks { next: &next, helpers: &helpers, full, members: parts, samples: chunk, samples_of_run: samples };
            if full > 0 && !steps.next(|part| this.run_chunks(part, &chunks)) {
                return;
            }
            for index in full..count {
                let (first, of_chunk) = (index * chunk, chunk.min(samples - index * chunk));
                for (stage, offset, samples) in passes(&this.plan.stages, of_chunk) {
                    for step in stage.steps.clone() {
                        let work = |part: Part| this.run_step([step, first, offset, samples], 0, part, part.index);
                        let fetch_ahead = |part| {
                            let next = this.plan.steps.get(step + 1);
                            next.iter().for_each(|next| next.step.fetch_constants(part, samples));
                        };
                        // A chunk ends with its first failure, which those who stay behind find as well.
                        if !steps.next_and(work, fetch_ahead) || this.has_failed(first..first + of_chunk) {
                            return;
                        }
                    }
                }
            }
        };
        threads.run(&task)?;
        if let (Some(recorder), Some(start)) = (&self.recorder, start) {
            recorder.add_run(members, start);
        }
        if let Some((_, error)) = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        for (output, staged) in outputs.iter_mut().zip(&self.staging) {
            output.copy_from_slice(&staged[..output.len()]);
        }
        Ok(())
    }

    /// A member's share of the full chunks: whole ones while there are any, then parts of the others' last ones.
    fn run_chunks(&self, part: Part, chunks: &Chunks<'_>) {
        let mut own = self.members[part.index].chunk.own();
        while let Some((first_sample, samples)) = chunks.take() {
            if !self.run_chunk(part.index, chunks, &mut own, first_sample, samples) {
                return;
            }
        }
        drop(own);
        chunks.helpers.fetch_add(1, Ordering::Relaxed);
        let count = part.count.min(self.members.len());
        for owner in (part.index + 1..count).chain(0..part.index) {
            self.members[owner].chunk.help(|part_of_step, step| self.run_step(step, owner, part_of_step, part.index));
        }
    }

    /// One member's whole chunk, or what comes before its first failure; false where a helper has panicked.
    fn run_chunk(&self, member: usize, chunks: &Chunks<'_>, own: &mut OwnSteps<'_>, first_sample: usize, all_samples: usize) -> bool {
        for (stage, offset, samples) in passes(&self.plan.stages, all_samples) {
            let is_long = samples > 1 && stage.steps.end == self.plan.steps.len() && offset + samples == all_samples;
            for step in stage.steps.clone() {
                let step = [step, first_sample, offset, samples];
                let parts = chunks.parts(&*self.plan.steps[step[0]].step, is_long);
                let finished = if parts == 1 {
                    self.run_step(step, member, Part::WHOLE, member);
                    true
                } else {
                    own.step(step, parts, |part| self.run_step(step, member, part, member))
                };
                if !finished {
                    return false;
                }
                if self.has_failed(first_sample..first_sample + all_samples) {
                    return true;
                }
            }
        }
        true
    }

    /// One part of a step (which one, first sample of the chunk, samples before those of the step, samples) of a chunk in the arena of
    /// member `owner`, in the scratch of member `worker`.
    fn run_step(&self, [step, first_of_chunk, offset, samples]: StepOf, owner: usize, part: Part, worker: usize) {
        let first_sample = first_of_chunk + offset;
        let mut scratch = self.members[worker].scratch.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the arena has the plan's size and outlives the step; parts write disjoint places of it (Step's
        // contract), each is done once, and a step begins when all parts of the one before are finished; nobody else computes in it: a
        // member's chunks are in its own, a chunk that all share in the first one's, when no member has one; `bind` checked the tensors.
        let memory = unsafe { Memory::new(self.members[owner].shared.0, &self.bound, first_sample) }.inside_chunk(offset);
        let run = StepRun { memory: &memory, samples, first_sample, part, scratch: &mut scratch };
        if let Err(error) = self.call(step, worker, run) {
            self.fail((first_sample, part.index), error);
        }
    }

    /// One call of a step by a member, counted where runs are profiled.
    fn call(&self, step: usize, member: usize, mut run: StepRun<'_>) -> Result<()> {
        let Some(recorder) = &self.recorder else { return self.plan.steps[step].step.run(&mut run) };
        let start = Instant::now();
        let outcome = self.plan.steps[step].step.run(&mut run);
        recorder.add_step(step, member, if run.part.index == 0 { run.samples } else { 0 }, start);
        outcome
    }

    /// Whether one of these samples has failed, and none before them.
    fn has_failed(&self, samples: Range<usize>) -> bool {
        let failure = || self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        self.plan.may_fail && failure().as_ref().is_some_and(|((sample, _), _)| samples.contains(sample))
    }

    /// Keeps the failure of the lowest sample, and of its first part, so that the message does not depend on the schedule.
    fn fail(&self, at: (usize, usize), error: Error) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if failure.as_ref().is_none_or(|(earlier, _)| at < *earlier) {
            *failure = Some((at, error));
        }
    }

    /// Runs `samples` samples on this thread and shows each float tensor to `observe` right after its step.
    ///
    /// # Errors
    /// As [`Executor::run`], and whatever `observe` returns, which ends the run.
    pub fn run_observed(
        &mut self,
        samples: usize,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        observe: &mut dyn FnMut(&Observation<'_>) -> Result<()>,
    ) -> Result<()> {
        let _float_control = crate::isa::FloatControl::set_default();
        self.bind(samples, inputs, outputs)?;
        let (samples, chunk) = self.chunks_of(samples);
        let member = &self.members[0];
        let mut arena = member.arena.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scratch = member.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        debug_assert!(self.plan.stages.len() <= 1, "a plan of one stage is observed: `Plan::new` makes it");
        for first_sample in (0..samples).step_by(chunk.max(1)) {
            let samples = chunk.min(samples - first_sample);
            // SAFETY: as in `run_chunk`.
            let memory = unsafe { Memory::new(arena.as_mut_ptr(), &self.bound, first_sample) };
            for (index, input) in self.plan.inputs.iter().enumerate() {
                observe(&Observation { step: None, input: Some(index), tensor: &input.tensor, memory: &memory, samples })?;
            }
            for (index, planned) in self.plan.steps.iter().enumerate() {
                let mut run = StepRun { memory: &memory, samples, first_sample, part: Part::WHOLE, scratch: &mut scratch };
                planned.step.run(&mut run)?;
                if let Some(made) = &planned.makes {
                    observe(&Observation { step: Some(index), input: None, tensor: &made.tensor, memory: &memory, samples })?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
