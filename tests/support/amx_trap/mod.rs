//! Runs AMX int8 code on x86-64 Linux machines that have no AMX.
//!
//! A tile instruction raises SIGILL there. The handler decodes it, executes it on tiles kept in memory, and resumes behind
//! it, so the machine code under test is the real one. It cannot fake CPUID or XCR0: whoever runs tile instructions must be
//! told to, by a proof token made for tests. What a CPU refuses kills the process here too, by SIGILL.
mod decode;
mod tiles;

use decode::{Instruction, Operation};
use std::cell::UnsafeCell;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use tiles::Tiles;

/// How tile instructions are executed in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TilesBy {
    /// The CPU has AMX and the system lets us use it.
    Cpu,
    /// The handler of this module.
    Trap,
}

impl std::fmt::Display for TilesBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            TilesBy::Cpu => "tile instructions by the CPU",
            TilesBy::Trap => "tile instructions by the trap handler",
        })
    }
}

/// Instructions that the handler has executed.
static EXECUTED: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The tiles of this thread. Constant and without a destructor, so that a signal handler may touch it.
    static TILES: UnsafeCell<Tiles> = const { UnsafeCell::new(Tiles::released()) };
}

/// Makes tile instructions executable in this process, by the CPU if it can, and says by whom.
pub fn install() -> TilesBy {
    if rsquant::isa::AmxInt8::detect().is_some() {
        return TilesBy::Cpu;
    }
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // SAFETY: a zeroed sigaction is a valid one, and the handler has the signature that SA_SIGINFO asks for.
        let status = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_illegal_instruction as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER;
            libc::sigaction(libc::SIGILL, &action, std::ptr::null_mut())
        };
        assert_eq!(status, 0, "sigaction: {}", std::io::Error::last_os_error());
    });
    TilesBy::Trap
}

/// Tile instructions that the handler has executed so far, on all threads.
pub fn executed() -> usize {
    EXECUTED.load(Ordering::Relaxed)
}

extern "C" fn on_illegal_instruction(_signal: libc::c_int, _info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: with SA_SIGINFO the third argument is the interrupted thread's context, ours to change.
    let registers = unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let at = registers[libc::REG_RIP as usize] as usize as *const u8;
    // SAFETY: the CPU has fetched an instruction here; decoding reads no further than that instruction is long.
    let executed = match unsafe { decode::decode(at, registers) } {
        // SAFETY: the tiles are this thread's, and this handler the only one to use them; the instruction's addresses are
        // those that the CPU would use.
        Some(instruction) => TILES.with(|tiles| unsafe { execute(&mut *tiles.get(), &instruction) }).then_some(instruction.length),
        None => None,
    };
    match executed {
        Some(length) => {
            registers[libc::REG_RIP as usize] += length as libc::greg_t;
            EXECUTED.fetch_add(1, Ordering::Relaxed);
        }
        // The instruction faults again, for real.
        // SAFETY: restores the default action.
        None => unsafe {
            libc::signal(libc::SIGILL, libc::SIG_DFL);
        },
    }
}

/// Executes an instruction; false if a CPU would refuse it.
///
/// # Safety
/// Its memory operand is what the CPU would access.
unsafe fn execute(tiles: &mut Tiles, instruction: &Instruction) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        match instruction.operation {
            Operation::LoadConfig { from } => tiles.load_config(&from.cast::<[u8; 64]>().read_unaligned()),
            Operation::StoreConfig { to } => {
                to.cast::<[u8; 64]>().write_unaligned(tiles.config());
                true
            }
            Operation::Release => {
                *tiles = Tiles::released();
                true
            }
            Operation::Zero { tile } => tiles.zero(tile),
            Operation::Load { tile, from, stride } => tiles.load(tile, from, stride),
            Operation::Store { tile, to, stride } => tiles.store(tile, to, stride),
            Operation::DotProduct { sums, left, right, left_signed, right_signed } => {
                tiles.dot_product([sums, left, right], left_signed, right_signed)
            }
        }
    }
}
