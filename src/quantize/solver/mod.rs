//! Solvers turn an observer's state and a target into a range and its qparams: NUMERICS section 4. Pure functions.
mod bins;
mod entropy;
mod l2;
mod min_max;
mod mse;
mod natural_logarithm;
mod percentile;
mod range;

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod oracle_tests;

pub use percentile::DEFAULT_PERCENTILE;

use super::observer::{ObserverKind, ObserverState};
use super::qparams::{QParams, Target, choose_qparams};
use crate::error::{Error, Result};
use bins::Bins;
use mse::Centres;
use range::Range;
use serde::{Deserialize, Serialize};

/// How a range is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SolverKind {
    /// The observed range.
    MinMax,
    /// Least expected squared error: the default for histograms.
    L2,
    /// All but a share of the values: `{"percentile": {"p": 99.99}}`.
    Percentile {
        /// The share that is kept, in percent; above 0, at most 100.
        p: f64,
    },
    /// Least Kullback-Leibler divergence.
    Entropy,
    /// Least true quantization error of the bin centres.
    Mse,
    /// The one of the above with the least mse objective.
    Auto,
}

impl SolverKind {
    /// The name in JSON, reports and messages.
    pub const fn name(self) -> &'static str {
        match self {
            SolverKind::MinMax => "min_max",
            SolverKind::L2 => "l2",
            SolverKind::Percentile { .. } => "percentile",
            SolverKind::Entropy => "entropy",
            SolverKind::Mse => "mse",
            SolverKind::Auto => "auto",
        }
    }

    /// The solver that an observer's states are given to unless another is asked for.
    pub const fn default_for(observer: ObserverKind) -> SolverKind {
        match observer {
            ObserverKind::MinMax | ObserverKind::MovingAverage => SolverKind::MinMax,
            ObserverKind::Histogram | ObserverKind::TorchHistogram => SolverKind::L2,
        }
    }

    /// Refuses a solver that the observer's states cannot serve, and a percentile out of range.
    ///
    /// A `min_max` or `moving_average` state knows a range only. A `torch_histogram` has its own search, which stands for `l2`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming both.
    pub fn check(self, observer: ObserverKind) -> Result<()> {
        if let SolverKind::Percentile { p } = self {
            percentile::check(p)?;
        }
        let serves = match observer {
            ObserverKind::Histogram => true,
            ObserverKind::TorchHistogram => matches!(self, SolverKind::MinMax | SolverKind::L2),
            ObserverKind::MinMax | ObserverKind::MovingAverage => matches!(self, SolverKind::MinMax),
        };
        if serves {
            Ok(())
        } else {
            Err(Error::InvalidArgument(format!("the solver {} cannot work on a {} state", self.name(), observer.name())))
        }
    }
}

/// What a solver found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Solved {
    /// Lower end of the range, at most 0.
    pub low: f32,
    /// Upper end of the range, at least 0.
    pub high: f32,
    /// Scale and zero point as held (u8): NUMERICS section 2 of the range.
    pub qparams: QParams,
    /// The solver that found it: for [`SolverKind::Auto`] the winner.
    pub solver: SolverKind,
    /// What the solver minimised: l2's `E`, entropy's divergence, the mse objective for all others. `None` where the state
    /// has no counts of its own bins.
    pub objective: Option<f64>,
    /// `10 log10(sum c_k x_k^2 / mse objective)`; infinite where nothing is lost, as for all-zero data. `None` as above.
    pub predicted_sqnr_db: Option<f64>,
}

/// Solves a state for a target.
///
/// # Errors
/// [`Error::NotCalibrated`] if the state has seen nothing, [`Error::InvalidArgument`] for a solver that the state cannot
/// serve, a percentile out of range, or a target without meaning.
pub fn solve(state: &ObserverState, solver: SolverKind, target: Target) -> Result<Solved> {
    target.check()?;
    solver.check(state.kind())?;
    let Some(observed) = state.range() else {
        return Err(Error::NotCalibrated("the observer has seen no values".into()));
    };
    let without_counts = |(low, high)| solve_range(low, high, solver, target);
    match state {
        ObserverState::Histogram(histogram) => match Bins::of(histogram) {
            Some(bins) => solve_bins(&bins, solver, target),
            None => without_counts(observed),
        },
        ObserverState::TorchHistogram(histogram) if solver == SolverKind::L2 => without_counts(histogram.search().unwrap_or(observed)),
        ObserverState::TorchHistogram(_) | ObserverState::MinMax(_) | ObserverState::ChannelMinMax(_) | ObserverState::MovingAverage(_) => {
            without_counts(observed)
        }
    }
}

