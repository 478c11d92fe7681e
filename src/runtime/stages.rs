//! How many samples of a chunk pass each step at a time.
//!
//! Early layers have large images and small weights: one sample at a time stays in the cache. Late layers have small images
//! and large weights: several samples share one pass over the weights, and fill the kernels' tiles. Weights that are read once are worth
//! more there than images that stay in L2: these come back from the last-level cache in the order in which they are read. So a plan is a
//! row of stages, each with its number of samples; what one stage hands to the next is kept for the whole chunk.
use std::ops::Range;

/// Steps that a chunk's samples pass `samples` at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// The steps.
    pub steps: Range<usize>,
    /// Samples that pass a step together, at least 1.
    pub samples: usize,
}

/// Bytes of activations that a stage's samples may hold together: twice an L2 of 1 MB. With more, late residuals wait for a last-level cache
/// that others use too.
const STAGE_BYTES: usize = 2 << 20;
/// Samples of a stage at most: what is left of the weights' traffic is small then.
const STAGE_SAMPLES: usize = 8;
/// Weights below which a pass over them costs nothing that is worth a stage of its own.
const LARGE_WEIGHT_BYTES: usize = 1 << 20;

/// Stages for steps during which `live_bytes[i]` bytes of one sample live and which read `weight_bytes[i]` bytes of
/// constants, for chunks of up to `most` samples. Numbers of samples are powers of two and never fall. Steps whose weights are small, by
/// themselves or beside their images, are no stage of their own: they belong to the one before them, whose fewer samples always fit.
pub fn stages(live_bytes: &[usize], weight_bytes: &[usize], most: usize) -> Vec<Stage> {
    let mut stages: Vec<Stage> = Vec::new();
    let (mut largest, mut end, mut weights, mut live, mut samples) = (0, live_bytes.len(), 0, 0, usize::MAX);
    let is_worth_it = |weights: usize, live: usize| weights >= LARGE_WEIGHT_BYTES && weights >= live / 2;
    for step in (0..live_bytes.len()).rev() {
        largest = live_bytes[step].max(largest);
        let fitting = (STAGE_BYTES / largest.max(1)).clamp(1, STAGE_SAMPLES.min(most.max(1)));
        let fitting = 1 << fitting.ilog2();
        if fitting < samples {
            if is_worth_it(weights, live) {
                stages.push(Stage { steps: step + 1..end, samples });
                (end, weights, live) = (step + 1, 0, 0);
            }
            samples = fitting;
        }
        weights += weight_bytes[step];
        // What is read and written while weights are.
        live += if weight_bytes[step] > 0 { live_bytes[step] } else { 0 };
    }
    if end > 0 {
        stages.push(Stage { steps: 0..end, samples: if is_worth_it(weights, live) { samples } else { 1 } });
    }
    stages.reverse();
    stages
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: usize = 1 << 20;

    fn counts(live: &[usize], weights: &[usize], most: usize) -> Vec<(Range<usize>, usize)> {
        stages(live, weights, most).into_iter().map(|stage| (stage.steps, stage.samples)).collect()
    }

    #[test]
    fn large_images_pass_alone_and_large_weights_serve_several_samples() {
        let live = [3 * MB, 3 * MB, MB / 2, MB / 2, MB / 4, MB / 8];
        let weights = [0, 10_000, 2 * MB, 2 * MB, 2 * MB, 3 * MB];
        assert_eq!(counts(&live, &weights, 16), [(0..2, 1), (2..4, 4), (4..6, 8)]);
        assert_eq!(counts(&live, &weights, 2), [(0..2, 1), (2..6, 2)]);
        assert_eq!(counts(&live, &weights, 1), [(0..6, 1)]);
    }

    #[test]
    fn weights_that_are_small_beside_the_images_are_read_for_each_sample() {
        let live = [MB, MB, MB, MB, MB, MB / 4];
        let weights = [MB / 4, MB / 4, MB / 4, MB / 4, MB / 4, 2 * MB];
        assert_eq!(counts(&live, &weights, 16), [(0..5, 1), (5..6, 8)]);
        let weights = [MB; 6];
        assert_eq!(counts(&live, &weights, 16), [(0..5, 2), (5..6, 8)]);
    }

    #[test]
    fn a_tail_of_small_weights_is_no_stage_and_no_step_is_lost() {
        assert_eq!(counts(&[MB, MB / 2, 100, 100], &[0, 0, 0, 5000], 8), [(0..4, 1)]);
        assert_eq!(counts(&[], &[], 8), []);
        // A classifier behind heavy layers.
        assert_eq!(counts(&[2 * MB, MB, MB, 100], &[0, 2 * MB, 2 * MB, 5000], 8), [(0..1, 1), (1..4, 2)]);
        let live = [MB, MB / 2, MB, MB / 4, MB / 2, MB / 8, 10];
        let weights = [2 * MB; 7];
        for most in 1..9 {
            let stages = stages(&live, &weights, most);
            assert_eq!(stages.first().map(|stage| stage.steps.start), Some(0));
            assert_eq!(stages.last().map(|stage| stage.steps.end), Some(7));
            assert!(stages.windows(2).all(|pair| pair[0].steps.end == pair[1].steps.start && pair[0].samples <= pair[1].samples));
            for stage in &stages {
                assert!(
                    stage.samples <= most
                        && stage.steps.clone().all(|step| stage.samples == 1 || live[step] * stage.samples <= STAGE_BYTES)
                );
            }
        }
    }
}
