//! The qconfig: what a user asks for, in all, for an operator type, for a layer by its name. It is honoured or refused.
//!
//! JSON, as [`QConfig::to_json`] writes it (`defaults` is complete, `overrides` hold what they change):
//! ```json
//! {"strict": false, "drop_inf": false,
//!  "defaults": {"mode": "static",
//!    "activation": {"qtype": "u8", "scheme": "affine", "reduce_range": false, "observer": "histogram", "grain": "per_sample"},
//!    "weight": {"per_channel": true, "scheme": "symmetric", "reduce_range": false}},
//!  "overrides": [{"scope": "op:Conv", "settings": {"activation": {"solver": {"percentile": {"p": 99.9}}}}},
//!                {"scope": "name:layer4.*", "settings": {"mode": "float"}}]}
//! ```
//! For a node the defaults come first, then every override for `*`, then those for its operator, then those for its name;
//! within a kind in the order in which they were set. Each changes the fields it holds, so the last word is the latest of
//! the most specific.
//!
//! `"per_channel": true` among the activation settings, with the observer `min_max`, gives depthwise convolutions activation qparams of each
//! channel; a layer that cannot have them has one set for the tensor and says why, and under `strict` is refused.
//!
//! A graph is prepared only if each scope, and what it sets, holds for at least one of its nodes: weight settings for a layer with weights, settings of
//! activations for a static one, the grain for a dynamic one. Layers that are float by request keep their other settings unused.
mod effects;
mod scope;
mod settings;

pub use effects::Effects;
pub use settings::{ActivationQConfig, ActivationSettings, Grain, LayerQConfig, LayerSettings, Mode, WeightSettings};

use super::{DynamicRule, ObserverKind, QType, Scheme, WeightQConfig, json};
use crate::error::{Error, Result};
use scope::Scope;
use serde::{Deserialize, Serialize};

/// Settings for the layers that a scope names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// `*`, `op:<operator>` or `name:<pattern>`.
    pub scope: String,
    /// What it changes.
    pub settings: LayerSettings,
}

/// What a user asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QConfig {
    /// A layer that stays float without being asked to is an error, not a line in the report.
    #[serde(default)]
    pub strict: bool,
    /// Calibration drops infinities and counts them; otherwise it refuses a batch that has one.
    #[serde(default)]
    pub drop_inf: bool,
    /// What holds where nothing else is said.
    pub defaults: LayerQConfig,
    /// What is said otherwise, in the order in which it was.
    #[serde(default)]
    pub overrides: Vec<Override>,
}

/// A contradiction: the field that is wrong, the fields that decide whose setting it was, and what is wrong.
struct Contradiction {
    field: &'static str,
    is_set_by: fn(&LayerSettings) -> bool,
    what: String,
}

impl QConfig {
    /// Static: u8, affine, histogram; weights s8 per output channel, symmetric. NUMERICS section 2 "Defaults".
    pub fn default_static() -> Self {
        QConfig::with_mode(Mode::Static)
    }

    /// Dynamic: the same weights, activation qparams at run time, per sample.
    pub fn default_dynamic() -> Self {
        QConfig::with_mode(Mode::Dynamic)
    }

    /// What torch's dynamic quantization does, for users who come from there: weights and activations per tensor, activations
    /// in 0..=127 by torch's own formula, so that results depend on batch mates. Recurrent layers: one scale for the
    /// sequence, one a step for the state.
    pub fn torch_dynamic() -> Self {
        let mut qconfig = QConfig::with_mode(Mode::Dynamic);
        let activation = &mut qconfig.defaults.activation;
        (activation.reduce_range, activation.grain, activation.rule) = (true, Grain::PerTensor, DynamicRule::Torch);
        qconfig.defaults.weight.per_channel = false;
        qconfig
    }

    fn with_mode(mode: Mode) -> Self {
        let activation = ActivationQConfig {
            qtype: QType::U8,
            scheme: Scheme::Affine,
            reduce_range: false,
            observer: ObserverKind::Histogram,
            solver: None,
            per_channel: false,
            grain: Grain::PerSample,
            rule: DynamicRule::Native,
        };
        let defaults = LayerQConfig { mode, activation, weight: WeightQConfig::default() };
        QConfig { strict: false, drop_inf: false, defaults, overrides: Vec::new() }
    }

    /// Sets something for the layers that `scope` names. Settings may complete each other, so contradictions are looked
    /// for by [`QConfig::validate`] and [`QConfig::resolve`].
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the text is not a scope; nothing is set.
    pub fn set(&mut self, scope: &str, settings: impl Into<LayerSettings>) -> Result<()> {
        Scope::parse(scope)?;
        self.overrides.push(Override { scope: scope.to_string(), settings: settings.into() });
        Ok(())
    }

    /// Leaves the layers that `scope` names in float.
    ///
    /// # Errors
    /// As [`QConfig::set`].
    pub fn skip(&mut self, scope: &str) -> Result<()> {
        self.set(scope, LayerSettings::FLOAT)
    }

    /// The configuration of a node.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a contradiction, naming the scope that set the field, the field, and the node.
    pub fn resolve(&self, operator: &str, name: &str) -> Result<LayerQConfig> {
        let parsed = self.parsed()?;
        let matching: Vec<_> = parsed.into_iter().filter(|(scope, _)| scope.matches(operator, name)).collect();
        self.combine(matching).map_err(|text| Error::InvalidArgument(format!("{text} (node {name:?}, operator {operator})")))
    }

