//! What a person knows better: the protocol of a stream, its counter, rules for both; and which
//! stream is looked at.

use std::sync::Arc;

use crate::base::group::{Endpoint, MembershipId};
use crate::model::Model;
use crate::model::counter::Choice;
use crate::model::group::Group;
use crate::model::rules::Rule;
use crate::model::seen::Wire;
use crate::model::source::Source;
use crate::wire::Protocol;

impl Model {
    /// Somebody looks at a sender of this row, or at none: it is kept with detail, however many there
    /// are.
    pub fn look_at(&mut self, id: MembershipId, from: Option<Endpoint>) {
        let now = self.now.mono;
        if let Some(g) = self.group_mut(id) {
            g.sources.look_at(from, now);
        }
    }

    /// The user's rules, the first of which comes first. To be told before anything is joined: what
    /// is recognised by then stays.
    pub fn set_rules(&mut self, rules: Vec<Rule>) {
        self.wire.rules = rules;
        let Model { groups, wire: Wire { rules, .. }, .. } = self;
        for g in groups.iter_mut().flatten() {
            take_rules(g, rules);
        }
    }

    /// Takes a stream for this protocol from now on; `None` lets it be recognised again, by the
    /// user's rules first. False if there is no such stream.
    pub fn set_protocol(
        &mut self,
        id: MembershipId,
        from: Endpoint,
        protocol: Option<&'static Protocol>,
    ) -> bool {
        self.group_mut(id).and_then(|g| g.sources.change(from, |s| s.take_for(protocol))).is_some()
    }

    /// The user says where a stream counts, that it does not, or leaves it to mcscope. False if there
    /// is no such stream.
    pub fn choose_counter(&mut self, id: MembershipId, from: Endpoint, choice: Choice) -> bool {
        let choose = |s: &mut Source| {
            s.choice = choice;
            if let Some(d) = &mut s.detail {
                d.choose(choice);
            }
        };
        self.group_mut(id).and_then(|g| g.sources.change(from, choose)).is_some()
    }
}

/// Gives a row the rules that concern it.
pub(super) fn take_rules(g: &mut Group, rules: &[Rule]) {
    let concern: Vec<Rule> = rules.iter().filter(|r| r.concerns(&g.membership)).cloned().collect();
    g.rules = Arc::from(concern);
}