/// Solves tensors that share their qparams: on the merged state, or on the union of the ranges of observers that cannot
/// merge (for `torch_histogram` with `l2` those that its searches find).
///
/// # Errors
/// As [`solve`]; [`Error::Mismatch`] for states of different observers, [`Error::NotCalibrated`] also for no states.
pub fn solve_tied(states: &[&ObserverState], solver: SolverKind, target: Target) -> Result<Solved> {
    let Some((first, rest)) = states.split_first() else {
        return Err(Error::NotCalibrated("no observer".into()));
    };
    if first.is_mergeable() {
        let mut merged = (*first).clone();
        rest.iter().try_for_each(|state| merged.merge(state))?;
        return solve(&merged, solver, target);
    }
    let mut union = solve(first, solver, target)?;
    for state in rest {
        if state.kind() != first.kind() {
            return Err(Error::Mismatch(format!("tied tensors with the observers {} and {}", first.kind().name(), state.kind().name())));
        }
        let solved = solve(state, solver, target)?;
        union = solve_range(union.low.min(solved.low), union.high.max(solved.high), solver, target)?;
    }
    Ok(union)
}

/// The qparams of a range that is known already.
///
/// # Errors
/// As [`choose_qparams`].
pub fn solve_range(low: f32, high: f32, solver: SolverKind, target: Target) -> Result<Solved> {
    let qparams = choose_qparams(low, high, target)?;
    // Adding 0.0 turns -0.0 into 0.0.
    let (mut low, mut high) = (low.min(0.0) + 0.0, high.max(0.0) + 0.0);
    if target.is_symmetric() {
        high = high.max(-low);
        low = -high;
    }
    Ok(Solved { low, high, qparams, solver, objective: None, predicted_sqnr_db: None })
}

fn solve_bins(bins: &Bins, solver: SolverKind, target: Target) -> Result<Solved> {
    let centres = Centres::of(bins);
    let (range, objective, winner) = best_range(bins, &centres, solver, target)?;
    let mse = centres.error(range, target);
    let sqnr = if mse == 0.0 { f64::INFINITY } else { 10.0 / std::f64::consts::LN_10 * natural_logarithm::ln(bins.energy() / mse) };
    let solved = solve_range(range.low as f32, range.high as f32, winner, target)?;
    Ok(Solved { objective: Some(objective), predicted_sqnr_db: Some(sqnr), ..solved })
}

