//! Offsets in the arena: tensors whose lives do not overlap share bytes.
use crate::tensor::{ALIGNMENT, round_up};
use std::ops::RangeInclusive;

/// Bytes behind each tensor that a kernel may read (and ignore): the last group of 4 channels may straddle the end.
const READ_SLACK: usize = 64;

/// A tensor to place.
#[derive(Debug, Clone)]
pub struct Life {
    /// Its size.
    pub bytes: usize,
    /// The steps from the one that writes it to the last that reads it.
    pub steps: RangeInclusive<usize>,
}

/// Offsets for every tensor, and the arena's size. The largest are placed first, each at the lowest offset that is free
/// for its whole life (greedy by size, as in Pisarchyk and Lee, "Efficient memory management for deep neural net inference", 2020).
pub fn place(lives: &[Life]) -> (Vec<usize>, usize) {
    let mut by_size: Vec<usize> = (0..lives.len()).collect();
    by_size.sort_by_key(|&index| (std::cmp::Reverse(lives[index].bytes), index));
    let mut offsets = vec![0; lives.len()];
    let mut placed: Vec<usize> = Vec::new();
    let mut arena = 0;
    let held = |index: usize| round_up(lives[index].bytes + READ_SLACK, ALIGNMENT);
    for index in by_size {
        let life = &lives[index].steps;
        let overlaps = |other: &RangeInclusive<usize>| life.start() <= other.end() && other.start() <= life.end();
        let mut taken: Vec<(usize, usize)> =
            placed.iter().filter(|&&other| overlaps(&lives[other].steps)).map(|&other| (offsets[other], held(other))).collect();
        taken.sort_unstable();
        let mut offset = 0;
        for (start, bytes) in taken {
            if offset + held(index) <= start {
                break;
            }
            offset = offset.max(start + bytes);
        }
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
}
