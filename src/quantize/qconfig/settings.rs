//! What may be set for a layer: complete ([`LayerQConfig`]) and in part ([`LayerSettings`]).
use crate::quantize::{DynamicQuantization, DynamicRule, ObserverKind, QType, Scheme, SolverKind, Target, WeightQConfig};
use serde::{Deserialize, Serialize};

/// How a layer is executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// int8 with activation qparams from calibration.
    Static,
    /// int8 with activation qparams from each run's values: u8, affine.
    Dynamic,
    /// f32.
    Float,
}

/// What one set of dynamic activation qparams is for: NUMERICS section 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grain {
    /// Every index of the batch axis has its own.
    PerSample,
    /// Every row (token) of a linear layer has its own.
    PerRow,
    /// One for the tensor: results depend on batch mates, as torch's do.
    PerTensor,
}

/// How a layer's activations are quantized.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivationQConfig {
    /// `u8` or `s8`.
    pub qtype: QType,
    /// `affine`, `symmetric` or `restricted_symmetric`.
    pub scheme: Scheme,
    /// Leave one bit unused.
    pub reduce_range: bool,
    /// What calibration collects.
    pub observer: ObserverKind,
    /// How the range is chosen; absent: [`SolverKind::default_for`] the observer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub solver: Option<SolverKind>,
    /// Each channel has its own fixed qparams, where the layer is a depthwise convolution; otherwise the layer says why not. Needs the
    /// observer `min_max`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub per_channel: bool,
    /// What one set of dynamic qparams is for.
    pub grain: Grain,
    /// How dynamic qparams and bytes are computed: `native` or `torch`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rule: DynamicRule,
}

impl ActivationQConfig {
    /// What a range is turned into.
    pub const fn target(&self) -> Target {
        Target { qtype: self.qtype, scheme: self.scheme, reduce_range: self.reduce_range }
    }

    /// The same, one set of qparams a tensor.
    pub const fn per_tensor(self) -> Self {
        Self { per_channel: false, ..self }
    }

    /// How a dynamic layer's activations are quantized.
    pub const fn dynamic(&self) -> DynamicQuantization {
        DynamicQuantization { grain: self.grain, rule: self.rule, reduce_range: self.reduce_range }
    }

    /// The solver that is used.
    pub fn solver(&self) -> SolverKind {
        self.solver.unwrap_or(SolverKind::default_for(self.observer))
    }
}

/// All that is asked of one layer. Biases stay f32.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerQConfig {
    /// How it is executed.
    pub mode: Mode,
    /// Its activations.
    pub activation: ActivationQConfig,
    /// Its weights.
    pub weight: WeightQConfig,
}

/// A part of [`ActivationQConfig`]: what is absent stays as it was.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ActivationSettings {
    /// See [`ActivationQConfig::qtype`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qtype: Option<QType>,
    /// See [`ActivationQConfig::scheme`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
    /// See [`ActivationQConfig::reduce_range`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reduce_range: Option<bool>,
    /// See [`ActivationQConfig::observer`]. Setting it without a solver sets the observer's default solver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observer: Option<ObserverKind>,
    /// See [`ActivationQConfig::solver`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub solver: Option<SolverKind>,
    /// See [`ActivationQConfig::per_channel`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_channel: Option<bool>,
    /// See [`ActivationQConfig::grain`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grain: Option<Grain>,
    /// See [`ActivationQConfig::rule`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<DynamicRule>,
}

/// A part of [`WeightQConfig`]: what is absent stays as it was.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WeightSettings {
    /// See [`WeightQConfig::per_channel`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_channel: Option<bool>,
    /// See [`WeightQConfig::scheme`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
    /// See [`WeightQConfig::reduce_range`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reduce_range: Option<bool>,
}

/// A part of [`LayerQConfig`]: what is absent stays as it was.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LayerSettings {
    /// See [`LayerQConfig::mode`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// See [`LayerQConfig::activation`].
    #[serde(skip_serializing_if = "is_default")]
    pub activation: ActivationSettings,
    /// See [`LayerQConfig::weight`].
    #[serde(skip_serializing_if = "is_default")]
    pub weight: WeightSettings,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl LayerSettings {
    /// Leaves the layer in float.
    pub const FLOAT: LayerSettings = LayerSettings {
        mode: Some(Mode::Float),
        activation: ActivationSettings {
            qtype: None,
            scheme: None,
            reduce_range: None,
            observer: None,
            solver: None,
            per_channel: None,
            grain: None,
            rule: None,
        },
        weight: WeightSettings { per_channel: None, scheme: None, reduce_range: None },
    };

    /// Lays these settings over a complete configuration.
    pub fn apply(&self, layer: &mut LayerQConfig) {
        fn set<T: Copy>(to: &mut T, from: Option<T>) {
            *to = from.unwrap_or(*to);
        }
        let (from, to) = (&self.activation, &mut layer.activation);
        set(&mut layer.mode, self.mode);
        set(&mut to.qtype, from.qtype);
        set(&mut to.scheme, from.scheme);
        set(&mut to.reduce_range, from.reduce_range);
        set(&mut to.observer, from.observer);
        set(&mut to.per_channel, from.per_channel);
        set(&mut to.grain, from.grain);
        set(&mut to.rule, from.rule);
        if from.solver.is_some() || from.observer.is_some() {
            to.solver = from.solver;
        }
        set(&mut layer.weight.per_channel, self.weight.per_channel);
        set(&mut layer.weight.scheme, self.weight.scheme);
        set(&mut layer.weight.reduce_range, self.weight.reduce_range);
    }
}

impl From<LayerQConfig> for LayerSettings {
    /// Every field set.
    fn from(layer: LayerQConfig) -> Self {
        let (activation, weight) = (layer.activation, layer.weight);
        LayerSettings {
            mode: Some(layer.mode),
            activation: ActivationSettings {
                qtype: Some(activation.qtype),
                scheme: Some(activation.scheme),
                reduce_range: Some(activation.reduce_range),
                observer: Some(activation.observer),
                solver: activation.solver,
                per_channel: Some(activation.per_channel),
                grain: Some(activation.grain),
                rule: Some(activation.rule),
            },
            weight: WeightSettings {
                per_channel: Some(weight.per_channel),
                scheme: Some(weight.scheme),
                reduce_range: Some(weight.reduce_range),
            },
        }
    }
}
