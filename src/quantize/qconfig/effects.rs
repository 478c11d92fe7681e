//! Which kinds of settings a scope sets, and which hold for a node.
use super::scope::Scope;
use super::{ActivationSettings, Grain, LayerSettings, QConfig, WeightSettings};
use crate::error::Result;
use crate::quantize::{DynamicRule, ObserverKind};

/// Kinds of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Effects {
    /// Of weights.
    pub weight: bool,
    /// Of activations with fixed qparams.
    pub activation: bool,
    /// `reduce_range` of activations, fixed or dynamic.
    pub range: bool,
    /// Activation qparams of each channel.
    pub channels: bool,
    /// The grain and rule of dynamic activations.
    pub grain: bool,
}

impl Effects {
    /// What `settings` set.
    fn of(settings: &LayerSettings) -> Self {
        let activation = ActivationSettings { grain: None, rule: None, reduce_range: None, per_channel: None, ..settings.activation };
        Self {
            weight: settings.weight != WeightSettings::default(),
            activation: activation != ActivationSettings::default(),
            range: settings.activation.reduce_range.is_some(),
            channels: settings.activation.per_channel == Some(true),
            grain: settings.activation.grain.is_some_and(|grain| grain != Grain::PerSample)
                || settings.activation.rule.is_some_and(|rule| rule != DynamicRule::Native),
        }
    }

    /// Both.
    pub fn or(self, other: Self) -> Self {
        Self {
            weight: self.weight || other.weight,
            activation: self.activation || other.activation,
            range: self.range || other.range,
            channels: self.channels || other.channels,
            grain: self.grain || other.grain,
        }
    }

    /// The first of these kinds that `other` lacks.
    pub fn without(self, other: Self) -> Option<&'static str> {
        let kinds = [
            (self.weight && !other.weight, "weight settings"),
            (self.activation && !other.activation, "settings of static activations"),
            (self.range && !other.range, "reduce_range of activations"),
            (self.channels && !other.channels, "activation qparams of each channel"),
            (self.grain && !other.grain, "the grain or rule of dynamic activations"),
        ];
        kinds.iter().find(|(lacks, _)| *lacks).map(|(_, name)| *name)
    }
}

impl QConfig {
    /// Each scope with the kinds of settings that it sets; what the defaults have of their own stands for `*`.
    ///
    /// # Errors
    /// [`crate::error::Error::InvalidArgument`] for a malformed scope.
    pub(crate) fn settings_by_scope(&self) -> Result<Vec<(Scope<'_>, Effects)>> {
        let activation = &self.defaults.activation;
        let of_defaults = Effects {
            weight: false,
            activation: activation.observer != ObserverKind::Histogram || activation.solver.is_some(),
            range: activation.reduce_range,
            channels: activation.per_channel,
            grain: activation.grain != Grain::PerSample || activation.rule != DynamicRule::Native,
        };
        let overrides = self.parsed()?.into_iter().map(|(scope, settings)| (scope, Effects::of(settings)));
        Ok(std::iter::once((Scope::All, of_defaults)).chain(overrides).collect())
    }
}
