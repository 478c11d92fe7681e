//! Deterministic mutations of a file's bytes that keep checksums and lengths right, so that the parsers behind them are reached.

#[path = "mutate_onnx.rs"]
mod onnx_model;
#[allow(unused_imports)] // Tests use the one, fuzz targets the other.
pub use onnx_model::{onnx, onnx_with};

/// A small generator of random numbers (SplitMix64): the same seed gives the same run on every machine.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`; 0 for an end of 0.
    pub fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.next() % end as u64) as usize }
    }
}

/// Numbers at which arithmetic goes wrong.
const EDGES: [i128; 22] = [
    0,
    1,
    -1,
    2,
    3,
    15,
    16,
    17,
    63,
    64,
    127,
    128,
    255,
    256,
    65535,
    65536,
    1 << 31,
    (1 << 31) - 1,
    1 << 32,
    i64::MAX as i128,
    i64::MIN as i128,
    u64::MAX as i128,
];

/// Changes bytes without a structure.
pub type Field<'a> = &'a mut dyn FnMut(&mut Vec<u8>, &mut Random);

/// Changes one to four places of raw bytes.
pub fn raw(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            1 if !bytes.is_empty() => bytes[at] = random.next() as u8,
            2 => {
                let edge = EDGES[random.below(EDGES.len())] as u64;
                let width = [1, 2, 4, 8][random.below(4)];
                bytes.iter_mut().skip(at).zip(edge.to_le_bytes()).take(width).for_each(|(byte, edge)| *byte = edge);
            }
            3 => {
                let end = (at + random.below(16)).min(bytes.len());
                bytes.drain(at..end);
            }
            4 => {
                let end = (at + random.below(64)).min(bytes.len());
                let run = bytes[at..end].to_vec();
                let to = random.below(bytes.len() + 1);
                bytes.splice(to..to, run);
            }
            _ => bytes.truncate(bytes.len() - random.below(bytes.len().min(64))),
        }
    }
}

/// Changes one to three tokens of a JSON text: numbers to edges, words to other words of the text, or bytes.
pub fn json(text: &[u8], random: &mut Random) -> Vec<u8> {
    let mut text = text.to_vec();
    for _ in 0..=random.below(3) {
        let token = |wanted: &dyn Fn(u8) -> bool, random: &mut Random| {
            let starts: Vec<usize> = (0..text.len()).filter(|&at| wanted(text[at]) && (at == 0 || !wanted(text[at - 1]))).collect();
            let start = *starts.get(random.below(starts.len()))?;
            let length = text[start..].iter().take_while(|&&byte| wanted(byte)).count();
            Some(start..start + length)
        };
        let number = |byte: u8| byte.is_ascii_digit() || b"-.".contains(&byte);
        let word = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
        let (place, new) = match random.below(8) {
            0..=4 => {
                let edge = match random.below(4) {
                    0 => ["1e308", "1e-320", "0.5", "-0.0", "3.4e38", "1e39", "null", "\"x\"", "[]"][random.below(9)].to_owned(),
                    1 => random.below(64).to_string(),
                    _ => EDGES[random.below(EDGES.len())].to_string(),
                };
                (token(&number, random), edge.into_bytes())
            }
            5 | 6 => {
                let other = token(&word, random).map(|range| text[range].to_vec());
                (token(&word, random), other.unwrap_or_default())
            }
            _ => {
                let at = random.below(text.len());
                (Some(at..(at + random.below(12)).min(text.len())), Vec::new())
            }
        };
        if let Some(place) = place {
            text.splice(place, new);
        }
    }
    text
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?)).ok()
}

/// A model file of version 1 with these sections: lengths, places and checksums are right.
pub fn model_file(graph: &[u8], data: &[u8]) -> Vec<u8> {
    model_file_of(1, graph, data)
}

