//! Host names by reverse lookup.

use std::net::{IpAddr, SocketAddr};

use super::sys::sockaddr;

/// Bytes of a host name at most (NI_MAXHOST).
const MAX_HOST: usize = 1025;

/// The name of a host, by whatever way the system looks names up; `None` if it has none.
///
/// It blocks until the system answers or gives up, which takes seconds: call it on a thread of its
/// own. The name comes from the network: it is not fit to be shown raw.
pub fn lookup(ip: IpAddr) -> Option<String> {
    let name = resolve(&sockaddr(SocketAddr::new(ip, 0)), ip)?;
    // Some resolvers give the address back in other words.
    (!name.is_empty() && name.parse::<IpAddr>().is_err()).then_some(name)
}

fn sockaddr_len(ip: IpAddr) -> i32 {
    if ip.is_ipv4() { 16 } else { 28 }
}

#[cfg(unix)]
fn resolve(addr: &[u8], ip: IpAddr) -> Option<String> {
    // Aligned as a socket address must be.
    let mut storage = [0u64; super::sys::STORAGE / 8];
    for (word, bytes) in storage.iter_mut().zip(addr.chunks_exact(8)) {
        *word = u64::from_ne_bytes(bytes.try_into().ok()?);
    }
    let mut host = [0u8; MAX_HOST];
    // SAFETY: the address is a live, aligned storage that holds at least as many bytes as said; the
    // name's pointer and length are those of a live, exclusively borrowed array; no service is asked.
    let result = unsafe {
        libc::getnameinfo(
            storage.as_ptr().cast(),
            sockaddr_len(ip) as libc::socklen_t,
            host.as_mut_ptr().cast(),
            host.len() as libc::socklen_t,
            std::ptr::null_mut(),
            0,
            libc::NI_NAMEREQD,
        )
    };
    if result != 0 {
        return None;
    }
    let end = host.iter().position(|&b| b == 0)?;
    Some(String::from_utf8_lossy(&host[..end]).into_owned())
}

#[cfg(windows)]
fn resolve(addr: &[u8], ip: IpAddr) -> Option<String> {
    use windows_sys::Win32::Networking::WinSock::{GetNameInfoW, NI_NAMEREQD};
    let mut storage = [0u64; super::sys::STORAGE / 8];
    for (word, bytes) in storage.iter_mut().zip(addr.chunks_exact(8)) {
        *word = u64::from_ne_bytes(bytes.try_into().ok()?);
    }
    let mut host = [0u16; MAX_HOST];
    // SAFETY: the address is a live, aligned storage that holds at least as many bytes as said; the
    // name's pointer and length are those of a live, exclusively borrowed array; no service is asked.
    let result = unsafe {
        GetNameInfoW(
            storage.as_ptr().cast(),
            sockaddr_len(ip),
            host.as_mut_ptr(),
            host.len() as u32,
            std::ptr::null_mut(),
            0,
            NI_NAMEREQD as i32,
        )
    };
    if result != 0 {
        return None;
    }
    let end = host.iter().position(|&c| c == 0)?;
    Some(String::from_utf16_lossy(&host[..end]))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_hosts_file_and_addresses_are_no_names() {
        let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
        let listed = hosts.lines().any(|l| l.split_whitespace().next() == Some("127.0.0.1"));
        let found = lookup("127.0.0.1".parse().unwrap());
        if listed {
            let name = found.clone().expect("127.0.0.1 is in /etc/hosts");
            assert!(hosts.contains(&name), "{name}");
        }
        assert!(found.is_none_or(|name| name.parse::<IpAddr>().is_err()));
    }
}