/// The range, the solver's objective, and the solver that found it.
fn best_range(bins: &Bins, centres: &Centres, solver: SolverKind, target: Target) -> Result<(Range, f64, SolverKind)> {
    if bins.nonzero() == 0 {
        return Ok((Range { low: 0.0, high: 0.0 }, 0.0, solver));
    }
    let with_mse = |range: Range| (range, centres.error(range, target), solver);
    Ok(match solver {
        SolverKind::MinMax => with_mse(min_max::solve(bins, target)),
        SolverKind::Percentile { p } => with_mse(percentile::solve(bins, target, p)),
        SolverKind::Entropy if entropy::applies(bins, target) => {
            let (range, divergence) = entropy::solve(bins, target);
            (range, divergence, solver)
        }
        SolverKind::L2 | SolverKind::Entropy => {
            let (range, error) = l2::solve(bins, target)?;
            (range, error, solver)
        }
        SolverKind::Mse => {
            let (range, error) = mse::solve(bins, centres, target);
            (range, error, solver)
        }
        SolverKind::Auto => {
            // In the order in which ties are decided.
            let order = [
                SolverKind::L2,
                SolverKind::Mse,
                SolverKind::MinMax,
                SolverKind::Percentile { p: DEFAULT_PERCENTILE },
                SolverKind::Entropy,
            ];
            let mut best = (bins.range, f64::INFINITY, SolverKind::MinMax);
            for candidate in order {
                let (range, _, _) = best_range(bins, centres, candidate, target)?;
                let error = centres.error(range, target);
                if error < best.1 {
                    best = (range, error, candidate);
                }
            }
            best
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    fn observed(kind: ObserverKind, values: &[f32]) -> ObserverState {
        let mut state = ObserverState::new(kind);
        state.observe(values);
        state
    }

    const KINDS: [ObserverKind; 4] =
        [ObserverKind::MinMax, ObserverKind::MovingAverage, ObserverKind::Histogram, ObserverKind::TorchHistogram];
    const SOLVERS: [SolverKind; 6] =
        [SolverKind::MinMax, SolverKind::L2, SolverKind::Percentile { p: 99.0 }, SolverKind::Entropy, SolverKind::Mse, SolverKind::Auto];

    #[test]
    fn range_only_states_are_solved_by_min_max_and_name_any_other_solver() {
        for kind in [ObserverKind::MinMax, ObserverKind::MovingAverage] {
            let state = observed(kind, &[-1.0, 3.0]);
            let solved = solve(&state, SolverKind::MinMax, Target::U8_AFFINE).unwrap();
            assert_eq!((solved.low, solved.high, solved.objective), (-1.0, 3.0, None));
            assert_eq!(solved.qparams, choose_qparams(-1.0, 3.0, Target::U8_AFFINE).unwrap());
            for solver in &SOLVERS[1..] {
                let error = solve(&state, *solver, Target::U8_AFFINE).unwrap_err().to_string();
                assert!(error.contains(solver.name()) && error.contains(kind.name()), "{error}");
            }
        }
    }

    #[test]
    fn a_state_that_has_seen_nothing_is_not_calibrated() {
        for kind in KINDS {
            let state = observed(kind, &[f32::INFINITY]);
            assert!(matches!(solve(&state, SolverKind::default_for(kind), Target::U8_AFFINE), Err(Error::NotCalibrated(_))));
        }
    }

    #[test]
    fn extreme_data_give_sound_qparams_with_every_solver() {
        let data: [&[f32]; 8] = [
            &[0.0; 5],
            &[3.25; 9],
            &[-2.0; 3],
            &[1e-45, -1e-45],
            &[f32::MAX, f32::MIN, 0.0],
            &[f32::MAX],
            &[-1e-30, -5e-30],
            &[0.0, 0.0, 1e30],
        ];
        for values in data {
            for kind in KINDS {
                for solver in SOLVERS.iter().filter(|solver| solver.check(kind).is_ok()) {
                    for target in [Target::U8_AFFINE, Target::S8_SYMMETRIC, Target { reduce_range: true, ..Target::S8_SYMMETRIC }] {
                        let solved = solve(&observed(kind, values), *solver, target).unwrap();
                        solved.qparams.check().unwrap();
                        assert!(solved.low <= 0.0 && solved.high >= 0.0 && solved.low.is_finite() && solved.high.is_finite());
                        assert!(!solved.objective.is_some_and(f64::is_nan) && !solved.predicted_sqnr_db.is_some_and(f64::is_nan));
                    }
                }
            }
        }
    }

    #[test]
    fn tied_states_are_solved_on_what_all_have_seen() {
        for kind in KINDS {
            let (a, b) = (observed(kind, &[-1.0, 0.5]), observed(kind, &[0.25, 3.0]));
            let tied = solve_tied(&[&a, &b], SolverKind::MinMax, Target::U8_AFFINE).unwrap();
            assert_eq!((tied.low, tied.high), (-1.0, 3.0));
            assert_eq!(tied.qparams, choose_qparams(-1.0, 3.0, Target::U8_AFFINE).unwrap());
            let alone = solve_tied(&[&b], SolverKind::default_for(kind), Target::U8_AFFINE).unwrap();
            assert_eq!(alone, solve(&b, SolverKind::default_for(kind), Target::U8_AFFINE).unwrap());
            let other = observed(if kind == ObserverKind::MinMax { ObserverKind::Histogram } else { ObserverKind::MinMax }, &[1.0]);
            assert!(matches!(solve_tied(&[&a, &other], SolverKind::MinMax, Target::U8_AFFINE), Err(Error::Mismatch(_))));
        }
        let (a, b) = (observed(ObserverKind::Histogram, &[-1.0, 0.5]), observed(ObserverKind::Histogram, &[0.25, 3.0]));
        let both = observed(ObserverKind::Histogram, &[-1.0, 0.5, 0.25, 3.0]);
        let tied = solve_tied(&[&a, &b], SolverKind::L2, Target::U8_AFFINE).unwrap();
        assert_eq!(tied, solve(&both, SolverKind::L2, Target::U8_AFFINE).unwrap());
        assert!(matches!(solve_tied(&[], SolverKind::MinMax, Target::U8_AFFINE), Err(Error::NotCalibrated(_))));
    }

    #[test]
    fn all_zero_data_give_the_empty_range() {
        let state = observed(ObserverKind::Histogram, &[0.0, -0.0, 0.0]);
        for solver in SOLVERS {
            let solved = solve(&state, solver, Target::U8_AFFINE).unwrap();
            assert_eq!((solved.low, solved.high, solved.predicted_sqnr_db), (0.0, 0.0, Some(f64::INFINITY)));
            assert_eq!(solved.qparams, QParams { scale: f32::EPSILON, zero_point: 0 });
        }
    }

    #[test]
    fn auto_is_the_least_mse_and_names_the_winner() {
        let values: Vec<f32> = (0..20_000).map(|i| ((i as f32 * 0.618).fract() - 0.5) * if i % 1000 == 0 { 30.0 } else { 1.0 }).collect();
        let state = observed(ObserverKind::Histogram, &values);
        let auto = solve(&state, SolverKind::Auto, Target::U8_AFFINE).unwrap();
        assert_ne!(auto.solver, SolverKind::Auto);
        for solver in &SOLVERS[..5] {
            assert!(solve(&state, *solver, Target::U8_AFFINE).unwrap().predicted_sqnr_db <= auto.predicted_sqnr_db);
        }
        let winner = solve(&state, auto.solver, Target::U8_AFFINE).unwrap();
        assert_eq!((winner.low, winner.high), (auto.low, auto.high));
    }

    #[test]
    fn the_predicted_sqnr_is_close_to_the_measured_one() {
        let values: Vec<f32> = (0..50_000).map(|i| (i as f32 * 0.618_034).fract() * 2.0 - 0.7).collect();
        let solved = solve(&observed(ObserverKind::Histogram, &values), SolverKind::L2, Target::U8_AFFINE).unwrap();
        let quantized: Vec<f32> = values.iter().map(|&x| solved.qparams.dequantize(solved.qparams.quantize(x, 0, 255))).collect();
        let mut similarity = crate::quantize::metrics::Similarity::default();
        similarity.add(&values, &quantized);
        assert!((similarity.sqnr_db() - solved.predicted_sqnr_db.unwrap()).abs() < 0.3);
    }

    #[test]
    fn solvers_are_written_by_their_names() {
        for solver in SOLVERS {
            let text = serde_json::to_string(&solver).unwrap();
            assert!(text.contains(solver.name()));
            assert_eq!(serde_json::from_str::<SolverKind>(&text).unwrap(), solver);
        }
        assert_eq!(serde_json::from_str::<SolverKind>(r#"{"percentile":{"p":99.9}}"#).unwrap(), SolverKind::Percentile { p: 99.9 });
        for p in [0.0, -1.0, 100.5, f64::NAN] {
            assert!(SolverKind::Percentile { p }.check(ObserverKind::Histogram).is_err());
        }
    }

    #[test]
    #[ignore = "a measurement: cargo test --release -- --ignored solve_speed --nocapture"]
    fn solve_speed() {
        let values: Vec<f32> = (0..800_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 8e6 - 1.02).collect();
        let state = observed(ObserverKind::Histogram, &values);
        for target in [Target::U8_AFFINE, Target::S8_SYMMETRIC] {
            for solver in SOLVERS {
                let start = std::time::Instant::now();
                let solved = solve(&state, solver, target).unwrap();
                println!("{} {target:?}: {:?} {:.2} dB", solver.name(), start.elapsed(), solved.predicted_sqnr_db.unwrap());
            }
        }
    }
}
