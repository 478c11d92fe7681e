//! A member's share of a number of items.
use std::ops::Range;

/// Share `index` of `count` equal shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Which share: `0..count`.
    pub index: usize,
    /// How many shares there are; at least 1.
    pub count: usize,
}

impl Part {
    /// The only share.
    pub const WHOLE: Part = Part { index: 0, count: 1 };

    /// This share of `0..items`. The shares of all indices follow each other without gap or overlap, and their sizes
    /// differ by one item at most.
    pub fn range(&self, items: usize) -> Range<usize> {
        let (size, larger) = (items / self.count, items % self.count);
        let start = self.index * size + self.index.min(larger);
        start..start + size + usize::from(self.index < larger)
    }

    /// As [`Part::range`], with every share but the last non-empty one made of whole runs of `multiple` (above 0) items.
    pub fn range_aligned(&self, items: usize, multiple: usize) -> Range<usize> {
        let runs = self.range(items.div_ceil(multiple));
        // `runs.end` may stand for a short run: cut at `items` before it can overflow.
        let cut = |run: usize| run.checked_mul(multiple).map_or(items, |item| item.min(items));
        cut(runs.start)..cut(runs.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_every_item_once_and_are_balanced() {
        for count in 1..=9 {
            for items in (0..40).chain([1000, usize::MAX]) {
                let mut next = 0;
                for index in 0..count {
                    let range = Part { index, count }.range(items);
                    assert_eq!(range.start, next);
                    let size = range.end - range.start;
                    assert!(size == items / count || size == items / count + 1);
                    next = range.end;
                }
                assert_eq!(next, items);
            }
        }
    }

    #[test]
    fn aligned_shares_cover_every_item_once_and_start_at_multiples() {
        for count in 1..=9 {
            for (items, multiple) in [(0, 16), (1, 16), (16, 16), (17, 16), (100, 16), (100, 1), (1000, 7), (usize::MAX, 64)] {
                let mut next = 0;
                for index in 0..count {
                    let range = Part { index, count }.range_aligned(items, multiple);
                    assert_eq!(range.start, next);
                    assert!(range.start.is_multiple_of(multiple) || range.start == items);
                    next = range.end;
                }
                assert_eq!(next, items);
            }
        }
        assert_eq!(Part { index: 0, count: 2 }.range_aligned(48, 16), 0..32);
        assert_eq!(Part { index: 1, count: 2 }.range_aligned(48, 16), 32..48);
    }
}
