//! Linux: capget and capset (capabilities(7)), which act on the calling thread.

use std::io;

/// `_LINUX_CAPABILITY_VERSION_3` of linux/capability.h: sets of 64 bits in two halves.
const VERSION: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    /// 0 is the calling thread.
    pid: i32,
}

/// One half of the three sets.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

fn get() -> [Half; 2] {
    let mut header = Header { version: VERSION, pid: 0 };
    let mut halves = [Half::default(); 2];
    // SAFETY: the header and both halves are live, exclusively borrowed and laid out as the kernel has
    // them; this version of the call writes exactly two halves.
    let result = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, halves.as_mut_ptr()) };
    if result == 0 { halves } else { [Half::default(); 2] }
}

/// The calling thread's permitted set.
pub fn permitted() -> u64 {
    let [low, high] = get();
    u64::from(high.permitted) << 32 | u64::from(low.permitted)
}

/// The calling thread's effective set.
pub fn effective() -> u64 {
    let [low, high] = get();
    u64::from(high.effective) << 32 | u64::from(low.effective)
}

/// Makes these the calling thread's sets; nothing is inheritable, and so nothing is ambient.
pub fn set(permitted: u64, effective: u64) -> io::Result<()> {
    let mut header = Header { version: VERSION, pid: 0 };
    let half = |shift: u32| Half {
        effective: (effective >> shift) as u32,
        permitted: (permitted >> shift) as u32,
        inheritable: 0,
    };
    let halves = [half(0), half(32)];
    // SAFETY: the kernel reads the header and exactly two halves, all of them live.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, halves.as_ptr()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// From now on running a program gives no privilege (PR_SET_NO_NEW_PRIVS).
pub fn no_new_privileges() -> io::Result<()> {
    // SAFETY: the call takes numbers only.
    let result = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
