//! The order in which nodes can run, found without recursion.
use super::proto::NodeProto;
use crate::error::{Error, Result};
use prost::Message;
use prost::bytes::Bytes;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// Decodes one node.
///
/// # Errors
/// [`Error::Parse`] with its position in the graph.
pub fn decode_node(nodes: &[Bytes], index: usize) -> Result<NodeProto> {
    NodeProto::decode(nodes[index].clone()).map_err(|error| Error::Parse(format!("node {index}: {error}")))
}

/// What to call a node in messages: its name, else its first output.
pub fn display_name(node: &NodeProto) -> &str {
    if node.name.is_empty() { node.output.first().map_or("", String::as_str) } else { &node.name }
}

/// Indices of `nodes` such that each comes after those that compute its inputs; among those that could run, the one
/// listed first goes first, so a sorted graph keeps its order. `is_given` tells names of inputs and initializers.
///
/// # Errors
/// [`Error::Graph`] naming two nodes that compute the same value, a value that nothing computes, or a node on or behind
/// a cycle; [`Error::Parse`].
pub fn execution_order(nodes: &[Bytes], is_given: impl Fn(&str) -> bool) -> Result<Vec<usize>> {
    let mut producers: HashMap<String, u32> = HashMap::with_capacity(nodes.len());
    for index in 0..nodes.len() {
        for output in decode_node(nodes, index)?.output {
            if output.is_empty() {
                continue;
            }
            if is_given(&output) || producers.contains_key(&output) {
                return Err(Error::Graph(format!("value '{output}' has two sources")));
            }
            producers.insert(output, index as u32);
        }
    }

    // Edges from producer to reader, and for each node how many of its inputs are still to come.
    let mut edges: Vec<(u32, u32)> = Vec::with_capacity(nodes.len());
    let mut missing = vec![0_u32; nodes.len()];
    for (index, missing) in missing.iter_mut().enumerate() {
        let node = decode_node(nodes, index)?;
        for input in node.input.iter().filter(|input| !input.is_empty() && !is_given(input)) {
            let Some(&producer) = producers.get(input) else {
                return Err(Error::Graph(format!("node '{}' reads '{input}', which nothing computes", display_name(&node))));
            };
            edges.push((producer, index as u32));
            *missing += 1;
        }
    }
    drop(producers);
    edges.sort_unstable();

    let mut ready: BinaryHeap<Reverse<usize>> = (0..nodes.len()).filter(|&index| missing[index] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(Reverse(index)) = ready.pop() {
        order.push(index);
        let first = edges.partition_point(|&(producer, _)| (producer as usize) < index);
        for &(_, reader) in edges[first..].iter().take_while(|&&(producer, _)| producer as usize == index) {
            missing[reader as usize] -= 1;
            if missing[reader as usize] == 0 {
                ready.push(Reverse(reader as usize));
            }
        }
    }
    match missing.iter().position(|&missing| missing > 0) {
        Some(index) => Err(Error::Graph(format!("node '{}' is on or behind a cycle", display_name(&decode_node(nodes, index)?)))),
        None => Ok(order),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(nodes: &[(&str, &str)]) -> Result<Vec<usize>> {
        let names = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let encode = |(index, &(input, output)): (usize, &(&str, &str))| {
            let node = NodeProto { name: format!("n{index}"), input: names(input), output: names(output), ..Default::default() };
            Bytes::from(node.encode_to_vec())
        };
        let nodes: Vec<Bytes> = nodes.iter().enumerate().map(encode).collect();
        execution_order(&nodes, |name| name == "x")
    }

    #[test]
    fn sorted_nodes_keep_their_order_and_others_are_sorted() {
        assert_eq!(order(&[("x", "a"), ("x", "b"), ("a b", "c")]).unwrap(), [0, 1, 2]);
        assert_eq!(order(&[("b", "c"), ("a a", "b"), ("x", "a"), ("x", "d")]).unwrap(), [2, 1, 0, 3]);
    }

    #[test]
    fn cycles_twins_and_missing_sources_are_named() {
        assert!(matches!(order(&[("x", "a"), ("c", "b"), ("b", "c")]), Err(Error::Graph(text)) if text.contains("'n1'")));
        assert!(matches!(order(&[("a", "a")]), Err(Error::Graph(text)) if text.contains("cycle")));
        assert!(matches!(order(&[("x", "a"), ("x", "a")]), Err(Error::Graph(text)) if text.contains("'a'")));
        assert!(matches!(order(&[("x", "x")]), Err(Error::Graph(text)) if text.contains("'x'")));
        assert!(matches!(order(&[("x", "a"), ("q", "b")]), Err(Error::Graph(text)) if text.contains("'n1'") && text.contains("'q'")));
    }
}
