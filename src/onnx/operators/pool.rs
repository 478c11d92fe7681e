//! MaxPool, AveragePool, GlobalAveragePool.
use super::Imported;
use super::window_attributes::WindowAttributes;
use crate::error::{Error, Result};
use crate::graph::{Op, Pool};
use crate::onnx::import::{Importer, NodeReader, of_first_input};

fn pool(node: &mut NodeReader, importer: &mut Importer) -> Result<Pool> {
    node.at_most(1)?;
    let kernel = node.attributes.ints("kernel_shape")?.ok_or_else(|| Error::Graph("kernel_shape is missing".to_owned()))?;
    let kernel = match *kernel.as_slice() {
        [kh, kw] if kh > 0 && kw > 0 => [kh as usize, kw as usize],
        [_] | [_, _, _] => return Err(Error::Unsupported(format!("{}-D pooling", kernel.len()))),
        _ => return Err(Error::Graph(format!("kernel_shape {kernel:?}"))),
    };
    let WindowAttributes { strides, dilations, padding } = WindowAttributes::read(&mut node.attributes)?;
    let ceil_mode = node.attributes.int("ceil_mode", 0)? != 0;
    let x = importer.value(node.required(0)?)?;
    if importer.rank(x)? != 4 {
        return Err(Error::ShapeMismatch(format!("the input has {} axes, not [n, c, h, w]", importer.rank(x)?)));
    }
    Ok(Pool { kernel, strides, dilations, padding, ceil_mode, count_include_pad: false })
}

/// `MaxPool` without its second output.
pub fn max_pool(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    node.attributes.ignore("storage_order"); // orders the second output
    let pool = pool(node, importer)?;
    of_first_input(Op::MaxPool(pool), node, importer)
}

/// `AveragePool`.
pub fn average_pool(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    let count_include_pad = node.attributes.int("count_include_pad", 0)? != 0;
    let pool = Pool { count_include_pad, ..pool(node, importer)? };
    of_first_input(Op::AveragePool(pool), node, importer)
}

/// `GlobalAveragePool` of an image.
pub fn global_average_pool(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    node.at_most(1)?;
    let x = importer.value(node.required(0)?)?;
    match importer.rank(x)? {
        4 => Ok(Imported::Node(Op::GlobalAveragePool, vec![x])),
        rank => Err(Error::Unsupported(format!("pooling of {rank} axes"))),
    }
}
