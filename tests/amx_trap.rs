//! Tile instructions one by one, by the CPU or by the trap handler: what they compute, and what they refuse.
#![cfg(all(target_arch = "x86_64", target_os = "linux", feature = "x86"))]
#[path = "support/amx_trap/mod.rs"]
mod amx_trap;

use std::arch::asm;

/// Sizes of a product: `m` rows of sums, `n` sums a row, `k` groups of 4.
#[derive(Debug, Clone, Copy)]
struct Shape {
    m: usize,
    n: usize,
    k: usize,
}

/// The configuration for a product of tile 1 (left) and tile 2 (right) into tile 0.
fn config(Shape { m, n, k }: Shape) -> [u8; 64] {
    let mut config = [0; 64];
    config[0] = 1;
    for (tile, rows, row_bytes) in [(0, m, 4 * n), (1, m, 4 * k), (2, k, 4 * n)] {
        config[16 + 2 * tile] = row_bytes as u8;
        config[48 + tile] = rows as u8;
    }
    config
}

struct Random(u32);

impl Random {
    fn next(&mut self) -> u8 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 24) as u8
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next()).collect()
    }
}

/// Bytes from row to row of every operand.
const STRIDE: usize = 80;

/// Configures the tiles, adds the product of `left` and `right` to `sums`, and releases them.
type Product = fn(config: &[u8; 64], sums: &mut [u8], left: &[u8], right: &[u8]);

macro_rules! product {
    ($name:ident, $instruction:literal) => {
        fn $name(config: &[u8; 64], sums: &mut [u8], left: &[u8], right: &[u8]) {
            // SAFETY: tile instructions are executable, and the rows of all three tiles lie in the slices.
            unsafe {
                asm!(
                    "ldtilecfg [{config}]",
                    "tileloadd tmm0, [{sums} + {stride}*1]",
                    "tileloaddt1 tmm1, [{left} + {stride}*1]",
                    "tileloadd tmm2, [{right} + {twice}*2 + 16]",
                    $instruction,
                    "tilestored [{sums} + {stride}*1], tmm0",
                    "tilerelease",
                    config = in(reg) config,
                    sums = in(reg) sums.as_mut_ptr(),
                    left = in(reg) left.as_ptr(),
                    right = in(reg) right.as_ptr().wrapping_sub(16),
                    stride = in(reg) STRIDE,
                    twice = in(reg) STRIDE / 2,
                    out("tmm0") _, out("tmm1") _, out("tmm2") _,
                    options(nostack),
                );
            }
        }
    };
}
product!(product_u8_s8, "tdpbusd tmm0, tmm1, tmm2");
product!(product_s8_u8, "tdpbsud tmm0, tmm1, tmm2");
product!(product_s8_s8, "tdpbssd tmm0, tmm1, tmm2");
product!(product_u8_u8, "tdpbuud tmm0, tmm1, tmm2");

#[test]
fn products_equal_the_triple_loop() {
    let by = amx_trap::install();
    println!("RAN: {by}");
    let before = amx_trap::executed();
    let products: [(Product, bool, bool); 4] =
        [(product_u8_s8, false, true), (product_s8_u8, true, false), (product_s8_s8, true, true), (product_u8_u8, false, false)];
    let mut random = Random(7);
    for case in 0..120 {
        let (product, left_signed, right_signed) = products[case % 4];
        let mut size = || 1 + usize::from(random.next()) % 16;
        let shape = if case < 4 { Shape { m: 16, n: 16, k: 16 } } else { Shape { m: size(), n: size(), k: size() } };
        let (left, right) = (random.bytes(16 * STRIDE), random.bytes(16 * STRIDE));
        let mut sums = random.bytes(16 * STRIDE);
        let mut expected = sums.clone();
        let value = |byte: u8, signed: bool| if signed { i32::from(byte as i8) } else { i32::from(byte) };
        for m in 0..shape.m {
            for n in 0..shape.n {
                let place = m * STRIDE + 4 * n;
                let mut sum = i32::from_le_bytes([expected[place], expected[place + 1], expected[place + 2], expected[place + 3]]);
                for k in 0..4 * shape.k {
                    let a = value(left[m * STRIDE + k], left_signed);
                    let b = value(right[k / 4 * STRIDE + 4 * n + k % 4], right_signed);
                    sum = sum.wrapping_add(a * b);
                }
                expected[place..place + 4].copy_from_slice(&sum.to_le_bytes());
            }
        }
        product(&config(shape), &mut sums, &left, &right);
        assert!(sums == expected, "{shape:?}, signed {left_signed} {right_signed}");
    }
    assert_eq!(by == amx_trap::TilesBy::Trap, amx_trap::executed() > before, "{by}");
}

#[test]
fn a_configuration_is_stored_as_it_was_loaded() {
    println!("RAN: {}", amx_trap::install());
    for config in [config(FULL), config(Shape { m: 3, n: 5, k: 2 }), [0; 64]] {
        let mut stored = [1u8; 64];
        // SAFETY: tile instructions are executable; 64 bytes are there on both sides.
        unsafe {
            asm!(
                "ldtilecfg [{config}]",
                "sttilecfg [{stored}]",
                "tilerelease",
                config = in(reg) &config,
                stored = in(reg) &mut stored,
                out("tmm0") _, out("tmm1") _, out("tmm2") _,
                options(nostack),
            );
        }
        assert_eq!(stored, config);
    }
}

