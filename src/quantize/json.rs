//! Reading JSON so that an error names the path of what is wrong, such as `activations[3].scale`.
use crate::error::{Error, Result};
use serde::de::DeserializeOwned;

/// Reads a `T`. `what` stands before the path in messages.
///
/// # Errors
/// [`Error::Parse`] with path, line and column: not JSON, a wrong type, an unknown or repeated field, bytes behind the end.
pub(crate) fn parse<T: DeserializeOwned>(text: &str, what: &str) -> Result<T> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        Error::Parse(if path == "." { format!("{what}: {}", error.inner()) } else { format!("{what}: {path}: {}", error.inner()) })
    })?;
    reader.end().map_err(|error| Error::Parse(format!("{what}: {error}")))?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[serde(rename = "scale")]
        _scale: f32,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[serde(rename = "items")]
        _items: Vec<Inner>,
    }

    #[test]
    fn errors_name_the_path() {
        parse::<Outer>(r#"{"items": [{"scale": 1}]}"#, "test").unwrap();
        for (text, parts) in [
            (r#"{"items": [{"scale": 1}, {"scale": "x"}]}"#, ["items[1].scale", "line 1"]),
            (r#"{"items": [{"scale": 1, "sclae": 2}]}"#, ["items[0]", "sclae"]),
            (r#"{"items": [{"scale": 1, "scale": 2}]}"#, ["items[0]", "duplicate"]),
            (r#"{"items": []} x"#, ["test", "trailing"]),
            ("{", ["test", "EOF"]),
        ] {
            let error = parse::<Outer>(text, "test").unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
    }
}
