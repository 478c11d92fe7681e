//! GFLOP/s of the best f32 kernel at ResNet-50 shapes, and the share of the FMA roof measured in the same run.
use rsquant::isa::Isa;
use rsquant::kernels::{F32Block, F32Kernel, Pixels, Taps, f32_kernels};
use std::hint::black_box;

/// Output columns (a square), input channels, output channels, kernel size, stride.
const SHAPES: [(&str, usize, usize, usize, usize, usize); 12] = [
    ("stem 7x7/2", 112, 3, 64, 7, 2),
    ("L1 3x3", 56, 64, 64, 3, 1),
    ("L1 1x1 expand", 56, 64, 256, 1, 1),
    ("L1 1x1 reduce", 56, 256, 64, 1, 1),
    ("L2 3x3", 28, 128, 128, 3, 1),
    ("L2 1x1 expand", 28, 128, 512, 1, 1),
    ("L2 1x1 down /2", 28, 256, 512, 1, 2),
    ("L3 3x3", 14, 256, 256, 3, 1),
    ("L3 1x1 reduce", 14, 1024, 256, 1, 1),
    ("L4 3x3", 7, 512, 512, 3, 1),
    ("L4 1x1 expand", 7, 512, 2048, 1, 1),
    ("L4 1x1 reduce", 7, 2048, 512, 1, 1),
];

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

#[cfg(all(target_arch = "x86_64", feature = "x86"))]
mod roof {
    use std::arch::x86_64::*;
    pub const STEPS: usize = 100_000;

    /// # Safety
    /// The CPU has FMA.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn avx2() -> f32 {
        let (a, b) = (_mm256_set1_ps(std::hint::black_box(0.5)), _mm256_set1_ps(std::hint::black_box(0.25)));
        let mut acc = [_mm256_setzero_ps(); 12];
        for _ in 0..STEPS {
            acc.iter_mut().for_each(|acc| *acc = _mm256_fmadd_ps(*acc, a, b));
        }
        _mm256_cvtss_f32(acc.into_iter().reduce(|x, y| _mm256_add_ps(x, y)).unwrap())
    }

    /// # Safety
    /// The CPU has AVX-512F.
    #[target_feature(enable = "avx512f")]
    pub unsafe fn avx512() -> f32 {
        let (a, b) = (_mm512_set1_ps(std::hint::black_box(0.5)), _mm512_set1_ps(std::hint::black_box(0.25)));
        let mut acc = [_mm512_setzero_ps(); 12];
        for _ in 0..STEPS {
            acc.iter_mut().for_each(|acc| *acc = _mm512_fmadd_ps(*acc, a, b));
        }
        _mm512_cvtss_f32(acc.into_iter().reduce(|x, y| _mm512_add_ps(x, y)).unwrap())
    }
}

/// GFLOP/s of a loop of nothing but fused multiply-adds as wide as the kernel's.
fn roof(isa: Isa) -> f64 {
    #[cfg(all(target_arch = "x86_64", feature = "x86"))]
    {
        let (lanes, run): (usize, unsafe fn() -> f32) = match isa {
            Isa::Avx512Vnni => (16, roof::avx512),
            Isa::Avx2 => (8, roof::avx2),
            _ => return f64::NAN,
        };
        // SAFETY: a kernel of that level is in the registry, so the CPU has it.
        let seconds = fastest(|| {
            black_box(unsafe { run() });
        });
        return (12 * roof::STEPS * lanes * 2) as f64 / seconds * 1e-9;
    }
    #[allow(unreachable_code)]
    {
        let _ = isa;
        f64::NAN
    }
}

fn gflops(kernel: &dyn F32Kernel, out: usize, ic: usize, oc: usize, size: usize, stride: usize) -> f64 {
    let width = (out - 1) * stride + size;
    let src = vec![0.5f32; width * width * ic];
    let weights = vec![0.25f32; oc * size * size * ic];
    let bias = vec![1.0f32; oc];
    let mut dst = vec![0.0f32; out * out * oc];
    let floats = |count: usize| (count * 4) as isize;
    // As a driver does it: the pixels of a 1x1 without stride are one long row.
    let flat = size == 1 && stride == 1;
    let block = F32Block {
        src: Pixels { start: src.as_ptr().cast(), row_stride: floats(stride * width * ic), col_stride: floats(stride * ic) },
        rows: if flat { 1 } else { out },
        cols: if flat { out * out } else { out },
        taps: Taps {
            rows: size,
            cols: 1,
            run: size * ic,
            src_row_stride: floats(width * ic),
            src_col_stride: floats(ic),
            weight_row_stride: size * ic * 64,
            weight_col_stride: ic * 64,
        },
        weights: weights.as_ptr(),
        panel_stride: size * size * ic * 64,
        channels: oc,
        bias: bias.as_ptr(),
        residual: None,
        low: 0.0,
        high: f32::INFINITY,
        dst: Pixels { start: dst.as_mut_ptr().cast(), row_stride: floats(out * oc), col_stride: floats(oc) },
    };
    // SAFETY: the block describes live vectors.
    let seconds = fastest(|| unsafe { kernel.run(black_box(&block)) });
    (2 * out * out * oc * ic * size * size) as f64 / seconds * 1e-9
}

fn main() {
    let kernels = f32_kernels(Isa::AmxInt8);
    let kernel = kernels[0].as_ref();
    println!("{}: one thread, CPU time, fastest of 60", kernel.name());
    for (name, out, ic, oc, size, stride) in SHAPES {
        let before = roof(kernel.isa());
        let rate = gflops(kernel, out, ic, oc, size, stride);
        let roof = before.max(roof(kernel.isa()));
        println!("{name:16} {rate:7.1} GFLOP/s   roof {roof:6.1}   {:5.1} %", 100.0 * rate / roof);
    }
}
