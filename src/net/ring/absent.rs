//! Systems without the packet ring: opening it says so, and the rest is never reached.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{Frame, Mark, Ready};
use crate::base::tap::Depth;
use crate::net::error::NetError;
use crate::net::wake::Waker;

/// Whether a ring can be opened here: no.
///
/// # Errors
/// Always.
pub fn available() -> Result<(), NetError> {
    Err(NetError::NoRing)
}

/// Whether a tap can be opened here: no.
///
/// # Errors
/// Always.
pub fn tap_available() -> Result<(), NetError> {
    Err(NetError::NoTap)
}

/// There is none.
pub struct Ring(Infallible);

impl Ring {
    /// Says that there is none.
    ///
    /// # Errors
    /// Always.
    pub fn open(_: &Arc<str>, _: u32, _: Option<usize>) -> Result<Ring, NetError> {
        Err(NetError::NoRing)
    }

    /// Says that there is none.
    ///
    /// # Errors
    /// Always.
    pub fn tap(_: &Arc<str>, _: u32, _: (Depth, bool), _: Option<usize>) -> Result<Ring, NetError> {
        Err(NetError::NoTap)
    }

    /// Bytes of memory that the ring has.
    pub fn bytes(&self) -> usize {
        match self.0 {}
    }

    /// Lets these groups through.
    ///
    /// # Errors
    /// None.
    pub fn set_groups(&self, _: &[IpAddr]) -> Result<(), NetError> {
        match self.0 {}
    }

    /// Waits.
    ///
    /// # Errors
    /// None.
    pub fn wait(&self, _: &Waker, _: Option<Duration>) -> Result<Ready, NetError> {
        match self.0 {}
    }

    /// The next block.
    pub fn block(&mut self) -> Option<Block<'_>> {
        match self.0 {}
    }

    /// Whether less than half of the ring is free.
    pub fn is_half_full(&self) -> bool {
        match self.0 {}
    }

    /// Takes one datagram that was looped back.
    ///
    /// # Errors
    /// None.
    pub fn looped(&mut self) -> Result<Option<Frame<'_>>, NetError> {
        match self.0 {}
    }

    /// Packets dropped.
    pub fn drops(&mut self) -> u64 {
        match self.0 {}
    }
}

/// There is none.
pub struct Block<'r>(Infallible, PhantomData<&'r mut Ring>);

impl Block<'_> {
    /// What is in it.
    pub fn frames(&self) -> Frames<'_> {
        match self.0 {}
    }
}

/// There are none.
pub struct Frames<'a>(Infallible, PhantomData<&'a ()>);

impl<'a> Frames<'a> {
    /// The frames with their marks.
    pub fn marked(self) -> impl Iterator<Item = (Frame<'a>, Mark)> {
        self.map(|f| (f, Mark::default()))
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        match self.0 {}
    }
}
