//! A mutex that a failed test does not poison.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, even if another thread has panicked with the lock held: a test that fails
/// must not keep the others from cleaning up.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
