//! The float control register: results must not depend on the host's rounding mode or flush-to-zero bits.

/// Sets round-to-nearest-even, no flush-to-zero, exceptions masked; restores the host's setting when dropped.
#[derive(Debug)]
pub struct FloatControl {
    #[cfg(target_arch = "x86_64")]
    saved: u32,
    /// The register belongs to a thread.
    _not_send: std::marker::PhantomData<*const ()>,
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::asm;
    /// All exceptions masked, round to nearest even, no FTZ, no DAZ: the register's reset value.
    pub const DEFAULT: u32 = 0x1f80;

    pub fn read() -> u32 {
        let mut value = 0u32;
        // SAFETY: stores the 4 bytes of MXCSR into `value`.
        unsafe { asm!("stmxcsr [{}]", in(reg) &mut value, options(nostack, preserves_flags)) };
        value
    }

    pub fn write(value: u32) {
        // SAFETY: `value` is either the reset value or one that `read` returned, so no reserved bit is set.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &value, options(nostack, preserves_flags)) };
    }
}

impl FloatControl {
    /// Takes the defaults for this thread until the guard is dropped.
    pub fn set_default() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let saved = x86::read();
            x86::write(x86::DEFAULT);
            Self { saved, _not_send: std::marker::PhantomData }
        }
        #[cfg(not(target_arch = "x86_64"))]
        Self { _not_send: std::marker::PhantomData }
    }
}

impl Drop for FloatControl {
    fn drop(&mut self) {
        #[cfg(target_arch = "x86_64")]
        x86::write(self.saved);
    }
}
