//! The table of checks. A check is one row and one function from a [`Case`] to what it finds; the
//! function knows nothing of the others, and the order of the findings is settled here.

mod address;
mod env;
mod firewall;
mod igmp;
mod interface;
mod path;
mod route;
mod scope;
mod socket;
mod source;
mod switch;

use super::facts::{Facts, IfaceFacts, Target};
use super::finding::{Fate, Finding, Funnel, Remedy, Report, Verdict};
use super::funnel;
use crate::base::group::Membership;

/// What a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The host: once.
    Host,
    /// An interface: that of the group, or every candidate.
    Iface,
    /// A group on an interface.
    Group,
}

/// A row of the table.
#[derive(Clone, Copy)]
pub struct Check {
    /// The name that findings carry.
    pub id: &'static str,
    /// What it is about.
    pub subject: Subject,
    /// Why it matters, where the finding has no better reason.
    pub why: &'static str,
    /// Judges. Nothing, where it does not apply (a check of IPv6 for an IPv4 group).
    judge: fn(&Case<'_>) -> Vec<Judged>,
}

/// Every check, in the order of the way that packets take.
pub fn all() -> impl Iterator<Item = &'static Check> {
    [
        interface::CHECKS,
        address::CHECKS,
        route::CHECKS,
        source::CHECKS,
        firewall::CHECKS,
        igmp::CHECKS,
        switch::CHECKS,
        scope::CHECKS,
        socket::CHECKS,
        env::CHECKS,
        path::CHECKS,
    ]
    .into_iter()
    .flatten()
}

/// What a check is given.
pub struct Case<'f> {
    /// Everything read.
    pub facts: &'f Facts,
    /// The group, for checks of groups.
    pub target: Option<&'f Target>,
    /// The interface, where it exists.
    pub iface: Option<&'f IfaceFacts>,
    /// How far the group's packets get.
    pub funnel: Option<&'f Funnel>,
}

impl<'f> Case<'f> {
    /// The group's membership.
    fn membership(&self) -> Option<&'f Membership> {
        self.target.map(|t| &*t.membership)
    }

    /// What became of the group's packets.
    fn fate(&self) -> Option<Fate> {
        self.funnel.map(|f| f.fate)
    }

    /// Whether this is why the group is silent.
    fn is(&self, fate: Fate) -> bool {
        self.fate() == Some(fate)
    }

    /// Whether nothing of the group reaches this host by any interface that was looked at: then what the
    /// host is like may be the reason.
    fn comes_nowhere(&self) -> bool {
        let elsewhere = self.target.is_some_and(|t| !t.elsewhere.is_empty());
        let arrives = |group| self.facts.targets.iter().any(|t| t.membership.group == group && t.packets > 0);
        self.is(Fate::NothingComes) && !elsewhere && !self.membership().is_some_and(|m| arrives(m.group))
    }

    /// Whether a group was asked for and nothing of it arrived.
    fn is_silent(&self) -> bool {
        self.fate().is_some_and(|f| f != Fate::Arrives)
    }

    /// The interface's name.
    fn name(&self) -> &'f str {
        match (self.iface, self.target) {
            (Some(i), _) => &i.iface.name,
            (None, Some(t)) => &t.membership.iface,
            (None, None) => "",
        }
    }

    /// The measurement's time in seconds, as a word: "3 s".
    fn window(&self) -> String {
        window(self.facts.window_ns)
    }
}

/// A measurement's time as a word, without the milliseconds that it took longer than asked: "3 s".
pub fn window(ns: u64) -> String {
    const TENTH: u64 = 100_000_000;
    crate::base::units::duration(if ns >= 5 * TENTH { (ns + TENTH / 2) / TENTH * TENTH } else { ns })
}

/// What a check found, before it is put into its place.
struct Judged {
    verdict: Verdict,
    title: String,
    evidence: String,
    why: Option<String>,
    remedy: Option<Remedy>,
    object: Option<String>,
    explains: bool,
}

fn judged(verdict: Verdict, title: impl Into<String>) -> Judged {
    Judged {
        verdict,
        title: title.into(),
        evidence: String::new(),
        why: None,
        remedy: None,
        object: None,
        explains: false,
    }
}

fn ok(title: impl Into<String>) -> Judged {
    judged(Verdict::Ok, title)
}

fn note(title: impl Into<String>) -> Judged {
    judged(Verdict::Note, title)
}

