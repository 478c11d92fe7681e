//! The plans that a session keeps for the input sizes that it met last, all in the memory of one.
use crate::error::Result;
use crate::runtime::{Executor, Plan, Profile, Recorder};
use std::sync::Arc;

struct KeptPlan {
    plan: Arc<Plan>,
    /// What its runs cost; the executor has that of the plan that runs now.
    recorder: Option<Recorder>,
}

/// Plans in the order of their last use, the one that runs now first.
pub(super) struct KeptPlans {
    most: usize,
    profile: bool,
    plans: Vec<KeptPlan>,
    executor: Option<Executor>,
}

impl KeptPlans {
    /// Keeps up to `most` plans, at least one; with `profile` their steps are counted.
    pub fn new(most: usize, profile: bool) -> Self {
        Self { most: most.max(1), profile, plans: Vec::new(), executor: None }
    }

    /// The memory, with the plan that runs now; `None` before there is one.
    pub fn executor(&self) -> Option<&Executor> {
        self.executor.as_ref()
    }

    /// As [`KeptPlans::executor`].
    pub fn executor_mut(&mut self) -> Option<&mut Executor> {
        self.executor.as_mut()
    }

    /// Makes the kept plan that `fits` the one that runs now, for batches of up to `max_samples`; whether there is one.
    /// Allocates nothing unless memory must grow.
    ///
    /// # Errors
    /// `OutOfMemory`, with everything as it was.
    pub fn select(&mut self, max_samples: usize, fits: impl Fn(&Plan) -> bool) -> Result<bool> {
        let Some(found) = self.plans.iter().position(|kept| fits(&kept.plan)) else { return Ok(false) };
        let Some(executor) = &mut self.executor else { return Ok(false) };
        if found > 0 {
            executor.switch(Arc::clone(&self.plans[found].plan), max_samples)?;
            let recorder = executor.exchange_recorder(self.plans[found].recorder.take());
            self.plans[0].recorder = recorder;
            self.plans[..=found].rotate_right(1);
        }
        Ok(true)
    }

    /// Makes `plan` the one that runs now, on up to `threads` threads, for batches of up to `max_samples`; the plan whose last
    /// use is longest ago goes where there are too many, and is returned.
    ///
    /// # Errors
    /// `OutOfMemory`, with everything as it was.
    pub fn insert(&mut self, plan: Arc<Plan>, threads: usize, max_samples: usize) -> Result<Option<Arc<Plan>>> {
        let executor = match &mut self.executor {
            Some(executor) => {
                executor.switch(Arc::clone(&plan), max_samples)?;
                executor
            }
            None => self.executor.insert(Executor::new(Arc::clone(&plan), threads, max_samples)?),
        };
        let recorder = self.profile.then(|| executor.recorder_for(&plan));
        let earlier = executor.exchange_recorder(recorder);
        if let Some(first) = self.plans.first_mut() {
            first.recorder = earlier;
        }
        let gone = if self.plans.len() < self.most { None } else { self.plans.pop() };
        self.plans.insert(0, KeptPlan { plan, recorder: None });
        Ok(gone.map(|kept| kept.plan))
    }

    /// Forgets all plans but the one that runs now.
    pub fn forget_others(&mut self) {
        self.plans.truncate(1);
    }

    /// What the runs of the plan that runs now have cost.
    pub fn profile(&self) -> Option<Profile> {
        self.executor.as_ref().and_then(Executor::profile)
    }

    /// Counts from zero again, for every plan.
    pub fn reset_profile(&mut self) {
        let Some(executor) = &mut self.executor else { return };
        executor.start_profile();
        for kept in self.plans.iter_mut().skip(1) {
            kept.recorder = self.profile.then(|| executor.recorder_for(&kept.plan));
        }
    }
}
