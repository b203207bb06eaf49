//! Every system: one datagram a call.

use std::io;

use socket2::Socket;

use super::message::{Taken, take};
use super::{Area, Drained, One, Ours, Received};
use crate::base::batch::{Batch, Datagram, LARGE, SLOTS};
use crate::base::time::Wall;
use crate::net::clock;

/// Datagrams that one drain takes at most: a sender faster than it must not hold the thread for good.
const DRAIN_PACKETS: usize = 64 * SLOTS;

/// Where the kernel writes address and control messages.
pub struct Single {
    area: Box<Area>,
}

impl Single {
    pub fn new() -> Single {
        Single { area: Box::new(Area::EMPTY) }
    }

    /// Calls until the batch is full or nothing is left.
    pub fn receive(&mut self, socket: &Socket, ours: &Ours<'_>, batch: &mut Batch) -> io::Result<Received> {
        let free = SLOTS - batch.datagrams().len();
        let mut out = Received::default();
        let mut now = None;
        for _ in 0..free {
            // A slot that held a datagram of others is used again.
            let slot = batch.datagrams().len();
            let Some((small, large)) = batch.areas(slot).next() else { break };
            let taken = match take(&mut self.area, socket, small, large) {
                Ok(Some(taken)) => taken,
                Ok(None) => {
                    out.dry = true;
                    break;
                }
                // What was taken before is not given up: the error comes again with the next call.
                Err(error) if out.taken == 0 => return Err(error),
                Err(_) => break,
            };
            out.taken += 1;
            if let Some(d) = self.accept(&taken, ours, &mut now) {
                batch.push(slot, d);
                out.kept += 1;
            }
        }
        if out.kept > 0 {
            batch.received = clock::now();
        }
        Ok(out)
    }

    /// Takes what is queued without keeping it. Not every system tells the length of what it cuts,
    /// so there is a buffer for as long as it takes.
    pub fn drain(&mut self, socket: &Socket, ours: &Ours<'_>, drained: &mut Drained) -> io::Result<Received> {
        let mut sink = vec![0u8; LARGE];
        let mut out = Received::default();
        for _ in 0..DRAIN_PACKETS {
            let Some(taken) = take(&mut self.area, socket, &mut sink, &mut [])? else {
                out.dry = true;
                break;
            };
            out.taken += 1;
            if let Some(d) = self.accept(&taken, ours, &mut Some(Wall(0))) {
                out.kept += 1;
                drained.packets += 1;
                drained.bytes += u64::from(d.len);
            }
        }
        Ok(out)
    }

    /// Takes one datagram of whomever without waiting, its bytes into `buf`; `None` when there is none.
    pub(super) fn take_one(&mut self, socket: &Socket, buf: &mut [u8]) -> io::Result<Option<One<'_>>> {
        let Some(taken) = take(&mut self.area, socket, buf, &mut [])? else { return Ok(None) };
        let (name, control) = (&self.area.name, &self.area.control);
        Ok(Some(One {
            len: taken.len,
            name: &name[..taken.name_len.min(name.len())],
            control: &control[..taken.control_len.min(control.len())],
        }))
    }

    fn accept(&self, taken: &Taken, ours: &Ours<'_>, now: &mut Option<Wall>) -> Option<Datagram> {
        let name = self.area.name.get(..taken.name_len)?;
        let control = self.area.control.get(..taken.control_len)?;
        ours.accept(name, control, taken.len, now)
    }
}
