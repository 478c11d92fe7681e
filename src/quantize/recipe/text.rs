//! The recipe's JSON: each layer and each activation on a line of its own, so that a diff shows what changed.
use super::{ActivationRecipe, ChannelRecipe, FORMAT, FORMAT_VERSION, ImportReport, LayerRecipe, Provenance, Recipe};
use super::{QConfig, json};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// What tells the format; read first, whatever else there is.
#[derive(Deserialize)]
struct Head {
    format: String,
    version: u32,
}

/// The fields in the order in which they are written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "format")]
    _format: String,
    #[serde(rename = "version")]
    _version: u32,
    #[serde(default)]
    provenance: Provenance,
    #[serde(default)]
    input_shapes: Vec<Vec<usize>>,
    qconfig: QConfig,
    #[serde(default)]
    layers: Vec<LayerRecipe>,
    activations: Vec<ActivationRecipe>,
    #[serde(default)]
    channel_activations: Vec<ChannelRecipe>,
    #[serde(default)]
    import: Option<ImportReport>,
}

pub(super) fn parse(text: &str) -> Result<Recipe> {
    let Head { format, version } = json::parse(text, "recipe")?;
    if format != FORMAT {
        return Err(Error::Parse(format!("recipe: format: {format:?} where {FORMAT:?} is needed")));
    }
    if version == 0 || version > FORMAT_VERSION {
        return Err(Error::Version(format!("recipe: version {version}; this library reads 1 to {FORMAT_VERSION}")));
    }
    let Document { provenance, input_shapes, qconfig, layers, activations, channel_activations, import, .. } = json::parse(text, "recipe")?;
    let recipe = Recipe { provenance, input_shapes, qconfig, layers, activations, channel_activations, import };
    recipe.check()?;
    Ok(recipe)
}

fn line<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::InvalidArgument(format!("recipe: {error}")))
}

/// A list with an item on each line.
fn lines<T: Serialize>(items: &[T]) -> Result<String> {
    let items = items.iter().map(|item| Ok(format!("    {}", line(item)?))).collect::<Result<Vec<String>>>()?;
    Ok(if items.is_empty() { "[]".to_owned() } else { format!("[\n{}\n  ]", items.join(",\n")) })
}

pub(super) fn write(recipe: &Recipe) -> Result<String> {
    let Recipe { provenance, input_shapes, qconfig, layers, activations, channel_activations, import } = recipe;
    let qconfig = serde_json::to_string_pretty(qconfig).map_err(|error| Error::InvalidArgument(format!("recipe: {error}")))?;
    let mut fields = vec![
        ("format", line(&FORMAT)?),
        ("version", line(&FORMAT_VERSION)?),
        ("provenance", line(provenance)?),
        ("input_shapes", line(input_shapes)?),
        ("qconfig", qconfig.replace('\n', "\n  ")),
        ("layers", lines(layers)?),
        ("activations", lines(activations)?),
    ];
    if !channel_activations.is_empty() {
        fields.push(("channel_activations", lines(channel_activations)?));
    }
    if let Some(ImportReport { bound, unused, missing }) = import {
        let [bound, unused, missing] = [lines(bound)?, lines(unused)?, lines(missing)?].map(|list| list.replace('\n', "\n  "));
        fields.push(("import", format!("{{\n    \"bound\": {bound},\n    \"unused\": {unused},\n    \"missing\": {missing}\n  }}")));
    }
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("  \"{name}\": {value}")).collect();
    Ok(format!("{{\n{}\n}}\n", fields.join(",\n")))
}
