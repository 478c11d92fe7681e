//! Mutations of ONNX models in the tree of their fields, so that all lengths fit.
use super::{EDGES, Field, Random, raw};
use std::ops::Range;

/// Whether a field of a message of kind `kind` holds a message, and of which kind. Kinds: 0 model, 1 graph, 2 node, 3 attribute,
/// 4 tensor, 5 value info, 6 type, 7 tensor type, 8 shape, 9 others without messages.
fn inner(kind: u8, field: u64) -> Option<u8> {
    Some(match (kind, field) {
        (0, 7) => 1,
        (0, 8) => 9,
        (1, 1) => 2,
        (1, 5) => 4,
        (1, 11 | 12) => 5,
        (2, 5) => 3,
        (3, 5) => 4,
        (4, 13) | (8, 1) => 9,
        (5, 2) => 6,
        (6, 1) => 7,
        (7, 2) => 8,
        _ => return None,
    })
}

fn read_varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A field of a message: where it starts, its key, its content.
type Place = (usize, u64, Range<usize>);

/// The fields of a message; `None` if it is not one.
fn fields(bytes: &[u8]) -> Option<Vec<Place>> {
    let mut fields = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        let key = read_varint(bytes, &mut at)?;
        let content = match key & 7 {
            0 => {
                read_varint(bytes, &mut at)?;
                at..at
            }
            1 => at..at + 8,
            2 => {
                let length = usize::try_from(read_varint(bytes, &mut at)?).ok()?;
                at..at.checked_add(length)?
            }
            5 => at..at + 4,
            _ => return None,
        };
        at = content.end;
        if at > bytes.len() {
            return None;
        }
        fields.push((start, key, content));
    }
    Some(fields)
}

/// Adds each field below a message of kind `kind` that stands where one with this kind and key could: names, tensors, whole nodes.
fn collect<'a>(bytes: &'a [u8], kind: u8, wanted: (u8, u64), found: &mut Vec<&'a [u8]>) {
    for (start, key, content) in fields(bytes).unwrap_or_default() {
        if (kind, key) == wanted {
            found.push(&bytes[start..content.end]);
        }
        if let (2, Some(child)) = (key & 7, inner(kind, key >> 3)) {
            collect(&bytes[content], child, wanted, found);
        }
    }
}

/// A changed ONNX model: fields somewhere in its tree are changed, left out, doubled or taken from elsewhere in it, and all lengths fit.
pub fn onnx(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    onnx_with(bytes, random, &mut raw)
}

/// As [`onnx`], where `field` changes bytes without a structure.
pub fn onnx_with(bytes: &[u8], random: &mut Random, field: Field) -> Vec<u8> {
    if random.below(8) == 0 {
        let mut bytes = bytes.to_vec();
        field(&mut bytes, random);
        return bytes;
    }
    (0..=random.below(3)).fold(bytes.to_vec(), |bytes, _| message(&bytes, &bytes, 0, random, field).unwrap_or(bytes))
}

/// One change below a message of the model; `None` if it is not one.
fn message(model: &[u8], bytes: &[u8], kind: u8, random: &mut Random, field: Field) -> Option<Vec<u8>> {
    let fields = fields(bytes)?;
    let (start, key, content) = fields.get(random.below(fields.len()))?.clone();
    let end = content.end;
    let mut new = Vec::new();
    match (random.below(16), key & 7, inner(kind, key >> 3)) {
        (0, ..) => {}
        (1, ..) => (0..2).for_each(|_| new.extend_from_slice(&bytes[start..end])),
        (2..=4, ..) => {
            let mut others = Vec::new();
            collect(model, 0, (kind, key), &mut others);
            new.extend_from_slice(others.get(random.below(others.len()))?);
        }
        (_, 2, child) => {
            let held = &bytes[content];
            let held = match child {
                Some(child) => message(model, held, child, random, field)?,
                None => {
                    let mut held = held.to_vec();
                    field(&mut held, random);
                    held
                }
            };
            write_varint(key, &mut new);
            write_varint(held.len() as u64, &mut new);
            new.extend(held);
        }
        (_, 0, _) => {
            write_varint(key, &mut new);
            let number = if random.below(3) == 0 { random.below(24) as u64 } else { EDGES[random.below(EDGES.len())] as u64 };
            write_varint(number, &mut new);
        }
        _ => {
            new.extend_from_slice(&bytes[start..end]);
            let last = new.len() - 1;
            new[last] ^= 1 << random.below(8);
        }
    }
    Some([&bytes[..start], &new, &bytes[end..]].concat())
}
