//! The least expected squared error: clipping by the centres, rounding as `step^2 / 12`. NUMERICS section 4; the default.
use super::bins::Bins;
use super::range::Range;
use crate::error::Result;
use crate::memory;
use crate::quantize::Target;

/// One end of a range: its distance from zero, the error of what it clips, and how many values it clips.
struct End {
    bound: f64,
    clipped_error: f64,
    clipped: f64,
}

/// The best range and its objective. All candidates are tried; ties go to the wider range.
///
/// # Errors
/// [`crate::error::Error::OutOfMemory`] for the list of candidates.
pub(super) fn solve(bins: &Bins, target: Target) -> Result<(Range, f64)> {
    let steps = f64::from(target.steps());
    let total = bins.nonzero() as f64;
    if target.is_symmetric() {
        let mut best = (0.0, f64::INFINITY);
        for end in ends(&bins.folded(), bins.width, bins.bound())?.iter().filter(|end| end.bound > 0.0) {
            let step = 2.0 * end.bound / steps;
            let error = end.clipped_error + step * step / 12.0 * (total - end.clipped);
            if error < best.1 {
                best = (end.bound, error);
            }
        }
        return Ok((Range::symmetric(best.0), best.1));
    }
    let (negative, positive) = bins.counts.split_at((-bins.first) as usize);
    let mirrored: Vec<u64> = negative.iter().rev().copied().collect();
    let lows = ends(&mirrored, bins.width, -bins.range.low)?;
    let highs = ends(positive, bins.width, bins.range.high)?;
    let mut best = (Range { low: 0.0, high: 0.0 }, f64::INFINITY);
    for low in &lows {
        let kept_below = total - low.clipped;
        for high in &highs {
            let width = low.bound + high.bound;
            let step = width / steps;
            let error = low.clipped_error + high.clipped_error + step * step / 12.0 * (kept_below - high.clipped);
            if error <= best.1 && width > 0.0 && (error < best.1 || width > best.0.high - best.0.low) {
                best = (Range { low: -low.bound, high: high.bound }, error);
            }
        }
    }
    Ok(best)
}

/// The candidates on one side of zero, widest first: `bound`, then the bin edges below it down to 0. `counts` from zero
/// outwards. The sums are exact, in half-bin units.
fn ends(counts: &[u64], width: f64, bound: f64) -> Result<Vec<End>> {
    let half = width / 2.0;
    let mut ends = memory::reserved(counts.len() + 2, "the candidates of a range")?;
    // Only the outermost bin's centre can lie beyond the bound itself.
    let outermost = counts.iter().rposition(|&count| count > 0).unwrap_or(0);
    let beyond = (outermost as f64 + 0.5) * width - bound;
    let clipped = if beyond > 0.0 { counts.get(outermost).copied().unwrap_or(0) as f64 } else { 0.0 };
    ends.push(End { bound, clipped_error: clipped * beyond * beyond, clipped });
    let (mut sum, mut moment, mut square) = (0i128, 0i128, 0i128);
    for edge in (0..=counts.len()).rev() {
        if let Some(&count) = counts.get(edge) {
            let (count, centre) = (i128::from(count), 2 * edge as i128 + 1);
            sum += count;
            moment += count * centre;
            square += count * centre * centre;
        }
        let at = 2 * edge as i128;
        if edge as f64 * width < bound {
            let error = square - 2 * at * moment + at * at * sum;
            ends.push(End { bound: edge as f64 * width, clipped_error: error as f64 * half * half, clipped: sum as f64 });
        }
    }
    Ok(ends)
}
