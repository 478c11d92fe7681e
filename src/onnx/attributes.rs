//! Typed access to the attributes of a node. An attribute that nobody asks for is one that is not supported.
use super::proto::AttributeProto;
use crate::error::{Error, Result};
use prost::bytes::Bytes;

/// The attributes of one node.
#[derive(Debug, Default)]
pub struct Attributes {
    left: Vec<AttributeProto>,
}

impl Attributes {
    /// Takes a node's attributes.
    ///
    /// # Errors
    /// [`Error::Graph`] if two have the same name.
    pub fn new(mut attributes: Vec<AttributeProto>) -> Result<Self> {
        attributes.sort_by(|a, b| a.name.cmp(&b.name));
        match attributes.windows(2).find(|pair| pair[0].name == pair[1].name) {
            Some(pair) => Err(Error::Graph(format!("attribute '{}' is there twice", pair[0].name))),
            None => Ok(Self { left: attributes }),
        }
    }

    fn take(&mut self, name: &str, kind: i32) -> Result<Option<AttributeProto>> {
        let Some(index) = self.left.iter().position(|attribute| attribute.name == name) else {
            return Ok(None);
        };
        let attribute = self.left.swap_remove(index);
        // Type 0 was legal before ONNX 1.1 and leaves the kind to the reader.
        if attribute.r#type != kind && attribute.r#type != 0 {
            return Err(Error::Graph(format!("attribute '{name}' has type {}, not {kind}", attribute.r#type)));
        }
        Ok(Some(attribute))
    }

    /// An integer.
    ///
    /// # Errors
    /// [`Error::Graph`] if it is there with another type; so for all that follow.
    pub fn int(&mut self, name: &str, default: i64) -> Result<i64> {
        Ok(self.take(name, AttributeProto::INT)?.map_or(default, |attribute| attribute.i))
    }

    /// An integer that has no default.
    ///
    /// # Errors
    /// As [`Self::int`].
    pub fn optional_int(&mut self, name: &str) -> Result<Option<i64>> {
        Ok(self.take(name, AttributeProto::INT)?.map(|attribute| attribute.i))
    }

    /// A float.
    ///
    /// # Errors
    /// As [`Self::int`].
    pub fn float(&mut self, name: &str, default: f32) -> Result<f32> {
        Ok(self.optional_float(name)?.unwrap_or(default))
    }

    /// A float that has no default.
    ///
    /// # Errors
    /// As [`Self::int`].
    pub fn optional_float(&mut self, name: &str) -> Result<Option<f32>> {
        Ok(self.take(name, AttributeProto::FLOAT)?.map(|attribute| attribute.f))
    }

    /// A list of integers.
    ///
    /// # Errors
    /// As [`Self::int`].
    pub fn ints(&mut self, name: &str) -> Result<Option<Vec<i64>>> {
        Ok(self.take(name, AttributeProto::INTS)?.map(|attribute| attribute.ints))
    }

    /// A list of floats.
    ///
    /// # Errors
    /// As [`Self::int`].
    pub fn floats(&mut self, name: &str) -> Result<Option<Vec<f32>>> {
        Ok(self.take(name, AttributeProto::FLOATS)?.map(|attribute| attribute.floats))
    }

    /// A string.
    ///
    /// # Errors
    /// As [`Self::int`]; [`Error::Parse`] if it is not UTF-8.
    pub fn string(&mut self, name: &str, default: &str) -> Result<String> {
        match self.take(name, AttributeProto::STRING)? {
            None => Ok(default.to_owned()),
            Some(attribute) => {
                String::from_utf8(attribute.s.to_vec()).map_err(|_| Error::Parse(format!("attribute '{name}' is not UTF-8")))
            }
        }
    }

    /// A list of strings.
    ///
    /// # Errors
    /// As [`Self::string`].
    pub fn strings(&mut self, name: &str) -> Result<Option<Vec<String>>> {
        let Some(attribute) = self.take(name, AttributeProto::STRINGS)? else { return Ok(None) };
        let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).map_err(|_| Error::Parse(format!("attribute '{name}' is not UTF-8")));
        attribute.strings.iter().map(text).collect::<Result<_>>().map(Some)
    }

    /// An encoded tensor.
    ///
    /// # Errors
    /// As [`Self::int`].
    pub fn tensor(&mut self, name: &str) -> Result<Option<Bytes>> {
        Ok(self.take(name, AttributeProto::TENSOR)?.and_then(|attribute| attribute.t))
    }

    /// Takes an attribute that means nothing at inference.
    pub fn ignore(&mut self, name: &str) {
        self.left.retain(|attribute| attribute.name != name);
    }

    /// Checks that every attribute was asked for.
    ///
    /// # Errors
    /// [`Error::Unsupported`] naming one that was not.
    pub fn finish(&self) -> Result<()> {
        match self.left.first() {
            Some(attribute) => Err(Error::Unsupported(format!("attribute '{}'", attribute.name))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(name: &str, i: i64) -> AttributeProto {
        AttributeProto { name: name.to_owned(), i, r#type: AttributeProto::INT, ..Default::default() }
    }

    #[test]
    fn attributes_are_taken_by_name_and_type() {
        let mut attributes = Attributes::new(vec![int("b", 2), int("a", 1), int("c", 3)]).unwrap();
        assert_eq!(attributes.int("a", 9).unwrap(), 1);
        assert_eq!(attributes.int("missing", 9).unwrap(), 9);
        assert!(attributes.finish().unwrap_err().to_string().contains("attribute '"));
        attributes.ignore("c");
        assert!(matches!(attributes.float("b", 0.0), Err(Error::Graph(text)) if text.contains("'b'")));
        attributes.finish().unwrap();
    }

    #[test]
    fn an_attribute_given_twice_is_refused() {
        assert!(matches!(Attributes::new(vec![int("a", 1), int("a", 2)]), Err(Error::Graph(_))));
    }
}
