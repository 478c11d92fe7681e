//! Offsets in the arena: tensors whose lives do not overlap share bytes.
use crate::tensor::{ALIGNMENT, round_up};
use std::ops::RangeInclusive;

/// Bytes behind each tensor that a kernel may read (and ignore): the last group of 4 channels may straddle the end.
const READ_SLACK: usize = 64;

/// Places whose middles are kept: as many as large tensors that live together, and few enough to look at for every tensor.
const MIDDLES: usize = 16;

/// A tensor to place.
#[derive(Debug, Clone)]
pub struct Life {
    /// Its size.
    pub bytes: usize,
    /// The steps from the one that writes it to the last that reads it.
    pub steps: RangeInclusive<usize>,
}

/// Offsets for every tensor, and the arena's size. The largest are placed first (greedy by size, as in Pisarchyk and Lee, "Efficient
/// memory management for deep neural net inference", 2020), each around the middle of a larger one that is dead meanwhile, or else at
/// the lowest offset that is free for its whole life.
///
/// Around a middle, because the threads of a run share most layers by pixels: half a tensor is then written, and mostly read, by the
/// core that had this half of the bytes before, so its lines need not come from the other core's cache.
pub fn place(lives: &[Life]) -> (Vec<usize>, usize) {
    let mut by_size: Vec<usize> = (0..lives.len()).collect();
    by_size.sort_by_key(|&index| (std::cmp::Reverse(lives[index].bytes), index));
    let mut offsets = vec![0; lives.len()];
    let mut placed: Vec<usize> = Vec::new();
    let mut middles: Vec<usize> = Vec::new();
    let mut arena = 0;
    let held = |index: usize| round_up(lives[index].bytes + READ_SLACK, ALIGNMENT);
    for index in by_size {
        let life = &lives[index].steps;
        let overlaps = |other: &RangeInclusive<usize>| life.start() <= other.end() && other.start() <= life.end();
        let mut taken: Vec<(usize, usize)> = placed
            .iter()
            .filter(|&&other| overlaps(&lives[other].steps))
            .map(|&other| (offsets[other], offsets[other] + held(other)))
            .collect();
        taken.sort_unstable();
        let half = round_up(lives[index].bytes / 2, ALIGNMENT);
        let is_free = |offset: &usize| taken.iter().all(|&(start, end)| offset + held(index) <= start || end <= *offset);
        let around_a_middle = middles.iter().filter_map(|middle| middle.checked_sub(half)).find(is_free);
        let offset = around_a_middle.unwrap_or_else(|| {
            let mut lowest = 0;
            for &(start, end) in &taken {
                if lowest + held(index) <= start {
                    break;
                }
                lowest = lowest.max(end);
            }
            if middles.len() < MIDDLES {
                middles.push(lowest + half);
            }
            lowest
        });
        offsets[index] = offset;
        arena = arena.max(offset + held(index));
        placed.push(index);
    }
    (offsets, arena)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_that_live_together_do_not_overlap_and_others_share() {
        let lives: Vec<Life> =
            [(1000, 0..=1), (500, 1..=2), (1000, 2..=3), (64, 0..=3), (0, 1..=1)].map(|(bytes, steps)| Life { bytes, steps }).into();
        let (offsets, arena) = place(&lives);
        for a in 0..lives.len() {
            for b in 0..a {
                let together = lives[a].steps.start() <= lives[b].steps.end() && lives[b].steps.start() <= lives[a].steps.end();
                let apart = offsets[a] + lives[a].bytes <= offsets[b] || offsets[b] + lives[b].bytes <= offsets[a];
                assert!(!together || apart, "{a} and {b}");
            }
        }
        assert_eq!(offsets[0], offsets[2], "the two large ones share their place");
        assert!(arena < 2 * 1000 + 500);
        assert!(offsets.iter().all(|offset| offset % ALIGNMENT == 0));
    }

    #[test]
    fn halves_of_tensors_that_share_a_place_lie_in_the_same_halves_of_it() {
        // A wide tensor, then two narrow ones that live together: one around the wide one's middle, one behind.
        let lives: Vec<Life> =
            [(4096, 0..=1), (1024, 2..=3), (1024, 3..=4), (2048, 5..=5)].map(|(bytes, steps)| Life { bytes, steps }).into();
        let (offsets, arena) = place(&lives);
        let middle = |index: usize| offsets[index] + lives[index].bytes / 2;
        assert_eq!([middle(0), middle(1), middle(3)], [2048; 3]);
        assert!(offsets[2] >= offsets[1] + 1024 || offsets[2] + 1024 <= offsets[1]);
        assert!(arena <= 4096 + READ_SLACK);
    }
}
