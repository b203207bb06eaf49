//! A pseudo-terminal for the dashboard, read as fast as it draws.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use nix::pty::Winsize;

use super::process::Process;

/// The size of the terminal.
const SIZE: Winsize = Winsize { ws_row: 36, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };

/// Starts a program, the leader of a session, on a new terminal, which is read to its end.
pub fn start(command: &mut Command) -> Result<Process> {
    let ends = nix::pty::openpty(&SIZE, None).context("open a pseudo-terminal")?;
    let (master, slave): (OwnedFd, OwnedFd) = (ends.master, ends.slave);
    // Not inherited: the program would keep its own terminal's other end open.
    nix::fcntl::fcntl(&master, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))
        .context("mark the terminal")?;
    let end = || slave.try_clone().map(Stdio::from).context("duplicate the terminal");
    command.stdin(end()?).stdout(end()?).stderr(end()?).env("TERM", "xterm-256color");
    // SAFETY: the closure runs in the child between fork and exec and makes system calls only.
    unsafe {
        command.pre_exec(|| {
            if libc::ioctl(0, libc::TIOCSCTTY as _, 0) != 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        });
    }
    let mut process = Process::start_as_is(command)?;
    // The command holds this end's copies: with them open the terminal would never end.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    drop(slave);
    process.read_from(File::from(master));
    Ok(process)
}
