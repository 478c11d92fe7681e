//! One pass over the protobuf wire format before anything is decoded. It follows the messages that the importer decodes,
//! to a fixed depth and without recursion through foreign ones, checks that every length stays inside its parent, and
//! adds up what the decoded model would take. So no input can make the decoder allocate beyond its share of
//! `64 MB + 8 x file size`, hang or overflow the stack.
use crate::error::{Error, Result};

/// The most bytes that messages, names and tables may take beyond [`TABLE_SHARE`] times the file: the rest of the 64 MB
/// that an import may allocate is for buffers that do not follow the file's size.
const TABLE_BYTES: usize = 60 << 20;
/// What messages, names and tables may take for each byte of the file.
const TABLE_SHARE: usize = 2;
/// The most numbers in the lists of one attribute, or dimensions of one tensor.
const MAX_LIST: usize = 1 << 16;
/// The most axes of a tensor that is only listed, not supported: it is refused with a better message later.
const MAX_DIMS: usize = 64;

/// The most names in one message: inputs and outputs of a node, which are all at hand while it is read.
const MAX_NAMES: usize = 1 << 16;
/// The longest name or location of a tensor, in bytes.
const MAX_TENSOR_NAME: usize = 4096;
/// The most runs of bytes that hold one tensor's data; writers make one.
const MAX_DATA_RUNS: usize = 64;

/// Which message a run of bytes holds.
#[derive(Clone, Copy, PartialEq)]
enum Message {
    Model,
    Opset,
    Graph,
    Node,
    Attribute,
    Tensor,
    ExternalData,
    ValueInfo,
    Type,
    TensorType,
    Shape,
    Dimension,
}

/// What a field is to the importer.
enum Field {
    /// A message that is decoded.
    Message(Message),
    /// A scalar, string or byte string that is kept, with the bytes it takes.
    Kept(usize),
    /// A list of numbers, packed or not.
    Numbers(usize),
    /// Elements of a tensor, which stay where they are in the file.
    Data,
    /// Not read.
    Skipped,
}

/// What a decoded message costs: its struct, its entries in tables and the graph objects made of it.
fn message_cost(message: Message) -> usize {
    match message {
        Message::Model | Message::Graph | Message::TensorType | Message::Type | Message::Shape => 64,
        Message::Node => 440,
        Message::Tensor => 320,
        Message::Attribute => 200,
        Message::ValueInfo => 160,
        Message::Opset | Message::ExternalData => 96,
        Message::Dimension => 32,
    }
}

fn field(message: Message, number: u64) -> Field {
    match (message, number) {
        (Message::Model, 7) => Field::Message(Message::Graph),
        (Message::Model, 8) => Field::Message(Message::Opset),
        (Message::Graph, 1) => Field::Message(Message::Node),
        (Message::Graph, 5) => Field::Message(Message::Tensor),
        (Message::Graph, 11 | 12) => Field::Message(Message::ValueInfo),
        (Message::Graph, 15) => Field::Kept(64),
        (Message::Node, 1) => Field::Kept(24),
        (Message::Node, 2) => Field::Kept(120),
        (Message::Node, 5) => Field::Message(Message::Attribute),
        (Message::Attribute, 5) => Field::Message(Message::Tensor),
        (Message::Attribute, 9) => Field::Kept(64),
        (Message::Attribute, 7 | 8) => Field::Numbers(MAX_LIST),
        (Message::Tensor, 1) => Field::Numbers(MAX_DIMS),
        (Message::Tensor, 4 | 5 | 7 | 9 | 10) => Field::Data,
        (Message::Tensor, 13) => Field::Message(Message::ExternalData),
        (Message::ValueInfo, 2) => Field::Message(Message::Type),
        (Message::Type, 1) => Field::Message(Message::TensorType),
        (Message::TensorType, 2) => Field::Message(Message::Shape),
        (Message::Shape, 1) => Field::Message(Message::Dimension),
        (Message::Node, 3 | 4 | 7)
        | (Message::Attribute, 1 | 4)
        | (Message::Tensor, 8)
        | (Message::ExternalData, 1 | 2)
        | (Message::Opset, 1)
        | (Message::ValueInfo, 1) => Field::Kept(16),
        _ => Field::Skipped,
    }
}

