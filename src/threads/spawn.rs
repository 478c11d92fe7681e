//! Threads made with as little of the standard library as may be: its own handle of a thread comes from an allocation that ends the
//! process where memory is refused. Here a refusal is `None`.

/// A thread that was started.
#[derive(Debug)]
pub(super) struct Thread {
    #[cfg(unix)]
    id: libc::pthread_t,
    #[cfg(not(unix))]
    handle: std::thread::JoinHandle<()>,
}

#[cfg(unix)]
mod unix {
    use super::Thread;
    use std::ffi::c_void;
    use std::mem::MaybeUninit;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// Longest name that Linux keeps, and its end.
    const NAME_BYTES: usize = 16;

    /// What a new thread is handed.
    struct Start {
        name: [u8; NAME_BYTES],
        work: Box<dyn FnOnce() + Send>,
    }

    extern "C" fn begin(start: *mut c_void) -> *mut c_void {
        // SAFETY: `spawn` hands over the box that it made, to this call alone.
        let start = unsafe { Box::from_raw(start.cast::<Start>()) };
        #[cfg(target_os = "linux")]
        // SAFETY: names this thread with a text of less than 16 bytes and a NUL.
        unsafe {
            libc::pthread_setname_np(libc::pthread_self(), start.name.as_ptr().cast());
        }
        // Nobody is told of a panic here: what is asked of a thread catches its own.
        let _ = catch_unwind(AssertUnwindSafe(start.work));
        std::ptr::null_mut()
    }

    /// Starts a thread with a stack of so many bytes; `None` where the system refuses it.
    pub fn spawn(name: &str, stack_bytes: usize, work: impl FnOnce() + Send + 'static) -> Option<Thread> {
        let mut short = [0; NAME_BYTES];
        short.iter_mut().take(NAME_BYTES - 1).zip(name.bytes()).for_each(|(place, byte)| *place = byte);
        let start = Box::into_raw(Box::new(Start { name: short, work: Box::new(work) }));
        let mut attributes = MaybeUninit::uninit();
        let mut id = MaybeUninit::uninit();
        // SAFETY: attributes are used between their making and their end, by this thread; `begin` takes the pointer it is given,
        // which is a box that nobody else has, and `id` is read only if it was written.
        unsafe {
            let made = libc::pthread_attr_init(attributes.as_mut_ptr()) == 0;
            let sized = made && libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), stack_bytes) == 0;
            let started = sized && libc::pthread_create(id.as_mut_ptr(), attributes.as_ptr(), begin, start.cast()) == 0;
            if made {
                libc::pthread_attr_destroy(attributes.as_mut_ptr());
            }
            if !started {
                drop(Box::from_raw(start));
                return None;
            }
            Some(Thread { id: id.assume_init() })
        }
    }

    impl Thread {
        /// Waits for the thread's end.
        pub fn join(self) {
            // SAFETY: the thread was started joinable; `self` is used up, so it is joined or detached once.
            unsafe { libc::pthread_join(self.id, std::ptr::null_mut()) };
        }

        /// Lets the thread go its way.
        pub fn detach(self) {
            // SAFETY: as above.
            unsafe { libc::pthread_detach(self.id) };
        }
    }
}

#[cfg(unix)]
pub(super) use unix::spawn;

/// Starts a thread with a stack of so many bytes; `None` where the system refuses it.
#[cfg(not(unix))]
pub(super) fn spawn(name: &str, stack_bytes: usize, work: impl FnOnce() + Send + 'static) -> Option<Thread> {
    let builder = std::thread::Builder::new().name(name.to_owned()).stack_size(stack_bytes);
    builder.spawn(work).ok().map(|handle| Thread { handle })
}

#[cfg(not(unix))]
impl Thread {
    /// Waits for the thread's end.
    pub fn join(self) {
        // A panic of the thread is nobody's to report.
        let _ = self.handle.join();
    }

    /// Lets the thread go its way.
    pub fn detach(self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_thread_does_its_work_and_a_panic_of_it_goes_nowhere() {
        let (told, hear) = mpsc::channel();
        spawn("named so", 256 << 10, move || told.send(7).unwrap()).unwrap().join();
        assert_eq!(hear.recv(), Ok(7));
        spawn("panics", 256 << 10, || std::panic::resume_unwind(Box::new("quietly"))).unwrap().join();
        let (told, hear) = mpsc::channel();
        spawn("detached", 256 << 10, move || told.send(8).unwrap()).unwrap().detach();
        assert_eq!(hear.recv(), Ok(8));
    }

    #[test]
    #[cfg(unix)]
    fn a_stack_that_cannot_be_had_is_no_thread() {
        assert!(spawn("huge", usize::MAX & !0xffff, || ()).is_none());
        assert!(spawn("tiny", 1, || ()).is_none());
    }
}
