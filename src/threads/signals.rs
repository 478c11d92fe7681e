//! Keeps the host's signals away from our threads: a handler of the host would run on a small stack of ours.

/// Blocks asynchronous signals for this thread until dropped. Threads made meanwhile inherit the mask and keep it.
///
/// Signals that an instruction raises (SIGSEGV, SIGILL, ...) stay open: blocked, they would kill the process where the
/// host, a debugger or a sanitizer has a handler.
pub(super) struct BlockedSignals {
    #[cfg(unix)]
    previous: libc::sigset_t,
}

impl BlockedSignals {
    #[cfg(unix)]
    pub fn new() -> Self {
        const OPEN: [libc::c_int; 7] =
            [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGSYS, libc::SIGABRT];
        // SAFETY: a signal set is plain integers, for which zero bytes are a value; the calls below write only the sets
        // that they are given, which live on this stack, and cannot fail with these arguments.
        unsafe {
            let mut blocked: libc::sigset_t = std::mem::zeroed();
            let mut previous: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&mut blocked);
            for signal in OPEN {
                libc::sigdelset(&mut blocked, signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, &blocked, &mut previous);
            Self { previous }
        }
    }

    #[cfg(not(unix))]
    pub fn new() -> Self {
        Self {}
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        #[cfg(unix)]
        // SAFETY: `previous` is the mask that `new` was given by the same call; this thread's is set back to it.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &self.previous, std::ptr::null_mut());
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn is_blocked(signal: libc::c_int) -> bool {
        // SAFETY: reads this thread's mask into a set on the stack.
        unsafe {
            let mut mask: libc::sigset_t = std::mem::zeroed();
            libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &mut mask);
            libc::sigismember(&mask, signal) == 1
        }
    }

    #[test]
    fn a_thread_made_meanwhile_has_asynchronous_signals_blocked_and_this_one_gets_its_mask_back() {
        let before = is_blocked(libc::SIGUSR1);
        let blocked = BlockedSignals::new();
        let made = std::thread::spawn(|| (is_blocked(libc::SIGUSR1), is_blocked(libc::SIGILL)));
        drop(blocked);
        assert_eq!(made.join().unwrap(), (true, false));
        assert_eq!(is_blocked(libc::SIGUSR1), before);
    }
}
