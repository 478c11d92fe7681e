//! Import stays within 64 MB + 8 x the file's size and within a stack of 128 KiB, whatever the model is. The allocator
//! counts all threads, so this file has one test.
use prost::Message;
use prost::bytes::Bytes;
use rsquant::error::Result;
use rsquant::graph::{Graph, passes};
use rsquant::onnx::import_bytes;
use rsquant::onnx::proto::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn add(bytes: usize) {
    let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(live, Ordering::Relaxed);
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(start, layout) }
    }
    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        add(size);
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(start, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Imports and optimizes on a small stack, checks memory and time of the import.
fn import(what: &str, model: Vec<u8>) -> Result<Graph> {
    let worker = std::thread::Builder::new().stack_size(128 << 10);
    let what = what.to_owned();
    let run = move || {
        let before = LIVE.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        let start = Instant::now();
        let graph = import_bytes(&model);
        let (peak, time) = (PEAK.load(Ordering::Relaxed) - before, start.elapsed());
        let most = (64 << 20) + 8 * model.len();
        println!("{what}: {} bytes, peak {} of {most} bytes, {time:?}, {:?}", model.len(), peak, graph.as_ref().err());
        assert!(peak <= most, "{what}: {peak} bytes, at most {most}");
        assert!(time < Duration::from_secs(10), "{what}: {time:?}");
        graph.and_then(|mut graph| passes::optimize(&mut graph).map(|()| graph))
    };
    worker.spawn(run).expect("a thread").join().expect("no panic")
}

fn value(name: &str) -> Bytes {
    let shape = Some(TensorShapeProto { dim: vec![DimensionProto { dim_value: None }, DimensionProto { dim_value: Some(1) }] });
    let tensor_type = Some(TensorTypeProto { elem_type: TensorProto::FLOAT, shape });
    Bytes::from(ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type }) }.encode_to_vec())
}

fn node(op_type: &str, input: &[&str], output: &str, attribute: Vec<AttributeProto>) -> Bytes {
    let input = input.iter().map(|&name| name.to_owned()).collect();
    let node = NodeProto { input, output: vec![output.to_owned()], op_type: op_type.to_owned(), attribute, ..Default::default() };
    Bytes::from(node.encode_to_vec())
}

fn model(initializer: Vec<Bytes>, node: Vec<Bytes>, output: &str) -> Vec<u8> {
    let graph = GraphProto { node, initializer, input: vec![value("x")], output: vec![value(output)], ..Default::default() };
    let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 13 }];
    ModelProto { ir_version: 8, graph: Some(graph), opset_import }.encode_to_vec()
}

/// A chain of nodes of one operator; `extra` are further inputs of each.
fn chain(op_type: &str, extra: &[&str], len: usize, initializer: Vec<Bytes>) -> Vec<u8> {
    let name = |index: usize| if index == 0 { "x".to_owned() } else { format!("v{index}") };
    let link = |index| node(op_type, &[&[name(index).as_str()], extra].concat(), &name(index + 1), Vec::new());
    model(initializer, (0..len).map(link).collect(), &name(len))
}

fn tensor(name: &str, data_type: i32, dims: &[i64], int32_data: Vec<u8>) -> Bytes {
    let int32_data = vec![Bytes::from(int32_data)];
    Bytes::from(TensorProto { name: name.to_owned(), data_type, dims: dims.to_vec(), int32_data, ..Default::default() }.encode_to_vec())
}

