//! Contract line 10: outputs, calibration states and model files do not depend on the number of threads, the split into batches, the
//! addresses of buffers, or the host's float control register, which a call leaves as it was. (Instruction sets: int8_networks,
//! float_networks and those of other kinds of models.)
#![cfg(target_arch = "x86_64")]
#[path = "support/c_api.rs"]
mod c_api;
#[path = "support/networks.rs"]
mod networks;

use c_api::*;
use rsquant::ffi::*;
use std::arch::asm;
use std::ptr::{null, null_mut};

/// All exceptions masked, round to nearest even, nothing flushed.
const DEFAULT: u32 = 0x1f80;
const ROUNDINGS: [u32; 4] = [0, 0x2000, 0x4000, 0x6000];
const FLUSH_TO_ZERO: u32 = 0x8000;
const DENORMALS_ARE_ZERO: u32 = 0x0040;
/// The bits that say how to compute; the others say what has happened.
const CONTROL: u32 = 0xffc0;
/// Samples of the data set.
const SAMPLES: usize = 6;

/// Does `work` with that setting of the host's, which must still hold after.
fn with_control<R>(value: u32, work: impl FnOnce() -> R) -> R {
    let (mut before, mut after) = (0u32, 0u32);
    // SAFETY: stores the 4 bytes of the register, then loads one with only bits that every x86-64 CPU has.
    unsafe {
        asm!("stmxcsr [{}]", in(reg) &mut before, options(nostack, preserves_flags));
        asm!("ldmxcsr [{}]", in(reg) &value, options(nostack, preserves_flags));
    }
    let result = work();
    // SAFETY: as above.
    unsafe {
        asm!("stmxcsr [{}]", in(reg) &mut after, options(nostack, preserves_flags));
        asm!("ldmxcsr [{}]", in(reg) &before, options(nostack, preserves_flags));
    }
    assert_eq!(after & CONTROL, value & CONTROL, "the host's float control was not restored");
    result
}

