//! The frame of every case: a sender that does not stop, the doctor asked meanwhile, its report read,
//! its remedy carried out.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::craft::Wire;
use super::support::DEADLINE;
use super::support::netns::Lab;
use super::support::run::{Outcome, Sandbox};
use super::support::traffic::{Listener, Sending};

/// The group that most cases ask for, as on a command line and as an address.
pub const GROUP: &str = "239.1.1.1%net0:5004";
/// The destination of [`GROUP`].
pub const TO: &str = "239.1.1.1:5004";
/// The same of IPv6.
pub const GROUP6: &str = "[ff15::1%net0]:5004";
/// The destination of [`GROUP6`].
pub const TO6: &str = "[ff15::1]:5004";

/// What a host sends, again and again, until it is told to stop.
pub enum Traffic {
    /// Ordinary datagrams, with one source port throughout.
    Plain(Sending),
    /// Packets put on an interface as they are, all of them each time; the number of the time is given.
    Crafted(&'static str, Box<dyn Fn(u64) -> Vec<Vec<u8>> + Send + Sync>),
    /// A frame of net0 as it is: the address it goes to, its type, what follows.
    Frame([u8; 6], u16, Vec<u8>),
    /// Nobody sends.
    Nothing,
}

impl Traffic {
    /// Datagrams of 100 bytes by net0.
    pub fn to(group: &str) -> Traffic {
        Traffic::Plain(Sending::to(group).on("net0").port(5000))
    }

    /// The same packets each time, by net0.
    pub fn packets(packets: Vec<Vec<u8>>) -> Traffic {
        Traffic::Crafted("net0", Box::new(move |_| packets.clone()))
    }

