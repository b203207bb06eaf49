//! How deep a tap listens: what of the frames on an interface the kernel hands to it.

/// What a tap lets through. Each depth has what the one before has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// No tap.
    #[default]
    Off,
    /// IGMP and MLD: who is a member, who asks.
    Ears,
    /// And each multicast datagram that arrives on the interface or leaves by it, of groups joined or
    /// not. What arrives is up to the switch and to the adapter's own filter; the tap asks neither for
    /// more.
    Wire,
    /// And what the adapter would keep away: it is asked for all multicast (`PACKET_MR_ALLMULTI`, as
    /// `ip link set IFACE allmulticast on` does). That tells the network nothing.
    All,
}

impl Depth {
    /// The word that chooses it.
    pub fn word(self) -> &'static str {
        match self {
            Depth::Off => "off",
            Depth::Ears => "memberships",
            Depth::Wire => "arriving",
            Depth::All => "all",
        }
    }

    /// Whether groups that nobody joined are shown.
    pub fn shows_groups(self) -> bool {
        self >= Depth::Wire
    }
}
