//! The one packed weight layout that every kernel reads and the model file stores.
//!
//! int8: `[oc/16][k/4][16][4]` s8 with `k` ordered `(kh, kw, ic)`: one 64-byte row holds 4 consecutive `k` of 16 output
//! channels. That row is a zmm operand of `vpdpbusd`, a row of an AMX B tile, two ymm rows, four NEON rows. `oc` is
//! padded to 16 and `ic` to 4 with zero weights.
//!
//! f32: `[oc/16][k][16]`, the same `k` order, `ic` not padded.
//!
//! Depthwise (one input and one output channel a group): `[c/16][kh kw][16]`.
//!
//! Groups: one block a group, each padded on its own. Every panel is 64-byte aligned; [`SLACK_BYTES`] follow the last
//! one, because a tile load may fetch whole 64-byte rows past a short `k`.
use crate::tensor::round_up;

/// Output channels of one panel.
pub const PANEL_CHANNELS: usize = 16;
/// Consecutive `k` of one channel in a row of an int8 panel.
pub const K_GROUP: usize = 4;
/// Bytes of one row of an int8 panel.
pub const ROW_BYTES: usize = PANEL_CHANNELS * K_GROUP;
/// Zero bytes behind the last panel.
pub const SLACK_BYTES: usize = 1024;

/// The shape of one group's weights, `[oc][taps][ic]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WeightShape {
    /// Output channels of the group.
    pub oc: usize,
    /// `kh * kw`.
    pub taps: usize,
    /// Input channels of the group.
    pub ic: usize,
}

impl WeightShape {
    /// Panels of 16 output channels.
    pub fn panels(self) -> usize {
        self.oc.div_ceil(PANEL_CHANNELS)
    }

    /// 4-byte groups of `k` in one tap.
    pub fn groups_per_tap(self) -> usize {
        self.ic.div_ceil(K_GROUP)
    }

    /// Bytes of one int8 panel.
    pub fn panel_bytes(self) -> usize {
        self.taps * self.groups_per_tap() * ROW_BYTES
    }

    /// Floats of one f32 panel.
    pub fn panel_floats(self) -> usize {
        self.taps * self.ic * PANEL_CHANNELS
    }
}

/// Packs one group of s8 weights given as `[oc][ic][taps]` (ONNX order) into `dst`, which holds `panels * panel_bytes` zeroed bytes.
pub fn pack_s8(weights: &[i8], shape: WeightShape, dst: &mut [i8]) {
    let groups = shape.groups_per_tap();
    for oc in 0..shape.oc {
        let panel = (oc / PANEL_CHANNELS) * shape.panel_bytes() + (oc % PANEL_CHANNELS) * K_GROUP;
        for tap in 0..shape.taps {
            for ic in 0..shape.ic {
                let row = tap * groups + ic / K_GROUP;
                dst[panel + row * ROW_BYTES + ic % K_GROUP] = weights[(oc * shape.ic + ic) * shape.taps + tap];
            }
        }
    }
}

/// Packs one group of f32 weights given as `[oc][ic][taps]` into `dst`, which holds `panels * panel_floats` zeros.
pub fn pack_f32(weights: &[f32], shape: WeightShape, dst: &mut [f32]) {
    for oc in 0..shape.oc {
        let panel = (oc / PANEL_CHANNELS) * shape.panel_floats() + oc % PANEL_CHANNELS;
        for tap in 0..shape.taps {
            for ic in 0..shape.ic {
                dst[panel + (tap * shape.ic + ic) * PANEL_CHANNELS] = weights[(oc * shape.ic + ic) * shape.taps + tap];
            }
        }
    }
}

/// Packs depthwise weights given as `[c][taps]` into `dst` laid out `[c/16][taps][16]`.
pub fn pack_depthwise<T: Copy>(weights: &[T], channels: usize, taps: usize, dst: &mut [T]) {
    for channel in 0..channels {
        for tap in 0..taps {
            let panel = channel / PANEL_CHANNELS * taps;
            dst[(panel + tap) * PANEL_CHANNELS + channel % PANEL_CHANNELS] = weights[channel * taps + tap];
        }
    }
}

