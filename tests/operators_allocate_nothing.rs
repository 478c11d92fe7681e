//! Operators and array quantization allocate nothing once they are planned, on any thread.
#[path = "support/quiet_harness.rs"]
mod quiet_harness;

use rsquant::graph::{Bounds, QuantizedType};
use rsquant::pipeline::{
    Context, ContextOptions, DynamicGemmOptions, FlatQuantization, Operator, OperatorOptions, OperatorOutput, OperatorTensors,
    PackedWeights, WeightSizes, WeightValues, dequantize_array, quantize_array,
};
use rsquant::quantize::{DynamicQuantization, Grain, QParams, QType};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

struct Counting;
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every request goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, SeqCst);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(start, layout) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

#[test]
fn a_planned_operator_allocates_nothing() {
    const ROWS: usize = 300;
    let qparams = QParams { scale: 0.1, zero_point: 3 };
    let contexts = [1, 3].map(|threads| Context::new(ContextOptions { threads, ..ContextOptions::default() }).unwrap());
    for (context, k) in contexts.iter().flat_map(|context| [(context, 64), (context, 65)]) {
        let sizes = WeightSizes { out_channels: 48, in_channels: k, groups: 1, kernel: [1, 1] };
        let weights = PackedWeights::new(sizes, WeightValues::S8(&vec![1; 48 * k], &[0.01]), None).unwrap();
        let output = OperatorOutput::U8(QuantizedType { qparams, low: 0, high: 255 });
        let options = OperatorOptions { input: qparams, output, residual: None, bounds: Bounds::RELU, strides: [0; 3] };
        let operator = Operator::gemm(context, &weights, options).unwrap();
        let (scales, zero_points) = ([0.1], [3]);
        let quantization = FlatQuantization { qtype: QType::U8, reduce_range: false, scales: &scales, zero_points: &zero_points, inner: 1 };
        let floats = vec![1.5f32; ROWS * k];
        let (mut src, mut dst, mut back) = (vec![0; ROWS * k], vec![0; ROWS * 48], vec![0f32; ROWS * k]);
        let per_row = DynamicQuantization { grain: Grain::PerRow, ..DynamicQuantization::PER_SAMPLE };
        let dynamic = DynamicGemmOptions { quantization: per_row, residual: false, bounds: Bounds::NONE, strides: [0; 2] };
        let dynamic = Operator::dynamic_gemm(context, &weights, dynamic).unwrap();
        let mut product = vec![0f32; ROWS * 48];
        let mut run = |rows: usize| {
            let tensors =
                OperatorTensors { src: bytemuck::cast_slice(&floats), residual: None, dst: bytemuck::cast_slice_mut(&mut product) };
            dynamic.run(rows, tensors, None).unwrap();
            quantize_array(context, &quantization, &floats, &mut src).unwrap();
            dequantize_array(context, &quantization, &src, &mut back).unwrap();
            operator.run(rows, OperatorTensors { src: &src, residual: None, dst: &mut dst }, None).unwrap();
        };
        run(ROWS); // New threads' own first allocations.
        quiet_harness::wait_until_the_other_threads_sleep();
        let before = ALLOCATIONS.load(SeqCst);
        [1, ROWS, 0, 17, ROWS].into_iter().for_each(&mut run);
        assert_eq!(ALLOCATIONS.load(SeqCst) - before, 0, "{k}");
        assert!(before > 0 && dst[0] > 3);
    }
}
