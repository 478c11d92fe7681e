//! LSTM, GRU and RNN in float: right to 1e-4 against onnxruntime and torch, and the same bits everywhere.
#[path = "support/recurrent.rs"]
mod recurrent;

use recurrent::{Tensor, all, check_each_alone, context, named, options, relative_difference, run_float, try_run};
use rsquant::error::Error;
use rsquant::isa::Isa;
use rsquant::pipeline::{Context, Session};

#[test]
fn float_results_agree_with_onnxruntime_and_torch_to_1e_4() {
    let context = Context::default_context().unwrap();
    for network in all() {
        let difference = relative_difference(&run_float(&context, &network, &network.inputs()), &network.outputs());
        println!("{:26} {difference:e}", network.name);
        assert!(difference <= 1e-4, "{}: {difference}", network.name);
    }
}

#[test]
fn float_bits_do_not_depend_on_isa_threads_or_batch_mates() {
    for network in all() {
        let inputs = network.inputs();
        let reference = run_float(&context(1, Isa::Portable), &network, &inputs);
        for isa in Isa::ALL.into_iter().filter(|&isa| isa <= Isa::detected()) {
            for threads in [1, 2, 5] {
                let found = run_float(&context(threads, isa), &network, &inputs);
                let same = found.iter().zip(&reference).all(|(found, reference)| found.bits() == reference.bits());
                assert!(same, "{} with {isa} on {threads} threads", network.name);
            }
        }
        check_each_alone(&network, &reference, |inputs| run_float(&context(2, Isa::detected()), &network, inputs));
    }
    for isa in Isa::ALL.into_iter().filter(|&isa| isa > Isa::detected()) {
        println!("SKIPPED: {isa} (not on this CPU)");
    }
}

#[test]
fn what_one_output_needs_is_all_that_is_made() {
    let outputs = |name: &str| named(name).graph().graph().nodes.iter().map(|node| node.op.name()).collect::<Vec<_>>();
    assert_eq!(outputs("onnx_rnn_relu"), ["RNN"]);
    assert_eq!(outputs("onnx_lstm_cell"), ["LSTM", "Squeeze"]);
    assert_eq!(outputs("onnx_lstm_last").iter().filter(|name| **name == "Slice").count(), 2);
}

#[test]
fn a_length_that_is_no_number_of_steps_is_refused_by_sequence() {
    let context = Context::default_context().unwrap();
    let network = named("onnx_lstm_long");
    for bad in [34.0, -1.0, 2.5, f32::NAN] {
        let mut inputs = network.inputs();
        inputs[1].data[3] = bad;
        let mut session = Session::float(&context, &network.graph(), options(&inputs)).unwrap();
        let error = try_run(&mut session, &inputs).unwrap_err();
        assert!(matches!(&error, Error::InvalidArgument(text) if text.contains("sequence 3") && text.contains("layer")), "{error}");
    }
    let mut inputs = network.inputs();
    inputs[1].data.fill(0.0);
    let outputs = run_float(&context, &network, &inputs);
    assert!(outputs.iter().all(|output| output.data.iter().all(|&y| y == 0.0)), "no steps: zeros, and the first state");
}

#[test]
fn lengths_cut_sequences_as_shorter_tensors_do() {
    let context = Context::default_context().unwrap();
    let network = named("onnx_gru_linear");
    let inputs = network.inputs();
    let whole = run_float(&context, &network, &inputs);
    for (sequence, &length) in inputs[1].data.iter().enumerate() {
        let steps = length as usize;
        let x = inputs[0].part(1, sequence..sequence + 1).part(0, 0..steps);
        let alone = run_float(&context, &network, &[x, Tensor { data: vec![length], dims: vec![1] }]);
        assert_eq!(alone[0].bits(), whole[0].part(2, sequence..sequence + 1).part(0, 0..steps).bits());
        assert_eq!(alone[1].bits(), whole[1].part(1, sequence..sequence + 1).bits());
    }
}
