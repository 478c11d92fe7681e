//! An ONNX file written here: a convolution of pictures of any size, `[n, channels, h, w]`, averaged to `[n, 4]`.
use super::tool::{Folder, noise};

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A field that is a number.
fn number(field: u64, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    varint(field << 3, &mut out);
    varint(value, &mut out);
    out
}

/// A field that is text, bytes or a message.
fn bytes(field: u64, value: impl AsRef<[u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    varint(field << 3 | 2, &mut out);
    varint(value.as_ref().len() as u64, &mut out);
    out.extend(value.as_ref());
    out
}

fn node(operator: &str, inputs: &[&str], output: &str) -> Vec<u8> {
    let inputs: Vec<u8> = inputs.iter().flat_map(|input| bytes(1, input)).collect();
    bytes(1, [inputs, bytes(2, output), bytes(3, output), bytes(4, operator)].concat())
}

/// A dimension that is text is the caller's choice.
fn value(field: u64, name: &str, dims: &[Result<u64, &str>]) -> Vec<u8> {
    let dim = |dim: &Result<u64, &str>| bytes(1, dim.map_or_else(|name| bytes(2, name), |dim| number(1, dim)));
    let shape: Vec<u8> = dims.iter().flat_map(dim).collect();
    let tensor = [number(1, 1), bytes(2, shape)].concat();
    bytes(field, [bytes(1, name), bytes(2, bytes(1, tensor))].concat())
}

/// Writes it; its path.
pub fn write(folder: &Folder) -> String {
    let weights: Vec<u8> = noise(4 * 3 * 3 * 3, 11).iter().flat_map(|x| x.to_le_bytes()).collect();
    let dims: Vec<u8> = [4, 3, 3, 3].into_iter().flat_map(|dim| number(1, dim)).collect();
    let initializer = bytes(5, [dims, number(2, 1), bytes(8, "weight"), bytes(9, weights)].concat());
    let graph = [
        node("Conv", &["image", "weight"], "conv"),
        node("GlobalAveragePool", &["conv"], "average"),
        node("Flatten", &["average"], "classes"),
        bytes(2, "open"),
        initializer,
        value(11, "image", &[Err("n"), Ok(3), Err("h"), Err("w")]),
        value(12, "classes", &[Err("n"), Ok(4)]),
    ];
    let model = [number(1, 8), bytes(7, graph.concat()), bytes(8, number(2, 13))];
    folder.write("open.onnx", model.concat())
}
