//! What this machine can do at most: 10^9 operations a second of each level's multiply instruction, on one thread and on
//! all at once, and operations a clock cycle. `cargo bench --bench roof`.
use rsquant::isa::Isa;
use rsquant::kernels::roof::{RoofLoop, clock, f32_roof, int8_roof};

/// The sum of what `threads` threads reach at the same time.
fn together(roof: RoofLoop, threads: usize) -> f64 {
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(move || roof.gops())).collect();
        handles.into_iter().map(|handle| handle.join().expect("a loop of registers")).sum()
    })
}

fn main() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let ghz = clock().map_or(f64::NAN, |clock| clock.gops());
    println!("clock {ghz:.2} GHz, {threads} threads");
    for isa in Isa::ALL {
        for (kind, roof) in [("int8", int8_roof(isa)), ("f32", f32_roof(isa))] {
            let Some(roof) = roof.filter(|_| isa <= Isa::detected()) else { continue };
            let one = roof.gops();
            let all = together(roof, threads);
            println!(
                "{:12} {kind:5} {:30} {one:8.1} GOPS on 1 thread ({:.1} a cycle), {all:8.1} on {threads}",
                isa.name(),
                roof.name,
                one / ghz
            );
        }
    }
}
