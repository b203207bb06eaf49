//! The way of a packet through the chains.

use super::compare::{Holds, compare};
use super::{Action, Chain, Drop, Hook, Match, Packet, Ruleset, Value, What};

/// How a walk through a chain ended.
enum End {
    Accepted,
    Dropped(Option<u64>, String, bool),
    /// Ran out of rules, or came back.
    Fell,
}

/// Jumps followed: the kernel allows 16 (NFT_JUMP_STACK_SIZE).
const DEPTH: usize = 16;

impl Ruleset {
    /// Where a datagram is dropped first: certain drops before possible ones, in the order of the hooks.
    pub fn drops(&self, packet: &Packet<'_>) -> Option<Drop> {
        let mut bases: Vec<&Chain> = self.chains.iter().filter(|c| applies(c, packet)).collect();
        bases.sort_by_key(|c| (c.hook, c.priority));
        let mut possible = None;
        for base in bases {
            let Some(hook) = base.hook else { continue };
            let mut doubt = None;
            let end = self.walk(base, packet, 0, &mut doubt);
            let (handle, chain, certain) = match end {
                End::Dropped(handle, chain, certain) => (handle, chain, certain),
                End::Fell if base.drops => (None, base.name(), true),
                End::Accepted | End::Fell => match doubt {
                    Some((handle, chain)) => (handle, chain, false),
                    None => continue,
                },
            };
            let certain = certain && (hook != Hook::Ingress || !base.devices.is_empty());
            let drop = Drop { base: base.name(), hook, chain, handle, certain };
            if drop.certain {
                return Some(drop);
            }
            possible.get_or_insert(drop);
        }
        possible
    }

    /// `doubt` takes the first drop that may apply; after an accept that may apply no drop is certain.
    fn walk(
        &self,
        chain: &Chain,
        packet: &Packet<'_>,
        depth: usize,
        doubt: &mut Option<(Option<u64>, String)>,
    ) -> End {
        let mut may_be_accepted = false;
        for rule in &chain.rules {
            let mut holds = Holds::Yes;
            for m in &rule.matches {
                match self.holds(m, packet) {
                    Holds::No => holds = Holds::No,
                    Holds::Maybe if holds == Holds::Yes => holds = Holds::Maybe,
                    _ => {}
                }
            }
            if holds == Holds::No {
                continue;
            }
            for action in &rule.actions {
                let (action, holds) = match action {
                    Action::Map(what, entries) => match self.choose(*what, entries, packet) {
                        Some((action, h)) => (action, if holds == Holds::Yes { h } else { holds }),
                        None => continue,
                    },
                    other => (other, holds),
                };
                let sure = holds == Holds::Yes && !may_be_accepted;
                match action {
                    Action::Accept if holds == Holds::Yes => return End::Accepted,
                    Action::Accept => may_be_accepted = true,
                    Action::Drop if sure => return End::Dropped(Some(rule.handle), chain.name(), true),
                    Action::Drop if holds == Holds::Yes => {
                        return End::Dropped(Some(rule.handle), chain.name(), false);
                    }
                    Action::Drop => {
                        doubt.get_or_insert((Some(rule.handle), chain.name()));
                    }
                    Action::Return if holds == Holds::Yes => return End::Fell,
                    Action::Return => may_be_accepted = true,
                    Action::Jump(to) | Action::Goto(to) => {
                        let next = self
                            .chains
                            .iter()
                            .find(|c| c.family == chain.family && c.table == chain.table && c.name == *to);
                        let Some(next) = next.filter(|_| depth < DEPTH) else { continue };
                        match self.walk(next, packet, depth + 1, doubt) {
                            End::Accepted if holds == Holds::Yes => return End::Accepted,
                            End::Accepted => may_be_accepted = true,
                            End::Dropped(handle, name, certain) if holds == Holds::Yes => {
                                return End::Dropped(handle, name, certain && sure);
                            }
                            End::Dropped(handle, name, _) => {
                                doubt.get_or_insert((handle, name));
                            }
                            End::Fell => {}
                        }
                        if matches!(action, Action::Goto(_)) && holds == Holds::Yes {
                            return End::Fell;
                        }
                    }
                    Action::Map(..) => {}
                }
            }
        }
        End::Fell
    }

    fn choose<'r>(
        &self,
        what: What,
        entries: &'r [(Value, Action)],
        packet: &Packet<'_>,
    ) -> Option<(&'r Action, Holds)> {
        if what == What::Opaque {
            // Any may be chosen: a drop among them is the one to tell of.
            let drop = entries.iter().find(|(_, a)| *a == Action::Drop);
            return drop.or(entries.first()).map(|(_, a)| (a, Holds::Maybe));
        }
        entries.iter().find(|(v, _)| compare(what, v, packet) == Holds::Yes).map(|(_, a)| (a, Holds::Yes))
    }

    fn holds(&self, m: &Match, packet: &Packet<'_>) -> Holds {
        let found = match m.what {
            What::Opaque => return Holds::Maybe,
            What::Foreign => return Holds::No,
            // A header of the other family is not there, whatever it is compared with.
            What::Destination(v6) | What::Source(v6) if v6 != packet.group.is_ipv6() => return Holds::No,
            what => m.values.iter().map(|v| compare(what, v, packet)).fold(Holds::No, |all, one| {
                match (all, one) {
                    (Holds::Yes, _) | (_, Holds::Yes) => Holds::Yes,
                    (Holds::Maybe, _) | (_, Holds::Maybe) => Holds::Maybe,
                    _ => Holds::No,
                }
            }),
        };
        match (found, m.negated) {
            (Holds::Yes, true) => Holds::No,
            (Holds::No, true) => Holds::Yes,
            (holds, _) => holds,
        }
    }
}

fn applies(chain: &Chain, packet: &Packet<'_>) -> bool {
    let family = match chain.family.as_str() {
        "inet" | "netdev" => true,
        "ip" => packet.group.is_ipv4(),
        "ip6" => packet.group.is_ipv6(),
        _ => false,
    };
    family
        && match chain.hook {
            None => false,
            Some(hook) if !packet.traffic.passes(hook) => false,
            // nft up to 1.0.6 does not tell the devices in JSON.
            Some(Hook::Ingress) => {
                chain.devices.is_empty() || chain.devices.iter().any(|d| d == packet.iface)
            }
            Some(_) => true,
        }
}
