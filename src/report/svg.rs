//! Pictures of a report: a tensor's histogram with the range that was chosen.
use super::{Bars, ReportTensor};
use std::fmt::Write;

const WIDTH: f64 = 320.0;
const HEIGHT: f64 = 96.0;
/// Below the bars: the axis and its numbers.
const FOOT: f64 = 16.0;

/// Horizontal places of real numbers.
struct Axis {
    low: f64,
    high: f64,
}

impl Axis {
    fn at(&self, x: f64) -> f64 {
        ((x - self.low) / (self.high - self.low) * WIDTH).clamp(0.0, WIDTH)
    }
}

/// A number for people, of about three digits.
pub(super) fn short(x: f64) -> String {
    match x.abs() {
        0.0 => "0".into(),
        1e-3..1e4 => {
            let digits = (2 - x.abs().log10().floor() as i32).clamp(0, 5) as usize;
            let text = format!("{x:.digits$}");
            if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
        }
        _ => format!("{x:.1e}"),
    }
}

/// Bars on a logarithmic scale, the chosen range shaded, its ends marked.
pub(super) fn histogram(tensor: &ReportTensor) -> String {
    let range = tensor.range.map(f64::from);
    let (bars, data) = match &tensor.histogram {
        Some(bars) => (Some(bars), [bars.start, bars.start + bars.width * bars.counts.len() as f64]),
        None => (None, tensor.observed.unwrap_or(tensor.range).map(f64::from)),
    };
    let axis = Axis { low: data[0].min(range[0]), high: data[1].max(range[1]) };
    let axis = if axis.high > axis.low { axis } else { Axis { low: axis.low - 1.0, high: axis.high + 1.0 } };
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {:.0}\" role=\"img\"><rect class=\"chosen\" x=\"{:.1}\" y=\"0\" width=\"{:.1}\" height=\"{HEIGHT}\"/>",
        HEIGHT + FOOT,
        axis.at(range[0]),
        axis.at(range[1]) - axis.at(range[0])
    );
    if let Some(bars) = bars {
        draw_bars(&mut svg, bars, &axis, range);
    }
    for end in range {
        let x = axis.at(end);
        let anchor = if x < WIDTH * 0.15 {
            "start"
        } else if x > WIDTH * 0.85 {
            "end"
        } else {
            "middle"
        };
        let text_y = HEIGHT + FOOT - 4.0;
        let _ = write!(svg, "<line class=\"end\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"{HEIGHT}\"/>");
        let _ = write!(svg, "<text x=\"{x:.1}\" y=\"{text_y}\" text-anchor=\"{anchor}\">{}</text>", short(end));
    }
    let _ = write!(svg, "<line class=\"axis\" x1=\"0\" x2=\"{WIDTH}\" y1=\"{HEIGHT}\" y2=\"{HEIGHT}\"/></svg>");
    svg
}

fn draw_bars(svg: &mut String, bars: &Bars, axis: &Axis, range: [f64; 2]) {
    let tallest = bars.counts.iter().copied().max().unwrap_or(0).max(1) as f64;
    for (index, &count) in bars.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let low = bars.start + bars.width * index as f64;
        let height = (1.0 + count as f64).ln() / (1.0 + tallest).ln() * HEIGHT;
        let middle = low + bars.width / 2.0;
        let class = if middle < range[0] || middle > range[1] { "clipped" } else { "kept" };
        let (x, width) = (axis.at(low), (axis.at(low + bars.width) - axis.at(low) - 0.4).max(0.4));
        let y = HEIGHT - height;
        let _ = write!(svg, "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (x, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (-2.5, "-2.5"),
            (0.012_345, "0.0123"),
            (123.45, "123"),
            (9999.0, "9999"),
            (1.5e7, "1.5e7"),
            (2e-9, "2.0e-9"),
        ] {
            assert_eq!(short(x), text);
        }
    }
}