#[test]
fn a_load_zeroes_what_it_does_not_fill_and_tilezero_the_whole_tile() {
    amx_trap::install();
    let config = config(Shape { m: 3, n: 5, k: 2 });
    let (full, mut stored) = ([0xffu8; 64 * 16], [1u8; 64 * 16]);
    // SAFETY: tile instructions are executable; 16 rows of 64 bytes are there.
    unsafe {
        asm!(
            "ldtilecfg [{config}]",
            "tileloadd tmm0, [{full} + {stride}*1]",
            "tilezero tmm0",
            "tilestored [{stored} + {stride}*1], tmm0",
            "tilerelease",
            config = in(reg) &config,
            full = in(reg) &full,
            stored = in(reg) &mut stored,
            stride = in(reg) 64usize,
            out("tmm0") _,
            options(nostack),
        );
    }
    for (at, &byte) in stored.iter().enumerate() {
        let written = at / 64 < 3 && at % 64 < 20;
        assert_eq!(byte, if written { 0 } else { 1 }, "row {}, byte {}", at / 64, at % 64);
    }
}

/// Runs `code` in a child process; the signal that ended it, if one did.
fn signal_of(code: impl FnOnce()) -> Option<i32> {
    // SAFETY: the child executes `code`, which touches tiles and its own stack only, and leaves without unwinding.
    unsafe {
        let child = libc::fork();
        assert!(child >= 0, "fork: {}", std::io::Error::last_os_error());
        if child == 0 {
            code();
            libc::_exit(0);
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &mut status, 0), child);
        libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status))
    }
}

/// Loads a configuration, then executes an instruction.
macro_rules! after_config {
    ($config:expr, $instruction:literal) => {{
        let config: [u8; 64] = $config;
        let memory = [0u8; 16 * 64];
        signal_of(move || {
            // SAFETY: tile instructions are executable or raise a signal; loads stay in `memory`.
            unsafe {
                asm!(
                    "ldtilecfg [{config}]",
                    "/* {memory} {stride} */",
                    $instruction,
                    config = in(reg) &config,
                    memory = in(reg) &memory,
                    stride = in(reg) 64usize,
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    options(nostack),
                );
            }
        })
    }};
}

const FULL: Shape = Shape { m: 16, n: 16, k: 16 };

#[test]
fn what_is_legal_runs() {
    println!("RAN: {}", amx_trap::install());
    assert_eq!(after_config!(config(FULL), "tdpbusd tmm0, tmm1, tmm2"), None);
    assert_eq!(after_config!(config(FULL), "tileloadd tmm1, [{memory} + {stride}*1]"), None);
    assert_eq!(after_config!([0; 64], "tilerelease"), None);
}

#[test]
fn a_bad_configuration_faults() {
    println!("RAN: {}", amx_trap::install());
    let with = |index: usize, value: u8| {
        let mut config = config(FULL);
        config[index] = value;
        config
    };
    let bad = [
        ("palette 2", with(0, 2)),
        ("a reserved byte behind the start row", with(2, 1)),
        ("a ninth tile's row bytes", with(32, 4)),
        ("a ninth tile's rows", with(56, 1)),
        ("17 rows", with(48, 17)),
        ("65 bytes a row", with(16, 65)),
        ("rows without bytes", with(16, 0)),
        ("bytes without rows", with(48, 0)),
    ];
    for (what, config) in bad {
        assert!(after_config!(config, "tilerelease").is_some(), "{what} was taken");
    }
}

#[test]
fn what_does_not_fit_the_configuration_faults() {
    println!("RAN: {}", amx_trap::install());
    let full = config(FULL);
    assert!(after_config!(full, "tilezero tmm3").is_some(), "an unconfigured tile was zeroed");
    assert!(after_config!(full, "tileloadd tmm3, [{memory} + {stride}*1]").is_some(), "an unconfigured tile was loaded");
    assert!(after_config!([0; 64], "tilezero tmm0").is_some(), "palette 0 configures nothing");
    assert!(after_config!(full, "tilerelease\ntilezero tmm0").is_some(), "released tiles are not configured");
    assert!(after_config!(full, "tdpbusd tmm0, tmm1, tmm3").is_some(), "an unconfigured operand was taken");
    let with = |index: usize, value: u8| {
        let mut config = config(FULL);
        config[index] = value;
        config
    };
    assert!(after_config!(with(49, 15), "tdpbusd tmm0, tmm1, tmm2").is_some(), "rows of sums and left must be equal");
    assert!(after_config!(with(20, 60), "tdpbusd tmm0, tmm1, tmm2").is_some(), "row bytes of sums and right must be equal");
    assert!(after_config!(with(50, 15), "tdpbusd tmm0, tmm1, tmm2").is_some(), "right needs a row for each group of left");
    // tdpbusd tmm0, tmm1, tmm1 and tmm0, tmm0, tmm2, which assemblers refuse.
    assert!(after_config!(full, ".byte 0xc4, 0xe2, 0x71, 0x5e, 0xc1").is_some(), "equal operands were taken");
    assert!(after_config!(full, ".byte 0xc4, 0xe2, 0x69, 0x5e, 0xc0").is_some(), "sums were taken as an operand");
    // tileloadd tmm0, [rax]: no SIB byte.
    assert!(after_config!(full, ".byte 0xc4, 0xe2, 0x7b, 0x4b, 0x00").is_some(), "a load without SIB was taken");
}

#[test]
fn an_illegal_instruction_of_another_kind_still_kills() {
    amx_trap::install();
    // SAFETY: ends the child.
    assert_eq!(signal_of(|| unsafe { asm!("ud2", options(noreturn)) }), Some(libc::SIGILL));
}
