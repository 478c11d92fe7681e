//! The file as bytes: round trips, determinism, alignment, saving.
use super::*;

/// A small file: every bit of it is flipped.
fn small() -> Vec<u8> {
    let mut graph = Graph::default();
    let input = graph.add_value("x", ValueType::F32);
    graph.inputs.push(input);
    let table = constant(&mut graph, DType::U8, &(0..=255).collect::<Vec<u8>>());
    let bytes = add(&mut graph, "q", Op::Quantize, &[input], quantized(0.5, 1));
    let output = add(&mut graph, "l", Op::Lookup(table), &[bytes], quantized(0.5, 1));
    graph.outputs.push(output);
    to_bytes(&graph, &Metadata::from([("note".to_owned(), "text".to_owned())])).unwrap()
}

/// A copy that starts on a 64-byte boundary, or one byte past it, and stays.
fn forever(bytes: &[u8], misaligned: bool) -> &'static [u8] {
    let shift = usize::from(misaligned);
    let mut buffer = AlignedBuffer::zeroed(bytes.len() + shift, "test").unwrap();
    buffer[shift..].copy_from_slice(bytes);
    &Box::leak(Box::new(buffer))[shift..]
}

#[test]
fn what_is_written_comes_back_by_every_door() {
    let directory = TestDirectory::new("doors");
    let path = directory.0.join("model with a space.rsq");
    let graph = sample();
    save(&graph, &metadata(), &path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes, to_bytes(&graph, &metadata()).unwrap());
    let doors = [
        load_mapped(&path).unwrap(),
        load_copied(&path).unwrap(),
        from_bytes(&bytes).unwrap(),
        from_static(forever(&bytes, false)).unwrap(),
        from_static(forever(&bytes, true)).unwrap(),
    ];
    for model in doors {
        assert_eq!(picture(&model.graph), picture(&graph));
        assert_eq!((model.metadata, model.library_version.as_str()), (metadata(), env!("CARGO_PKG_VERSION")));
        assert!(model.graph.constants.iter().all(|constant| constant.data.is_aligned()));
        // What was read writes the same bytes again.
        assert_eq!(to_bytes(&model.graph, &metadata()).unwrap(), bytes);
    }
}

#[test]
fn constants_lie_in_the_file_with_slack_behind_the_last() {
    let bytes = forever(&to_bytes(&sample(), &metadata()).unwrap(), false);
    let inside = bytes.as_ptr_range();
    for constant in from_static(bytes).unwrap().graph.constants {
        let data = constant.data.as_ptr_range();
        assert!(inside.contains(&data.start) && data.end as usize + SLACK_BYTES <= inside.end as usize);
    }
    assert_eq!(bytes.len() % ALIGNMENT, 0);
    assert!(bytes[bytes.len() - SLACK_BYTES..].iter().all(|&byte| byte == 0));
}

#[test]
fn the_same_graph_gives_the_same_bytes_and_the_layout_is_the_documented_one() {
    assert_eq!(to_bytes(&sample(), &metadata()).unwrap(), to_bytes(&sample(), &metadata()).unwrap());
    let bytes = small();
    let number = |at: usize| u32::from_le_bytes(*bytes[at..].first_chunk().unwrap()) as usize;
    assert_eq!(&bytes[..16], b"RSQMODEL\x01\0\0\0\x04\x03\x02\x01");
    assert_eq!((number(16), number(24)), (bytes.len(), 2));
    assert_eq!((number(32), number(56)), (1, 2));
    let (graph, data) = (number(40)..number(40) + number(48), number(64)..number(64) + number(72));
    assert_eq!((graph.start, data.len(), data.end), (128, 256 + SLACK_BYTES, bytes.len()));
    let text = std::str::from_utf8(&bytes[graph]).unwrap();
    assert!(text.contains("\"constants\":[{\"dtype\":\"u8\",\"dims\":[256],\"offset\":0,\"length\":256}]"), "{text}");
    assert!(text.contains("\"metadata\":{\"note\":\"text\"}"), "{text}");
    assert!(bytes[data][..256].iter().copied().eq(0..=255));
}

