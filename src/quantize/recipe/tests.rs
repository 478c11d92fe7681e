use super::*;

fn activation(name: &str) -> ActivationRecipe {
    ActivationRecipe {
        tensors: vec![name.to_owned()],
        dtype: QType::U8,
        scale: Some(0.1),
        zero_point: Some(3),
        range: None,
        solver: Some(SolverKind::Percentile { p: 99.9 }),
        predicted_sqnr_db: Some(41.25),
        origin: None,
    }
}

fn recipe() -> Recipe {
    let layer = LayerRecipe {
        node: "conv \"1\"".to_owned(),
        operator: "Conv".to_owned(),
        weights_crc32: Some("0badcafe".to_owned()),
        weight_scales: Some(vec![0.1, f32::MIN_POSITIVE, 16_777_217.0, 3.402_823_5e38]),
    };
    let provenance = Provenance { library: "1.2.3".to_owned(), source: "calibration".to_owned(), samples: Some(7), model_crc32: None };
    let bound = Bound { entry: "a".to_owned(), to: "b".to_owned(), by: "name".to_owned() };
    Recipe {
        provenance,
        input_shapes: vec![vec![1, 3, 8, 8]],
        qconfig: QConfig::default_static(),
        layers: vec![layer],
        activations: vec![activation("x"), activation("y")],
        channel_activations: Vec::new(),
        import: Some(ImportReport { bound: vec![bound], ..ImportReport::default() }),
    }
}

fn error_of(change: impl FnOnce(&mut Recipe)) -> String {
    let mut recipe = recipe();
    change(&mut recipe);
    let error = Recipe::from_json(&recipe.to_json().unwrap()).unwrap_err();
    assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
    error.to_string()
}

#[test]
fn the_text_comes_back_whole_and_has_an_entry_a_line() {
    let text = recipe().to_json().unwrap();
    assert_eq!(Recipe::from_json(&text).unwrap(), recipe());
    assert_eq!(Recipe::from_json(&text).unwrap().to_json().unwrap(), text);
    assert_eq!(text.lines().filter(|line| line.contains("\"tensors\"")).count(), 2);
    serde_json::from_str::<serde_json::Value>(&text).unwrap();
}

#[test]
fn every_scale_comes_back_to_the_bit() {
    let mut recipe = recipe();
    let mut bits = 0x3f80_0001u32;
    recipe.layers[0].weight_scales = Some(
        (0..4000)
            .map(|_| {
                bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                f32::from_bits(bits & 0x7fff_ffff)
            })
            .filter(|scale| scale.is_finite() && *scale > 0.0)
            .collect(),
    );
    assert_eq!(Recipe::from_json(&recipe.to_json().unwrap()).unwrap(), recipe);
}

#[test]
fn keys_that_are_unknown_missing_or_repeated_are_refused_by_their_path() {
    let text = recipe().to_json().unwrap();
    for (from, to, parts) in [
        ("\"scale\":0.1,\"zero_point\"", "\"scale\":0.1,\"scal\":1,\"zero_point\"", ["activations[0]", "scal"]),
        ("\"scale\":0.1,\"zero_point\"", "\"scale\":\"0.1\",\"zero_point\"", ["activations[0].scale", "string"]),
        ("\"scale\":0.1,\"zero_point\"", "\"scale\":0.1,\"scale\":0.1,\"zero_point\"", ["activations[0]", "duplicate"]),
        ("\"operator\":\"Conv\"", "\"op\":\"Conv\"", ["layers[0]", "op"]),
        ("\"version\": 1", "\"version\": 1, \"extra\": 2", ["recipe", "extra"]),
        ("\"strict\"", "\"strickt\"", ["qconfig", "strickt"]),
        ("\"observer\": \"histogram\"", "\"observer\": \"histogramm\"", ["qconfig.defaults.activation.observer", "histogramm"]),
        ("\"dtype\":\"u8\"", "\"dtype\":\"u9\"", ["activations[0].dtype", "u9"]),
        ("\"format\"", "\"fromat\"", ["recipe", "format"]),
    ] {
        assert!(text.contains(from), "{from}");
        let error = Recipe::from_json(&text.replacen(from, to, 1)).unwrap_err();
        assert!(matches!(&error, Error::Parse(text) if parts.iter().all(|part| text.contains(part))), "{error}");
    }
}

