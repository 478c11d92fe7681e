//! Builds a float graph without an ONNX file, for engines with a format of their own. Each error names the node.
use super::context::Context;
use super::float_graph::FloatGraph;
use crate::error::{Error, Result};
use crate::graph::{GraphBuilder, Op, RecurrentArrays, RecurrentAttributes, RecurrentInputs, RecurrentOutputs, ValueId};

/// A graph under construction with its outputs; [`FloatGraphBuilder::finish`] leaves it usable.
#[derive(Debug, Default)]
pub struct FloatGraphBuilder {
    /// Whose memory it counts to.
    context: Option<Context>,
    builder: GraphBuilder,
    values: usize,
    outputs: Vec<ValueId>,
}

/// `error` with the node's name in front, where its own text does not have it.
fn name_node(error: Error, name: &str, operator: &str) -> Error {
    let quoted = format!("'{name}'");
    let named = |text: String| if text.contains(&quoted) { text } else { format!("node {quoted} ({operator}): {text}") };
    match error {
        Error::Graph(text) => Error::Graph(named(text)),
        Error::ShapeMismatch(text) => Error::ShapeMismatch(named(text)),
        Error::DTypeMismatch(text) => Error::DTypeMismatch(named(text)),
        Error::NotFinite(text) => Error::NotFinite(named(text)),
        Error::InvalidArgument(text) => Error::InvalidArgument(named(text)),
        Error::Unsupported(text) => Error::Unsupported(named(text)),
        other => other,
    }
}

impl FloatGraphBuilder {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty graph whose constants count to the memory of `context`.
    pub fn within(context: &Context) -> Self {
        Self { context: Some(context.clone()), ..Self::default() }
    }

    /// Does `work` within the context's memory.
    fn counted<R>(context: &Option<Context>, work: impl FnOnce() -> R) -> R {
        match context {
            Some(context) => context.memory().within(work),
            None => work(),
        }
    }

    /// Adds what `add` adds: a value that `name` and `operator` stand for in messages.
    ///
    /// # Errors
    /// As the builder's method, with the name in front. Nothing is added then.
    pub fn add(&mut self, name: &str, operator: &str, add: impl FnOnce(&mut GraphBuilder) -> Result<ValueId>) -> Result<ValueId> {
        let value = Self::counted(&self.context, || add(&mut self.builder)).map_err(|error| name_node(error, name, operator))?;
        self.values = self.values.max(value.index() + 1);
        Ok(value)
    }

    /// Adds a node of an operator without constants.
    ///
    /// # Errors
    /// As [`FloatGraphBuilder::add`].
    pub fn node(&mut self, name: &str, op: Op, inputs: &[ValueId]) -> Result<ValueId> {
        let operator = op.name();
        self.add(name, operator, |builder| builder.node(name, op, inputs))
    }

    /// Adds a recurrent layer.
    ///
    /// # Errors
    /// As [`FloatGraphBuilder::add`].
    pub fn recurrent(
        &mut self,
        name: &str,
        inputs: RecurrentInputs,
        attributes: RecurrentAttributes,
        arrays: RecurrentArrays<'_>,
    ) -> Result<RecurrentOutputs> {
        let mut made = None;
        self.add(name, attributes.cell.name(), |builder| {
            let outputs = builder.recurrent(name, inputs, attributes, arrays)?;
            made = Some(outputs);
            Ok(outputs.last())
        })?;
        made.ok_or_else(|| Error::Graph(format!("node '{name}' has no outputs")))
    }

    /// Makes a value the next output.
    ///
    /// # Errors
    /// [`Error::Graph`] if the value is not there.
    pub fn output(&mut self, value: ValueId) -> Result<()> {
        if value.index() >= self.values {
            return Err(Error::Graph(format!("output {} is value {}, which is not there", self.outputs.len(), value.0)));
        }
        self.outputs.push(value);
        Ok(())
    }

    /// The graph of what was added so far, checked and optimized as an imported one is.
    ///
    /// # Errors
    /// `Graph`, `ShapeMismatch`, `NotFinite`, `InvalidArgument`, `Unsupported`, naming the node; `Graph` without outputs.
    pub fn finish(&self) -> Result<FloatGraph> {
        if self.outputs.is_empty() {
            return Err(Error::Graph("the graph has no outputs".into()));
        }
        Self::counted(&self.context, || FloatGraph::from_graph(self.builder.clone().finish(&self.outputs)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Conv2dAttributes, Unary};

    #[test]
    fn every_refusal_names_the_node_and_adds_nothing() {
        let mut builder = FloatGraphBuilder::new();
        let x = builder.add("x", "Input", |builder| builder.input("x", &[None, Some(2), Some(4), Some(4)])).unwrap();
        assert!(matches!(builder.finish(), Err(Error::Graph(text)) if text.contains("no outputs")));
        let attributes = Conv2dAttributes::new(2, 3, [1, 1]);
        let short = builder.add("first", "Conv", |builder| builder.conv2d("first", x, &[0.0; 5], None, attributes));
        assert!(matches!(short, Err(Error::ShapeMismatch(text)) if text.contains("'first'")));
        let missing = builder.node("act", Op::Unary(Unary::Sigmoid), &[ValueId(9)]);
        assert!(matches!(missing, Err(Error::Graph(text)) if text.contains("'act'")));
        assert!(matches!(builder.output(ValueId(1)), Err(Error::Graph(text)) if text.contains("value 1")));
        let first = builder.add("first", "Conv", |builder| builder.conv2d("first", x, &[0.0; 6], None, attributes)).unwrap();
        builder.output(first).unwrap();
        assert_eq!(builder.finish().unwrap().graph().nodes.len(), 1);
        // What shapes tell is found in the end, by name; the builder works on.
        let mut builder = FloatGraphBuilder::new();
        let x = builder.add("x", "Input", |builder| builder.input("x", &[Some(1), Some(2), Some(4), Some(4)])).unwrap();
        let wrong = Conv2dAttributes::new(4, 3, [1, 1]);
        let second = builder.add("second", "Conv", |builder| builder.conv2d("second", x, &[0.0; 12], None, wrong)).unwrap();
        builder.output(second).unwrap();
        for _ in 0..2 {
            assert!(matches!(builder.finish(), Err(Error::ShapeMismatch(text)) if text.contains("'second'")));
        }
    }
}
