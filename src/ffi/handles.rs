//! What the opaque pointers of the header stand for.
//!
//! A handle's value is type tag, generation and index of a slot in one table, and is never dereferenced:
//!
//! | bits (64-bit targets) | 60..64 | 24..60 | 0..24 |
//! |---|---|---|---|
//! | field | tag, 1 and up | generation of the slot | index of the slot |
//!
//! So a stale, foreign, mistyped or random value is a status. Each call takes its own reference of the object: a free
//! while another call uses it lets that call finish, and the object goes with its last reference.
use super::status::{Failure, Outcome, RSQ_BUSY, RSQ_INVALID_HANDLE, RSQ_OUT_OF_MEMORY, RSQ_WRONG_STATE};
use crate::memory;
use std::any::Any;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};

const TAG_BITS: u32 = 4;
const INDEX_BITS: u32 = if usize::BITS == 64 { 24 } else { 12 };
const GENERATION_BITS: u32 = usize::BITS - TAG_BITS - INDEX_BITS;
const LAST_GENERATION: usize = (1 << GENERATION_BITS) - 1;
const MAX_SLOTS: usize = 1 << INDEX_BITS;

/// An opaque type of the header.
pub(super) trait Handle {
    /// What it stands for.
    type Object: Send + Sync + 'static;
    /// Its number in a handle's top bits: not 0, another one for each type.
    const TAG: usize;
    /// What messages call it.
    const NAME: &'static str;
}

struct Slot {
    /// Counted up by each free.
    generation: usize,
    /// The object and its type's tag.
    object: Option<(usize, Arc<dyn Any + Send + Sync>)>,
}

struct Table {
    slots: Vec<Slot>,
    /// Indices of empty slots that may be used again.
    empty: Vec<usize>,
}

static TABLE: RwLock<Table> = RwLock::new(Table { slots: Vec::new(), empty: Vec::new() });

fn encode(tag: usize, generation: usize, index: usize) -> usize {
    tag << (usize::BITS - TAG_BITS) | generation << INDEX_BITS | index
}

/// Tag, generation and index.
fn decode(handle: usize) -> (usize, usize, usize) {
    (handle >> (usize::BITS - TAG_BITS), (handle >> INDEX_BITS) & LAST_GENERATION, handle & (MAX_SLOTS - 1))
}

impl Table {
    fn insert(&mut self, tag: usize, object: Arc<dyn Any + Send + Sync>) -> Outcome<usize> {
        let index = match self.empty.pop() {
            Some(index) => index,
            None => self.grow()?,
        };
        let slot = &mut self.slots[index];
        slot.object = Some((tag, object));
        Ok(encode(tag, slot.generation, index))
    }

    /// A new slot; room in `empty` for every slot, so that a free allocates nothing.
    fn grow(&mut self) -> Outcome<usize> {
        let index = self.slots.len();
        let room = |_| Failure::new(RSQ_OUT_OF_MEMORY, "out of memory: the table of handles");
        if index == MAX_SLOTS {
            return Err(Failure::new(RSQ_OUT_OF_MEMORY, format!("{MAX_SLOTS} handles are in use, no more can be made")));
        }
        self.slots.try_reserve(1).map_err(room)?;
        self.empty.try_reserve(self.slots.len() + 1).map_err(room)?;
        memory::checkpoint()?;
        self.slots.push(Slot { generation: 0, object: None });
        Ok(index)
    }

    fn find(&self, tag: usize, handle: usize) -> Option<&Arc<dyn Any + Send + Sync>> {
        let (_, generation, index) = decode(handle);
        let slot = self.slots.get(index).filter(|slot| slot.generation == generation)?;
        let (held_tag, object) = slot.object.as_ref()?;
        (*held_tag == tag && handle == encode(tag, generation, index)).then_some(object)
    }

    fn remove(&mut self, tag: usize, handle: usize) -> Option<Arc<dyn Any + Send + Sync>> {
        self.find(tag, handle)?;
        let (_, generation, index) = decode(handle);
        let slot = &mut self.slots[index];
        let (_, object) = slot.object.take()?;
        if generation < LAST_GENERATION {
            slot.generation += 1;
            self.empty.push(index);
        }
        Some(object)
    }
}

/// Makes a handle for `object`.
///
/// # Errors
/// `RSQ_OUT_OF_MEMORY`, also where parts of `object` lie in the reserve, which they must not outlive the call in.
pub(super) fn make<H: Handle>(object: H::Object) -> Outcome<*mut H> {
    let object = Arc::new(object);
    memory::checkpoint()?;
    let mut table = TABLE.write().unwrap_or_else(PoisonError::into_inner);
    let handle = table.insert(H::TAG, object)?;
    Ok(std::ptr::without_provenance_mut(handle))
}

/// The object that a handle stands for.
///
/// # Errors
/// `RSQ_NULL_ARGUMENT`, `RSQ_INVALID_HANDLE`.
pub(super) fn get<H: Handle>(handle: *const H) -> Outcome<Arc<H::Object>> {
    if handle.is_null() {
        return Err(Failure::null(H::NAME));
    }
    let object = {
        let table = TABLE.read().unwrap_or_else(PoisonError::into_inner);
        table.find(H::TAG, handle.addr()).cloned()
    };
    let refused = || {
        let message = format!("the handle given as {} was freed, is of another type, or never was one", H::NAME);
        Failure::new(RSQ_INVALID_HANDLE, message)
    };
    object.and_then(|object| object.downcast().ok()).ok_or_else(refused)
}

/// Gives up a handle; NULL and what [`get`] refuses are ignored. The object goes here, or with the last call that uses it.
pub(super) fn release<H: Handle>(handle: *mut H) {
    let object = TABLE.write().unwrap_or_else(PoisonError::into_inner).remove(H::TAG, handle.addr());
    // Outside the lock: destructors may take their time.
    drop(object);
}

/// An object with one user at a time, or any number of readers.
pub(super) struct Exclusive<T> {
    object: RwLock<T>,
    name: &'static str,
}

impl<T> Exclusive<T> {
    pub fn new(object: T, name: &'static str) -> Self {
        Self { object: RwLock::new(object), name }
    }

    /// The object for a call that changes it.
    ///
    /// # Errors
    /// `RSQ_BUSY` if another call uses it, `RSQ_WRONG_STATE` if an earlier one panicked half-way.
    pub fn write(&self) -> Outcome<RwLockWriteGuard<'_, T>> {
        self.object.try_write().map_err(|error| self.refusal(&error))
    }

    /// The object for a call that reads it.
    ///
    /// # Errors
    /// As [`Exclusive::write`].
    pub fn read(&self) -> Outcome<RwLockReadGuard<'_, T>> {
        self.object.try_read().map_err(|error| self.refusal(&error))
    }

    fn refusal<G>(&self, error: &TryLockError<G>) -> Failure {
        match error {
            TryLockError::WouldBlock => Failure::new(RSQ_BUSY, format!("busy: another call uses this {}", self.name)),
            TryLockError::Poisoned(_) => {
                Failure::new(RSQ_WRONG_STATE, format!("an internal error broke off a call on this {}; it can only be freed", self.name))
            }
        }
    }
}

#[cfg(test)]
mod tests;
