//! AMX: is it there, and may this process use it.

/// A machine with AMX for tests: what would ask the system asks this instead.
#[cfg(feature = "test-internals")]
pub mod pretence {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

    static ON: AtomicBool = AtomicBool::new(false);
    static GRANTS: AtomicBool = AtomicBool::new(false);
    static REQUESTS: AtomicUsize = AtomicUsize::new(0);

    /// From now on the CPU is taken to have AMX, and the system to grant it or not.
    ///
    /// # Safety
    /// Where it grants, tile instructions must be executable, by the CPU or by an installed trap handler.
    pub unsafe fn begin(grants: bool) {
        GRANTS.store(grants, SeqCst);
        ON.store(true, SeqCst);
    }

    /// How often the system would have been asked.
    pub fn requests() -> usize {
        REQUESTS.load(SeqCst)
    }

    pub(super) fn is_on() -> bool {
        ON.load(SeqCst)
    }

    pub(super) fn request() -> bool {
        REQUESTS.fetch_add(1, SeqCst);
        GRANTS.load(SeqCst)
    }
}
#[cfg(all(target_arch = "x86_64", feature = "x86", target_os = "linux"))]
mod linux {
    use std::arch::x86_64::{__cpuid_count, _xgetbv};
    use std::sync::OnceLock;

    /// `ARCH_REQ_XCOMP_PERM` of arch_prctl(2).
    const ARCH_REQ_XCOMP_PERM: libc::c_int = 0x1023;
    /// The XSAVE component that holds tile data.
    const XFEATURE_XTILEDATA: libc::c_ulong = 18;
    /// CPUID.7.0:EDX bits of AMX-TILE and AMX-INT8.
    const EDX_AMX_TILE: u32 = 1 << 24;
    const EDX_AMX_INT8: u32 = 1 << 25;
    /// XCR0 bits of tile configuration and tile data.
    const XCR0_TILES: u64 = 0b11 << 17;
    /// CPUID.1:ECX bit that says XGETBV may be executed.
    const ECX_OSXSAVE: u32 = 1 << 27;

    pub fn supported() -> bool {
        #[cfg(feature = "test-internals")]
        if super::pretence::is_on() {
            return true;
        }
        if __cpuid_count(0, 0).eax < 7 || __cpuid_count(1, 0).ecx & ECX_OSXSAVE == 0 {
            return false;
        }
        let edx = __cpuid_count(7, 0).edx;
        // SAFETY: OSXSAVE was checked above, so XGETBV exists.
        let xcr0 = unsafe { xcr0() };
        edx & EDX_AMX_TILE != 0 && edx & EDX_AMX_INT8 != 0 && xcr0 & XCR0_TILES == XCR0_TILES
    }

    /// # Safety
    /// The CPU must have XGETBV.
    #[target_feature(enable = "xsave")]
    unsafe fn xcr0() -> u64 {
        // SAFETY: the caller promises XGETBV.
        unsafe { _xgetbv(0) }
    }

    pub fn request() -> bool {
        #[cfg(feature = "test-internals")]
        if super::pretence::is_on() {
            return super::pretence::request();
        }
        static GRANTED: OnceLock<bool> = OnceLock::new();
        *GRANTED.get_or_init(|| {
            // SAFETY: arch_prctl with this code reads its two integers and nothing else.
            unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
        })
    }
}

#[cfg(all(target_arch = "x86_64", feature = "x86", target_os = "linux"))]
pub use linux::{request, supported};

#[cfg(not(all(target_arch = "x86_64", feature = "x86", target_os = "linux")))]
pub fn supported() -> bool {
    false
}

#[cfg(not(all(target_arch = "x86_64", feature = "x86", target_os = "linux")))]
pub fn request() -> bool {
    false
}
