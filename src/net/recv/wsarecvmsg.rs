//! Windows: `WSARecvMsg`, which the system hands out by socket and which tells destination and arrival
//! interface.

use std::io;
use std::os::windows::io::AsRawSocket;
use std::ptr;
use std::sync::OnceLock;

use socket2::Socket;
use windows_sys::Win32::Networking::WinSock::{
    LPFN_WSARECVMSG, SIO_GET_EXTENSION_FUNCTION_POINTER, SOCKET, SOCKET_ERROR, WSABUF, WSAEMSGSIZE,
    WSAID_WSARECVMSG, WSAIoctl, WSAMSG,
};

use super::Area;
use crate::net::{cmsg, sys};

/// How long the parts of one datagram are.
pub struct Taken {
    pub len: usize,
    pub name_len: usize,
    pub control_len: usize,
}

/// Takes one datagram without waiting (the socket is non-blocking), its bytes into `first` and then
/// `second`; `None` when there is none.
pub fn take(
    area: &mut Area,
    socket: &Socket,
    first: &mut [u8],
    second: &mut [u8],
) -> io::Result<Option<Taken>> {
    let room = first.len() + second.len();
    let handle = socket.as_raw_socket() as SOCKET;
    let Some(receive) = function(handle)? else { return Err(io::Error::from(io::ErrorKind::Unsupported)) };
    let mut buffers = [buffer(first), buffer(second)];
    let mut message = WSAMSG {
        name: (&raw mut area.name).cast(),
        namelen: sys::NAME as i32,
        lpBuffers: buffers.as_mut_ptr(),
        dwBufferCount: if second.is_empty() { 1 } else { 2 },
        Control: WSABUF { len: cmsg::CONTROL as u32, buf: (&raw mut area.control).cast() },
        dwFlags: 0,
    };
    let mut len = 0;
    // SAFETY: `receive` is the function that the system gave for such sockets. Every pointer in the
    // message is that of a live, exclusively borrowed area of the length beside it, and they do not
    // overlap. Without an OVERLAPPED nothing is written after the call returns.
    let result = unsafe { receive(handle, &raw mut message, &raw mut len, ptr::null_mut(), None) };
    let mut len = len as usize;
    if result == SOCKET_ERROR {
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            // Longer than the buffers: they are full, the rest is lost.
            Some(WSAEMSGSIZE) => len = room,
            _ if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            _ => return Err(error),
        }
    }
    Ok(Some(Taken {
        len,
        name_len: usize::try_from(message.namelen).unwrap_or(0),
        control_len: message.Control.len as usize,
    }))
}

fn buffer(area: &mut [u8]) -> WSABUF {
    WSABUF { len: area.len() as u32, buf: area.as_mut_ptr() }
}

/// The address of `WSARecvMsg`, asked for once: every UDP socket of this process has the same provider.
fn function(socket: SOCKET) -> io::Result<LPFN_WSARECVMSG> {
    static FUNCTION: OnceLock<LPFN_WSARECVMSG> = OnceLock::new();
    if let Some(function) = FUNCTION.get() {
        return Ok(*function);
    }
    let id = WSAID_WSARECVMSG;
    let mut function: LPFN_WSARECVMSG = None;
    let mut len = 0;
    // SAFETY: the first pointer and length are those of a live GUID, the second those of a live
    // function pointer, which is what this request writes; without an OVERLAPPED nothing is written
    // after the call returns.
    let result = unsafe {
        WSAIoctl(
            socket,
            SIO_GET_EXTENSION_FUNCTION_POINTER,
            (&raw const id).cast(),
            size_of_val(&id) as u32,
            (&raw mut function).cast(),
            size_of_val(&function) as u32,
            &raw mut len,
            ptr::null_mut(),
            None,
        )
    };
    if result == SOCKET_ERROR {
        return Err(io::Error::last_os_error());
    }
    Ok(*FUNCTION.get_or_init(|| function))
}
