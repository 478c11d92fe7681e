//! Who runs the parts of a job: our own parked team, the caller's `parallel_for`, or one thread.

/// One of `count` equal parts of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Which.
    pub index: usize,
    /// Of how many.
    pub count: usize,
}

impl Part {
    /// The whole job.
    pub const WHOLE: Part = Part { index: 0, count: 1 };

    /// This part's share of `items`, balanced, in units of `multiple`.
    pub fn range_aligned(self, items: usize, multiple: usize) -> std::ops::Range<usize> {
        let units = items.div_ceil(multiple);
        let bound = |index: usize| (units * index / self.count * multiple).min(items);
        bound(self.index)..bound(self.index + 1)
    }

    /// This part's share of `items`, balanced.
    pub fn range(self, items: usize) -> std::ops::Range<usize> {
        self.range_aligned(items, 1)
    }
}