/// Checks an encoded `ModelProto`, and says how many bytes its tables will take at most.
///
/// # Errors
/// [`Error::Parse`] for bytes that are not a protobuf message or whose tables would take too much memory.
pub fn check(model: &[u8]) -> Result<usize> {
    let most = model.len().saturating_mul(TABLE_SHARE).saturating_add(TABLE_BYTES);
    let mut left = most;
    check_message(model, Message::Model, 0, &mut left)?;
    Ok(most - left)
}

/// Checks one message; `base` is its offset in the file, `left` the bytes that are left for tables. Its calls nest as
/// deep as [`field`] nests messages: model, graph, node, attribute, tensor, external data.
fn check_message(bytes: &[u8], message: Message, base: usize, left: &mut usize) -> Result<()> {
    spend(left, message_cost(message), base)?;
    let mut reader = Reader { bytes, at: 0, base };
    let mut numbers = [0_usize; 2];
    let (mut runs, mut kept) = (0, 0);
    while reader.at < bytes.len() {
        let start = base + reader.at;
        let key = reader.varint()?;
        let (number, wire_type) = (key >> 3, key & 7);
        if number == 0 || key > u64::from(u32::MAX) {
            return Err(refuse(start, "a field has number 0 or one that is too large"));
        }
        let content = match wire_type {
            0 => reader.varint().map(|_| None)?,
            1 => reader.take(8).map(|_| None)?,
            2 => {
                let len = reader.varint()?;
                let len = usize::try_from(len).map_err(|_| refuse(start, "a field is longer than the message that holds it"))?;
                Some(reader.take(len)?)
            }
            5 => reader.take(4).map(|_| None)?,
            _ => return Err(refuse(start, "a group or an unknown wire type")),
        };
        match (field(message, number), content) {
            (Field::Message(inner), Some(content)) => {
                let inner_base = base + reader.at - content.len();
                check_message(content, inner, inner_base, left)?;
            }
            (Field::Kept(cost), Some(content)) => {
                // A tensor is decoded each time a node refers to it, so its name must not be long.
                if matches!(message, Message::Tensor | Message::ExternalData) && content.len() > MAX_TENSOR_NAME {
                    return Err(refuse(start, "the name or location of a tensor is too long"));
                }
                kept += 1;
                if kept > MAX_NAMES {
                    return Err(refuse(start, "too many inputs or outputs"));
                }
                spend(left, cost + content.len(), start)?;
            }
            (Field::Data, Some(_)) => {
                runs += 1;
                if runs > MAX_DATA_RUNS {
                    return Err(refuse(start, "the data of a tensor are in too many pieces"));
                }
                spend(left, 64, start)?;
            }
            (Field::Data, None) => return Err(refuse(start, "the data of a tensor are not packed")),
            (Field::Numbers(most), content) => {
                let list = &mut numbers[usize::from(number != 7)];
                *list = list.saturating_add(content.map_or(1, <[u8]>::len));
                // A packed list has at most one number a byte.
                if *list > most * 10 || (content.is_none() && *list > most) {
                    return Err(refuse(start, &format!("a list of more than {most} numbers")));
                }
                spend(left, 8 * content.map_or(1, <[u8]>::len), start)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn spend(left: &mut usize, bytes: usize, at: usize) -> Result<()> {
    *left = left.checked_sub(bytes).ok_or_else(|| refuse(at, "the model's nodes and names would take too much memory for its size"))?;
    Ok(())
}

fn refuse(at: usize, text: &str) -> Error {
    Error::Parse(format!("not a valid ONNX model: {text} (at byte {at})"))
}

/// Reads varints and runs of bytes.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    base: usize,
}

impl<'a> Reader<'a> {
    fn varint(&mut self) -> Result<u64> {
        read_varint(self.bytes, &mut self.at).ok_or_else(|| refuse(self.base + self.at, "a number is cut off or too long"))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let run = self.at.checked_add(len).and_then(|end| self.bytes.get(self.at..end));
        let run = run.ok_or_else(|| refuse(self.base + self.at, "a field is longer than the message that holds it"))?;
        self.at += len;
        Ok(run)
    }
}

/// The base-128 varint at `*at`, which moves behind it; `None` if it is cut off or does not fit 64 bits.
pub fn read_varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        let part = u64::from(byte & 0x7f);
        if shift == 63 && part > 1 {
            return None;
        }
        value |= part << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A length-delimited field.
    fn nested(number: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![number << 3 | 2];
        let mut len = content.len();
        while len >= 0x80 {
            bytes.push(len as u8 | 0x80);
            len >>= 7;
        }
        bytes.push(len as u8);
        bytes.extend_from_slice(content);
        bytes
    }

    fn error(bytes: &[u8]) -> String {
        check(bytes).unwrap_err().to_string()
    }

    #[test]
    fn varints_are_read_up_to_64_bits() {
        let read = |bytes: &[u8]| read_varint(bytes, &mut 0);
        assert_eq!(read(&[0x96, 0x01]), Some(150));
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]), Some(u64::MAX));
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]), None);
        assert_eq!(read(&[0x80]), None);
        assert_eq!(read(&[0x80; 11]), None);
    }

    #[test]
    fn lengths_must_stay_inside_the_parent() {
        let node = nested(1, b"\x0a\x05ab");
        assert!(error(&nested(7, &node)).contains("longer than the message"));
        assert!(error(&[7 << 3 | 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]).contains("longer than the message"));
        assert!(error(&[8, 0x80]).contains("cut off"));
        assert!(error(&[0, 0]).contains("number 0"));
        assert!(error(&[1 << 3 | 3]).contains("group"));
        assert!(error(&[1 << 3 | 5, 0, 0]).contains("longer than the message"));
    }

    #[test]
    fn fields_that_are_not_read_may_hold_anything() {
        let subgraph = nested(6, &[0xff; 9]);
        let attribute = nested(5, &subgraph);
        check(&nested(7, &nested(1, &attribute))).unwrap();
        check(&nested(15, &[0xff; 100])).unwrap();
        check(&[]).unwrap();
    }

    #[test]
    fn tables_out_of_proportion_are_refused() {
        let empty_nodes = [1 << 3 | 2, 0].repeat(1 << 20);
        assert!(error(&nested(7, &empty_nodes)).contains("too much memory"));
        let names = nested(7, &nested(1, &[1 << 3 | 2, 0].repeat(1 << 20)));
        assert!(error(&names).contains("too many inputs"));
        let attribute = |content: &[u8]| nested(7, &nested(1, &nested(5, content)));
        assert!(error(&attribute(&nested(8, &vec![1; 10 * MAX_LIST + 1]))).contains("more than 65536 numbers"));
        assert!(error(&attribute(&[8 << 3, 1].repeat(MAX_LIST + 1))).contains("more than 65536 numbers"));
        check(&attribute(&[8 << 3, 1].repeat(MAX_LIST))).unwrap();
        let tensor = |content: &[u8]| nested(7, &nested(5, content));
        check(&tensor(&nested(9, &vec![0; 1 << 24]))).unwrap();
        check(&tensor(&nested(5, &[1]).repeat(MAX_DATA_RUNS))).unwrap();
        assert!(error(&tensor(&nested(5, &[1]).repeat(MAX_DATA_RUNS + 1))).contains("pieces"));
        assert!(error(&tensor(&[5 << 3, 1])).contains("not packed"));
        assert!(error(&tensor(&nested(8, &vec![b'a'; MAX_TENSOR_NAME + 1]))).contains("too long"));
    }
}