fn model_file_of(version: u32, graph: &[u8], data: &[u8]) -> Vec<u8> {
    let graph_start = 128;
    let data_start = (graph_start + graph.len()).next_multiple_of(64);
    let mut table = Vec::new();
    for (kind, start, section) in [(1u32, graph_start, graph), (2, data_start, data)] {
        table.extend(kind.to_le_bytes());
        table.extend(crc32fast::hash(section).to_le_bytes());
        table.extend((start as u64).to_le_bytes());
        table.extend((section.len() as u64).to_le_bytes());
    }
    let mut file = [b"RSQMODEL", &version.to_le_bytes()[..], b"\x04\x03\x02\x01"].concat();
    file.extend(((data_start + data.len()) as u64).to_le_bytes());
    file.extend(2u32.to_le_bytes());
    let checksum = crc32fast::hash(&[&file[..], &table].concat());
    file.extend(checksum.to_le_bytes());
    file.extend(table);
    file.resize(graph_start, 0);
    file.extend(graph);
    file.resize(data_start, 0);
    file.extend(data);
    file
}

/// The two sections of a model file that is well formed.
pub fn model_sections(file: &[u8]) -> Option<(&[u8], &[u8])> {
    let section = |at: usize| {
        let (start, length) = (number(file, at + 8)?, number(file, at + 16)?);
        file.get(start..start.checked_add(length)?)
    };
    Some((section(32)?, section(56)?))
}

/// A changed model file: mostly its graph, sometimes its constants, seldom raw.
pub fn model(file: &[u8], random: &mut Random) -> Vec<u8> {
    model_with(file, random, &mut raw)
}

/// As [`model`], where `field` changes bytes without a structure.
pub fn model_with(file: &[u8], random: &mut Random, field: Field) -> Vec<u8> {
    let Some((graph, data)) = model_sections(file) else { return file.to_vec() };
    let (mut graph, mut data) = (graph.to_vec(), data.to_vec());
    let version = u32::from_le_bytes(*file[8..].first_chunk().expect("sections follow"));
    match random.below(10) {
        0 => field(&mut graph, random),
        1 => {
            let at = random.below(data.len());
            data.iter_mut().skip(at).take(1 + random.below(8)).for_each(|byte| *byte = random.next() as u8);
        }
        2 => {
            let mut file = file.to_vec();
            raw(&mut file, random);
            return file;
        }
        _ => graph = json(&graph, random),
    }
    model_file_of(version, &graph, &data)
}

/// A changed calibration file with the checksum right.
pub fn calibration(file: &[u8], random: &mut Random) -> Vec<u8> {
    calibration_with(file, random, &mut raw)
}

/// As [`calibration`], where `field` changes bytes without a structure.
pub fn calibration_with(file: &[u8], random: &mut Random, field: Field) -> Vec<u8> {
    let mut file = file.to_vec();
    let header = number(&file, 16).filter(|&length| length <= file.len().saturating_sub(24)).unwrap_or(0);
    match random.below(3) {
        0 if file.len() > 24 => {
            let text = json(&file[24..24 + header], random);
            file[16..24].copy_from_slice(&(text.len() as u64).to_le_bytes());
            file.splice(24..24 + header, text);
        }
        1 if file.len() > 24 + header => {
            let mut states = file.split_off(24 + header);
            field(&mut states, random);
            file.extend(states);
        }
        _ => field(&mut file, random),
    }
    if file.len() >= 16 {
        let checksum = crc32fast::hash(&file[16..]);
        file[12..16].copy_from_slice(&checksum.to_le_bytes());
    }
    file
}

/// A changed text behind a first byte that says what it is: its tokens, or as `field` changes bytes without a structure.
pub fn text_with(bytes: &[u8], random: &mut Random, field: Field) -> Vec<u8> {
    let Some((&kind, text)) = bytes.split_first() else { return Vec::new() };
    let mut text = text.to_vec();
    match random.below(3) {
        0 => field(&mut text, random),
        _ => text = json(&text, random),
    }
    let kind = if random.below(64) == 0 { random.next() as u8 } else { kind };
    [&[kind], &text[..]].concat()
}
