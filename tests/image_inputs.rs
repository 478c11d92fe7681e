//! Image bytes, u8 `[n, h, w, c]` with a normalization, give the bits of the f32 `[n, c, h, w]` that they stand for.
use rsquant::error::Error;
use rsquant::graph::{Conv2dAttributes, GraphBuilder, Padding};
use rsquant::isa::Isa;
use rsquant::pipeline::{
    Comparison, Context, ContextOptions, FloatGraph, ImageInput, ImageNormalization, InputKey, Model, Prepared, Session, SessionOptions,
    TuneOptions, sensitivity, tune,
};
use rsquant::quantize::QConfig;
use rsquant::tensor::{DType, TensorView, TensorViewMut};

#[path = "support/networks.rs"]
mod networks;

fn context(threads: usize, max_isa: Isa) -> Context {
    Context::new(ContextOptions { threads, max_isa: Some(max_isa), ..ContextOptions::default() }).unwrap()
}

/// Another normalization for each channel.
fn normalization(channels: usize) -> ImageNormalization {
    let mean = (0..channels).map(|channel| 0.485 - 0.031 * channel as f32).collect();
    let std = (0..channels).map(|channel| 0.229 - 0.0045 * channel as f32).collect();
    ImageNormalization { divisor: 255.0, mean, std }
}

fn image_input(index: usize, channels: usize) -> ImageInput {
    ImageInput { input: InputKey::Index(index), normalization: normalization(channels) }
}

fn image_bytes(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|at| ((at + seed).wrapping_mul(2_654_435_761) >> 11) as u8).collect()
}

/// The floats of the bytes `[n, h, w, c]`, as a host makes them: planes, by the formula.
fn floats_of(bytes: &[u8], [n, c, h, w]: [usize; 4]) -> Vec<f32> {
    let ImageNormalization { divisor, mean, std } = normalization(c);
    let mut floats = Vec::with_capacity(bytes.len());
    for image in 0..n {
        for channel in 0..c {
            for pixel in 0..h * w {
                let byte = bytes[(image * h * w + pixel) * c + channel];
                floats.push((f32::from(byte) / divisor - mean[channel]) / std[channel]);
            }
        }
    }
    floats
}

/// A tensor of a run.
struct Given {
    dims: Vec<usize>,
    bytes: Vec<u8>,
    dtype: DType,
}

impl Given {
    fn floats(dims: &[usize], floats: &[f32]) -> Self {
        Self { dims: dims.to_vec(), bytes: bytemuck::cast_slice(floats).to_vec(), dtype: DType::F32 }
    }

    fn image([n, c, h, w]: [usize; 4], bytes: Vec<u8>) -> Self {
        Self { dims: vec![n, h, w, c], bytes, dtype: DType::U8 }
    }
}