    /// Looks for malformed scopes, and for contradictions in the defaults and in each override together with what holds for
    /// `*` and for its own scope. What only a node's mix of scopes brings about, [`QConfig::resolve`] finds.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming the scope and the field.
    pub fn validate(&self) -> Result<()> {
        let parsed = self.parsed()?;
        for mine in std::iter::once(Scope::All).chain(parsed.iter().map(|(scope, _)| *scope)) {
            let related = parsed.iter().filter(|(scope, _)| *scope == Scope::All || *scope == mine).copied().collect();
            self.combine(related).map_err(Error::InvalidArgument)?;
        }
        Ok(())
    }

    /// The scopes, as written, that match none of the nodes, given as `(operator, name)`. A typing error shows here.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a malformed scope.
    pub fn unmatched_scopes<'a>(&self, nodes: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Result<Vec<String>> {
        let mut unmatched = Vec::new();
        for entry in &self.overrides {
            let scope = Scope::parse(&entry.scope)?;
            if !nodes.clone().any(|(operator, name)| scope.matches(operator, name)) && !unmatched.contains(&entry.scope) {
                unmatched.push(entry.scope.clone());
            }
        }
        Ok(unmatched)
    }

    /// The qconfig as JSON.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where a number has no JSON form.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).map_err(|error| Error::InvalidArgument(format!("qconfig: {error}")))
    }

    /// Reads and validates a qconfig.
    ///
    /// # Errors
    /// [`Error::Parse`] for text that is not one (also for an unknown field), naming the path in it, [`Error::InvalidArgument`] as
    /// [`QConfig::validate`].
    pub fn from_json(text: &str) -> Result<Self> {
        let qconfig: QConfig = json::parse(text, "qconfig")?;
        qconfig.validate()?;
        Ok(qconfig)
    }

    fn parsed(&self) -> Result<Vec<(Scope<'_>, &LayerSettings)>> {
        self.overrides.iter().map(|entry| Ok((Scope::parse(&entry.scope)?, &entry.settings))).collect()
    }

    /// Lays the overrides over the defaults, least specific first, and checks the result.
    fn combine(&self, mut overrides: Vec<(Scope<'_>, &LayerSettings)>) -> std::result::Result<LayerQConfig, String> {
        // A stable sort: the order of setting stays within a kind.
        overrides.sort_by_key(|(scope, _)| scope.precedence());
        let mut layer = self.defaults;
        overrides.iter().for_each(|(_, settings)| settings.apply(&mut layer));
        match contradiction(&layer) {
            None => Ok(layer),
            Some(Contradiction { field, is_set_by, what }) => {
                let origin = overrides.iter().rev().find(|(_, settings)| is_set_by(settings)).map(|(scope, _)| scope);
                let origin = origin.map_or("defaults".to_string(), |scope| format!("scope {:?}", scope.to_string()));
                Err(format!("{origin}, field {field}: {what}"))
            }
        }
    }
}

/// What is wrong with a layer's configuration, if anything is. A float layer's other settings are not looked at.
fn contradiction(layer: &LayerQConfig) -> Option<Contradiction> {
    let LayerQConfig { mode, activation, weight } = layer;
    let found = |field, is_set_by, what: &str| Some(Contradiction { field, is_set_by, what: what.to_string() });
    if *mode == Mode::Float {
        return None;
    }
    if weight.scheme == Scheme::Affine {
        return found("weight.scheme", |s| s.weight.scheme.is_some(), "weights are symmetric or restricted_symmetric");
    }
    if *mode == Mode::Dynamic {
        let what = "dynamic activations are u8, affine";
        if activation.qtype != QType::U8 {
            return found("activation.qtype", |s| s.activation.qtype.is_some() || s.mode.is_some(), what);
        }
        if activation.scheme != Scheme::Affine {
            return found("activation.scheme", |s| s.activation.scheme.is_some() || s.mode.is_some(), what);
        }
        if activation.per_channel {
            let what = "qparams of each channel are fixed ones, for static layers";
            return found("activation.per_channel", |s| s.activation.per_channel.is_some() || s.mode.is_some(), what);
        }
        return None;
    }
    if activation.rule != DynamicRule::Native {
        return found("activation.rule", |s| s.activation.rule.is_some() || s.mode.is_some(), "torch's rule is for dynamic layers");
    }
    if activation.qtype == QType::U8 && activation.scheme == Scheme::RestrictedSymmetric {
        let set = |s: &LayerSettings| s.activation.scheme.is_some() || s.activation.qtype.is_some();
        return found("activation.scheme", set, "restricted_symmetric needs qtype s8");
    }
    if let Err(error) = activation.target().check() {
        let set = |s: &LayerSettings| {
            let activation = &s.activation;
            activation.reduce_range.is_some() || activation.scheme.is_some() || activation.qtype.is_some()
        };
        return found("activation.reduce_range", set, &error.to_string());
    }
    if activation.per_channel && activation.observer != ObserverKind::MinMax {
        let set = |s: &LayerSettings| s.activation.per_channel.is_some() || s.activation.observer.is_some();
        return found("activation.per_channel", set, "qparams of each channel need the observer min_max");
    }
    if let Err(error) = activation.solver().check(activation.observer) {
        let set = |s: &LayerSettings| s.activation.solver.is_some() || s.activation.observer.is_some();
        return found("activation.solver", set, &error.to_string());
    }
    None
}

#[cfg(test)]
mod tests;