fn warn(title: impl Into<String>) -> Judged {
    judged(Verdict::Warn, title)
}

fn fail(title: impl Into<String>) -> Judged {
    judged(Verdict::Fail, title)
}

fn unknown(title: impl Into<String>) -> Judged {
    judged(Verdict::Unknown, title)
}

/// A warning while the group is silent, otherwise a note.
fn warn_if(bad: bool, title: impl Into<String>) -> Judged {
    judged(if bad { Verdict::Warn } else { Verdict::Note }, title)
}

/// What could not be looked at, and what would let it.
fn unseen(what: &str, why: &super::facts::Unseen) -> Judged {
    let found = unknown(what).seen(why.reason.clone());
    match &why.remedy {
        Some(command) => found.run(command.clone()),
        None => found,
    }
}

/// What this system does not tell.
fn untold(what: &str) -> Judged {
    unknown(what).seen("this system does not say")
}

impl Judged {
    /// The values read, and where.
    fn seen(mut self, evidence: impl Into<String>) -> Self {
        self.evidence = evidence.into();
        self
    }

    /// Why it matters here.
    fn because(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    /// Commands that help.
    fn run(mut self, command: impl Into<String>) -> Self {
        self.remedy = Some(Remedy::Command(command.into()));
        self
    }

    /// Words that help.
    fn advise(mut self, text: impl Into<String>) -> Self {
        self.remedy = Some(Remedy::Advice(text.into()));
        self
    }

    /// Something else than the check's usual object.
    fn on(mut self, object: impl Into<String>) -> Self {
        self.object = Some(object.into());
        self
    }

    /// It explains why the group is silent, if so.
    fn explaining(mut self, explains: bool) -> Self {
        self.explains = explains;
        self
    }
}

/// One finding.
fn one(found: Judged) -> Vec<Judged> {
    vec![found]
}

/// How a group on an interface is called: "239.1.1.1:5004 on eth0".
fn group_name(m: &Membership) -> String {
    format!("{} on {}", m.endpoint(), m.iface)
}

fn run(case: &Case<'_>, subjects: &[Subject]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for check in all().filter(|c| subjects.contains(&c.subject)) {
        for found in (check.judge)(case) {
            let object = found.object.unwrap_or_else(|| match (check.subject, case.target) {
                (Subject::Group, Some(t)) => group_name(&t.membership),
                (Subject::Iface, _) | (Subject::Group, None) => case.name().to_owned(),
                (Subject::Host, _) => "this host".to_owned(),
            });
            findings.push(Finding {
                id: check.id,
                verdict: found.verdict,
                title: found.title,
                evidence: found.evidence,
                why: found.why.unwrap_or_else(|| check.why.to_owned()),
                remedy: found.remedy,
                object,
                explains: found.explains,
            });
        }
    }
    findings
}

/// The report of one group.
pub fn of_target(facts: &Facts, target: &Target) -> Report {
    let funnel = funnel::of(facts, target);
    let iface = facts.iface(&target.membership.iface);
    let case = Case { facts, target: Some(target), iface, funnel: Some(&funnel) };
    let subjects: &[Subject] = match iface {
        Some(_) => &[Subject::Host, Subject::Iface, Subject::Group],
        None => &[Subject::Host, Subject::Group],
    };
    let mut findings = run(&case, subjects);
    // Where the measurement leaves it open whose packets they are, it may be others that suffer this.
    if !funnel.cannot_separate.is_empty() {
        for f in findings.iter_mut().filter(|f| f.explains && f.verdict == Verdict::Fail) {
            f.verdict = Verdict::Warn;
        }
    }
    // What stands earlier on the way is told first among equals.
    findings.sort_by_key(Finding::rank);
    Report {
        membership: Some(target.membership.clone()),
        window_ns: facts.window_ns,
        packets: target.packets,
        funnel: Some(funnel),
        findings,
    }
}

/// The report of the host: its own checks, and those of every interface asked for.
pub fn of_host(facts: &Facts) -> Report {
    let case = Case { facts, target: None, iface: None, funnel: None };
    let mut findings = run(&case, &[Subject::Host]);
    for name in &facts.asked {
        let case = Case { facts, target: None, iface: facts.iface(name), funnel: None };
        findings.extend(run(&case, &[Subject::Iface]));
    }
    findings.sort_by_key(Finding::rank);
    Report { membership: None, window_ns: facts.window_ns, packets: 0, funnel: None, findings }
}
