//! What the screen asks of the front end's loop.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::base::group::{Endpoint, Membership, MembershipId, SourceFilter};
use crate::base::tap::Depth;
use crate::engine::command::{Respond, SendId, SendJob};
use crate::model::counter::Choice;
use crate::model::pair::PairId;

/// A wish of the person at the keyboard that needs more than the screen's own state.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Join these; the text is what was typed, to be offered again, and kept in the config if so
    /// wished.
    Join {
        /// One row each.
        memberships: Vec<Membership>,
        /// As typed.
        typed: String,
        /// Join it at the next start as well.
        keep: bool,
    },
    /// Leave these rows; one [`Action::Undo`] brings all of them back.
    Leave(Vec<MembershipId>),
    /// Bring back what was left last.
    Undo,
    /// Look at the wire so deep from now on.
    Tap(Depth),
    /// Try a failed row again.
    Retry(MembershipId),
    /// Zero the counters of one row, or of all.
    Reset(Option<MembershipId>),
    /// Start a send.
    Send(Box<SendJob>),
    /// Start a send of what is in a file.
    SendFile {
        /// The file, as it was typed: read it, and put its content in place of the job's payload.
        path: PathBuf,
        /// All but the payload, which is empty.
        job: Box<SendJob>,
    },
    /// Send one test message to a row at once.
    SendTest(MembershipId),
    /// Stop a send.
    StopSend(SendId),
    /// Start to ping the group of a row with this TTL; one that runs is stopped.
    Ping(MembershipId, u8),
    /// Stop the ping.
    StopPing,
    /// Set the responder of a row.
    Respond(MembershipId, Respond),
    /// Stop letting a source through on a row.
    Block(MembershipId, IpAddr),
    /// Let it through again.
    Unblock(MembershipId, IpAddr),
    /// Let just these senders of a row through.
    Filter(MembershipId, SourceFilter),
    /// Take a stream for the protocol of this word; `None` lets it be recognised.
    SetProtocol(MembershipId, Endpoint, Option<&'static str>),
    /// Say where a stream counts, that it does not, or leave it to mcscope.
    ChooseCounter(MembershipId, Endpoint, Choice),
    /// Compare two streams as A and B of one feed.
    Pair([(MembershipId, Endpoint); 2]),
    /// Compare them no longer.
    Unpair(PairId),
    /// Look up the name of an address.
    Resolve(IpAddr),
    /// Put this on the clipboard (OSC 52).
    Copy(String),
    /// Stop like a shell job (Ctrl-Z).
    Suspend,
    /// Draw everything anew.
    Redraw,
    /// End the program.
    Quit,
}