/// Calls `work` with views of the tensors.
fn with_views<R>(given: &[Given], work: impl FnOnce(&[TensorView<'_>]) -> R) -> R {
    // Floats need their alignment.
    let mut copies: Vec<Vec<u32>> = given.iter().map(|given| vec![0; given.bytes.len().div_ceil(4)]).collect();
    for (copy, given) in copies.iter_mut().zip(given) {
        bytemuck::cast_slice_mut::<u32, u8>(copy)[..given.bytes.len()].copy_from_slice(&given.bytes);
    }
    let views: Vec<TensorView<'_>> = copies
        .iter()
        .zip(given)
        .map(|(copy, given)| {
            TensorView::new(&bytemuck::cast_slice::<u32, u8>(copy)[..given.bytes.len()], given.dtype, &given.dims).unwrap()
        })
        .collect();
    work(&views)
}

/// Bits of the outputs of a run.
fn run(session: &mut Session, given: &[Given]) -> Result<Vec<Vec<u32>>, Error> {
    let dims: Vec<Vec<usize>> = given.iter().map(|given| given.dims.clone()).collect();
    let output_dims = session.output_dims(&dims)?;
    let mut outputs: Vec<Vec<f32>> = output_dims.iter().map(|dims| vec![f32::NAN; dims.iter().product()]).collect();
    let mut places: Vec<TensorViewMut<'_>> =
        outputs.iter_mut().zip(&output_dims).map(|(values, dims)| TensorViewMut::f32(values, dims).unwrap()).collect();
    with_views(given, |views| session.run(views, &mut places))?;
    Ok(outputs.iter().map(|values| values.iter().map(|x| x.to_bits()).collect()).collect())
}

/// A model calibrated on the tensors, some of which are images.
fn model(context: &Context, graph: &FloatGraph, qconfig: &QConfig, given: &[Given], images: &[ImageInput]) -> Model {
    let mut prepared = Prepared::with_images(context, graph, qconfig, None, images).unwrap();
    with_views(given, |views| prepared.calibrate(views)).unwrap();
    prepared.convert().unwrap()
}

/// Two convolutions over an image, of any size.
fn network(channels: usize) -> FloatGraph {
    let mut builder = GraphBuilder::new();
    let weights = |len: usize| -> Vec<f32> { (0..len).map(|at| ((at * 31 % 17) as f32 - 8.0) * 0.05).collect() };
    let padding = Padding::Explicit { top: 1, left: 1, bottom: 1, right: 1 };
    let image = builder.input("image", &[None, Some(channels), None, None]).unwrap();
    let first = Conv2dAttributes { padding: padding.clone(), strides: [2; 2], ..Conv2dAttributes::new(channels, 8, [3, 3]) };
    let x = builder.conv2d("first", image, &weights(8 * channels * 9), None, first).unwrap();
    let x = builder.relu("relu", x).unwrap();
    let x = builder
        .conv2d("second", x, &weights(8 * 8 * 9), None, Conv2dAttributes { padding, ..Conv2dAttributes::new(8, 8, [3, 3]) })
        .unwrap();
    let x = builder.global_average_pool("pool", x).unwrap();
    let x = builder.flatten("flat", x, 1).unwrap();
    FloatGraph::from_graph(builder.finish(&[x]).unwrap()).unwrap()
}

#[test]
fn image_bytes_give_the_bits_of_their_floats_on_every_isa_thread_count_and_batch() {
    for (channels, height, width) in [(3, 13, 17), (1, 9, 31), (4, 20, 33), (3, 64, 47)] {
        let graph = network(channels);
        let dims = [5, channels, height, width];
        let bytes = image_bytes(dims.iter().product(), channels);
        let floats = [Given::floats(&dims, &floats_of(&bytes, dims))];
        let images = [image_input(0, channels)];
        for (name, qconfig) in [("static", Some(QConfig::default_static())), ("dynamic", Some(QConfig::default_dynamic())), ("float", None)]
        {
            let made = |threads: usize, isa: Isa, max_batch: usize, images: &[ImageInput]| {
                let context = context(threads, isa);
                let options = SessionOptions { max_batch, images: images.to_vec(), ..SessionOptions::default() };
                match &qconfig {
                    Some(qconfig) => Session::new(&model(&context, &graph, qconfig, &floats, &[]), options).unwrap(),
                    None => Session::float(&context, &graph, options).unwrap(),
                }
            };
            let expected = run(&mut made(1, Isa::AmxInt8, 5, &[]), &floats).unwrap().remove(0);
            assert!(expected.iter().any(|&bits| f32::from_bits(bits) != 0.0));
            for isa in [Isa::Portable, Isa::Avx2, Isa::AvxVnni, Isa::Avx512Vnni, Isa::AmxInt8] {
                for (threads, batch) in [(1, 5), (2, 5), (3, 1), (3, 2)] {
                    let mut session = made(threads, isa, batch, &images);
                    let mut got = Vec::new();
                    for chunk in bytes.chunks(batch * channels * height * width) {
                        let count = chunk.len() / (channels * height * width);
                        got.extend(run(&mut session, &[Given::image([count, channels, height, width], chunk.to_vec())]).unwrap().remove(0));
                    }
                    assert!(got == expected, "{name}, {channels} channels: {threads} threads, {isa}, batches of {batch}");
                }
            }
        }
    }
}

#[test]
fn every_network_with_an_image_input_gives_the_same_bits_and_the_same_calibration() {
    let (context, mut compared) = (context(2, Isa::AmxInt8), 0);
    for network in networks::all() {
        if network.inputs.iter().all(|input| input.shape.len() != 4) {
            continue;
        }
        let graph = FloatGraph::from_onnx_file(&network.model()).unwrap();
        let (mut floats, mut mixed, mut images) = (Vec::new(), Vec::new(), Vec::new());
        for (index, entry) in network.inputs.iter().enumerate() {
            let Ok(dims) = <[usize; 4]>::try_from(entry.shape.as_slice()) else {
                let values = network.floats("input", index);
                floats.push(Given::floats(&entry.shape, &values));
                mixed.push(Given::floats(&entry.shape, &values));
                continue;
            };
            let bytes = image_bytes(dims.iter().product(), index);
            floats.push(Given::floats(&dims, &floats_of(&bytes, dims)));
            mixed.push(Given::image(dims, bytes));
            let by_name = ImageInput { input: InputKey::Name(entry.name.clone()), normalization: normalization(dims[1]) };
            images.push(if compared % 2 == 0 { image_input(index, dims[1]) } else { by_name });
        }
        let options = SessionOptions { images: images.clone(), ..SessionOptions::default() };
        let expected = run(&mut Session::float(&context, &graph, SessionOptions::default()).unwrap(), &floats).unwrap();
        let got = run(&mut Session::float(&context, &graph, options.clone()).unwrap(), &mixed).unwrap();
        assert!(got == expected, "{}: float", network.name);
        for (kind, qconfig) in [("static", QConfig::default_static()), ("dynamic", QConfig::default_dynamic())] {
            let model_of = |given: &[Given], images: &[ImageInput]| model(&context, &graph, &qconfig, given, images);
            let (by_floats, by_bytes) = (model_of(&floats, &[]), model_of(&mixed, &images));
            assert!(by_floats.to_bytes().unwrap() == by_bytes.to_bytes().unwrap(), "{}: {kind} calibration", network.name);
            let expected = run(&mut Session::new(&by_floats, SessionOptions::default()).unwrap(), &floats).unwrap();
            let got = run(&mut Session::new(&by_bytes, options.clone()).unwrap(), &mixed).unwrap();
            assert!(got == expected, "{}: {kind}", network.name);
        }
        compared += 1;
    }
    assert!(compared >= 40, "{compared} networks take images");
}

#[test]
fn an_image_session_tells_and_takes_shapes_as_runs_get_them() {
    let (context, graph) = (context(1, Isa::AmxInt8), network(3));
    let images = vec![image_input(0, 3)];
    let options = SessionOptions { images, input_dims: Some(vec![vec![2, 11, 13, 3]]), max_batch: 2, ..SessionOptions::default() };
    let mut session = Session::float(&context, &graph, options.clone()).unwrap();
    assert!(!session.steps().is_empty(), "planned for the given shape");
    let input = session.inputs().remove(0);
    assert_eq!((input.dtype, input.dims), (DType::U8, vec![None, None, None, Some(3)]));
    assert_eq!(session.output_dims(&[vec![2, 11, 13, 3]]).unwrap(), [[2, 8]]);
    assert!(matches!(session.output_dims(&[vec![2, 3, 11, 13]]), Err(Error::ShapeMismatch(_))));
    let image = || Given::image([2, 3, 11, 13], image_bytes(2 * 3 * 11 * 13, 0));
    let before = run(&mut session, &[image()]).unwrap();
    let floats = Given::floats(&[2, 3, 11, 13], &[0.0; 2 * 3 * 11 * 13]);
    let error = with_views(&[floats], |views| session.run(views, &mut [TensorViewMut::f32(&mut [0.0; 16], &[2, 8]).unwrap()])).unwrap_err();
    assert!(matches!(&error, Error::DTypeMismatch(text) if text.contains("u8 is needed")), "{error}");
    // Another size is planned anew, and the first gives what it gave.
    run(&mut session, &[Given::image([1, 3, 40, 21], image_bytes(3 * 40 * 21, 1))]).unwrap();
    assert_eq!(run(&mut session, &[image()]).unwrap(), before);
    let mut fixed = Session::float(&context, &graph, SessionOptions { allow_resize: false, ..options }).unwrap();
    let other = Given::image([1, 3, 40, 21], image_bytes(3 * 40 * 21, 1));
    assert!(matches!(run(&mut fixed, &[other]), Err(Error::ShapeMismatch(_))));
    assert_eq!(run(&mut fixed, &[image()]).unwrap(), before);
}

#[test]
fn what_cannot_be_an_image_is_refused_and_named() {
    let context = context(1, Isa::Portable);
    let refused = |graph: &FloatGraph, images: Vec<ImageInput>| {
        let error = Session::float(&context, graph, SessionOptions { images: images.clone(), ..SessionOptions::default() }).err().unwrap();
        assert_eq!(Prepared::with_images(&context, graph, &QConfig::default_static(), None, &images).err().as_ref(), Some(&error));
        error
    };
    let graph = network(3);
    let named = |name: &str| ImageInput { input: InputKey::Name(name.into()), normalization: normalization(3) };
    let has = |error: Error, part: &str| assert!(error.to_string().contains(part), "{error} has no {part}");
    has(refused(&graph, vec![image_input(1, 3)]), "not found: image input 1 of 1");
    has(refused(&graph, vec![named("picture")]), "not found: image input picture");
    has(refused(&graph, vec![image_input(0, 4)]), "shape mismatch: input 0 (image) has 3 channels; the image's normalization has 4");
    has(refused(&graph, vec![image_input(0, 3), named("image")]), "input 0 (image) is an image twice");
    let flat =
        |std: f32| ImageInput { normalization: ImageNormalization { std: vec![0.2, std, 0.2], ..normalization(3) }, ..named("image") };
    for std in [0.0, -1.0, f32::NAN] {
        has(refused(&graph, vec![flat(std)]), "invalid argument: input 0 (image): channel 1");
    }
    let mut builder = GraphBuilder::new();
    let rows = builder.input("rows", &[None, Some(6)]).unwrap();
    let rows = builder.relu("relu", rows).unwrap();
    let rows = FloatGraph::from_graph(builder.finish(&[rows]).unwrap()).unwrap();
    has(refused(&rows, vec![image_input(0, 6)]), "shape mismatch: input 0 (rows) has rank 2; an image has 4 axes");
    // A calibration of bytes refuses floats, and the other way round.
    let dims = [1, 3, 8, 8];
    let (bytes, floats) = ([Given::image(dims, vec![9; 192])], [Given::floats(&dims, &[0.5; 192])]);
    for (images, given) in [(vec![], &bytes), (vec![named("image")], &floats)] {
        let mut prepared = Prepared::with_images(&context, &graph, &QConfig::default_static(), None, &images).unwrap();
        let error = with_views(given, |views| prepared.calibrate(views)).unwrap_err();
        assert!(matches!(error, Error::DTypeMismatch(_)) && prepared.samples() == 0, "{error}");
    }
}

#[test]
fn comparisons_rankings_and_tuning_take_images_and_find_what_their_floats_give() {
    let (context, graph) = (context(2, Isa::AmxInt8), network(3));
    let (dims, images) = ([6, 3, 12, 9], [image_input(0, 3)]);
    let bytes = image_bytes(dims.iter().product(), 4);
    let (floats, bytes) = ([Given::floats(&dims, &floats_of(&bytes, dims))], [Given::image(dims, bytes)]);
    let measured = |given: &[Given], images: &[ImageInput]| {
        let qconfig = QConfig::default_static();
        let mut prepared = Prepared::with_images(&context, &graph, &qconfig, None, images).unwrap();
        with_views(given, |views| {
            prepared.calibrate(views).unwrap();
            let mut comparison = Comparison::new(&graph, &prepared.convert().unwrap()).unwrap();
            comparison.set_images(images).unwrap();
            comparison.add(views).unwrap();
            let ranked = sensitivity(&prepared, views, &mut |_, _| Ok(())).unwrap();
            let options = TuneOptions { max_float_layers: Some(1), ..TuneOptions::default() };
            let tuned = tune(&prepared, views, options, None, &mut |_, _| Ok(())).unwrap();
            (comparison.layers(), comparison.outputs(), ranked, tuned.model.to_bytes().unwrap())
        })
    };
    assert!(measured(&floats, &[]) == measured(&bytes, &images));
    // Without images bytes are refused by name, and with them floats; what was compared stays.
    let model = model(&context, &graph, &QConfig::default_static(), &floats, &[]);
    let mut comparison = Comparison::new(&graph, &model).unwrap();
    let refused = |comparison: &mut Comparison, given: &[Given], part: &str| {
        let error = with_views(given, |views| comparison.add(views)).unwrap_err();
        assert!(matches!(&error, Error::DTypeMismatch(text) if text.contains("image") && text.contains(part)), "{error}");
    };
    refused(&mut comparison, &bytes, "holds u8; f32 is needed");
    with_views(&floats, |views| comparison.add(views)).unwrap();
    comparison.set_images(&images).unwrap();
    refused(&mut comparison, &floats, "holds f32; u8 is needed");
    assert!(comparison.set_images(&[image_input(0, 4)]).is_err());
    with_views(&bytes, |views| comparison.add(views)).unwrap();
    assert_eq!(comparison.samples(), 12);
    let prepared = Prepared::with_images(&context, &graph, &QConfig::default_static(), None, &images).unwrap();
    let error = with_views(&floats, |views| sensitivity(&prepared, views, &mut |_, _| Ok(()))).map(drop).unwrap_err();
    assert!(!matches!(error, Error::Panic(_)), "{error}");
}
