//! Contract line 14 for inputs of changing size: 10,000 runs of sizes between 64 and 512 give what a fresh session gives, in memory
//! that is flat once the largest was met; a size among the plans that are kept allocates nothing.
use rsquant::graph::{Conv2dAttributes, GraphBuilder, Padding};
use rsquant::isa::Isa;
use rsquant::pipeline::{Context, ContextOptions, FloatGraph, Model, Prepared, Session, SessionOptions};
use rsquant::quantize::QConfig;
use rsquant::tensor::{TensorView, TensorViewMut};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every request goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
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

const KEPT: usize = 3;
const CLASSES: usize = 6;
const LARGEST: usize = 512;
const SMALLEST: usize = 64;

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) % end as u64) as usize
    }
}

fn network() -> FloatGraph {
    let mut builder = GraphBuilder::new();
    let weights = |len: usize| -> Vec<f32> { (0..len).map(|at| ((at * 31 % 17) as f32 - 8.0) * 0.05).collect() };
    let strided = |ic, oc| Conv2dAttributes {
        padding: Padding::Explicit { top: 1, left: 1, bottom: 1, right: 1 },
        strides: [4; 2],
        ..Conv2dAttributes::new(ic, oc, [3, 3])
    };
    let image = builder.input("image", &[None, Some(1), None, None]).unwrap();
    let x = builder.conv2d("first", image, &weights(8 * 9), None, strided(1, 8)).unwrap();
    let x = builder.relu("relu", x).unwrap();
    let x = builder.conv2d("second", x, &weights(8 * CLASSES * 9), None, strided(8, CLASSES)).unwrap();
    let x = builder.global_average_pool("pool", x).unwrap();
    let x = builder.flatten("flat", x, 1).unwrap();
    FloatGraph::from_graph(builder.finish(&[x]).unwrap()).unwrap()
}

fn model(context: &Context, graph: &FloatGraph, qconfig: &QConfig, pixels: &[f32]) -> Model {
    let mut prepared = Prepared::new(context, graph, qconfig, None).unwrap();
    prepared.calibrate(&[TensorView::f32(&pixels[..2 * 64 * 64], &[2, 1, 64, 64]).unwrap()]).unwrap();
    prepared.convert().unwrap()
}

/// Runs one batch; the logits' bits, and how often this thread allocated in the session.
fn run(session: &mut Session, pixels: &[f32], dims: [usize; 4]) -> ([u32; 2 * CLASSES], usize) {
    let mut logits = [f32::NAN; 2 * CLASSES];
    let len: usize = dims.iter().product();
    let (batch, output_dims) = (dims[0], [dims[0], CLASSES]);
    let view = TensorView::f32(&pixels[..len], &dims).unwrap();
    let before = ALLOCATIONS.get();
    session.run(&[view], &mut [TensorViewMut::f32(&mut logits[..batch * CLASSES], &output_dims).unwrap()]).unwrap();
    let allocations = ALLOCATIONS.get() - before;
    (logits.map(f32::to_bits), allocations)
}

#[cfg(target_os = "linux")]
fn resident_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[cfg(not(target_os = "linux"))]
fn resident_bytes() -> usize {
    println!("SKIPPED: resident memory is known on Linux alone");
    0
}

