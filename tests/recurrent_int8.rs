//! Dynamic int8 of recurrent and linear layers: close to float, bit-exact everywhere, and torch's numbers where asked for.
#[path = "support/recurrent.rs"]
mod recurrent;

use recurrent::{
    all, check_each_alone, context, converted, named, options, relative_difference, run_float, run_model, squared_distance, try_run,
};
use rsquant::error::Error;
use rsquant::isa::Isa;
use rsquant::pipeline::{Comparison, Context, LayerPrecision, Model, Prepared, Session};
use rsquant::quantize::qconfig::ActivationSettings;
use rsquant::quantize::{DynamicRule, Grain, LayerSettings, QConfig};

/// Every recurrent and linear layer must come this close.
const LEAST_SQNR_DB: f64 = 25.0;

fn with_grain(grain: Grain) -> QConfig {
    let mut qconfig = QConfig::default_dynamic();
    let activation = ActivationSettings { grain: Some(grain), ..ActivationSettings::default() };
    qconfig.set("*", LayerSettings { activation, ..LayerSettings::default() }).unwrap();
    qconfig
}

#[test]
fn every_grain_is_close_to_float_and_every_layer_is_int8() {
    let context = Context::default_context().unwrap();
    for network in all() {
        let inputs = network.inputs();
        let float = run_float(&context, &network, &inputs);
        let power: f64 = float.iter().flat_map(|output| &output.data).map(|&x| f64::from(x).powi(2)).sum();
        for (name, qconfig) in [
            ("per_sample", QConfig::default_dynamic()),
            ("per_row", with_grain(Grain::PerRow)),
            ("per_tensor", with_grain(Grain::PerTensor)),
            ("torch", QConfig::torch_dynamic()),
        ] {
            let model = converted(&context, &network, &qconfig);
            let layers: Vec<_> =
                model.layers().iter().filter(|layer| ["LSTM", "GRU", "RNN", "Gemm"].contains(&layer.operator.as_str())).collect();
            assert!(!layers.is_empty(), "{}", network.name);
            assert!(layers.iter().all(|layer| layer.precision == LayerPrecision::Int8Dynamic), "{}", network.name);
            let sqnr = 10.0 * (power / squared_distance(&run_model(&model, &inputs), &float)).log10();
            println!("{:26} {name:10} {sqnr:5.1} dB", network.name);
            assert!(sqnr >= LEAST_SQNR_DB - if name == "torch" { 8.0 } else { 0.0 }, "{} {name}: {sqnr}", network.name);
        }
    }
}

#[test]
fn int8_bits_do_not_depend_on_isa_threads_or_the_model_file() {
    for network in all() {
        let inputs = network.inputs();
        for qconfig in [QConfig::default_dynamic(), with_grain(Grain::PerRow), QConfig::torch_dynamic()] {
            let model = converted(&context(1, Isa::Portable), &network, &qconfig);
            let file = model.to_bytes().unwrap();
            let reference = run_model(&model, &inputs);
            for isa in Isa::ALL.into_iter().filter(|&isa| isa <= Isa::detected()) {
                for threads in [1, 2, 5] {
                    let loaded =
                        Model::from_bytes(&context(threads, isa), &file).unwrap_or_else(|error| panic!("{}: {error}", network.name));
                    let found = run_model(&loaded, &inputs);
                    let same = found.iter().zip(&reference).all(|(found, reference)| found.bits() == reference.bits());
                    assert!(same, "{} with {isa} on {threads} threads", network.name);
                }
            }
        }
    }
    for isa in Isa::ALL.into_iter().filter(|&isa| isa > Isa::detected()) {
        println!("SKIPPED: {isa} (not on this CPU)");
    }
}

#[test]
fn a_sequence_gets_the_bytes_that_it_gets_alone_unless_qparams_are_per_tensor() {
    let context = context(2, Isa::detected());
    for network in all() {
        for grain in [Grain::PerSample, Grain::PerRow] {
            // Its linear layer reads [time, batch, features]: axis 0, which a linear layer takes for the batch, is time.
            if grain == Grain::PerSample && network.name == "torch_lstm_bidirectional" {
                continue;
            }
            let model = converted(&context, &network, &with_grain(grain));
            let whole = run_model(&model, &network.inputs());
            check_each_alone(&network, &whole, |inputs| run_model(&model, inputs));
        }
    }
    let network = named("torch_lstm_layers");
    let model = converted(&context, &network, &with_grain(Grain::PerTensor));
    let whole = run_model(&model, &network.inputs());
    let alone = run_model(&model, &[network.inputs()[0].part(0, 0..1)]);
    assert_ne!(alone[0].bits(), whole[0].part(0, 0..1).bits(), "one scale for all sequences depends on all");
}

#[test]
fn the_torch_setting_matches_torch_to_1e_5() {
    let context = Context::default_context().unwrap();
    let networks: Vec<_> = all().into_iter().filter(|network| network.torch).collect();
    assert!(networks.len() >= 7);
    for network in networks {
        let found = run_model(&converted(&context, &network, &QConfig::torch_dynamic()), &network.inputs());
        let difference = relative_difference(&found, &network.torch_outputs());
        println!("{:26} {difference:e}", network.name);
        assert!(difference <= 1e-5, "{}: {difference}", network.name);
        // Each part of the setting matters.
        for part in 0..4 {
            let mut qconfig = QConfig::torch_dynamic();
            let defaults = &mut qconfig.defaults;
            match part {
                0 => defaults.weight.per_channel = true,
                1 => defaults.activation.reduce_range = false,
                2 => defaults.activation.grain = Grain::PerSample,
                _ => defaults.activation.rule = DynamicRule::Native,
            }
            let other = run_model(&converted(&context, &network, &qconfig), &network.inputs());
            assert!(part == 3 || relative_difference(&other, &found) > 1e-5, "{}: part {part} changes nothing", network.name);
        }
    }
}

