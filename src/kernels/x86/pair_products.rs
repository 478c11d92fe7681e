//! Products of s16 pairs as they are: rows of pairs times 16 channels of pairs, summed in i32. For weights that few rows share, where
//! what [`super::halved_products`] sums on top for each panel costs more than its multiplications save.
//!
//! ```text
//! step s     row p: one dword, the pair (a0, a1)      weights: 64 bytes, the pairs (w0, w1) of 16 channels
//!            acc[p][half] += vpmaddwd(broadcast of the pair, weights[half])
//! ```
//!
//! A full tile has 6 rows: 12 accumulators, 2 weights, and 2 registers for a broadcast and a product. Its steps are in assembly,
//! both products of a row before both sums: no compiler setting can move the accumulators to memory.
//!
//! Overflow: one step adds at most `2 * 2^15 * 2^15` to a sum; sums wrap, so that what matters is the last one.
use std::arch::asm;
use std::arch::x86_64::*;

/// Rows of a full tile.
pub const TILE_ROWS: usize = 6;
/// Bytes of a step's weights.
pub const STEP_BYTES: usize = 64;
/// Bytes of a row's pair.
pub const PAIR_BYTES: usize = 4;

/// Adds `steps` steps, an even number, to the sums of `P` rows, the first of whose pairs `rows` point at.
///
/// # Safety
/// The CPU has AVX2; `steps` is even; each row is readable for `steps` pairs, `weights` for as many times [`STEP_BYTES`].
#[inline]
#[target_feature(enable = "avx2")]
pub unsafe fn add_products<const P: usize>(acc: &mut [[__m256i; 2]; P], rows: &[*const u8; P], weights: *const u8, steps: usize) {
    debug_assert!(steps.is_multiple_of(2));
    // SAFETY: the caller's promise.
    unsafe {
        if P == TILE_ROWS && steps > 0 {
            full_tile(acc, rows, weights, steps);
            return;
        }
        for step in 0..steps {
            let row = weights.add(step * STEP_BYTES);
            let weights = [_mm256_loadu_si256(row.cast()), _mm256_loadu_si256(row.add(STEP_BYTES / 2).cast())];
            for p in 0..P {
                let pair = _mm256_set1_epi32(rows[p].add(step * PAIR_BYTES).cast::<i32>().read_unaligned());
                acc[p][0] = _mm256_add_epi32(acc[p][0], _mm256_madd_epi16(weights[0], pair));
                acc[p][1] = _mm256_add_epi32(acc[p][1], _mm256_madd_epi16(weights[1], pair));
            }
        }
    }
}

/// [`add_products`] for [`TILE_ROWS`] rows and at least two steps, which a round of the loop takes.
///
/// # Safety
/// As for [`add_products`].
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn full_tile(acc: &mut [[__m256i; 2]], rows: &[*const u8], weights: *const u8, steps: usize) {
    let end = |row: usize| rows[row].wrapping_add(steps * PAIR_BYTES);
    let step = (steps as isize).wrapping_neg();
    macro_rules! row {
        ($row:literal, $at:literal, $low:literal, $high:literal) => {
            concat!(
                "vpbroadcastd ymm14, dword ptr [{row",
                $row,
                "} + 4*{step} + ",
                $at,
                "]\n",
                "vpmaddwd ymm15, ymm14, ymm12\n",
                "vpmaddwd ymm14, ymm14, ymm13\n",
                "vpaddd ymm",
                $low,
                ", ymm",
                $low,
                ", ymm15\n",
                "vpaddd ymm",
                $high,
                ", ymm",
                $high,
                ", ymm14\n",
            )
        };
    }
    macro_rules! step {
        ($pair:literal, $low:literal, $high:literal) => {
            concat!(
                "vmovdqu ymm12, ymmword ptr [{weights} + ",
                $low,
                "]\n",
                "vmovdqu ymm13, ymmword ptr [{weights} + ",
                $high,
                "]\n",
                row!("0", $pair, "0", "1"),
                row!("1", $pair, "2", "3"),
                row!("2", $pair, "4", "5"),
                row!("3", $pair, "6", "7"),
                row!("4", $pair, "8", "9"),
                row!("5", $pair, "10", "11"),
            )
        };
    }
    // SAFETY: the rows and the weights are readable for all steps: the caller's promise.
    unsafe {
        asm!(
            "2:",
            step!("0", "0", "32"),
            step!("4", "64", "96"),
            "add {weights}, 128",
            "add {step}, 2",
            "jnz 2b",
            row0 = in(reg) end(0),
            row1 = in(reg) end(1),
            row2 = in(reg) end(2),
            row3 = in(reg) end(3),
            row4 = in(reg) end(4),
            row5 = in(reg) end(5),
            weights = inout(reg) weights => _,
            step = inout(reg) step => _,
            inout("ymm0") acc[0][0], inout("ymm1") acc[0][1], inout("ymm2") acc[1][0], inout("ymm3") acc[1][1],
            inout("ymm4") acc[2][0], inout("ymm5") acc[2][1], inout("ymm6") acc[3][0], inout("ymm7") acc[3][1],
            inout("ymm8") acc[4][0], inout("ymm9") acc[4][1], inout("ymm10") acc[5][0], inout("ymm11") acc[5][1],
            out("ymm12") _, out("ymm13") _, out("ymm14") _, out("ymm15") _,
            options(nostack, readonly),
        );
    }
}

/// Bytes 0 and 2 of each group of 4 as s16.
#[inline]
#[target_feature(enable = "avx2")]
pub fn even_words(bytes: __m256i) -> __m256i {
    _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(bytes))
}

/// Bytes 1 and 3 of each group of 4 as s16.
#[inline]
#[target_feature(enable = "avx2")]
pub fn odd_words(bytes: __m256i) -> __m256i {
    _mm256_srai_epi16::<8>(bytes)
}
