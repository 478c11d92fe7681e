//! One ONNX node, as the function that reads its operator sees it.
use super::attributes::Attributes;
use crate::error::{Error, Result};

/// One node while an operator reads it.
pub struct NodeReader {
    /// The node's name, or its first output's.
    pub name: String,
    inputs: Vec<String>,
    outputs: Vec<String>,
    /// The attributes that were not asked for yet.
    pub attributes: Attributes,
}

impl NodeReader {
    /// A node of that name (or that of its first output).
    pub fn new(name: String, inputs: Vec<String>, outputs: Vec<String>, attributes: Attributes) -> Self {
        Self { name, inputs, outputs, attributes }
    }

    /// The names of its outputs, when it has been read.
    pub fn into_outputs(self) -> Vec<String> {
        self.outputs
    }

    /// The name of an input; `None` if it is left out.
    pub fn input(&self, index: usize) -> Option<&str> {
        self.inputs.get(index).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The name of an input that must be there.
    ///
    /// # Errors
    /// [`Error::Graph`].
    pub fn required(&self, index: usize) -> Result<&str> {
        self.input(index).ok_or_else(|| Error::Graph(format!("input {index} is missing")))
    }

    /// The names of all inputs, none of which may be left out.
    ///
    /// # Errors
    /// [`Error::Graph`].
    pub fn all_inputs(&self) -> Result<&[String]> {
        (0..self.inputs.len()).try_for_each(|index| self.required(index).map(drop))?;
        Ok(&self.inputs)
    }

    /// Whether an output is there and has a name.
    pub fn has_output(&self, index: usize) -> bool {
        self.outputs.get(index).is_some_and(|name| !name.is_empty())
    }

    /// The number of outputs, those without a name among them.
    pub fn output_count(&self) -> usize {
        self.outputs.len()
    }

    /// Checks the number of inputs.
    ///
    /// # Errors
    /// [`Error::Graph`].
    pub fn at_most(&self, inputs: usize) -> Result<()> {
        if self.inputs.len() > inputs {
            Err(Error::Graph(format!("{} inputs, at most {inputs} are defined", self.inputs.len())))
        } else {
            Ok(())
        }
    }
}
