//! The qconfig of a command line: a file, and what options change of it.
use clap::{Args, ValueEnum};
use rsquant::error::{Error, Result};
use rsquant::quantize::{DEFAULT_PERCENTILE, LayerSettings, Mode, ObserverKind, QConfig, SolverKind};
use std::path::PathBuf;

/// The settings' identifiers, for options that leave nothing to set.
pub const SETTINGS: [&str; 8] = ["qconfig", "mode", "observer", "solver", "float", "fixed", "dynamic", "strict"];

/// How layers are quantized.
#[derive(Args)]
#[command(next_help_heading = "How to quantize")]
pub struct QConfigArguments {
    /// A qconfig as JSON; the options below change it.
    #[arg(long, value_name = "FILE")]
    qconfig: Option<PathBuf>,
    /// Where activation ranges come from [default: static].
    #[arg(long, value_enum, value_name = "MODE", conflicts_with = "qconfig")]
    mode: Option<ModeName>,
    /// What calibration collects: histogram, min_max, moving_average, torch_histogram [default: histogram].
    #[arg(long, value_name = "NAME", value_parser = observer)]
    observer: Option<ObserverKind>,
    /// How ranges are chosen: l2, min_max, mse, entropy, percentile[:99.99], auto [default: the observer's].
    #[arg(long, value_name = "NAME", value_parser = solver)]
    solver: Option<SolverKind>,
    /// Layers to leave in float: a name in which * and ? are wild, or op:OPERATOR. May be repeated.
    #[arg(long, value_name = "LAYER")]
    float: Vec<String>,
    /// Layers that are int8 with ranges from calibration.
    #[arg(long = "static", value_name = "LAYER")]
    fixed: Vec<String>,
    /// Layers that are int8 with ranges from each run.
    #[arg(long, value_name = "LAYER")]
    dynamic: Vec<String>,
    /// Refuse a network of which a layer must stay float without being asked to.
    #[arg(long)]
    strict: bool,
}

/// Names of the ready qconfigs.
#[derive(Clone, Copy, ValueEnum)]
enum ModeName {
    /// From calibration.
    Static,
    /// From each run's values, per sample.
    Dynamic,
    /// As torch's dynamic quantization.
    TorchDynamic,
}

fn observer(name: &str) -> std::result::Result<ObserverKind, String> {
    let kinds = [ObserverKind::Histogram, ObserverKind::MinMax, ObserverKind::MovingAverage, ObserverKind::TorchHistogram];
    kinds.into_iter().find(|kind| kind.name() == name).ok_or_else(|| format!("{name:?} is no observer"))
}

fn solver(name: &str) -> std::result::Result<SolverKind, String> {
    let (name, p) = match name.split_once(':') {
        Some((name, p)) => (name, Some(p.parse::<f64>().map_err(|_| format!("{p:?} is no number"))?)),
        None => (name, None),
    };
    let percentile = SolverKind::Percentile { p: p.unwrap_or(DEFAULT_PERCENTILE) };
    let kinds = [SolverKind::MinMax, SolverKind::L2, percentile, SolverKind::Entropy, SolverKind::Mse, SolverKind::Auto];
    let kind = kinds.into_iter().find(|kind| kind.name() == name).ok_or_else(|| format!("{name:?} is no solver"))?;
    match (kind, p) {
        (SolverKind::Percentile { .. }, _) | (_, None) => Ok(kind),
        _ => Err(format!("the solver {name} takes no number")),
    }
}

/// A scope of the qconfig; a bare name is a pattern of names.
fn scope(layer: &str) -> String {
    let is_scope = layer == "*" || layer.starts_with("op:") || layer.starts_with("name:");
    if is_scope { layer.to_owned() } else { format!("name:{layer}") }
}

impl QConfigArguments {
    /// The qconfig that is asked for.
    ///
    /// # Errors
    /// `Io`; `Parse` and `InvalidArgument` naming file or scope.
    pub fn qconfig(&self) -> Result<QConfig> {
        let mut qconfig = match (&self.qconfig, self.mode) {
            (Some(path), _) => {
                let text = std::fs::read_to_string(path).map_err(|error| Error::io(path, &error))?;
                QConfig::from_json(&text).map_err(|error| error.in_file(path))?
            }
            (None, Some(ModeName::Dynamic)) => QConfig::default_dynamic(),
            (None, Some(ModeName::TorchDynamic)) => QConfig::torch_dynamic(),
            (None, Some(ModeName::Static) | None) => QConfig::default_static(),
        };
        let activation = &mut qconfig.defaults.activation;
        if let Some(observer) = self.observer {
            (activation.observer, activation.solver) = (observer, None);
        }
        activation.solver = self.solver.or(activation.solver);
        qconfig.strict |= self.strict;
        for (layers, mode) in [(&self.float, Mode::Float), (&self.fixed, Mode::Static), (&self.dynamic, Mode::Dynamic)] {
            for layer in layers {
                qconfig.set(&scope(layer), LayerSettings { mode: Some(mode), ..LayerSettings::default() })?;
            }
        }
        qconfig.validate()?;
        Ok(qconfig)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_solvers_and_observers_are_those_of_the_qconfig() {
        assert_eq!(solver("percentile:99.5"), Ok(SolverKind::Percentile { p: 99.5 }));
        assert_eq!(solver("percentile"), Ok(SolverKind::Percentile { p: DEFAULT_PERCENTILE }));
        assert_eq!((solver("auto"), observer("min_max")), (Ok(SolverKind::Auto), Ok(ObserverKind::MinMax)));
        for bad in ["l3", "l2:1", "percentile:x", ""] {
            assert!(solver(bad).is_err(), "{bad}");
        }
        assert!(observer("l2").unwrap_err().contains("\"l2\""));
    }

    #[test]
    fn a_bare_layer_is_a_pattern_of_names() {
        assert_eq!((scope("conv*"), scope("op:Conv")), ("name:conv*".to_owned(), "op:Conv".to_owned()));
        assert_eq!((scope("*"), scope("name:x")), ("*".to_owned(), "name:x".to_owned()));
    }
}
