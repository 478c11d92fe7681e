//! Contract line 13, the limit of a context: what would go over it is refused by name, what is freed is given back, and objects
//! stay usable.
use rsquant::error::{Error, Result};
use rsquant::graph::{Conv2dAttributes, GraphBuilder, Padding};
use rsquant::pipeline::{
    Comparison, Context, ContextOptions, FloatGraph, ImageInput, ImageNormalization, InputKey, LoadMode, Model, Prepared, Session,
    SessionOptions,
};
use rsquant::quantize::QConfig;
use rsquant::tensor::{DType, TensorView, TensorViewMut};

#[path = "support/networks.rs"]
mod networks;

fn limited(memory_limit: usize) -> Context {
    Context::new(ContextOptions { threads: 2, memory_limit, ..ContextOptions::default() }).unwrap()
}

/// A network of the test data with its input.
struct Job {
    onnx: Vec<u8>,
    dims: Vec<usize>,
    floats: Vec<f32>,
    output_dims: Vec<usize>,
}

impl Job {
    fn new(name: &str) -> Self {
        let network = networks::all().into_iter().find(|network| network.name == name).unwrap();
        Self {
            onnx: std::fs::read(network.model()).unwrap(),
            dims: network.inputs[0].shape.clone(),
            floats: network.floats("input", 0),
            output_dims: network.outputs[0].shape.clone(),
        }
    }

    fn view(&self) -> TensorView<'_> {
        TensorView::f32(&self.floats, &self.dims).unwrap()
    }

    fn run(&self, session: &mut Session) -> Result<Vec<u32>> {
        let mut output = vec![f32::NAN; self.output_dims.iter().product()];
        let result = session.run(&[self.view()], &mut [TensorViewMut::f32(&mut output, &self.output_dims).unwrap()]);
        assert!(result.is_ok() || output.iter().all(|value| value.is_nan()), "a failed run wrote its outputs");
        result.map(|()| output.iter().map(|value| value.to_bits()).collect())
    }

    /// Everything that a host does with a model; the bits of its results.
    fn do_all(&self, context: &Context, file: &std::path::Path) -> Result<Vec<u32>> {
        let graph = FloatGraph::from_onnx_bytes_within(context, &self.onnx)?;
        let mut prepared = Prepared::new(context, &graph, &QConfig::default_static(), None)?;
        prepared.calibrate(&[self.view()])?;
        let statistics = prepared.calibration_bytes()?;
        let mut resumed = Prepared::new(context, &graph, &QConfig::default_static(), None)?;
        resumed.load_calibration_bytes(&statistics)?;
        resumed.merge_calibration_bytes(&statistics)?;
        let model = prepared.convert()?;
        let copy = Model::from_bytes(context, &model.to_bytes()?)?;
        copy.save(file)?;
        let loaded = Model::load(context, file, LoadMode::Copied)?;
        let mut comparison = Comparison::new(&graph, &model)?;
        comparison.add(&[self.view()])?;
        let options = || SessionOptions { max_batch: self.dims[0], ..SessionOptions::default() };
        let mut results = self.run(&mut Session::new(&loaded, options())?)?;
        results.extend(self.run(&mut Session::float(context, &graph, options())?)?);
        Ok(results)
    }
}

#[test]
fn every_limit_is_kept_or_refused_by_name_and_what_is_freed_is_given_back() {
    let file = std::env::temp_dir().join(format!("rsquant-memory-limit-{}.rsq", std::process::id()));
    for name in ["squeeze_excite", "resnet_like"] {
        let job = Job::new(name);
        let unlimited = limited(0);
        let expected = job.do_all(&unlimited, &file).unwrap();
        assert_eq!(unlimited.memory().in_use(), 0, "{name}: everything was freed");
        let mut enough = 1 << 10;
        while job.do_all(&limited(enough), &file).is_err() {
            enough *= 2;
        }
        let (mut refused, mut things) = (0, std::collections::BTreeSet::new());
        let next = |limit: &usize| Some(limit + limit / 12);
        let limits: Vec<usize> = std::iter::successors(Some(1 << 10), next).take_while(|&limit| limit < 2 * enough).collect();
        for &limit in &limits {
            let context = limited(limit);
            match job.do_all(&context, &file) {
                Ok(results) => assert!(results == expected, "{name}, limit {limit}: other results"),
                Err(Error::MemoryLimit { what, bytes, in_use, limit: told }) => {
                    assert_eq!(told, limit, "{name}");
                    assert!(in_use <= limit && in_use + bytes > limit, "{name}, limit {limit}: {in_use} in use, {bytes} asked for");
                    things.insert(what);
                    refused += 1;
                }
                Err(other) => panic!("{name}, limit {limit}: {other}"),
            }
            assert_eq!(context.memory().in_use(), 0, "{name}, limit {limit}: everything was freed");
            assert_eq!(context.memory().limit(), limit);
        }
        assert!((20..limits.len() - 5).contains(&refused), "{name}: {refused} of {} limits were too small", limits.len());
        assert!(things.len() >= 4, "{name}: memory was refused for {things:?} alone");
    }
    std::fs::remove_file(file).unwrap();
}

