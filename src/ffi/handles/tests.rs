use super::super::status::{RSQ_NULL_ARGUMENT, RSQ_OK};
use super::*;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

struct Number;
impl Handle for Number {
    type Object = u32;
    const TAG: usize = 14;
    const NAME: &'static str = "number";
}

struct Counted(Arc<AtomicUsize>);
impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}
struct Word;
impl Handle for Word {
    type Object = Counted;
    const TAG: usize = 15;
    const NAME: &'static str = "word";
}

fn status<T>(outcome: Outcome<T>) -> i32 {
    outcome.map_or_else(|failure| failure.status, |_| RSQ_OK)
}

#[test]
fn a_handle_gives_its_object_until_it_is_freed() {
    let handle = make::<Number>(7).unwrap();
    assert_eq!(*get(handle.cast_const()).unwrap(), 7);
    release(handle);
    assert_eq!(status(get(handle.cast_const())), RSQ_INVALID_HANDLE);
    release(handle);
    let others: Vec<_> = (0..100).map(|number| make::<Number>(number).unwrap()).collect();
    assert!(!others.contains(&handle), "a slot that is used again has another handle");
    assert_eq!(status(get(handle.cast_const())), RSQ_INVALID_HANDLE);
    release(handle);
    for (number, other) in others.into_iter().enumerate() {
        assert_eq!(*get(other.cast_const()).unwrap(), number as u32, "freeing twice has freed nobody else");
        release(other);
    }
}

#[test]
fn null_mistyped_and_random_values_are_refused() {
    assert_eq!(status(get::<Number>(std::ptr::null())), RSQ_NULL_ARGUMENT);
    release::<Number>(std::ptr::null_mut());
    let word = make::<Word>(Counted(Arc::default())).unwrap();
    assert_eq!(status(get::<Number>(word.cast_const().cast())), RSQ_INVALID_HANDLE);
    release::<Number>(word.cast());
    assert_eq!(status(get(word.cast_const())), RSQ_OK, "free of another type frees nothing");
    let on_stack = 0u64;
    let mut random = 0x9E37_79B9_7F4A_7C15_usize;
    let mut values: Vec<usize> = (0..10_000)
        .map(|_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            random
        })
        .collect();
    values.extend([1, usize::MAX, (&raw const on_stack).addr(), word.addr() ^ 1 << INDEX_BITS, word.addr() ^ 1 << 40]);
    for value in values.into_iter().filter(|&value| value != word.addr()) {
        assert_eq!(status(get::<Word>(std::ptr::without_provenance(value))), RSQ_INVALID_HANDLE);
        release::<Word>(std::ptr::without_provenance_mut(value));
    }
    assert_eq!(status(get(word.cast_const())), RSQ_OK);
    release(word);
}

#[test]
fn a_free_during_a_use_lets_it_finish() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let handle = make::<Word>(Counted(Arc::clone(&dropped))).unwrap();
    let in_use = get(handle.cast_const()).unwrap();
    release(handle);
    assert_eq!((dropped.load(SeqCst), status(get(handle.cast_const()))), (0, RSQ_INVALID_HANDLE));
    drop(in_use);
    assert_eq!(dropped.load(SeqCst), 1);
}

#[test]
fn threads_make_and_free_their_own() {
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for round in 0..1000 {
                    let handle = make::<Number>(thread * 10_000 + round).unwrap();
                    assert_eq!(*get(handle.cast_const()).unwrap(), thread * 10_000 + round);
                    release(handle);
                }
            });
        }
    });
}

#[test]
fn a_worn_out_slot_is_not_used_again() {
    let mut table = Table { slots: Vec::new(), empty: Vec::new() };
    let first = table.insert(1, Arc::new(1u32)).unwrap();
    table.remove(1, first).unwrap();
    table.slots[0].generation = LAST_GENERATION;
    let last = table.insert(1, Arc::new(2u32)).unwrap();
    assert_eq!(decode(last), (1, LAST_GENERATION, 0));
    table.remove(1, last).unwrap();
    let next = table.insert(1, Arc::new(3u32)).unwrap();
    assert_eq!(decode(next), (1, 0, 1));
    assert!(table.find(1, last).is_none() && table.find(1, first).is_none());
}

#[test]
fn an_exclusive_object_has_one_user_or_many_readers() {
    let object = Exclusive::new(5, "number");
    {
        let _reader = object.read().unwrap();
        assert_eq!(*object.read().unwrap(), 5);
        assert_eq!(status(object.write()), RSQ_BUSY);
    }
    {
        let _writer = object.write().unwrap();
        assert_eq!((status(object.write()), status(object.read())), (RSQ_BUSY, RSQ_BUSY));
    }
    *object.write().unwrap() = 6;
    let broken_off = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _writer = object.write().unwrap();
        std::panic::resume_unwind(Box::new(()));
    }));
    assert!(broken_off.is_err());
    assert_eq!((status(object.write()), status(object.read())), (RSQ_WRONG_STATE, RSQ_WRONG_STATE));
}