/// Samples `first..first + count` of a data set in whose values there are denormals and ties.
fn samples(network: &networks::NetworkEntry, first: usize, count: usize) -> Vec<Floats> {
    let tensor = |entry: &networks::TensorEntry| {
        let sample: usize = entry.shape[1..].iter().product();
        let value = |index: usize| match index % 11 {
            3 => 1e-40 * index as f32,
            7 => 0.5 * (index % 64) as f32 - 8.0,
            _ => ((index as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0,
        };
        let shape = [&[count], &entry.shape[1..]].concat();
        Floats::new(&shape, (first * sample..(first + count) * sample).map(value).collect())
    };
    network.inputs.iter().map(tensor).collect()
}

/// What a job makes: statistics, model files and outputs, static, dynamic and float.
#[derive(PartialEq)]
struct Made {
    statistics: Vec<u8>,
    models: Vec<Vec<u8>>,
    outputs: Vec<Vec<u32>>,
}

/// The data set, so many samples at a time.
fn batches(network: &networks::NetworkEntry, batch: usize) -> Vec<Vec<Floats>> {
    (0..SAMPLES).step_by(batch).map(|first| samples(network, first, batch.min(SAMPLES - first))).collect()
}

/// The job on so many threads, over data that were made before: the test's own arithmetic is under the host's float control too.
fn job(network: &networks::NetworkEntry, threads: u32, data: &[Vec<Floats>]) -> Made {
    let context = Context::with_threads(threads);
    let graph = Graph::from_bytes(Some(&context), &std::fs::read(network.model()).unwrap()).unwrap();
    let largest = data[0][0].dims[0] as usize;
    let calibrated = |qconfig: &QConfig| {
        let prepared = Prepared::new(Some(&context), &graph, qconfig).unwrap();
        data.iter().for_each(|batch| prepared.calibrate(batch).unwrap());
        prepared
    };
    let outputs = |session: Session| {
        let runs = data.iter().map(|batch| session.run(batch).unwrap());
        runs.flat_map(|made| made[0].values.iter().map(|value| value.to_bits()).collect::<Vec<_>>()).collect::<Vec<u32>>()
    };
    let prepared = calibrated(&QConfig::new_static().unwrap());
    let models = [prepared.convert().unwrap(), calibrated(&QConfig::new_dynamic().unwrap()).convert().unwrap()];
    let mut made: Vec<Vec<u32>> = models.iter().map(|model| outputs(Session::new(model, largest).unwrap())).collect();
    made.push(outputs(Session::float(Some(&context), &graph, largest).unwrap()));
    let models = models.iter().map(|model| model.to_bytes().unwrap()).collect();
    Made { statistics: prepared.to_bytes().unwrap(), models, outputs: made }
}

fn same(found: &Made, expected: &Made, what: &str) {
    assert!(found.statistics == expected.statistics, "{what}: other statistics");
    assert!(found.models == expected.models, "{what}: another model file");
    assert!(found.outputs == expected.outputs, "{what}: other outputs");
}

fn named(name: &str) -> networks::NetworkEntry {
    networks::all().into_iter().find(|network| network.name == name).unwrap()
}

#[test]
fn line_10_threads_and_batches_change_no_bit() {
    for name in ["squeeze_excite", "mobilenet_v3_like"] {
        let network = named(name);
        let expected = job(&network, 1, &batches(&network, SAMPLES));
        for threads in [1, 2, 3, 8] {
            for batch in [1, 4, SAMPLES] {
                same(
                    &job(&network, threads, &batches(&network, batch)),
                    &expected,
                    &format!("{name}, {threads} threads, batches of {batch}"),
                );
            }
        }
    }
}

#[test]
fn line_10_the_hosts_float_control_changes_no_bit_and_is_restored() {
    let network = named("squeeze_excite");
    let data = batches(&network, 4);
    let expected = job(&network, 2, &data);
    for rounding in ROUNDINGS {
        for flush in [0, FLUSH_TO_ZERO, DENORMALS_ARE_ZERO, FLUSH_TO_ZERO | DENORMALS_ARE_ZERO] {
            // New threads inherit it.
            let made = with_control(DEFAULT | rounding | flush, || job(&network, 2, &data));
            same(&made, &expected, &format!("control {:#x}", rounding | flush));
        }
    }
}

/// Bytes that begin `offset` bytes behind a multiple of 64.
struct Placed {
    memory: Vec<u8>,
    start: usize,
    length: usize,
}

impl Placed {
    fn new(bytes: &[u8], offset: usize) -> Self {
        let mut memory = vec![0xa5; bytes.len() + 192];
        let start = memory.as_ptr().addr().next_multiple_of(64) - memory.as_ptr().addr() + offset;
        memory[start..start + bytes.len()].copy_from_slice(bytes);
        Self { memory, start, length: bytes.len() }
    }

    fn at(&mut self) -> *mut u8 {
        self.memory[self.start..].as_mut_ptr()
    }

    /// The bytes, if those around them are as they were.
    fn bytes(&self) -> &[u8] {
        let end = self.start + self.length;
        assert!(self.memory[..self.start].iter().chain(&self.memory[end..]).all(|&byte| byte == 0xa5), "bytes around were written");
        &self.memory[self.start..end]
    }
}

fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn line_10_tensors_of_floats_may_lie_at_any_multiple_of_four_bytes() {
    let network = named("squeeze_excite");
    let graph = Graph::from_bytes(None, &std::fs::read(network.model()).unwrap()).unwrap();
    let inputs = samples(&network, 0, 3);
    let (floats, view) = (bytes_of(&inputs[0].values), inputs[0].view());
    let calibrated = |offset: usize, qconfig: &QConfig| {
        let (prepared, mut placed) = (Prepared::new(None, &graph, qconfig).unwrap(), Placed::new(&floats, offset));
        // SAFETY: the tensor lives for the call.
        assert_eq!(unsafe { rsq_calibrate(prepared.0, &rsq_tensor_view { data: placed.at().cast(), ..view }, 1) }, RSQ_OK);
        prepared
    };
    let statics = QConfig::new_static().unwrap();
    let prepared = calibrated(0, &statics);
    let statistics = prepared.to_bytes().unwrap();
    let dynamic = Prepared::new(None, &graph, &QConfig::new_dynamic().unwrap()).unwrap().convert().unwrap();
    let sessions = [
        Session::new(&prepared.convert().unwrap(), 3).unwrap(),
        Session::new(&dynamic, 3).unwrap(),
        Session::float(None, &graph, 3).unwrap(),
    ];
    let expected: Vec<Floats> = sessions.iter().map(|session| session.run(&inputs).unwrap().remove(0)).collect();
    for offset in (0..64).step_by(4) {
        assert!(calibrated(offset, &statics).to_bytes().unwrap() == statistics, "statistics, offset {offset}");
        for (session, expected) in sessions.iter().zip(&expected) {
            let mut expected_values = expected.clone();
            let out = expected_values.view_mut();
            let (mut source, mut result) = (Placed::new(&floats, offset), Placed::new(&vec![0; out.size_bytes], 60 - offset));
            let (input, output) =
                (rsq_tensor_view { data: source.at().cast(), ..view }, rsq_tensor_mut { data: result.at().cast(), ..out });
            // SAFETY: the tensors live for the call.
            assert_eq!(unsafe { rsq_run(session.0, &input, 1, &output, 1) }, RSQ_OK);
            assert!(result.bytes() == bytes_of(&expected.values), "offset {offset}");
        }
    }
}

#[test]
fn line_10_tensors_of_bytes_and_files_in_memory_may_lie_anywhere() {
    const ROWS: usize = 9;
    const DEPTH: usize = 70;
    const COLUMNS: usize = 37;
    let weights: Vec<i8> = (0..DEPTH * COLUMNS).map(|index| (index * 37 % 255) as i8).collect();
    let scales = vec![0.01f32; COLUMNS];
    // SAFETY: structs of numbers and pointers, for which zero bytes are a value; all that they point to lives for the calls.
    let operator = unsafe {
        let mut given: rsq_weights = std::mem::zeroed();
        given.struct_size = size_of::<rsq_weights>() as u32;
        (given.dtype, given.data, given.size_bytes) = (RSQ_DTYPE_S8, weights.as_ptr().cast(), weights.len());
        (given.out_channels, given.in_channels) = (COLUMNS, DEPTH);
        (given.scales, given.scale_count) = (scales.as_ptr(), COLUMNS);
        let mut packed = null_mut();
        assert_eq!(rsq_pack_weights(null(), &given, &mut packed), RSQ_OK, "{}", message());
        let mut options: rsq_operator_options = std::mem::zeroed();
        options.struct_size = size_of::<rsq_operator_options>() as u32;
        (options.input_scale, options.input_zero_point) = (0.02, 3);
        (options.output_dtype, options.output_scale, options.output_zero_point) = (RSQ_DTYPE_U8, 0.5, 128);
        let mut operator = null_mut();
        assert_eq!(rsq_gemm_u8s8_new(null(), packed, &options, &mut operator), RSQ_OK, "{}", message());
        rsq_packed_free(packed);
        operator
    };
    let source: Vec<u8> = (0..ROWS * DEPTH).map(|index| (index * 101 % 256) as u8).collect();
    let product = |offset: usize| {
        let (mut source, mut result) = (Placed::new(&source, offset), Placed::new(&[0; ROWS * COLUMNS], 63 - offset));
        // SAFETY: as above.
        unsafe {
            let mut tensors: rsq_operator_tensors = std::mem::zeroed();
            tensors.struct_size = size_of::<rsq_operator_tensors>() as u32;
            (tensors.src, tensors.src_bytes) = (source.at().cast(), ROWS * DEPTH);
            (tensors.dst, tensors.dst_bytes) = (result.at().cast(), ROWS * COLUMNS);
            assert_eq!(rsq_gemm_u8s8(operator, ROWS, &tensors), RSQ_OK, "{}", message());
        }
        result.bytes().to_vec()
    };
    let network = named("squeeze_excite");
    let onnx = std::fs::read(network.model()).unwrap();
    let graph = Graph::from_bytes(None, &onnx).unwrap();
    let prepared = Prepared::new(None, &graph, &QConfig::new_static().unwrap()).unwrap();
    prepared.calibrate(&samples(&network, 0, 2)).unwrap();
    let (statistics, model) = (prepared.to_bytes().unwrap(), prepared.convert().unwrap().to_bytes().unwrap());
    let expected = product(0);
    assert!(expected.iter().any(|&byte| byte != expected[0]), "the product is not constant");
    for offset in 0..64 {
        assert!(product(offset) == expected, "offset {offset}");
        let in_place = |bytes: &[u8]| Placed::new(bytes, offset);
        let graph = Graph::from_bytes(None, in_place(&onnx).bytes()).unwrap();
        let again = Prepared::new(None, &graph, &QConfig::new_static().unwrap()).unwrap();
        again.take(in_place(&statistics).bytes()).unwrap();
        assert!(again.to_bytes().unwrap() == statistics, "statistics, offset {offset}");
        assert!(again.convert().unwrap().to_bytes().unwrap() == model, "the converted model, offset {offset}");
        assert!(Model::from_bytes(None, in_place(&model).bytes()).unwrap().to_bytes().unwrap() == model, "the model, offset {offset}");
    }
    rsq_operator_free(operator);
}