#[test]
fn another_format_or_a_newer_version_is_refused_before_its_fields_are_read() {
    let error = Recipe::from_json(r#"{"format": "rsquant.recipe", "version": 2, "new_field": 1}"#).unwrap_err();
    assert!(matches!(&error, Error::Version(text) if text.contains("version 2")), "{error}");
    let error = Recipe::from_json(r#"{"format": "rsquant.report", "version": 1}"#).unwrap_err();
    assert!(matches!(&error, Error::Parse(text) if text.contains("rsquant.report")), "{error}");
}

#[test]
fn contradictions_are_refused_by_their_path() {
    type Change = fn(&mut Recipe);
    let cases: [(Change, &str); 12] = [
        (|r| r.activations[1].tensors = vec!["z".into(), "x".into()], "activations[1].tensors[1]: \"x\" is in activations[0]"),
        (|r| r.activations[1].tensors.clear(), "activations[1].tensors"),
        (|r| r.activations[0].scale = Some(0.0), "activations[0].scale"),
        (|r| r.activations[0].scale = None, "activations[0]: zero_point without scale"),
        (|r| r.activations[0].zero_point = None, "activations[0]: scale without zero_point"),
        (|r| r.activations[0].zero_point = Some(256), "activations[0].zero_point: zero point 256"),
        (|r| (r.activations[0].scale, r.activations[0].zero_point) = (None, None), "activations[0]: neither"),
        (|r| r.activations[0].range = Some([1.0, -1.0]), "activations[0].range"),
        (|r| r.layers.push(r.layers[0].clone()), "layers[1].node"),
        (|r| r.layers[0].weight_scales = Some(vec![1.0, -1.0]), "layers[0].weight_scales[1]"),
        (|r| r.qconfig.defaults.weight.scheme = crate::quantize::Scheme::Affine, "weight.scheme"),
        (|r| r.qconfig.defaults.activation.solver = Some(SolverKind::Percentile { p: 0.0 }), "activation.solver"),
    ];
    for (change, part) in cases {
        let error = error_of(change);
        assert!(error.contains(part), "{error}: {part}");
    }
}

#[test]
fn a_range_stands_for_its_qparams_and_may_not_contradict_stated_ones() {
    let target = Target::U8_AFFINE;
    let of_range = choose_qparams(-1.0, 2.0, target).unwrap();
    let mut entry = ActivationRecipe { range: Some([-1.0, 2.0]), scale: None, zero_point: None, ..activation("x") };
    assert_eq!(entry.qparams(target, "x").unwrap(), of_range);
    (entry.scale, entry.zero_point) = (Some(of_range.scale), Some(of_range.zero_point));
    assert_eq!(entry.qparams(target, "x").unwrap(), of_range);
    entry.scale = Some(of_range.scale * 2.0);
    let error = entry.qparams(target, "activations[9]").unwrap_err().to_string();
    assert!(error.contains("activations[9]") && error.contains("range"), "{error}");
    entry.range = None;
    assert_eq!(entry.qparams(target, "x").unwrap().scale, of_range.scale * 2.0);
}

#[test]
fn qparams_must_be_what_the_qconfig_asks_for() {
    let symmetric = Target { scheme: crate::quantize::Scheme::Symmetric, ..Target::U8_AFFINE };
    let reduced = Target { reduce_range: true, ..Target::U8_AFFINE };
    let entry = |zero_point| ActivationRecipe { zero_point: Some(zero_point), ..activation("x") };
    assert_eq!(entry(128).qparams(symmetric, "x").unwrap().zero_point, 128);
    assert_eq!(entry(127).qparams(reduced, "x").unwrap().zero_point, 127);
    let signed = ActivationRecipe { dtype: QType::S8, ..entry(0) };
    assert_eq!(signed.qparams(Target::S8_SYMMETRIC, "x").unwrap().zero_point, 128);
    for (entry, target, part) in [
        (entry(3), symmetric, "symmetric"),
        (entry(128), reduced, "0..=127"),
        (entry(0), Target::S8_SYMMETRIC, "dtype: u8 where the qconfig says s8"),
        (ActivationRecipe { zero_point: Some(1), ..signed }, Target::S8_SYMMETRIC, "symmetric"),
    ] {
        let error = entry.qparams(target, "activations[4]").unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("activations[4]"), "{error}");
    }
}