#[test]
fn the_default_is_closer_to_float_than_torch_is() {
    let context = Context::default_context().unwrap();
    for network in all().into_iter().filter(|network| network.torch) {
        let ours = run_model(&converted(&context, &network, &QConfig::default_dynamic()), &network.inputs());
        let (ours, torch) = (squared_distance(&ours, &network.outputs()), squared_distance(&network.torch_outputs(), &network.outputs()));
        println!("{:26} {:.1} dB closer", network.name, 10.0 * (torch / ours).log10());
        assert!(ours < torch, "{}: {ours} against {torch}", network.name);
    }
}

#[test]
fn a_json_qconfig_selects_the_torch_setting() {
    let json = r#"{"defaults": {"mode": "dynamic",
        "activation": {"qtype": "u8", "scheme": "affine", "reduce_range": true, "observer": "histogram", "grain": "per_tensor", "rule": "torch"},
        "weight": {"per_channel": false, "scheme": "symmetric", "reduce_range": false}}}"#;
    assert_eq!(QConfig::from_json(json).unwrap(), QConfig::torch_dynamic());
    let mut qconfig = QConfig::torch_dynamic();
    assert_eq!(QConfig::from_json(&qconfig.to_json().unwrap()).unwrap(), qconfig);
    qconfig.defaults.mode = rsquant::quantize::Mode::Static;
    assert!(matches!(qconfig.validate(), Err(Error::InvalidArgument(text)) if text.contains("activation.rule")));
}

#[test]
fn static_quantization_leaves_recurrent_layers_in_float_and_says_so() {
    let context = Context::default_context().unwrap();
    let network = named("torch_gru_bidirectional");
    let mut qconfig = QConfig::default_static();
    let mut prepared = Prepared::new(&context, &network.graph(), &qconfig, None).unwrap();
    let inputs = network.inputs();
    prepared.calibrate(&[rsquant::tensor::TensorView::f32(&inputs[0].data, &inputs[0].dims).unwrap()]).unwrap();
    let model = prepared.convert().unwrap();
    let gru = model.layers().iter().find(|layer| layer.operator == "GRU").unwrap();
    assert!(gru.precision == LayerPrecision::Float && gru.reason.contains("dynamic"), "{gru:?}");
    assert!(model.layers().iter().any(|layer| layer.operator == "Gemm" && layer.precision == LayerPrecision::Int8Static));
    assert!(relative_difference(&run_model(&model, &inputs), &network.outputs()) < 0.1);
    qconfig.strict = true;
    let dims = inputs.iter().map(|input| input.dims.clone()).collect();
    let refused = Prepared::new(&context, &network.graph(), &qconfig, Some(dims)).err().unwrap();
    assert!(matches!(&refused, Error::Unsupported(text) if text.contains("GRU")), "{refused}");
}

#[test]
fn a_number_that_is_not_finite_is_refused_by_its_place() {
    let context = Context::default_context().unwrap();
    let network = named("onnx_lstm_lengths");
    for grain in [Grain::PerSample, Grain::PerRow, Grain::PerTensor] {
        let model = converted(&context, &network, &with_grain(grain));
        let mut inputs = network.inputs();
        let [_, batch, size] = inputs[0].dims[..] else { panic!("x has three axes") };
        // Step 2 of sequence 1, element 4.
        inputs[0].data[(2 * batch + 1) * size + 4] = f32::INFINITY;
        let error = try_run(&mut Session::new(&model, options(&inputs)).unwrap(), &inputs).unwrap_err();
        let names = |text: &str| ["tensor x", "sequence 1", "step 2", "element 4"].iter().all(|part| text.contains(part));
        assert!(matches!(&error, Error::NotFinite(text) if names(text)), "{error}");
        // Behind the end of sequence 0, which has 3 steps, nothing is looked at.
        let mut inputs = network.inputs();
        inputs[0].data[6 * batch * size] = f32::NAN;
        try_run(&mut Session::new(&model, options(&inputs)).unwrap(), &inputs).unwrap();
    }
}

#[test]
fn recurrent_layers_are_compared_with_float_like_others() {
    let context = Context::default_context().unwrap();
    let network = named("torch_gru_layers");
    let model = converted(&context, &network, &QConfig::default_dynamic());
    let mut comparison = Comparison::new(&network.graph(), &model).unwrap();
    let inputs = network.inputs();
    comparison.add(&[rsquant::tensor::TensorView::f32(&inputs[0].data, &inputs[0].dims).unwrap()]).unwrap();
    let layers = comparison.layers();
    let gru: Vec<_> = layers.iter().filter(|layer| layer.operator == "GRU").collect();
    assert_eq!(gru.len(), 3);
    for layer in gru {
        println!("{} {:.1} dB", layer.name, layer.sqnr_db);
        assert!(layer.sqnr_db > 20.0 && layer.sqnr_db < 80.0, "{}: {}", layer.name, layer.sqnr_db);
    }
}
