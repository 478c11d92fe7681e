//! The host's rounding mode and its flush-to-zero bits neither leak into a run nor get lost in it.
#![cfg(target_arch = "x86_64")]
use rsquant::threads::{Executor, ParallelFor, ParallelTask, Team};
use std::arch::asm;
use std::ffi::c_void;

/// All exceptions masked, round to nearest even, no FTZ, no DAZ.
const DEFAULT: u32 = 0x1f80;
const ROUNDING: [u32; 4] = [0, 0x2000, 0x4000, 0x6000];
const FLUSH_TO_ZERO: u32 = 0x8000;
const DENORMALS_ARE_ZERO: u32 = 0x0040;
/// The bits that say how to compute; the rest says which exceptions have happened.
const CONTROL: u32 = 0xffc0;

fn control() -> u32 {
    let mut value = 0u32;
    // SAFETY: stores the 4 bytes of the register into `value`.
    unsafe { asm!("stmxcsr [{}]", in(reg) &mut value, options(nostack, preserves_flags)) };
    value & CONTROL
}

fn set_control(value: u32) {
    // SAFETY: only bits that every x86-64 CPU has are set.
    unsafe { asm!("ldmxcsr [{}]", in(reg) &value, options(nostack, preserves_flags)) };
}

/// A pool whose threads have the caller's setting.
unsafe extern "C" fn pool(_: *mut c_void, count: usize, task: ParallelTask, data: *mut c_void) {
    let (data, host) = (data as usize, control());
    std::thread::scope(|scope| {
        (0..count).for_each(|index| {
            scope.spawn(move || {
                set_control(host);
                task(data as *mut c_void, index);
                assert_eq!(control(), host);
            });
        });
    });
}

#[test]
fn a_run_computes_with_the_default_setting_and_restores_the_hosts() {
    // SAFETY: the pool has no state, and calls no task after it has returned.
    let caller = Executor::ParallelFor(unsafe { ParallelFor::new(pool, std::ptr::null_mut(), 3) });
    let executors = [Executor::Single, Executor::Team(Team::new(3)), caller];
    let check = || assert_eq!(control(), DEFAULT);
    for rounding in ROUNDING {
        for flush in [0, FLUSH_TO_ZERO, DENORMALS_ARE_ZERO, FLUSH_TO_ZERO | DENORMALS_ARE_ZERO] {
            for executor in &executors {
                let host = DEFAULT | rounding | flush;
                // A new team's threads inherit the maker's setting.
                set_control(host);
                let made_here = Executor::Team(Team::new(2));
                let results = [
                    executor.run(&|_| check()),
                    executor.fork_join(5, &|_| check()),
                    made_here.run(&|_| check()),
                    executor.run(&|task| assert!(task.index != 0, "thrown")),
                ];
                let after = control();
                set_control(DEFAULT);
                assert_eq!(after, host);
                assert_eq!(results[..3], [Ok(()), Ok(()), Ok(())]);
                assert!(results[3].is_err());
            }
        }
    }
}
