use super::super::layout::{Order, TensorLayout};
use super::super::step::{Memory, Slot};
use super::*;
use crate::isa::Isa;

/// The bytes and qparams of two images, their ranges found in `range_parts` parts and their bytes made in `byte_parts`; a table that an
/// earlier run has left.
fn quantized(range_parts: usize, byte_parts: usize, table: &mut [u8]) -> (Vec<u8>, Vec<u8>) {
    const LEN: usize = 400;
    let floats: Vec<f32> = (0..2 * LEN).map(|index| ((index * 37 % 101) as f32 - 30.0) * if index < LEN { 1.0 } else { 0.5 }).collect();
    let mut bytes = vec![0; 2 * LEN];
    let tensor =
        |slot, dims: &[usize], element| Tensor { slot, layout: TensorLayout::new(dims, element, Order::RowMajor), sample_bytes: 0 };
    let src = tensor(Slot::Input(0), &[2, LEN], Element::F32);
    let entries = tensor(Slot::Output(0), &[2, ENTRY_FLOATS], Element::F32);
    let dst = tensor(Slot::Output(1), &[2, LEN], Element::U8);
    let (isa, quantization) = (VectorIsa::best(Isa::Portable), DynamicQuantization::PER_SAMPLE);
    let range = ImageRangeStep { info: StepInfo::default(), isa, quantization, src: src.clone(), table: entries.clone() };
    let quantize = DynamicQuantizeStep::new(StepInfo::default(), isa, quantization, [src, entries, dst], "x".into());
    let (inputs, outputs) = ([(floats.as_ptr().cast(), 0)], [(table.as_mut_ptr(), 0), (bytes.as_mut_ptr(), 0)]);
    // SAFETY: the tensors are as long as their shapes say, and nobody else uses them.
    let memory = unsafe { Memory::without_arena(&inputs, &outputs) };
    for (step, count) in [(&range as &dyn Step, range_parts), (&quantize, byte_parts)] {
        for index in (0..count).rev() {
            let part = Part { index, count };
            step.run(&mut StepRun { memory: &memory, samples: 1, first_sample: 0, part, scratch: &mut [] }).unwrap();
        }
    }
    let qparams = table.chunks(DYNAMIC_ENTRY_BYTES).flat_map(|entry| entry[..4 * RANGES_START].to_vec()).collect();
    (bytes, qparams)
}

/// In a batch a step may be done by one thread and the next one by several.
#[test]
fn a_range_found_in_any_parts_serves_any_other_parts() {
    let mut table = crate::tensor::AlignedBuffer::zeroed(2 * DYNAMIC_ENTRY_BYTES, "a table").unwrap();
    let expected = quantized(1, 1, &mut table);
    for range_parts in [1, 3, 8, MAX_RANGE_PARTS, MAX_RANGE_PARTS + 5] {
        for byte_parts in [1, 2, 8, MAX_RANGE_PARTS + 5] {
            // What another tensor's entry of the same place could be.
            bytemuck::cast_slice_mut::<u8, f32>(&mut table).fill(1e6);
            assert!(quantized(range_parts, byte_parts, &mut table) == expected, "{range_parts} and {byte_parts} parts");
        }
    }
}
