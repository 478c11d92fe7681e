//! Quantize and dequantize on a caller's plain arrays, per tensor or per channel: NUMERICS section 1.
use crate::error::{Error, Result};
use crate::kernels::VectorIsa;
use crate::kernels::quantize::{Quantizer, dequantize, quantize};
use crate::quantize::{QParams, QType};
use crate::threads::{Executor as Threads, Part};

/// Elements below which other threads are not woken.
const ALONE_ELEMENTS: usize = 1 << 16;
/// Elements that parts are cut at.
const PART_MULTIPLE: usize = 64;
/// What turns a signed byte into the byte that it is held as, and back: 128 added or taken away.
const SIGN_BIT: u8 = 0x80;
/// Signed bytes that are held on the stack while they are dequantized.
const STACK_BYTES: usize = 512;

/// Scales and zero points of an array whose element `i` belongs to channel `i / inner % channels`.
#[derive(Debug, Clone, Copy)]
pub struct FlatQuantization<'a> {
    /// The integers' type; zero points are in its own numbers.
    pub qtype: QType,
    /// Leave one bit unused.
    pub reduce_range: bool,
    /// One a channel.
    pub scales: &'a [f32],
    /// One a channel.
    pub zero_points: &'a [i32],
    /// Neighbouring elements of one channel, at least 1.
    pub inner: usize,
}

/// An address that parts share.
struct Shared<T>(*mut T);

// SAFETY: whoever follows the address promises that the places are disjoint.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// `len` elements from `start` on.
    ///
    /// # Safety
    /// They lie in the array, and no other part has them.
    #[allow(clippy::mut_from_ref)]
    unsafe fn slice(&self, start: usize, len: usize) -> &mut [T] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(start), len) }
    }
}

impl FlatQuantization<'_> {
    fn check(&self, count: usize, bytes: usize) -> Result<()> {
        let channels = self.scales.len();
        if channels == 0 || self.zero_points.len() != channels {
            return Err(Error::InvalidArgument(format!("{channels} scales and {} zero points", self.zero_points.len())));
        }
        let (low, high) = self.qtype.range(self.reduce_range);
        for (channel, (&scale, &zero_point)) in self.scales.iter().zip(self.zero_points).enumerate() {
            let refuse = |why: String| Error::InvalidArgument(format!("channel {channel}: {why}"));
            QParams::from_native(scale, zero_point, self.qtype).map_err(|error| refuse(error.to_string()))?;
            if !(low..=high).contains(&zero_point) {
                return Err(refuse(format!("zero point {zero_point} is outside {low}..={high}")));
            }
        }
        let period = channels.checked_mul(self.inner).filter(|&period| period > 0);
        let period = period.ok_or_else(|| Error::InvalidArgument(format!("{channels} channels of {} elements", self.inner)))?;
        if channels > 1 && !count.is_multiple_of(period) {
            return Err(Error::ShapeMismatch(format!("{count} elements are no multiple of {channels} channels of {}", self.inner)));
        }
        if bytes < count {
            return Err(Error::ShapeMismatch(format!("{bytes} bytes where {count} are needed")));
        }
        Ok(())
    }

    fn qparams(&self, channel: usize) -> QParams {
        QParams { scale: self.scales[channel], zero_point: self.zero_points[channel] + self.qtype.held_offset() }
    }

    fn held_range(&self) -> (u8, u8) {
        let (low, high) = self.qtype.range(self.reduce_range);
        ((low + self.qtype.held_offset()) as u8, (high + self.qtype.held_offset()) as u8)
    }

    /// Calls `work(channel, start, len)` for every run of elements of one channel, in any order.
    fn for_each_run(&self, threads: &Threads, count: usize, work: &(dyn Fn(usize, usize, usize) + Sync)) -> Result<()> {
        let channels = self.scales.len();
        let parts = if count < ALONE_ELEMENTS { 1 } else { threads.threads().max(1) };
        let share = |part: Part| {
            if channels == 1 {
                let range = part.range_aligned(count, PART_MULTIPLE);
                work(0, range.start, range.len());
            } else {
                part.range(count / self.inner).for_each(|run| work(run % channels, run * self.inner, self.inner));
            }
        };
        let alone = Threads::Single;
        if parts == 1 { alone.fork_join(1, &share) } else { threads.fork_join(parts, &share) }
    }

    /// Floats to integers, a byte each; signed ones as two's complement. NaN gives the zero point, the infinities the ends.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for scales that are not finite and above zero and zero points outside the type;
    /// [`Error::ShapeMismatch`] for a count that the channels do not divide and for too few bytes; [`Error::Panic`].
    pub fn quantize(&self, isa: VectorIsa, threads: &Threads, src: &[f32], dst: &mut [u8]) -> Result<()> {
        self.check(src.len(), dst.len())?;
        let (low, high) = self.held_range();
        let bytes = Shared(dst.as_mut_ptr());
        self.for_each_run(threads, src.len(), &|channel, start, len| {
            // SAFETY: runs are disjoint and lie in `dst`, which is as long as `src`.
            let bytes = unsafe { bytes.slice(start, len) };
            quantize(isa, &src[start..start + len], Quantizer::new(self.qparams(channel), low, high), bytes);
            if self.qtype == QType::S8 {
                bytes.iter_mut().for_each(|byte| *byte ^= SIGN_BIT);
            }
        })
    }

    /// Integers to floats, one for each float of `dst`: `(q - zero_point) * scale`.
    ///
    /// # Errors
    /// As [`FlatQuantization::quantize`].
    pub fn dequantize(&self, isa: VectorIsa, threads: &Threads, src: &[u8], dst: &mut [f32]) -> Result<()> {
        self.check(dst.len(), src.len())?;
        let (count, floats) = (dst.len(), Shared(dst.as_mut_ptr()));
        self.for_each_run(threads, count, &|channel, start, len| {
            // SAFETY: runs are disjoint and lie in `dst`.
            let floats = unsafe { floats.slice(start, len) };
            let (src, qparams) = (&src[start..start + len], self.qparams(channel));
            if self.qtype == QType::U8 {
                return dequantize(isa, src, qparams, floats);
            }
            let mut held = [0; STACK_BYTES];
            for (src, floats) in src.chunks(STACK_BYTES).zip(floats.chunks_mut(STACK_BYTES)) {
                held.iter_mut().zip(src).for_each(|(held, byte)| *held = byte ^ SIGN_BIT);
                dequantize(isa, &held[..src.len()], qparams, floats);
            }
        })
    }
}
