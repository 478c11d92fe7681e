//! Dot products of s16 with half the multiplications, exactly: Winograd's inner product (1968).
//!
//! ```text
//! a0 w0 + a1 w1  =  (a0 + w1) (a1 + w0)  -  a0 a1  -  w0 w1
//! ```
//!
//! What is subtracted belongs to the row of activations alone, or to the channel's weights alone, and is summed once for all of the
//! other side. On AVX2 it turns two `vpmaddwd` and two `vpaddd` into two `vpaddw`, one of each of the others: as many instructions, but
//! multipliers are the scarcer units: two of the four vector pipes of Zen 3 have one, one of Zen 2's.
//!
//! ```text
//! group g     row p: dwords e = (a0, a2), o = (a1, a3)      weights, each of 16 channels: 64 bytes E = (w0, w2), 64 bytes O = (w1, w3)
//!             acc[p] += vpmaddwd(broadcast(e) + O, broadcast(o) + E)
//! ```
//!
//! A full tile has 4 rows: 8 accumulators, 4 weights and 4 registers for a row's broadcasts and sums. Its loop is in assembly: no
//! compiler setting can move the accumulators to memory.
//!
//! Overflow: activations are bytes and weights s8, so that sums lie within -128..=382; accumulators wrap, and what is left when the
//! corrections are taken off is the sum of products itself.
use std::arch::asm;
use std::arch::x86_64::*;

/// Rows of a full tile.
pub const TILE_ROWS: usize = 4;
/// Bytes of a group's weights.
pub const GROUP_WEIGHT_BYTES: usize = 128;
/// Bytes of a group of a row.
pub const GROUP_BYTES: usize = 8;

/// Adds `groups` groups to the sums of `P` rows, the first of whose groups `rows` point at, without the corrections.
///
/// # Safety
/// The CPU has AVX2; each row is readable for `groups` groups, as are the weights.
#[inline]
#[target_feature(enable = "avx2")]
pub unsafe fn add_products<const P: usize>(acc: &mut [[__m256i; 2]; P], rows: &[*const u8; P], weights: *const u8, groups: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut done = 0;
        if P == TILE_ROWS && groups > 1 {
            done = groups / 2 * 2;
            full_tile(acc, rows, weights, done);
        }
        for group in done..groups {
            let at = |index: usize| _mm256_loadu_si256(weights.add(group * GROUP_WEIGHT_BYTES + index * 32).cast());
            let (even, odd) = ([at(0), at(1)], [at(2), at(3)]);
            for p in 0..P {
                let pair = |index: usize| _mm256_set1_epi32(rows[p].add(group * GROUP_BYTES + index * 4).cast::<i32>().read_unaligned());
                let (e, o) = (pair(0), pair(1));
                for half in 0..2 {
                    let products = _mm256_madd_epi16(_mm256_add_epi16(e, odd[half]), _mm256_add_epi16(o, even[half]));
                    acc[p][half] = _mm256_add_epi32(acc[p][half], products);
                }
            }
        }
    }
}

