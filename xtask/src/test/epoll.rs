//! A library that is loaded before libfaketime, by itself: `clock.rs` compiles it where the clock is moved.
//!
//! libfaketime shows the machine's own clock to whatever runs while its `epoll_wait` waits, signal handlers included. That of
//! PostgreSQL looks at the clock to see which of its timeouts is over (locks, statements, deadlocks, logins): with the clock
//! moved on, none ever was. This one goes to the kernel directly.
//!
//! libfaketime also names a semaphore of the process that started first in FAKETIME_SHARED, and ends every program that
//! inherits the variable after that process is gone. Processes share nothing that a fixed shift needs, so each forgets it.

use std::ffi::{c_char, c_int, c_long, c_void};

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

/// Takes FAKETIME_SHARED out of the environment before libfaketime looks for it.
///
/// # Safety
/// `environment` ends with a null pointer, and each pointer before it points to a C string: execve(2).
unsafe extern "C" fn share_no_clock(_: c_int, _: *const *const c_char, environment: *mut *const c_char) {
    const SHARED: &[u8] = b"FAKETIME_SHARED=";
    // SAFETY: the caller's promise; a comparison ends at the first difference, so it never passes the end of a string.
    unsafe {
        let (mut read, mut write) = (environment, environment);
        while !(*read).is_null() {
            let is_it = (0..SHARED.len()).all(|at| *(*read).add(at) as u8 == SHARED[at]);
            *write = *read;
            write = write.add(usize::from(!is_it));
            read = read.add(1);
        }
        *write = std::ptr::null();
    }
}

#[used]
#[unsafe(link_section = ".init_array")]
static SHARE_NO_CLOCK: unsafe extern "C" fn(c_int, *const *const c_char, *mut *const c_char) = share_no_clock;