    /// Sends in the calling thread's namespace, a hundred times a second, until told to stop. Errors are
    /// no matter: some faults are that nothing can be sent.
    fn run(&self, stop: &AtomicBool, sent: &AtomicU64) {
        let wire = match self {
            Traffic::Crafted(iface, _) => Some(Wire::open(iface)),
            Traffic::Frame(..) => Some(Wire::open("net0")),
            _ => None,
        };
        while !stop.load(Ordering::Relaxed) {
            let time = sent.load(Ordering::Relaxed);
            match self {
                Traffic::Plain(sending) => drop(sending.go()),
                Traffic::Crafted(_, packets) => {
                    let wire = wire.as_ref().expect("opened above");
                    packets(time).iter().for_each(|p| drop(wire.send(p)));
                }
                Traffic::Frame(to, kind, bytes) => {
                    drop(wire.as_ref().expect("opened above").put(*to, *kind, bytes));
                }
                Traffic::Nothing => {}
            }
            sent.store(time + 1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Runs `body` while host 1 sends, and gives its value. `body` gets the number of times sent so far.
#[track_caller]
pub fn under<R>(lab: &Lab, traffic: &Traffic, body: impl FnOnce(&AtomicU64) -> R) -> R {
    /// Stops the sender also when the body panics: the scope waits for it.
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let (stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let stopping = Stop(&stop);
        let sender = scope.spawn(|| lab.inside(1, || traffic.run(&stop, &sent)));
        let until = Instant::now() + DEADLINE;
        while sent.load(Ordering::Relaxed) == 0 && !sender.is_finished() {
            assert!(Instant::now() < until, "the sender does not begin");
            std::thread::sleep(Duration::from_millis(1));
        }
        let value = body(&sent);
        drop(stopping);
        sender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        value
    })
}

/// Waits until the sender has sent so many times more.
#[track_caller]
pub fn after(sent: &AtomicU64, times: u64) {
    let (from, until) = (sent.load(Ordering::Relaxed), Instant::now() + DEADLINE);
    while sent.load(Ordering::Relaxed) < from + times {
        assert!(Instant::now() < until, "the sender has stopped");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Fails unless a plain listener in host 2, joined on net0, hears the traffic.
#[track_caller]
pub fn flows(lab: &Lab, to: &str, traffic: &Traffic) {
    under(lab, traffic, |_| {
        let heard = lab.inside(2, || Listener::join(to, "net0").next(Instant::now() + DEADLINE));
        assert!(heard.is_some(), "nothing of {to} comes to host 2\n{}", state(lab));
    });
}

/// Fails if a plain listener in host 2, joined on net0, hears anything: else the fault is none.
#[track_caller]
pub fn dead(lab: &Lab, to: &str, traffic: &Traffic) {
    assert!(!hears(lab, to, traffic), "the fault is none: something came\n{}", state(lab));
}

/// Waits until a plain listener in host 2 hears nothing any more.
#[track_caller]
pub fn dead_in_the_end(lab: &Lab, to: &str, traffic: &Traffic) {
    let until = Instant::now() + DEADLINE;
    while hears(lab, to, traffic) {
        assert!(Instant::now() < until, "the fault is none: something comes\n{}", state(lab));
    }
}

/// Whether a plain listener in host 2, joined on net0, hears any of what is sent ten times.
#[track_caller]
fn hears(lab: &Lab, to: &str, traffic: &Traffic) -> bool {
    under(lab, traffic, |sent| {
        lab.inside(2, || {
            let listener = Listener::join(to, "net0");
            after(sent, 10);
            listener.next(Instant::now() + Duration::from_millis(20)).is_some()
        })
    })
}

/// What host 2 is like, for a failing test's message.
fn state(lab: &Lab) -> String {
    lab.sh(2, "ip -br addr; ip route; cat /proc/net/igmp; nft list ruleset 2>/dev/null || true")
}

/// Reads a setting of host 2.
#[track_caller]
pub fn setting(lab: &Lab, name: &str) -> String {
    lab.sh(2, &format!("cat /proc/sys/{}", name.replace('.', "/"))).trim().into()
}

/// Changes a setting of host 2.
#[track_caller]
pub fn set(lab: &Lab, name: &str, value: &str) {
    lab.sh(2, &format!("echo {value} > /proc/sys/{}", name.replace('.', "/")));
}

/// A counter of host 2 from `/proc/net/snmp` or `netstat` (`Udp`, `InErrors`) or `snmp6`
/// (`Ip6`, `InDiscards`).
#[track_caller]
pub fn counter(lab: &Lab, prefix: &str, name: &str) -> u64 {
    let text = lab.sh(2, "cat /proc/net/snmp /proc/net/netstat; cat /proc/net/snmp6 2>/dev/null || true");
    let lines: Vec<&str> = text.lines().collect();
    for pair in lines.windows(2) {
        let (names, values) = (pair[0].strip_prefix(prefix), pair[1].strip_prefix(prefix));
        let (Some(names), Some(values)) = (names, values) else { continue };
        let at = names.split_whitespace().position(|n| n == name);
        if let Some(value) = at.and_then(|i| values.split_whitespace().nth(i)?.parse().ok()) {
            return value;
        }
    }
    let whole = format!("{prefix}{name}");
    let row = lines.iter().find_map(|l| l.strip_prefix(&whole).filter(|rest| rest.starts_with([' ', '\t'])));
    row.and_then(|v| v.trim().parse().ok()).unwrap_or_else(|| panic!("no counter {prefix} {name} in\n{text}"))
}

/// Asks the doctor of host 2 with these words while host 1 sends, and reads its report. The second that
/// it looks has a hundred datagrams in it.
#[track_caller]
pub fn ask(lab: &Lab, words: &str, traffic: &Traffic) -> Report {
    under(lab, traffic, |_| ask_in(lab, 2, "1s", words))
}

/// The same, looking for as long as is said.
#[track_caller]
pub fn ask_for(lab: &Lab, time: &str, words: &str, traffic: &Traffic) -> Report {
    under(lab, traffic, |_| ask_in(lab, 2, time, words))
}

/// Asks the doctor of a host with these words and reads its report.
#[track_caller]
pub fn ask_in(lab: &Lab, host: u8, time: &str, words: &str) -> Report {
    let sandbox = Sandbox::new();
    let mut command = sandbox.mcscope(["doctor", "--json", "--for", time]);
    command.args(words.split_whitespace());
    lab.enter(host, &mut command);
    Report::read(sandbox.run(command))
}

/// The same, looking for a second as a user without any privilege.
#[track_caller]
pub fn ask_as_nobody(lab: &Lab, words: &str, traffic: &Traffic) -> Report {
    let sandbox = Sandbox::new();
    let mut mcscope = sandbox.mcscope(["doctor", "--json", "--for", "1s"]);
    mcscope.args(words.split_whitespace());
    let mut command = sandbox.command("setpriv");
    // In a user namespace there is no other user: root there without capabilities is nobody special.
    if super::support::required("MCSCOPE_TEST_IN_USER_NAMESPACE") {
        command.args(["--bounding-set=-all", "--inh-caps=-all", "--"]);
    } else {
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
    }
    command.arg(mcscope.get_program()).args(mcscope.get_args()).current_dir("/");
    lab.enter(2, &mut command);
    Report::read(under(lab, traffic, |_| sandbox.run(command)))
}

/// What the doctor said.
pub struct Report {
    /// The run.
    pub outcome: Outcome,
    /// The findings in their order.
    pub findings: Vec<Finding>,
}

/// One finding.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Which check.
    pub id: String,
    /// How bad.
    pub verdict: String,
    /// What is.
    pub title: String,
    /// The value read and where.
    pub evidence: String,
    /// What to do, if anything, in words or as a command.
    pub remedy: Option<String>,
    /// The remedy, if it can be run as it stands.
    pub command: Option<String>,
    /// All of it.
    pub whole: Value,
}

impl Report {
    /// Reads the one object that `doctor --json` prints.
    #[track_caller]
    pub fn read(outcome: Outcome) -> Report {
        let object: Value = serde_json::from_str(&outcome.stdout)
            .unwrap_or_else(|e| panic!("not one object of JSON: {e}\n{outcome}"));
        assert_eq!(object["v"], 1, "{outcome}");
        let list = object["findings"].as_array().unwrap_or_else(|| panic!("no findings\n{outcome}"));
        let text = |f: &Value, field: &str| match &f[field] {
            Value::String(s) => s.clone(),
            other => panic!("{field} is {other} in {f}"),
        };
        let finding = |f: &Value| {
            text(f, "why");
            Finding {
                id: text(f, "id"),
                verdict: text(f, "verdict"),
                title: text(f, "title"),
                evidence: text(f, "evidence"),
                remedy: f["remedy"].as_str().map(str::to_owned),
                command: f["command"].as_str().map(str::to_owned),
                whole: f.clone(),
            }
        };
        let findings: Vec<Finding> = list.iter().map(finding).collect();
        let rank =
            |f: &Finding| ["fail", "warn", "unknown", "note", "ok"].iter().position(|v| *v == f.verdict);
        assert!(findings.iter().all(|f| rank(f).is_some()), "an unknown verdict\n{outcome}");
        // What is wrong comes before the rest; what explains the silence may come before what is worse.
        let harmless: Vec<bool> = findings.iter().map(|f| rank(f) > Some(1)).collect();
        assert!(harmless.is_sorted(), "not worst first\n{outcome}");
        Report { outcome, findings }
    }

    /// The first finding, which must be this one.
    #[track_caller]
    pub fn leads_with(&self, verdict: &str, id: &str) -> &Finding {
        let first = self.findings.first().unwrap_or_else(|| panic!("no finding at all\n{}", self.outcome));
        assert_eq!((&*first.verdict, &*first.id), (verdict, id), "the first finding\n{self}");
        first
    }

    /// The finding of this check that is not well.
    #[track_caller]
    pub fn tells(&self, id: &str) -> &Finding {
        let found = self.findings.iter().find(|f| f.id == id && f.verdict != "ok");
        found.unwrap_or_else(|| panic!("{id} is not told\n{self}"))
    }

    /// The finding of this check, which must be there with this verdict.
    #[track_caller]
    pub fn has(&self, verdict: &str, id: &str) -> &Finding {
        let found = self.findings.iter().find(|f| f.id == id && f.verdict == verdict);
        found.unwrap_or_else(|| panic!("no {verdict} of {id}\n{self}"))
    }

    /// Fails if anything is worse than a note, or if the run did not end with 0.
    #[track_caller]
    pub fn is_well(&self) {
        let bad: Vec<_> = self.findings.iter().filter(|f| matches!(&*f.verdict, "fail" | "warn")).collect();
        assert!(bad.is_empty(), "all is well, but: {bad:#?}");
        assert_eq!(self.outcome.status.code(), Some(0), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "── {} ({})", self.outcome.command, self.outcome.status)?;
        for x in &self.findings {
            writeln!(f, "{:<8}{:<22}{}", x.verdict, x.id, x.title)?;
            writeln!(f, "{:<30}{}", "", x.evidence)?;
            if let Some(remedy) = &x.remedy {
                let sign = if x.command.is_some() { "$" } else { ">" };
                writeln!(f, "{:<30}{sign} {remedy}", "")?;
            }
        }
        write!(f, "{}", self.outcome.stderr)
    }
}

impl Finding {
    /// Fails unless the title or the evidence holds each of these.
    #[track_caller]
    pub fn shows(&self, words: &[&str]) -> &Self {
        for word in words {
            let told = self.title.contains(word) || self.evidence.contains(word);
            assert!(told, "{word:?} is not told by {:#}", self.whole);
        }
        self
    }

    /// The remedy as it was told.
    #[track_caller]
    pub fn remedy(&self) -> &str {
        self.remedy.as_deref().unwrap_or_else(|| panic!("no remedy in {:#}", self.whole))
    }

    /// The remedy as a command.
    #[track_caller]
    pub fn command(&self) -> &str {
        self.command.as_deref().unwrap_or_else(|| panic!("no command in {:#}", self.whole))
    }

    /// Carries the remedy out in host 2, as root at its prompt would.
    #[track_caller]
    pub fn cure(&self, lab: &Lab) {
        lab.sh(2, self.command());
    }
}

/// An address of a destination.
pub fn address(to: &str) -> std::net::IpAddr {
    to.parse::<SocketAddr>().unwrap_or_else(|e| panic!("{to}: {e}")).ip()
}