fn any_size() -> FloatGraph {
    let mut builder = GraphBuilder::new();
    let weights: Vec<f32> = (0..16 * 3 * 9).map(|at| ((at * 31 % 17) as f32 - 8.0) * 0.05).collect();
    let image = builder.input("image", &[None, Some(3), None, None]).unwrap();
    let padding = Padding::Explicit { top: 1, left: 1, bottom: 1, right: 1 };
    let x = builder.conv2d("conv", image, &weights, None, Conv2dAttributes { padding, ..Conv2dAttributes::new(3, 16, [3, 3]) }).unwrap();
    let x = builder.relu("relu", x).unwrap();
    let x = builder.global_average_pool("pool", x).unwrap();
    let x = builder.flatten("flat", x, 1).unwrap();
    FloatGraph::from_graph(builder.finish(&[x]).unwrap()).unwrap()
}

fn run_image(session: &mut Session, side: usize) -> Result<Vec<f32>> {
    let image: Vec<f32> = (0..3 * side * side).map(|at| (at % 101) as f32 * 0.02 - 1.0).collect();
    let mut output = vec![f32::NAN; 16];
    session.run(&[TensorView::f32(&image, &[1, 3, side, side]).unwrap()], &mut [TensorViewMut::f32(&mut output, &[1, 16]).unwrap()])?;
    Ok(output)
}

#[test]
fn a_session_that_may_not_grow_runs_the_sizes_that_it_ran_before() {
    let (graph, context) = (any_size(), limited(2 << 20));
    let mut session = Session::float(&context, &graph, SessionOptions::default()).unwrap();
    let small = run_image(&mut session, 40).unwrap();
    let held = context.memory().in_use();
    assert!(held > 0 && held >= session.memory_bytes());
    let error = run_image(&mut session, 1500).unwrap_err();
    assert!(matches!(&error, Error::MemoryLimit { limit, .. } if *limit == 2 << 20), "{error}");
    assert!(error.to_string().contains("a session's arena needs") && error.to_string().contains("of the limit of 2097152"), "{error}");
    assert_eq!(context.memory().in_use(), held, "what was asked for in vain is not counted");
    assert_eq!(run_image(&mut session, 40).unwrap(), small);
    let mut free = Session::float(&limited(0), &graph, SessionOptions::default()).unwrap();
    assert!(run_image(&mut free, 1500).is_ok());
    drop(session);
    assert_eq!(context.memory().in_use(), 0);
}

#[test]
fn a_calibration_that_may_not_grow_keeps_its_statistics_and_takes_the_next_batch() {
    let (graph, context) = (any_size(), limited(3 << 20));
    let normalization = ImageNormalization { divisor: 255.0, mean: vec![0.5; 3], std: vec![0.25; 3] };
    let images = [ImageInput { input: InputKey::Index(0), normalization }];
    let made = |context: &Context| Prepared::with_images(context, &graph, &QConfig::default_static(), None, &images).unwrap();
    let pixels: Vec<u8> = (0..3 * 600 * 600).map(|at| (at * 7 % 251) as u8).collect();
    let calibrate = |prepared: &mut Prepared, side: usize| {
        let dims = [1, side, side, 3];
        prepared.calibrate(&[TensorView::new(&pixels[..3 * side * side], DType::U8, &dims).unwrap()])
    };
    let mut prepared = made(&context);
    calibrate(&mut prepared, 50).unwrap();
    let held = context.memory().in_use();
    let before = prepared.calibration_bytes().unwrap();
    let error = calibrate(&mut prepared, 600).unwrap_err();
    assert!(error.is_out_of_memory() && matches!(error, Error::MemoryLimit { .. }), "{error}");
    assert!(prepared.calibration_bytes().unwrap() == before && prepared.samples() == 1);
    assert!(context.memory().in_use() <= held);
    calibrate(&mut prepared, 50).unwrap();
    let mut expected = made(&limited(0));
    calibrate(&mut expected, 50).unwrap();
    calibrate(&mut expected, 50).unwrap();
    assert!(prepared.calibration_bytes().unwrap() == expected.calibration_bytes().unwrap());
}
