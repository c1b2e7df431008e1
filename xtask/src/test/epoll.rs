//! A library that is loaded before libfaketime, by itself: `clock.rs` compiles it where the clock is moved.
//!
//! libfaketime shows the machine's own clock to whatever runs while its `epoll_wait` waits, signal handlers included. That of
//! PostgreSQL looks at the clock to see which of its timeouts is over (locks, statements, deadlocks, logins): with the clock
//! moved on, none ever was. This one goes to the kernel directly.

use std::ffi::{c_int, c_long, c_void};

#[cfg(target_arch = "x86_64")]
const EPOLL_PWAIT: c_long = 281;
/// As on every architecture that Linux took in since.
#[cfg(not(target_arch = "x86_64"))]
const EPOLL_PWAIT: c_long = 22;

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
}

/// See epoll_wait(2).
///
/// # Safety
/// `events` has room for `max` events.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_wait(fd: c_int, events: *mut c_void, max: c_int, timeout: c_int) -> c_int {
    let mask: *const c_void = std::ptr::null();
    // SAFETY: the arguments are those that epoll_pwait(2) takes; without a mask the size of one is not looked at.
    unsafe { syscall(EPOLL_PWAIT, fd, events, max, timeout, mask, 8_usize) as c_int }
}
