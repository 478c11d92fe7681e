//! The page.
use super::svg::{histogram, short};
use super::{Report, ReportLayer, ReportTensor};
use crate::pipeline::LayerPrecision;
use std::fmt::Write;

const STYLE: &str = include_str!("style.css");

/// Text as HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn decibels(value: Option<f64>) -> String {
    value.map_or("&ndash;".into(), |value| format!("{value:.1}"))
}

fn percent(value: Option<f64>) -> String {
    match value {
        None => "&ndash;".into(),
        Some(0.0) => "0".into(),
        Some(share) if share < 1e-4 => "&lt; 0.01 %".into(),
        Some(share) => format!("{:.2} %", 100.0 * share),
    }
}

fn tag(precision: LayerPrecision) -> &'static str {
    match precision {
        LayerPrecision::Int8Static => "<span class=\"tag\">int8</span>",
        LayerPrecision::Int8Dynamic => "<span class=\"tag dynamic\">int8 dynamic</span>",
        LayerPrecision::Float => "<span class=\"tag float\">float</span>",
    }
}

/// The whole page.
pub(super) fn page(report: &Report) -> String {
    let mut page = String::from("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    let _ = write!(page, "<meta name=\"viewport\" content=\"width=device-width\"><title>Quantization report</title><style>{STYLE}</style>");
    let _ = write!(page, "</head><body><main><h1>Quantization report</h1><p>rsquant {}; ", report.library_version);
    let _ = write!(page, "{} calibration samples, {} compared, ", report.calibration_samples, report.compared_samples);
    let _ = write!(page, "{} for the ranking of layers.</p>", report.ranked_samples);
    tiles(&mut page, report);
    layers(&mut page, report);
    float_layers(&mut page, report);
    tensors(&mut page, report);
    page.push_str("</main></body></html>\n");
    page
}

fn tiles(page: &mut String, report: &Report) {
    let count = |is: fn(&ReportLayer) -> bool| report.layers.iter().filter(|layer| is(layer)).count();
    let int8 = count(|layer| layer.precision != LayerPrecision::Float);
    let mut tiles =
        vec![(int8.to_string(), "layers in int8".to_owned()), ((report.layers.len() - int8).to_string(), "layers in float".to_owned())];
    for output in &report.outputs {
        let name = escaped(&output.name);
        let sqnr = if output.sqnr_db.is_finite() { format!("{:.1} dB", output.sqnr_db) } else { "exact".into() };
        tiles.push((sqnr, format!("SQNR of {name}")));
        if let Some(share) = output.top1_agreement {
            tiles.push((format!("{:.1} %", 100.0 * share), format!("same top class, {name}")));
        }
    }
    page.push_str("<div class=\"tiles\">");
    for (number, text) in tiles {
        let _ = write!(page, "<div class=\"tile\"><b>{number}</b><span>{text}</span></div>");
    }
    page.push_str("</div>");
}

fn layers(page: &mut String, report: &Report) {
    page.push_str("<h2>Where the loss comes from</h2>");
    let ranked = report.layers.iter().any(|layer| layer.error_share.is_some());
    page.push_str(match ranked {
        true => "<p>The share of the error that a layer causes when it alone is int8; the most harmful first.</p>",
        false => "<p>By the SQNR of each layer's output against float, the lowest first.</p>",
    });
    page.push_str("<div class=\"wide\"><table><tr><th>layer</th><th>operator</th><th>runs in</th><th>share of the error</th>");
    page.push_str("<th class=\"number\">alone, dB</th><th class=\"number\">output SQNR, dB</th><th class=\"number\">cosine</th>");
    page.push_str("<th class=\"number\">clipped low</th><th class=\"number\">clipped high</th></tr>");
    let largest = report.layers.iter().filter_map(|layer| layer.error_share).fold(f64::MIN_POSITIVE, f64::max);
    for layer in &report.layers {
        let share = layer.error_share.map_or("&ndash;".into(), |share| {
            format!("<span class=\"bar\"><i style=\"width:{:.1}%\"></i></span>{:.1} %", 100.0 * share / largest, 100.0 * share)
        });
        let cosine = layer.cosine.map_or("&ndash;".into(), |cosine| format!("{cosine:.5}"));
        let (name, operator) = (escaped(&layer.name), escaped(&layer.operator));
        let _ = write!(page, "<tr><td class=\"name\" title=\"{name}\">{name}</td><td>{operator}</td><td>{}</td>", tag(layer.precision));
        let _ = write!(page, "<td>{share}</td><td class=\"number\">{}</td>", decibels(layer.alone_sqnr_db));
        let _ = write!(page, "<td class=\"number\">{}</td><td class=\"number\">{cosine}</td>", decibels(layer.sqnr_db));
        let _ = write!(page, "<td class=\"number\">{}</td>", percent(layer.clip_low));
        let _ = write!(page, "<td class=\"number\">{}</td></tr>", percent(layer.clip_high));
    }
    page.push_str("</table></div>");
}

fn float_layers(page: &mut String, report: &Report) {
    let float: Vec<&ReportLayer> = report.layers.iter().filter(|layer| layer.precision == LayerPrecision::Float).collect();
    if float.is_empty() {
        return;
    }
    page.push_str("<h2>Layers in float, and why</h2><div class=\"wide\"><table><tr><th>layer</th><th>operator</th><th>reason</th></tr>");
    for layer in float {
        let (name, operator, reason) = (escaped(&layer.name), escaped(&layer.operator), escaped(&layer.reason));
        let _ = write!(page, "<tr><td class=\"name\">{name}</td><td>{operator}</td><td class=\"reason\">{reason}</td></tr>");
    }
    page.push_str("</table></div>");
}

fn tensors(page: &mut String, report: &Report) {
    if report.tensors.is_empty() {
        return;
    }
    page.push_str(
        "<h2>Ranges of the tensors held as bytes</h2><p>Values observed (logarithmic counts, exact zeros left out) and the range ",
    );
    page.push_str("chosen; what lies outside, in red, is clipped. The lowest predicted SQNR first.</p><div class=\"grid\">");
    let mut tensors: Vec<&ReportTensor> = report.tensors.iter().collect();
    let rank = |tensor: &ReportTensor| tensor.predicted_sqnr_db.unwrap_or(f64::INFINITY);
    tensors.sort_by(|a, b| rank(a).total_cmp(&rank(b)));
    for tensor in tensors {
        let name = tensor.names.first().map_or_else(String::new, |name| escaped(name));
        let more = if tensor.names.len() > 1 { format!(" and {} more", tensor.names.len() - 1) } else { String::new() };
        let title = escaped(&tensor.names.join(", "));
        let _ = write!(page, "<div class=\"card\"><h3 title=\"{title}\">{name}{more}</h3><small>{} / {}, ", tensor.observer, tensor.solver);
        let _ = write!(page, "predicted {} dB<br>", decibels(tensor.predicted_sqnr_db));
        let _ = write!(page, "scale {}, zero point {}", short(f64::from(tensor.scale)), tensor.zero_point);
        let _ = write!(page, "</small>{}</div>", histogram(tensor));
    }
    page.push_str("</div>");
}
