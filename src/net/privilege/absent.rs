//! Systems without capabilities: there is nothing to keep and nothing to drop.

use std::io;

pub fn permitted() -> u64 {
    0
}

/// The superuser has all on Unix; nobody is known to have any elsewhere.
pub fn effective() -> u64 {
    #[cfg(unix)]
    {
        // SAFETY: the call takes nothing and cannot fail.
        if unsafe { libc::geteuid() } == 0 { u64::MAX } else { 0 }
    }
    #[cfg(not(unix))]
    {
        0
    }
}

pub fn set(_permitted: u64, _effective: u64) -> io::Result<()> {
    Ok(())
}

pub fn no_new_privileges() -> io::Result<()> {
    Ok(())
}
