//! Reading JSON so that an error names the path of what is wrong, such as `activations[3].scale`.
//!
//! Written for small code: what knows the text is compiled once ([`lexer`]), and little is left that is compiled again for each
//! type that is read ([`reader`]). Writing is `serde_json`'s.
mod lexer;
mod reader;

use crate::error::{Error, Result};
use lexer::Lexer;
use serde::de::DeserializeOwned;
use std::fmt;

/// What is wrong, and where.
#[derive(Debug)]
pub(crate) struct JsonError(Box<Details>);

#[derive(Debug)]
struct Details {
    message: String,
    /// Keys and indices, innermost first; each as it stands in a path.
    path: Vec<String>,
    /// Byte of the text.
    at: Option<usize>,
    /// Line and column of it, from 1.
    place: [usize; 2],
}

impl JsonError {
    #[cold]
    fn new(message: String, at: Option<usize>) -> Self {
        Self(Box::new(Details { message, path: Vec::new(), at, place: [0, 0] }))
    }

    /// The error of a value that the text was read to `at` for, if it has no place yet.
    #[cold]
    fn at(mut self, at: usize) -> Self {
        self.0.at.get_or_insert(at);
        self
    }

    /// The error of what is at `key` of an object.
    #[cold]
    fn inside_key(mut self, key: &str) -> Self {
        self.0.path.push(format!(".{key}"));
        self
    }

    /// The error of element `index` of a list.
    #[cold]
    fn inside_list(mut self, index: usize) -> Self {
        self.0.path.push(format!("[{index}]"));
        self
    }

    /// With line and column of `text`.
    #[cold]
    fn in_text(mut self, text: &str) -> Self {
        let before = &text.as_bytes()[..self.0.at.unwrap_or(0).min(text.len())];
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        self.0.place = [before.iter().filter(|&&byte| byte == b'\n').count() + 1, before.len() - line_start + 1];
        self
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Details { message, path, place: [line, column], .. } = &*self.0;
        let path: String = path.iter().rev().map(String::as_str).collect();
        let path = path.strip_prefix('.').unwrap_or(&path);
        let colon = if path.is_empty() { "" } else { ": " };
        write!(f, "{path}{colon}{message} at line {line} column {column}")
    }
}

impl std::error::Error for JsonError {}

impl serde::de::Error for JsonError {
    #[cold]
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string(), None)
    }
}

/// Reads a `T`.
///
/// # Errors
/// With path, line and column: not JSON, a wrong type, an unknown or repeated field, bytes behind the end.
pub(crate) fn read<T: DeserializeOwned>(text: &[u8]) -> std::result::Result<T, JsonError> {
    let not_utf8 = |error: std::str::Utf8Error| JsonError::new(format!("{error}"), Some(error.valid_up_to())).in_text("");
    let text = std::str::from_utf8(text).map_err(not_utf8)?;
    let mut lexer = Lexer::new(text);
    let value = T::deserialize(reader::Value(&mut lexer));
    value.and_then(|value| lexer.end().map(|()| value)).map_err(|error| error.at(lexer.position()).in_text(text))
}

/// Reads a `T`. `what` stands before the path in messages.
///
/// # Errors
/// [`Error::Parse`], as [`read`].
pub(crate) fn parse<T: DeserializeOwned>(text: &str, what: &str) -> Result<T> {
    read(text.as_bytes()).map_err(|error| Error::Parse(format!("{what}: {error}")))
}

#[cfg(test)]
mod tests;