#[test]
fn import_stays_within_its_memory_stack_and_time() {
    const LONG: usize = 100_000;
    for op_type in ["Relu", "Identity", "Sigmoid"] {
        let graph = import(op_type, chain(op_type, &[], LONG, Vec::new())).expect("a long chain is legal");
        assert_eq!(graph.nodes.len(), if op_type == "Identity" { 1 } else { LONG }, "{op_type}");
    }
    let one = || tensor("one", TensorProto::FLOAT16, &[1], vec![0x80, 0x78]);
    let graph = import("Add of a constant", chain("Add", &["one"], LONG, vec![one()])).expect("a long chain is legal");
    assert_eq!(graph.nodes.len(), LONG);

    // Halves in varints of one byte: four bytes of f32 for each byte of the file.
    let zeros = |name: &str, dims: &[i64]| tensor(name, TensorProto::FLOAT16, dims, vec![0; dims.iter().product::<i64>() as usize]);
    let big = 32 << 20;
    let gemm = vec![node("Gemm", &["x", "w"], "y", Vec::new())];
    import("a transposed weight", model(vec![zeros("w", &[1, big])], gemm, "y")).expect("a wide layer is legal");
    let gemm = vec![node("Gemm", &["x", "w", "w"], "y", Vec::new())];
    import("a weight and bias", model(vec![zeros("w", &[1, big])], gemm, "y"))
        .expect_err("a weight that is read in two layouts is out of proportion here");
    let normalization = vec![node("BatchNormalization", &["x", "w", "w", "w", "w"], "y", Vec::new())];
    import("a wide normalization", model(vec![zeros("w", &[big])], normalization, "y")).expect_err("more than 65536 channels");

    // One tensor behind many nodes, in every way that a node reads a tensor.
    for (op_type, extra, rank) in [
        ("Gemm", &["w"][..], 2),
        ("MatMul", &["w"], 2),
        ("Add", &["w"], 1),
        ("Reshape", &["w"], 1),
        ("Clip", &["w"], 1),
        ("Squeeze", &["w"], 1),
        ("Conv", &["w"], 3),
        ("BatchNormalization", &["w", "w", "w", "w"], 1),
    ] {
        let mut dims = vec![1; rank];
        dims[0] = 1 << 20;
        let _ = import(op_type, chain(op_type, extra, 20_000, vec![zeros("w", &dims)]));
    }

    // Counts out of proportion to the file.
    let graph_of = |field: u8, content: &[u8], count: usize| {
        let graph: Vec<u8> = [&[field << 3 | 2, content.len() as u8], content].concat().repeat(count);
        let mut model = vec![7 << 3 | 2];
        prost::encoding::encode_varint(graph.len() as u64, &mut model);
        model.extend(graph);
        model.extend([8 << 3 | 2, 2, 2 << 3, 13]);
        model
    };
    for (what, field, content) in [
        ("empty nodes", 1, &b""[..]),
        ("nodes of empty names", 1, &[0x0a, 0, 0x0a, 0, 0x0a, 0]),
        ("nodes with attributes", 1, &[0x2a, 0, 0x2a, 0]),
        ("empty tensors", 5, b""),
        ("inputs", 11, b""),
        ("outputs", 12, b""),
        ("sparse tensors", 15, b""),
    ] {
        for count in [1_000, 60_000, 140_000, 2_000_000] {
            import(what, graph_of(field, content, count)).expect_err("not a legal graph");
        }
    }
    for names in [65_000, 600_000] {
        let bytes_of_one_node: Vec<u8> = [0x0a, 0].repeat(names);
        let mut wide = vec![7 << 3 | 2];
        let mut graph = vec![1 << 3 | 2];
        prost::encoding::encode_varint(bytes_of_one_node.len() as u64, &mut graph);
        graph.extend(bytes_of_one_node);
        prost::encoding::encode_varint(graph.len() as u64, &mut wide);
        wide.extend(graph);
        wide.extend([8 << 3 | 2, 2, 2 << 3, 13]);
        import("a node of many inputs", wide).expect_err("not a legal graph");
    }
    let unknown: Vec<Bytes> = (0..90_000).map(|index| node("Unknown", &["x"], &format!("u{index}"), Vec::new())).collect();
    import("unsupported nodes", model(Vec::new(), unknown, "u0")).expect_err("no operator is known");
}
