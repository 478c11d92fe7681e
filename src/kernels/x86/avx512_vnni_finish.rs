//! What becomes of a tile's sums, AVX512-VNNI: macros that write the assembly between the products of `avx512_vnni_walk`.
//!
//! Bytes: as `epilogue_avx512` draws them, both clamps behind the packs. Floats: `f`, plus the residual's float, `max` with the lower end
//! and `min` with the upper one, of which NaN and a zero of either sign come out as they went in. A block without residual or without
//! an end jumps over it.
//!
//! Registers: the sums (operands of the macros), zmm28 to zmm31 free; `dst` and `residual` are at the pixel that is finished, `tile` is its
//! run, and `count` bytes from an output pixel lies that of the next tile.

/// `f = fma(f32(r - zero_point), ratio, f)`, then on to the next pixel's residual.
macro_rules! add_residual {
    ($($pixel:tt)+) => {
        concat!(
            "vmovdqa64 zmm28, zmmword ptr [{job} + {residual_zero_point}]\n",
            add_scaled!("vpsubd zmm30, zmm30, zmm28\nvpsubd zmm31, zmm31, zmm28\n", $($pixel)+)
        )
    };
}

/// The same where the zero point is 0.
macro_rules! add_residual_from_0 {
    ($($pixel:tt)+) => {
        add_scaled!("", $($pixel)+)
    };
}

/// Residuals of pixels, less what `$less` takes from them, times the ratio to the sums.
macro_rules! add_scaled {
    ($less:literal, $($a:literal $b:literal $to_next:ident),+) => {
        concat!(
            "vmovaps zmm29, zmmword ptr [{job} + {residual_ratio}]\n",
            $(
                "vpmovzxbd zmm30, xmmword ptr [{residual}]\n",
                "vpmovzxbd zmm31, xmmword ptr [{residual} + 16]\n",
                $to_next!("residual"),
                $less,
                "vcvtdq2ps zmm30, zmm30\n",
                "vcvtdq2ps zmm31, zmm31\n",
                "vfmadd231ps zmm", $a, ", zmm30, zmm29\n",
                "vfmadd231ps zmm", $b, ", zmm31, zmm29\n",
            )+
        )
    };
}

/// What a block without residual jumps over.
macro_rules! if_added {
    ($($lines:tt)+) => {
        concat!("cmp qword ptr [{job} + {added}], 0\n", "je 9f\n", $($lines)+, "9:\n")
    };
}

/// From a pixel to the next of its run.
macro_rules! neighbour {
    ($address:literal) => {
        concat!("add {", $address, "}, qword ptr [{job} + {", $address, "_stride}]\n")
    };
}

/// From the first run to the second.
macro_rules! second_run {
    ($address:literal) => {
        concat!("mov {", $address, "}, qword ptr [{tile} + {tile_", $address, "} + 8]\n")
    };
}

/// What becomes of rounded results: added to the zero point as words, held between two ends as bytes.
macro_rules! any_range {
    (constants) => {
        concat!(
            "vmovdqa64 zmm28, zmmword ptr [{job} + {zero_point}]\n",
            "vmovdqa64 zmm29, zmmword ptr [{job} + {high}]\n",
            "vmovdqa64 zmm30, zmmword ptr [{job} + {low}]\n",
        )
    };
    (words $a:literal $c:literal) => {
        concat!("vpaddsw zmm", $a, ", zmm", $a, ", zmm28\n", "vpaddsw zmm", $c, ", zmm", $c, ", zmm28\n")
    };
    (bytes $a:literal) => {
        concat!("vpminub zmm", $a, ", zmm", $a, ", zmm29\n", "vpmaxub zmm", $a, ", zmm", $a, ", zmm30\n")
    };
}

/// The same where the zero point is 0 and the ends are those of a byte, as behind a ReLU: the packs saturate.
macro_rules! whole_range {
    ($($any:tt)+) => {
        ""
    };
}

/// `f = fma(f32(acc), mult, bias)`.
macro_rules! scaled {
    ($($a:literal $b:literal $c:literal $d:literal),+) => {
        concat!(
            "vmovaps zmm28, zmmword ptr [{job} + {mult}]\n",
            "vmovaps zmm29, zmmword ptr [{job} + {mult} + 64]\n",
            "vmovaps zmm30, zmmword ptr [{job} + {bias}]\n",
            "vmovaps zmm31, zmmword ptr [{job} + {bias} + 64]\n",
            $(
                "vcvtdq2ps zmm", $a, ", zmm", $a, "\n",
                "vcvtdq2ps zmm", $b, ", zmm", $b, "\n",
                "vcvtdq2ps zmm", $c, ", zmm", $c, "\n",
                "vcvtdq2ps zmm", $d, ", zmm", $d, "\n",
                "vfmadd213ps zmm", $a, ", zmm28, zmm30\n",
                "vfmadd213ps zmm", $b, ", zmm29, zmm31\n",
                "vfmadd213ps zmm", $c, ", zmm28, zmm30\n",
                "vfmadd213ps zmm", $d, ", zmm29, zmm31\n",
            )+
        )
    };
}

