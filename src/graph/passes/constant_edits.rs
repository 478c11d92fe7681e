//! Rewriting constants of weights: in place where a single operator reads them, within bounds of work and memory that a
//! hostile graph (one weight behind thousands of nodes) cannot exceed.
use super::super::ir::{Constant, ConstantId, Graph};

/// How often all constants together may be rewritten in one pass.
const REWRITES: usize = 4;
/// Elements that may be rewritten and added however small the graph's constants are.
const FREE_ELEMENTS: usize = 1 << 20;

/// Counts the readers of constants and the work that is left.
pub struct ConstantEdits {
    readers: Vec<usize>,
    work_left: usize,
    growth_left: usize,
}

impl ConstantEdits {
    /// Counts the readers of each constant: values and operators.
    pub fn new(graph: &mut Graph) -> Self {
        let mut readers = vec![0; graph.constants.len()];
        for id in graph.values.iter().filter_map(|value| value.constant) {
            readers[id.index()] += 1;
        }
        for node in &mut graph.nodes {
            for id in node.op.constants_mut() {
                readers[id.index()] += 1;
            }
        }
        let elements: usize = graph.constants.iter().map(elements).sum();
        let work_left = elements.saturating_mul(REWRITES).saturating_add(FREE_ELEMENTS);
        Self { readers, work_left, growth_left: elements.saturating_add(FREE_ELEMENTS) }
    }

    /// Whether a constant may be rewritten; if so, its elements are taken off the work and, if others read it, the growth.
    pub fn allow(&mut self, graph: &Graph, id: ConstantId) -> bool {
        let cost = elements(graph.constant(id));
        let growth = if self.readers[id.index()] > 1 { cost } else { 0 };
        let (Some(work), Some(growth)) = (self.work_left.checked_sub(cost), self.growth_left.checked_sub(growth)) else {
            return false;
        };
        (self.work_left, self.growth_left) = (work, growth);
        true
    }

    /// Puts `new` in the place of `old`, or beside it if others read `old` too or there is none.
    pub fn replace(&mut self, graph: &mut Graph, old: Option<ConstantId>, new: Constant) -> ConstantId {
        if let Some(old) = old {
            if self.readers[old.index()] == 1 {
                graph.constants[old.index()] = new;
                return old;
            }
            self.readers[old.index()] -= 1;
        }
        self.readers.push(1);
        graph.add_constant(new)
    }
}

fn elements(constant: &Constant) -> usize {
    constant.data.len() / constant.dtype.size_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::GraphBuilder;

    #[test]
    fn a_constant_with_one_reader_is_replaced_in_place_and_a_shared_one_beside() {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", &[None, Some(2)]).unwrap();
        let a = builder.linear("a", x, &[1.0; 4], None, 2, 2).unwrap();
        let b = builder.linear("b", a, &[2.0; 4], None, 2, 2).unwrap();
        let c = builder.linear("c", b, &[3.0; 4], None, 2, 2).unwrap();
        let mut graph = builder.finish(&[c]).unwrap();
        graph.nodes[2].op = graph.nodes[1].op.clone();
        let mut edits = ConstantEdits::new(&mut graph);
        let new = || Constant::f32(&[9.0; 4], &[2, 2, 1, 1]).unwrap();
        assert_eq!(edits.replace(&mut graph, Some(ConstantId(0)), new()), ConstantId(0));
        assert_eq!(edits.replace(&mut graph, Some(ConstantId(1)), new()), ConstantId(3));
        assert_eq!(edits.replace(&mut graph, Some(ConstantId(1)), new()), ConstantId(1));
        assert_eq!(edits.replace(&mut graph, None, new()), ConstantId(4));
    }

    #[test]
    fn work_and_growth_are_bounded() {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", &[None, Some(1024)]).unwrap();
        let y = builder.linear("y", x, &vec![1.0; 1 << 20], None, 1024, 1024).unwrap();
        let z = builder.linear("z", y, &[1.0; 1024], None, 1, 1024).unwrap();
        let mut graph = builder.finish(&[z]).unwrap();
        let mut edits = ConstantEdits::new(&mut graph);
        assert_eq!((0..100).filter(|_| edits.allow(&graph, ConstantId(0))).count(), 5);
        edits = ConstantEdits::new(&mut graph);
        edits.readers[0] = 100;
        assert_eq!((0..100).filter(|_| edits.allow(&graph, ConstantId(0))).count(), 2);
    }
}
