//! The encodings of the AMX-TILE and AMX-INT8 instructions (Intel SDM, volume 2): VEX.128, W0, map 0F38, opcodes 49, 4B, 5E.

/// What an instruction does, its addresses computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `ldtilecfg`.
    LoadConfig { from: *const u8 },
    /// `sttilecfg`.
    StoreConfig { to: *mut u8 },
    /// `tilerelease`.
    Release,
    /// `tilezero`.
    Zero { tile: usize },
    /// `tileloadd`, `tileloaddt1`.
    Load { tile: usize, from: *const u8, stride: isize },
    /// `tilestored`.
    Store { tile: usize, to: *mut u8, stride: isize },
    /// `tdpbusd` and its three relatives.
    DotProduct { sums: usize, left: usize, right: usize, left_signed: bool, right_signed: bool },
}

/// A decoded instruction.
#[derive(Debug, Clone, Copy)]
pub struct Instruction {
    pub operation: Operation,
    /// Bytes.
    pub length: usize,
}

/// The mandatory prefix that VEX encodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prefix {
    None,
    P66,
    PF3,
    PF2,
}

/// General registers in encoding order.
const GENERAL: [libc::c_int; 16] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

/// A memory operand.
struct Memory {
    /// Base plus displacement.
    base: isize,
    /// The scaled index; a tile access uses it as its row stride.
    index: isize,
    has_sib: bool,
    /// Bytes of ModRM, SIB and displacement.
    length: usize,
}

/// The instruction at `at`, or `None` if it is not one of ours.
///
/// # Safety
/// `at` is readable as far as the instruction there reaches.
pub unsafe fn decode(at: *const u8, registers: &[libc::greg_t]) -> Option<Instruction> {
    // SAFETY: the caller's promise; the bytes are looked at in order, each only if those before it are ours.
    let byte = |offset: usize| unsafe { *at.add(offset) };
    if byte(0) != 0xc4 || byte(1) & 0x1f != 2 || byte(2) & 0x84 != 0 {
        return None;
    }
    let extensions = !byte(1);
    let vvvv = usize::from(!byte(2) >> 3 & 15);
    let prefix = [Prefix::None, Prefix::P66, Prefix::PF3, Prefix::PF2][usize::from(byte(2) & 3)];
    let (opcode, modrm) = (byte(3), byte(4));
    let reg = usize::from(modrm >> 3 & 7 | extensions >> 7 << 3);
    let rm = usize::from(modrm & 7 | (extensions >> 5 & 1) << 3);
    let done = |operation, length| Some(Instruction { operation, length });
    if modrm >> 6 == 3 {
        return match (opcode, prefix) {
            (0x49, Prefix::None) if modrm == 0xc0 && vvvv == 0 => done(Operation::Release, 5),
            (0x49, Prefix::PF2) if rm == 0 && vvvv == 0 => done(Operation::Zero { tile: reg }, 5),
            (0x5e, _) => {
                let left_signed = matches!(prefix, Prefix::PF2 | Prefix::PF3);
                let right_signed = matches!(prefix, Prefix::PF2 | Prefix::P66);
                done(Operation::DotProduct { sums: reg, left: rm, right: vvvv, left_signed, right_signed }, 5)
            }
            _ => None,
        };
    }
    if vvvv != 0 {
        return None;
    }
    // SAFETY: an instruction of this map with this ModRM has the operand's bytes.
    let memory = unsafe { memory_operand(at.add(4), extensions, registers) };
    let length = 4 + memory.length;
    let address = memory.base as usize;
    // RIP-relative addresses count from the next instruction.
    let rip = if modrm & 0xc7 == 0x05 { at as usize + length } else { 0 };
    let config = address.wrapping_add_signed(memory.index).wrapping_add(rip) as *mut u8;
    match (opcode, prefix) {
        (0x49, Prefix::None) if reg == 0 => done(Operation::LoadConfig { from: config }, length),
        (0x49, Prefix::P66) if reg == 0 => done(Operation::StoreConfig { to: config }, length),
        (0x4b, Prefix::PF2 | Prefix::P66) if memory.has_sib => {
            done(Operation::Load { tile: reg, from: address as *const u8, stride: memory.index }, length)
        }
        (0x4b, Prefix::PF3) if memory.has_sib => done(Operation::Store { tile: reg, to: address as *mut u8, stride: memory.index }, length),
        _ => None,
    }
}

/// Decodes ModRM, SIB and displacement; a RIP-relative base is left at its displacement.
///
/// # Safety
/// `at` points to ModRM, and the operand's bytes are readable.
unsafe fn memory_operand(at: *const u8, extensions: u8, registers: &[libc::greg_t]) -> Memory {
    let register = |number: u8| registers[GENERAL[usize::from(number)] as usize] as isize;
    // SAFETY: the caller's promise.
    unsafe {
        let (mode, rm) = (*at >> 6, *at & 7);
        let extended_base = extensions >> 5 & 1;
        let mut memory = Memory { base: 0, index: 0, has_sib: rm == 4, length: 1 };
        let mut wide_displacement = mode == 2;
        if memory.has_sib {
            let sib = *at.add(1);
            memory.length = 2;
            let index = sib >> 3 & 7 | (extensions >> 6 & 1) << 3;
            if index != 4 {
                memory.index = register(index) << (sib >> 6);
            }
            if sib & 7 == 5 && mode == 0 {
                wide_displacement = true;
            } else {
                memory.base = register(sib & 7 | extended_base << 3);
            }
        } else if rm == 5 && mode == 0 {
            wide_displacement = true;
        } else {
            memory.base = register(rm | extended_base << 3);
        }
        if mode == 1 {
            memory.base += *at.add(memory.length).cast::<i8>() as isize;
            memory.length += 1;
        } else if wide_displacement {
            memory.base += at.add(memory.length).cast::<i32>().read_unaligned() as isize;
            memory.length += 4;
        }
        memory
    }
}
