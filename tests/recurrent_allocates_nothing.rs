//! Runs of recurrent networks allocate nothing once they are planned, in float and in every kind of dynamic int8.
#[path = "support/quiet_harness.rs"]
mod quiet_harness;

#[path = "support/recurrent.rs"]
mod recurrent;

use recurrent::{Tensor, context, converted, named, options};
use rsquant::isa::Isa;
use rsquant::pipeline::Session;
use rsquant::quantize::QConfig;
use rsquant::tensor::{TensorView, TensorViewMut};
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
fn a_run_allocates_nothing() {
    let mut checked = 0;
    for threads in [1, 3] {
        let context = context(threads, Isa::detected());
        for name in
            ["onnx_lstm_lengths", "onnx_gru", "onnx_rnn_relu", "torch_lstm_layers", "torch_gru_bidirectional", "torch_linear_tokens"]
        {
            let network = named(name);
            let inputs = network.inputs();
            let mut sessions = vec![Session::float(&context, &network.graph(), options(&inputs)).unwrap()];
            for qconfig in [QConfig::default_dynamic(), QConfig::torch_dynamic()] {
                sessions.push(Session::new(&converted(&context, &network, &qconfig), options(&inputs)).unwrap());
            }
            let dims: Vec<Vec<usize>> = inputs.iter().map(|input| input.dims.clone()).collect();
            for mut session in sessions {
                let of = |dims: Vec<usize>| Tensor { data: vec![0.0; dims.iter().product()], dims };
                let mut outputs: Vec<Tensor> = session.output_dims(&dims).unwrap().into_iter().map(of).collect();
                let views: Vec<TensorView> = inputs.iter().map(|input| TensorView::f32(&input.data, &input.dims).unwrap()).collect();
                let mut out_views: Vec<TensorViewMut> =
                    outputs.iter_mut().map(|output| TensorViewMut::f32(&mut output.data, &output.dims).unwrap()).collect();
                session.run(&views, &mut out_views).unwrap();
                quiet_harness::wait_until_the_other_threads_sleep();
                let before = ALLOCATIONS.load(SeqCst);
                for _ in 0..10 {
                    session.run(&views, &mut out_views).unwrap();
                }
                assert_eq!(ALLOCATIONS.load(SeqCst) - before, 0, "{name} on {threads} threads");
                checked += 1;
            }
        }
    }
    assert!(checked == 36 && ALLOCATIONS.load(SeqCst) > 0, "the counter counts");
}
