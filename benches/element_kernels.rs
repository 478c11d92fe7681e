//! GB/s (bytes read and written) of the element kernels, beside a copy of the same size in the same run.
use rsquant::isa::Isa;
use rsquant::kernels::layout::{nchw_to_nhwc, nhwc_to_nchw};
use rsquant::kernels::{ByteRange, Clamp, VectorIsa, binary, image, pool, quantize, reduce, unary};
use rsquant::quantize::{ImageNormalization, QParams};
use std::hint::black_box;

/// CPU seconds of this thread: a machine that is busy with other work does not count.
fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// CPU seconds of the fastest of many runs of at least 1 ms each.
fn fastest(mut run: impl FnMut()) -> f64 {
    let mut repeats = 1;
    let mut best = f64::INFINITY;
    for _ in 0..60 {
        let start = cpu_seconds();
        (0..repeats).for_each(|_| run());
        let seconds = cpu_seconds() - start;
        if seconds < 1e-3 {
            repeats *= 2;
        } else {
            best = best.min(seconds / repeats as f64);
        }
    }
    best
}

fn main() {
    let isa = VectorIsa::best(Isa::AmxInt8);
    println!("{}: one thread, CPU time, fastest of 60", isa.name());
    let report = |name: &str, bytes: usize, run: &mut dyn FnMut()| {
        let seconds = fastest(run);
        println!("{name:34} {:8.1} us {:6.1} GB/s", seconds * 1e6, bytes as f64 / seconds * 1e-9);
    };
    // An activation of 56 x 56 x 64, and the image of 3 x 224 x 224.
    let n = 56 * 56 * 64;
    let x: Vec<f32> = (0..n).map(|i| (i % 1009) as f32 * 0.01 - 5.0).collect();
    let (mut y, mut q, mut r) = (vec![0f32; n], vec![0u8; n], vec![0u8; n]);
    let p: Vec<u8> = (0..n).map(|i| (i % 251) as u8).collect();
    let qparams = QParams { scale: 0.05, zero_point: 100 };
    let quantizer = quantize::Quantizer::new(qparams, 0, 255);
    let output = ByteRange { zero_point: 30, low: 30, high: 255 };

    report("copy f32", 8 * n, &mut || y.copy_from_slice(black_box(&x)));
    report("copy u8", 2 * n, &mut || q.copy_from_slice(black_box(&p)));
    report("quantize", 5 * n, &mut || quantize::quantize(isa, black_box(&x), quantizer, &mut q));
    report("quantize_nhwc 60 of 64", 5 * n * 60 / 64, &mut || {
        quantize::quantize_nhwc(isa, black_box(&x[..n / 64 * 60]), 60, 64, quantizer, &mut q)
    });
    let image = 224 * 224;
    report("quantize_nchw_to_nhwc 3x224x224", 16 * image, &mut || {
        quantize::quantize_nchw_to_nhwc(isa, black_box(&x[..3 * image]), image, image, 3, 4, quantizer, &mut q[..4 * image]);
    });
    report("quantize_nchw_to_nhwc 64x56x56", 5 * n, &mut || {
        quantize::quantize_nchw_to_nhwc(isa, black_box(&x), 3136, 3136, 64, 64, quantizer, &mut q);
    });
    let normalization = ImageNormalization { divisor: 255.0, mean: vec![0.485, 0.456, 0.406], std: vec![0.229, 0.224, 0.225] };
    let image_quantizer = image::ImageQuantizer::new(&normalization.values().expect("a normalization"), quantizer);
    report("quantize_image 224x224x3", 7 * image, &mut || image_quantizer.run(isa, black_box(&p[..3 * image]), 4, &mut q[..4 * image]));
    report("dequantize", 5 * n, &mut || quantize::dequantize(isa, black_box(&p), qparams, &mut y));
    report("dequantize_nhwc_to_nchw 56x56x64", 5 * n, &mut || {
        quantize::dequantize_nhwc_to_nchw(isa, black_box(&p), 3136, 64, 64, qparams, &mut y);
    });
    report("min_max", 4 * n, &mut || drop(black_box(vec![quantize::min_max(isa, black_box(&x))])));
    let add = binary::AddParams { a_zero: 3, b_zero: 5, a_ratio: 0.7, b_ratio: 0.9, output };
    report("add_u8", 3 * n, &mut || binary::add_u8(isa, black_box(&p), &r, add, &mut q));
    let mul = binary::MulParams { a_zero: 3, b_zero: 5, ratio: 0.01, output };
    report("mul_u8", 3 * n, &mut || binary::mul_u8(isa, black_box(&p), &r, mul, &mut q));
    report("mul_u8_by_channel 64", 2 * n, &mut || binary::mul_u8_by_channel(isa, black_box(&p), &r[..64], mul, &mut q));
    let rescale = binary::RescaleParams { zero_point: 3, ratio: 0.7, output };
    report("rescale_u8", 2 * n, &mut || binary::rescale_u8(isa, black_box(&p), rescale, &mut q));
    let relu = Clamp { low: 0.0, high: f32::INFINITY };
    let x2 = x.clone();
    report("add f32, relu", 12 * n, &mut || {
        binary::binary_f32(isa, binary::FloatBinary::Add, black_box(&x), binary::Operand::Same(&x2), relu, &mut y);
    });
    report("channel_affine f32, 64", 8 * n, &mut || binary::channel_affine(isa, black_box(&x), &x2[..64], &x2[64..128], relu, &mut y));
    for function in [
        unary::FloatUnary::Clamp(relu),
        unary::FloatUnary::Sigmoid,
        unary::FloatUnary::HardSwish,
        unary::FloatUnary::Tanh,
        unary::FloatUnary::Erf,
    ] {
        report(&format!("{function:?}").chars().take(32).collect::<String>(), 8 * n, &mut || {
            unary::unary_f32(isa, function, black_box(&x), &mut y)
        });
    }
    let table = unary::FloatUnary::Sigmoid.table(qparams, quantizer);
    report("lookup", 2 * n, &mut || unary::lookup(black_box(&p), &table, &mut q));
    report("softmax_rows 200 x 1000", 8 * 200_000, &mut || unary::softmax_rows(isa, black_box(&x[..200_000]), 1000, &mut y[..200_000]));
    report("mean_columns 49 x 2048", 4 * 49 * 2048, &mut || {
        reduce::mean_columns(isa, black_box(&x[..49 * 2048]), 49, 2048, &mut y[..2048])
    });
    report("mean_rows 200 x 1000", 4 * 200_000, &mut || reduce::mean_rows(isa, black_box(&x[..200_000]), 1000, &mut y[..200]));
    let mut sums = vec![0i32; 2048];
    let average = pool::AverageParams { zero_point: 3, scale: 0.1, output_scale: 0.1, output };
    report("global_average_u8 49 x 2048", 49 * 2048, &mut || {
        pool::global_average_u8(isa, black_box(&p[..49 * 2048]), average, &mut sums, &mut q[..2048]);
    });
    // ResNet-50's max pooling, 112 x 112 x 64 by 3 x 3 / 2.
    let (wide, wide_f32) = (vec![7u8; 4 * n], vec![7f32; 4 * n]);
    let columns = pool::PoolColumns { kernel: 3, stride: 2, dilation: 1, pad_left: 1, out_width: 56 };
    let (mut line, mut line_f32) = (vec![0u8; 112 * 64], vec![0f32; 112 * 64]);
    let window = |oy: usize| (if oy == 0 { 0 } else { 2 * oy - 1 }, if oy == 0 { 2 } else { 3 });
    report("max_pool_u8 112x112x64", 5 * n, &mut || {
        for (oy, dst) in q.chunks_exact_mut(56 * 64).enumerate() {
            let (first_row, rows) = window(oy);
            let src =
                pool::PoolRows { memory: black_box(&wide[..]), width: 112, c_stride: 64, first_row, rows, row_step: 1, ring_rows: 112 };
            pool::max_pool_u8(isa, src, columns, &mut line, dst);
        }
    });
    report("max_pool_f32 112x112x64", 20 * n, &mut || {
        for (oy, dst) in y.chunks_exact_mut(56 * 64).enumerate() {
            let (first_row, rows) = window(oy);
            let src =
                pool::PoolRows { memory: black_box(&wide_f32[..]), width: 112, c_stride: 64, first_row, rows, row_step: 1, ring_rows: 112 };
            pool::max_pool_f32(isa, src, columns, &mut line_f32, dst);
        }
    });
    let mut sums = vec![0i32; 64];
    report("average_pool_u8 112x112x64 3x3/2", 5 * n, &mut || {
        for (oy, dst) in r.chunks_exact_mut(56 * 64).enumerate() {
            let (first_row, rows) = window(oy);
            let src =
                pool::PoolRows { memory: black_box(&wide[..]), width: 112, c_stride: 64, first_row, rows, row_step: 1, ring_rows: 112 };
            pool::average_pool_u8(isa, src, columns, pool::PoolDivisor { rows, pad_right: None }, average, &mut sums, dst);
        }
    });
    report("nchw_to_nhwc 3x224x224", 24 * image, &mut || {
        nchw_to_nhwc(isa, black_box(&x[..3 * image]), image, image, 3, &mut y[..3 * image])
    });
    report("nchw_to_nhwc 64x56x56", 8 * n, &mut || nchw_to_nhwc(isa, black_box(&x), 3136, 3136, 64, &mut y));
    report("nhwc_to_nchw 56x56x64", 8 * n, &mut || nhwc_to_nchw(isa, black_box(&x), 3136, 64, 3136, &mut y));
}
