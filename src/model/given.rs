//! What a person knows better: the protocol of a stream.

use crate::base::group::{Endpoint, MembershipId};
use crate::model::Model;
use crate::wire::Protocol;
use crate::wire::verdict::Verdict;

impl Model {
    /// Takes a stream for this protocol from now on; `None` lets it be recognised again. False if
    /// there is no such stream.
    pub fn set_protocol(
        &mut self,
        id: MembershipId,
        from: Endpoint,
        protocol: Option<&'static Protocol>,
    ) -> bool {
        let Some(g) = self.group_mut(id) else { return false };
        let Some(s) = g.sources.iter_mut().find(|s| s.endpoint == from) else { return false };
        s.verdict = protocol.map_or_else(Verdict::default, Verdict::given);
        true
    }
}