#[test]
fn a_graph_without_constants_or_metadata_is_a_file_too() {
    let mut graph = Graph::default();
    let input = graph.add_value("x", ValueType::F32);
    graph.inputs.push(input);
    let output = add(&mut graph, "through", Op::Identity, &[input], ValueType::F32);
    graph.outputs.push(output);
    let model = from_bytes(&to_bytes(&graph, &Metadata::new()).unwrap()).unwrap();
    assert_eq!(picture(&model.graph), picture(&graph));
}

#[test]
fn every_prefix_and_every_longer_file_is_an_error() {
    let bytes = small();
    for length in 0..bytes.len() {
        assert!(from_bytes(&bytes[..length]).is_err(), "{length} bytes");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    let Err(Error::Corrupt(message)) = from_bytes(&longer) else { panic!("a longer file") };
    assert!(message.contains(&bytes.len().to_string()) && message.contains(&longer.len().to_string()), "{message}");
}

#[test]
fn every_flipped_bit_is_an_error() {
    let mut bytes = small();
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(from_bytes(&bytes).is_err(), "bit {bit}");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(from_bytes(&bytes).is_ok());
}

#[test]
fn magic_version_and_endianness_are_refused_with_both_values_named() {
    let with = |at: usize, new: &[u8]| {
        let mut bytes = small();
        bytes[at..at + new.len()].copy_from_slice(new);
        from_bytes(&bytes).map(|_| ()).unwrap_err()
    };
    let cases = [
        (with(0, b"GGUF\0\0\0\0"), Error::Parse(String::new()), ["RSQMODEL", "GGUF\\x00"]),
        (with(8, &7u32.to_le_bytes()), Error::Version(String::new()), ["version 7", "reads 1"]),
        (with(12, &0x0102_0304u32.to_be_bytes()), Error::Version(String::new()), ["0x04030201", "0x01020304"]),
    ];
    for (error, kind, words) in cases {
        assert_eq!(std::mem::discriminant(&error), std::mem::discriminant(&kind));
        assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
    }
    assert!(matches!(from_bytes(b""), Err(Error::Parse(_))));
}

#[test]
fn a_failed_save_keeps_the_old_file() {
    let directory = TestDirectory::new("save");
    let path = directory.0.join("model.rsq");
    save(&sample(), &metadata(), &path).unwrap();
    let old = std::fs::read(&path).unwrap();
    let mut broken = sample();
    broken.outputs.push(ValueId(999));
    assert!(matches!(save(&broken, &metadata(), &path), Err(Error::Graph(_))));
    assert_eq!(std::fs::read(&path).unwrap(), old);
    assert_eq!(std::fs::read_dir(&directory.0).unwrap().count(), 1);
    assert!(matches!(save(&sample(), &metadata(), &directory.0.join("absent/model.rsq")), Err(Error::Io { .. })));
}

#[test]
fn a_saved_file_may_be_replaced_while_it_is_mapped() {
    let directory = TestDirectory::new("mapped");
    let path = directory.0.join("model.rsq");
    save(&sample(), &metadata(), &path).unwrap();
    let model = load_mapped(&path).unwrap();
    save(&sample(), &Metadata::new(), &path).unwrap();
    assert_eq!(picture(&model.graph), picture(&sample()));
    assert_eq!(load_mapped(&path).unwrap().metadata, Metadata::new());
}

#[test]
fn what_is_no_model_file_is_an_error_that_names_the_path() {
    let directory = TestDirectory::new("others");
    let (empty, text) = (directory.0.join("empty"), directory.0.join("text"));
    std::fs::write(&empty, "").unwrap();
    std::fs::write(&text, "not a model").unwrap();
    for load in [load_mapped, load_copied] {
        for path in [&empty, &text] {
            let Err(Error::Parse(message)) = load(path) else { panic!("{} was loaded", path.display()) };
            assert!(message.contains(path.to_str().unwrap()), "{message}");
        }
        for path in [directory.0.clone(), directory.0.join("absent"), PathBuf::from("/dev/zero")] {
            let Err(Error::Io { path: named, .. }) = load(&path) else { panic!("{} was loaded", path.display()) };
            assert_eq!(named, path.display().to_string());
        }
    }
}
