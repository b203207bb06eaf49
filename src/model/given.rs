//! What a person knows better: the protocol of a stream, its counter; and which stream is looked at.

use crate::base::group::{Endpoint, MembershipId};
use crate::model::Model;
use crate::model::detail;
use crate::model::finder::Counter;
use crate::wire::Protocol;
use crate::wire::verdict::Verdict;

impl Model {
    /// Somebody looks at a sender of this row, or at none: it is kept with detail, however many there
    /// are.
    pub fn look_at(&mut self, id: MembershipId, from: Option<Endpoint>) {
        let now = self.now.mono;
        if let Some(g) = self.group_mut(id) {
            g.sources.look_at(from, now);
        }
    }

    /// The user says where the counter of a sender's payload is, or (`None`) that it has none.
    pub fn name_counter(&mut self, id: MembershipId, from: Endpoint, counter: Option<Counter>) {
        if let Some(d) = self.detail_mut(id, from) {
            d.name_counter(counter);
        }
    }

    /// The counter of a sender's payload is to be found again, after [`Model::name_counter`].
    pub fn find_counter(&mut self, id: MembershipId, from: Endpoint) {
        if let Some(d) = self.detail_mut(id, from) {
            d.find_counter();
        }
    }

    fn detail_mut(&mut self, id: MembershipId, from: Endpoint) -> Option<&mut detail::Detail> {
        self.group_mut(id)?.sources.get_mut(from)?.detail.as_deref_mut()
    }

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
