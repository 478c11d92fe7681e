//! Vectors of f32 as the generic tiles see them.

/// A vector of f32 of some instruction set; each lane is one IEEE operation.
///
/// # Safety
/// Implementors touch no memory but the lanes named. Callers of every method run on a CPU that has the instruction set:
/// the kernel that calls holds its token.
pub(super) unsafe trait Lanes {
    /// The register.
    type Vector: Copy;
    /// Floats in it; 8 or 16.
    const LANES: usize;

    /// One value in every lane.
    unsafe fn splat(value: f32) -> Self::Vector;
    /// One value in memory (any alignment) in every lane.
    unsafe fn broadcast(src: *const f32) -> Self::Vector;
    /// `LANES` consecutive floats, any alignment.
    unsafe fn load(src: *const f32) -> Self::Vector;
    /// The first `count < LANES` floats, 0 in the other lanes; reads no more.
    unsafe fn load_first(src: *const f32, count: usize) -> Self::Vector;
    /// Stores all lanes, any alignment.
    unsafe fn store(dst: *mut f32, value: Self::Vector);
    /// Stores the first `count < LANES` lanes; writes no more.
    unsafe fn store_first(dst: *mut f32, value: Self::Vector, count: usize);
    /// `a * b + c`, fused.
    unsafe fn fma(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// `a + b`.
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `x < low ? low : x > high ? high : x`: NaN passes.
    unsafe fn clamp(x: Self::Vector, low: Self::Vector, high: Self::Vector) -> Self::Vector;
}