/// Sums of one group's weights over `ic`, laid out `[taps][oc padded to 16]`: what a zero point contributes, tap by tap.
pub fn tap_sums(weights: &[i8], shape: WeightShape, dst: &mut [i32]) {
    let padded = round_up(shape.oc, PANEL_CHANNELS);
    for oc in 0..shape.oc {
        for tap in 0..shape.taps {
            let terms = (0..shape.ic).map(|ic| i32::from(weights[(oc * shape.ic + ic) * shape.taps + tap]));
            dst[tap * padded + oc] = terms.sum();
        }
    }
}

/// The inverse of [`pack_f32`]: weights as `[oc][ic][taps]`.
pub fn unpack_f32(panels: &[f32], shape: WeightShape, dst: &mut [f32]) {
    for oc in 0..shape.oc {
        let panel = (oc / PANEL_CHANNELS) * shape.panel_floats() + oc % PANEL_CHANNELS;
        for ic in 0..shape.ic {
            for tap in 0..shape.taps {
                dst[(oc * shape.ic + ic) * shape.taps + tap] = panels[panel + (tap * shape.ic + ic) * PANEL_CHANNELS];
            }
        }
    }
}

/// The inverse of [`pack_depthwise`]: weights as `[c][taps]`.
pub fn unpack_depthwise<T: Copy>(panels: &[T], channels: usize, taps: usize, dst: &mut [T]) {
    for channel in 0..channels {
        for tap in 0..taps {
            let panel = channel / PANEL_CHANNELS * taps;
            dst[channel * taps + tap] = panels[(panel + tap) * PANEL_CHANNELS + channel % PANEL_CHANNELS];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: WeightShape = WeightShape { oc: 21, taps: 3, ic: 6 };

    #[test]
    fn a_row_of_a_panel_holds_four_k_of_sixteen_channels() {
        let weights: Vec<i8> = (0..SHAPE.oc * SHAPE.ic * SHAPE.taps).map(|index| (index % 251) as i8).collect();
        let mut panels = vec![0i8; SHAPE.panels() * SHAPE.panel_bytes()];
        pack_s8(&weights, SHAPE, &mut panels);
        let at =
            |oc: usize, tap: usize, ic: usize| panels[(oc / 16) * SHAPE.panel_bytes() + (tap * 2 + ic / 4) * 64 + (oc % 16) * 4 + ic % 4];
        for oc in 0..32 {
            for tap in 0..SHAPE.taps {
                for ic in 0..8 {
                    let expected = if oc < SHAPE.oc && ic < SHAPE.ic { weights[(oc * SHAPE.ic + ic) * SHAPE.taps + tap] } else { 0 };
                    assert_eq!(at(oc, tap, ic), expected, "oc {oc} tap {tap} ic {ic}");
                }
            }
        }
    }

    #[test]
    fn floats_come_back_from_their_panels() {
        let weights: Vec<f32> = (0..SHAPE.oc * SHAPE.ic * SHAPE.taps).map(|index| index as f32).collect();
        let mut panels = vec![0f32; SHAPE.panels() * SHAPE.panel_floats()];
        pack_f32(&weights, SHAPE, &mut panels);
        assert_eq!(panels[(2 * SHAPE.ic + 5) * 16 + 3], weights[(3 * SHAPE.ic + 5) * 3 + 2]);
        let mut back = vec![0f32; weights.len()];
        unpack_f32(&panels, SHAPE, &mut back);
        assert_eq!(back, weights);
        let (channels, taps) = (18, 9);
        let weights: Vec<f32> = (0..channels * taps).map(|index| index as f32).collect();
        let mut panels = vec![0f32; round_up(channels, 16) * taps];
        pack_depthwise(&weights, channels, taps, &mut panels);
        assert_eq!(panels[(taps + 4) * 16 + 1], weights[17 * taps + 4]);
        let mut back = vec![0f32; weights.len()];
        unpack_depthwise(&panels, channels, taps, &mut back);
        assert_eq!(back, weights);
    }

    #[test]
    fn tap_sums_add_over_input_channels() {
        let weights: Vec<i8> = (0..SHAPE.oc * SHAPE.ic * SHAPE.taps).map(|index| (index % 200) as i8).collect();
        let mut sums = vec![0i32; SHAPE.taps * 32];
        tap_sums(&weights, SHAPE, &mut sums);
        let expected: i32 = (0..SHAPE.ic).map(|ic| i32::from(weights[(20 * SHAPE.ic + ic) * SHAPE.taps + 1])).sum();
        assert_eq!(sums[32 + 20], expected);
        assert_eq!(sums[32 + 21], 0);
    }
}