#[test]
fn line_14_ten_thousand_runs_of_changing_sizes_stay_in_the_memory_of_the_largest_and_give_the_same_bits() {
    let context = Context::new(ContextOptions { threads: 1, max_isa: Some(Isa::AmxInt8), ..ContextOptions::default() }).unwrap();
    let graph = network();
    let pixels: Vec<f32> = (0..2 * LARGEST * LARGEST).map(|at| ((at * 97 % 509) as f32 - 254.0) * 0.01).collect();
    let int8 = model(&context, &graph, &QConfig::default_static(), &pixels);
    let dynamic = model(&context, &graph, &QConfig::default_dynamic(), &pixels);
    let options = SessionOptions { max_batch: 2, kept_plans: KEPT, ..SessionOptions::default() };
    let made = |kind: usize| match kind {
        0 => Session::float(&context, &graph, options.clone()).unwrap(),
        1 => Session::new(&int8, options.clone()).unwrap(),
        _ => Session::new(&dynamic, options.clone()).unwrap(),
    };
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut sessions: Vec<Session> = (0..3).map(made).collect();
    // Sizes of the plans that each session should keep, the last used first.
    let mut kept: Vec<Vec<[usize; 2]>> = vec![Vec::new(); 3];
    let (mut flat, mut hits, mut compared) = ([0; 3], 0, 0);
    let mut resident = 0;
    for number in 0..10_000 {
        let kind = number % 3;
        let size = match random.below(4) {
            _ if number < 3 => [LARGEST, LARGEST],
            0 | 1 if !kept[kind].is_empty() => kept[kind][random.below(kept[kind].len())],
            _ => [0; 2].map(|_| SMALLEST + random.below(LARGEST - SMALLEST + 1)),
        };
        let dims = [1 + random.below(2), 1, size[0], size[1]];
        let (logits, allocations) = run(&mut sessions[kind], &pixels, dims);
        let place = kept[kind].iter().position(|&earlier| earlier == size);
        assert_eq!(allocations == 0, place.is_some(), "run {number}, {dims:?}: {allocations} allocations, kept {:?}", kept[kind]);
        hits += usize::from(place.is_some());
        place.map(|place| kept[kind].remove(place));
        kept[kind].insert(0, size);
        kept[kind].truncate(KEPT);
        if number % 25 == kind {
            compared += 1;
            assert!(run(&mut made(kind), &pixels, dims).0 == logits, "run {number}, {dims:?}: not what a fresh session gives");
        }
        if number < 3 {
            flat[kind] = sessions[kind].memory_bytes();
        }
        // Scratch may be some bytes larger for another shape.
        let held = sessions[kind].memory_bytes();
        assert!(held <= flat[kind] + flat[kind] / 16, "run {number}, {dims:?}: {held} bytes, {} hold the largest size", flat[kind]);
        if number == 1000 {
            resident = resident_bytes();
        }
    }
    let grown = resident_bytes().saturating_sub(resident);
    assert!(grown < 4 << 20, "{grown} bytes more are resident after 9,000 further runs");
    assert!(hits > 3000 && compared >= 300, "{hits} runs of a kept size, {compared} compared");
}

#[test]
fn a_larger_batch_and_a_single_plan_run_every_size() {
    let context = Context::new(ContextOptions { threads: 2, ..ContextOptions::default() }).unwrap();
    let (graph, pixels) = (network(), vec![0.25; 2 * LARGEST * LARGEST]);
    for kept_plans in [1, 2] {
        let options = SessionOptions { kept_plans, profile: true, ..SessionOptions::default() };
        let mut session = Session::float(&context, &graph, options).unwrap();
        let first = run(&mut session, &pixels, [1, 1, 70, 90]).0;
        let other = run(&mut session, &pixels, [1, 1, 65, 64]).0;
        assert!(first[..CLASSES] != other[..CLASSES]);
        let two = run(&mut session, &pixels, [2, 1, 70, 90]).0;
        assert_eq!((&two[..CLASSES], &two[CLASSES..]), (&first[..CLASSES], &first[..CLASSES]));
        assert_eq!(run(&mut session, &pixels, [1, 1, 65, 64]).0, other);
        assert_eq!(run(&mut session, &pixels, [1, 1, 70, 90]).0, first);
        // Counted for the plan that runs now: kept with it, or from zero.
        assert_eq!(session.profile().unwrap().runs, if kept_plans == 1 { 1 } else { 2 });
        session.reset_profile().unwrap();
        run(&mut session, &pixels, [1, 1, 65, 64]);
        assert_eq!(session.profile().unwrap().runs, 1);
    }
}