/// The residual's floats of one pixel, then on to the next pixel's.
macro_rules! add_floats {
    ($a:literal $b:literal $to_next:ident) => {
        concat!(
            "vaddps zmm",
            $a,
            ", zmm",
            $a,
            ", zmmword ptr [{residual}]\n",
            "vaddps zmm",
            $b,
            ", zmm",
            $b,
            ", zmmword ptr [{residual} + 64]\n",
            $to_next!("residual")
        )
    };
}

/// One pixel's floats to its place; the next tile's is asked for, because floats are many and mostly come from beyond L2.
macro_rules! store_floats {
    ($a:literal $b:literal $to_next:ident) => {
        concat!(
            "vmovups zmmword ptr [{dst}], zmm",
            $a,
            "\n",
            "vmovups zmmword ptr [{dst} + 64], zmm",
            $b,
            "\n",
            "prefetchw byte ptr [{dst} + {count}]\n",
            "prefetchw byte ptr [{dst} + {count} + 64]\n",
            $to_next!("dst")
        )
    };
}

/// Pairs of pixels to bytes or floats: accumulators of the first pixel, how to get to the second, its accumulators, how to get to the next.
macro_rules! finish {
    (add_floats, floats, $(($a:literal $b:literal $to_second:ident $c:literal $d:literal $to_next:ident))+) => {
        concat!(
            scaled!($($a $b $c $d),+),
            if_added!($(add_floats!($a $b $to_second), add_floats!($c $d $to_next)),+),
            "vmovaps zmm28, zmmword ptr [{job} + {least}]\n",
            $(
                "vmaxps zmm", $a, ", zmm28, zmm", $a, "\n",
                "vmaxps zmm", $b, ", zmm28, zmm", $b, "\n",
                "vmaxps zmm", $c, ", zmm28, zmm", $c, "\n",
                "vmaxps zmm", $d, ", zmm28, zmm", $d, "\n",
            )+
            "cmp qword ptr [{job} + {capped}], 0\n",
            "je 9f\n",
            "vmovaps zmm29, zmmword ptr [{job} + {most}]\n",
            $(
                "vminps zmm", $a, ", zmm29, zmm", $a, "\n",
                "vminps zmm", $b, ", zmm29, zmm", $b, "\n",
                "vminps zmm", $c, ", zmm29, zmm", $c, "\n",
                "vminps zmm", $d, ", zmm29, zmm", $d, "\n",
            )+
            "9:\n",
            $(
                store_floats!($a $b $to_second),
                store_floats!($c $d $to_next),
            )+
        )
    };
    ($residual:ident, $range:ident, $(($a:literal $b:literal $to_second:ident $c:literal $d:literal $to_next:ident))+) => {
        concat!(
            scaled!($($a $b $c $d),+),
            if_added!($residual!($($a $b $to_second, $c $d $to_next),+)),
            $range!(constants),
            "vmovdqa64 zmm31, zmmword ptr [{job} + {order}]\n",
            $(
                "vcvtps2dq zmm", $a, ", zmm", $a, "\n",
                "vcvtps2dq zmm", $b, ", zmm", $b, "\n",
                "vcvtps2dq zmm", $c, ", zmm", $c, "\n",
                "vcvtps2dq zmm", $d, ", zmm", $d, "\n",
                "vpackssdw zmm", $a, ", zmm", $a, ", zmm", $b, "\n",
                "vpackssdw zmm", $c, ", zmm", $c, ", zmm", $d, "\n",
                $range!(words $a $c),
                "vpackuswb zmm", $a, ", zmm", $a, ", zmm", $c, "\n",
                $range!(bytes $a),
                "vpermd zmm", $a, ", zmm31, zmm", $a, "\n",
                "vmovdqu64 ymmword ptr [{dst}], ymm", $a, "\n",
                $to_second!("dst"),
                "vextracti64x4 ymmword ptr [{dst}], zmm", $a, ", 1\n",
                $to_next!("dst"),
            )+
        )
    };
}

pub(super) use {
    add_floats, add_residual, add_residual_from_0, add_scaled, any_range, finish, if_added, neighbour, scaled, second_run, store_floats,
    whole_range,
};