/// [`add_products`] for [`TILE_ROWS`] rows and an even number of groups above 0: a round of the loop takes two.
///
/// # Safety
/// As for [`add_products`].
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn full_tile(acc: &mut [[__m256i; 2]], rows: &[*const u8], weights: *const u8, groups: usize) {
    let end = |row: usize| rows[row].wrapping_add(groups * GROUP_BYTES);
    let group = (groups as isize).wrapping_neg();
    macro_rules! row {
        ($row:literal, $e:literal, $o:literal, $low:literal, $high:literal) => {
            concat!(
                "vpbroadcastd ymm12, dword ptr [{row",
                $row,
                "} + 8*{group} + ",
                $e,
                "]\n",
                "vpbroadcastd ymm13, dword ptr [{row",
                $row,
                "} + 8*{group} + ",
                $o,
                "]\n",
                "vpaddw ymm14, ymm12, ymm10\n",
                "vpaddw ymm15, ymm13, ymm8\n",
                "vpaddw ymm12, ymm12, ymm11\n",
                "vpaddw ymm13, ymm13, ymm9\n",
                "vpmaddwd ymm14, ymm14, ymm15\n",
                "vpmaddwd ymm12, ymm12, ymm13\n",
                "vpaddd ymm",
                $low,
                ", ymm",
                $low,
                ", ymm14\n",
                "vpaddd ymm",
                $high,
                ", ymm",
                $high,
                ", ymm12\n",
            )
        };
    }
    macro_rules! group {
        ($e:literal, $o:literal, $even_low:literal, $even_high:literal, $odd_low:literal, $odd_high:literal) => {
            concat!(
                "vmovdqu ymm8, ymmword ptr [{weights} + ",
                $even_low,
                "]\n",
                "vmovdqu ymm9, ymmword ptr [{weights} + ",
                $even_high,
                "]\n",
                "vmovdqu ymm10, ymmword ptr [{weights} + ",
                $odd_low,
                "]\n",
                "vmovdqu ymm11, ymmword ptr [{weights} + ",
                $odd_high,
                "]\n",
                row!("0", $e, $o, "0", "1"),
                row!("1", $e, $o, "2", "3"),
                row!("2", $e, $o, "4", "5"),
                row!("3", $e, $o, "6", "7"),
            )
        };
    }
    // SAFETY: the rows and the weights are readable for all groups: the caller's promise.
    unsafe {
        asm!(
            "2:",
            group!("0", "4", "0", "32", "64", "96"),
            group!("8", "12", "128", "160", "192", "224"),
            "add {weights}, 256",
            "add {group}, 2",
            "jnz 2b",
            row0 = in(reg) end(0),
            row1 = in(reg) end(1),
            row2 = in(reg) end(2),
            row3 = in(reg) end(3),
            weights = inout(reg) weights => _,
            group = inout(reg) group => _,
            inout("ymm0") acc[0][0], inout("ymm1") acc[0][1], inout("ymm2") acc[1][0], inout("ymm3") acc[1][1],
            inout("ymm4") acc[2][0], inout("ymm5") acc[2][1], inout("ymm6") acc[3][0], inout("ymm7") acc[3][1],
            out("ymm8") _, out("ymm9") _, out("ymm10") _, out("ymm11") _,
            out("ymm12") _, out("ymm13") _, out("ymm14") _, out("ymm15") _,
            options(nostack, readonly),
        );
    }
}

/// What a row's sums hold too much: `a0 a1 + a2 a3` of all its groups.
///
/// # Safety
/// The CPU has AVX2; the row is readable for `groups` groups.
#[target_feature(enable = "avx2")]
pub unsafe fn row_correction(row: *const u8, groups: usize) -> i32 {
    const GROUPS: usize = 32 / GROUP_BYTES;
    // In each quadword the low dword holds the group's products once they are added up; the high one holds them again.
    let swapped_products = |pairs: __m256i| _mm256_madd_epi16(pairs, _mm256_shuffle_epi32::<0b10_11_00_01>(pairs));
    let mut sums = _mm256_setzero_si256();
    let mut group = 0;
    // SAFETY: the groups are the row's.
    unsafe {
        while group + GROUPS <= groups {
            let pairs = _mm256_loadu_si256(row.add(group * GROUP_BYTES).cast());
            sums = _mm256_add_epi32(sums, swapped_products(pairs));
            group += GROUPS;
        }
        while group < groups {
            let pairs = _mm256_castsi128_si256(_mm_loadl_epi64(row.add(group * GROUP_BYTES).cast()));
            sums = _mm256_add_epi32(sums, swapped_products(_mm256_inserti128_si256::<1>(pairs, _mm_setzero_si128())));
            group += 1;
        }
    }
    let sums = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
    _mm_cvtsi128_si32(sums).wrapping_add(_mm_extract_epi32::<2>(sums))
}
