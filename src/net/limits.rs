//! What the system allows this process: open files, receive buffers, capabilities; and what the host
//! is called.

use super::error::NetError;

/// The capabilities that matter here, as far as they can be had now: see [`crate::net::privilege`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// CAP_NET_RAW: capture on the wire, raw IGMP.
    pub net_raw: bool,
    /// CAP_NET_ADMIN: receive buffers beyond the limit.
    pub net_admin: bool,
    /// CAP_NET_BIND_SERVICE: ports below 1024.
    pub net_bind_service: bool,
}

/// The capabilities that a call can be made with.
///
/// On macOS the superuser has all of them and everybody else the low ports; on Windows everybody has
/// buffers and ports, and nobody is known to have the raw sockets.
pub fn capabilities() -> Capabilities {
    #[cfg(target_os = "linux")]
    {
        use super::privilege::{Capability, at_hand};
        let set = at_hand();
        let has = |c: Capability| set & c.bit() != 0;
        Capabilities {
            net_raw: has(Capability::NetRaw),
            net_admin: has(Capability::NetAdmin),
            net_bind_service: has(Capability::NetBindService),
        }
    }
    #[cfg(all(unix, not(target_os = "linux")))]
    {
        // SAFETY: the call takes nothing and cannot fail.
        let root = unsafe { libc::geteuid() } == 0;
        Capabilities { net_raw: root, net_admin: root, net_bind_service: true }
    }
    #[cfg(windows)]
    {
        Capabilities { net_raw: false, net_admin: true, net_bind_service: true }
    }
}

/// Raises the soft limit on open files to the hard one; returns how many may be open, `None` where
/// there is no such limit.
///
/// # Errors
/// When the system refuses; the limit is as it was then.
pub fn raise_open_files() -> Result<Option<u64>, NetError> {
    #[cfg(unix)]
    {
        let failed = |what| NetError::Limit { what, source: std::io::Error::last_os_error() };
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the pointer is that of a live rlimit.
        if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 {
            return Err(failed("read the limit on open files"));
        }
        let hard = limit.rlim_max;
        // macOS tells no hard limit, and refuses more than OPEN_MAX.
        #[cfg(target_os = "macos")]
        let hard = hard.min(10_240);
        if limit.rlim_cur < hard {
            limit.rlim_cur = hard;
            // SAFETY: the pointer is that of a live rlimit.
            if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } != 0 {
                return Err(failed("raise the limit on open files"));
            }
        }
        #[allow(clippy::useless_conversion, reason = "rlim_t is not u64 on every system")]
        Ok(Some(limit.rlim_cur.into()))
    }
    #[cfg(windows)]
    {
        Ok(None)
    }
}

/// The largest receive buffer that may be asked for without a capability, in bytes, as SO_RCVBUF
/// counts them; `None` where it is not known, as in network namespaces of older kernels.
pub fn rmem_max() -> Option<usize> {
    std::fs::read_to_string("/proc/sys/net/core/rmem_max").ok()?.trim().parse().ok()
}

/// The host's own name, up to the first dot.
pub fn hostname() -> Option<String> {
    let name = full_hostname()?;
    let short = name.split('.').next().unwrap_or_default();
    (!short.is_empty()).then(|| short.to_owned())
}

#[cfg(unix)]
fn full_hostname() -> Option<String> {
    let mut buf = [0u8; 256];
    // SAFETY: pointer and length are those of a live, exclusively borrowed array; one byte less than
    // it has, so that a zero always ends it.
    if unsafe { libc::gethostname(buf.as_mut_ptr().cast(), buf.len() - 1) } != 0 {
        return None;
    }
    let end = buf.iter().position(|&b| b == 0)?;
    Some(String::from_utf8_lossy(&buf[..end]).into_owned())
}

#[cfg(windows)]
fn full_hostname() -> Option<String> {
    std::env::var("COMPUTERNAME").ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn capabilities_are_those_that_the_kernel_tells_of_the_thread() {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let set = status.lines().find_map(|l| l.strip_prefix("CapEff:")).unwrap();
        let set = u64::from_str_radix(set.trim(), 16).unwrap();
        let caps = capabilities();
        let told = [caps.net_bind_service, caps.net_admin, caps.net_raw];
        assert_eq!(told, [10, 12, 13].map(|bit| set >> bit & 1 == 1));
    }

    #[test]
    #[cfg(unix)]
    fn the_soft_limit_on_open_files_becomes_the_hard_one() {
        let raised = raise_open_files().unwrap().expect("Unix has the limit");
        assert!(raised > 0);
        assert_eq!(raise_open_files().unwrap(), Some(raised), "raised already");
    }

    #[test]
    fn the_host_has_a_name_without_its_domain() {
        let name = hostname().expect("a host name");
        assert!(!name.is_empty() && !name.contains('.'));
    }
}
