//! Two receivers side by side: the same traffic to each in turn, and what each made of it.

use std::fmt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::bare;
use super::lab::{self, Lab};
use super::process::{Ended, Process, busy_ns};
use super::sender::{GROUP, Job, PORT};
use super::terminal;

/// The receive buffer that everybody asks for.
pub const RCVBUF: usize = 4 << 20;

/// What others may take of the receiver's CPU, in percent, before a round is in doubt.
const OTHERS_MAX: f64 = 10.0;

/// Who receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The bare receiver, a thread for each group.
    Bare,
    /// `mcscope watch --stats-only`.
    Watch,
    /// The dashboard, in a terminal of 120x36.
    Dashboard,
    /// `mcscope watch --stats-only --capture ring`.
    Ring,
    /// `tcpdump -w /dev/null`.
    Tcpdump,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Kind::Bare => "bare",
            Kind::Watch => "mcscope",
            Kind::Dashboard => "dashboard",
            Kind::Ring => "mcscope ring",
            Kind::Tcpdump => "tcpdump",
        })
    }
}

/// What one receiver made of one run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams a second that this came to.
    pub rate: u64,
    /// Times that the sender was held up.
    pub late: u64,
    /// Datagrams that it took.
    pub delivered: u64,
    /// Of these, counted without being analysed; `None` where it does not say.
    pub not_analysed: Option<u64>,
    /// Dropped at its socket or ring, as it says itself or else the kernel's table.
    pub drops: u64,
    /// CPU time of its whole life, in ns.
    pub life_ns: u64,
    /// CPU time from the first datagram until all was taken, in ns.
    pub traffic_ns: u64,
    /// Times a second of traffic that one of its threads went to wait.
    pub waits: u64,
    /// Share of the receiver's CPU that others kept busy meanwhile, in percent.
    pub others_pct: f64,
    /// The most memory it had, in KiB.
    pub rss_kib: u64,
}

impl Reading {
    /// Sent and not taken.
    pub fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.delivered)
    }

    /// Whether others took so much of the CPUs that it tells little: the sender did not come near its
    /// rate, or the receiver woke into others' work, which makes each wake-up dearer.
    fn disturbed(&self, job: &Job) -> bool {
        self.rate < job.rate * 9 / 10 || self.others_pct > OTHERS_MAX
    }

    /// CPU time a packet over its whole life.
    pub fn life(&self) -> f64 {
        self.life_ns as f64 / self.delivered.max(1) as f64
    }

    /// CPU time a packet while there was traffic.
    pub fn traffic(&self) -> f64 {
        self.traffic_ns as f64 / self.delivered.max(1) as f64
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>8} sent {:>7}/s  {:>7.0} ns {:>7.0} ns  lost {:>6}  drops {:>6}",
            self.sent,
            self.rate,
            self.life(),
            self.traffic(),
            self.lost(),
            self.drops
        )?;
        match self.not_analysed {
            Some(n) => write!(f, "  not analysed {n:>6}")?,
            None => write!(f, "  not analysed {:>6}", "-")?,
        }
        write!(
            f,
            "  waits {:>6}/s  others {:>3.0} %  late {}  {} MiB",
            self.waits,
            self.others_pct,
            self.late,
            self.rss_kib >> 10
        )?;
        if self.lost() != self.drops {
            write!(f, "  NOT ACCOUNTED FOR: {}", self.lost() as i64 - self.drops as i64)?;
        }
        Ok(())
    }
}

/// What a round's columns are.
pub const LEGEND: &str = "ns: CPU a packet over the whole life, and while there was traffic; waits: times that a \
thread went to wait, in each second of traffic; others: how busy \
the rest of the system kept the receiver's CPU; late: times that the sender was held up";

/// The program under test, with these arguments and nothing of the user's own settings.
pub fn mcscope<'c>(lab: &Lab, command: &'c mut Command, args: &[&str]) -> Result<&'c mut Command> {
    for place in ["HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"] {
        command.env(place, "/proc/nowhere");
    }
    command.env_remove("MCSCOPE_CONFIG").args(args);
    lab.enter(lab::RECEIVER, command)
}

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_mcscope");

/// The groups of a job as mcscope names them.
pub fn spec(groups: u32) -> String {
    match groups {
        1 => format!("{GROUP}%{}:{PORT}", lab::IFACE),
        n => format!("{GROUP}+{n}%{}:{PORT}", lab::IFACE),
    }
}

/// Whether the program knows the packet ring.
pub fn knows_ring() -> Result<bool> {
    let o = Command::new(PROGRAM).args(["watch", "--help"]).output().context("ask mcscope for its help")?;
    Ok(String::from_utf8_lossy(&o.stdout).contains("--capture"))
}

/// One run of one receiver.
pub fn measure(lab: &Lab, kind: Kind, job: &Job) -> Result<Reading> {
    let mut p = start(lab, kind, job.groups)?;
    let cpu = lab.cpu(lab::RECEIVER);
    let (begun, busy, used) = (Instant::now(), busy_ns(cpu), p.cpu_ns()?);
    let sent = job.send(lab)?;
    match kind {
        // Its blocks come up to a second late, and there is no queue to look at.
        Kind::Tcpdump | Kind::Ring => std::thread::sleep(Duration::from_millis(1200)),
        _ => p.wait_drained()?,
    }
    let traffic_ns = p.cpu_ns()? - used;
    let others = (busy_ns(cpu) - busy).saturating_sub(traffic_ns);
    let others_pct = 100.0 * others as f64 / begun.elapsed().as_nanos() as f64;
    let dropped = p.sockets().2;
    let ended = p.end(match kind {
        Kind::Bare => None,
        _ => Some(libc::SIGINT),
    })?;
    let (delivered, not_analysed, drops) = counted(kind, &ended, sent.packets, dropped)?;
    Ok(Reading {
        sent: sent.packets,
        rate: sent.rate,
        late: sent.late,
        delivered,
        not_analysed,
        drops,
        life_ns: ended.cpu_ns,
        traffic_ns,
        waits: (ended.waits as f64 / job.time.as_secs_f64()) as u64,
        others_pct,
        rss_kib: ended.rss_kib,
    })
}

/// Starts a receiver and waits until it receives.
fn start(lab: &Lab, kind: Kind, groups: u32) -> Result<Process> {
    let (spec, rcvbuf) = (spec(groups), RCVBUF.to_string());
    let mut watch =
        vec!["watch", &spec, "--format", "json", "--stats-only", "--no-resolve", "--rcvbuf", &rcvbuf];
    let wanted = groups as usize;
    match kind {
        Kind::Bare => {
            let mut p = Process::start(&mut bare::command(lab, groups, RCVBUF)?)?;
            p.wait_until("ready", |p| p.lines_with("ready") > 0)?;
            Ok(p)
        }
        Kind::Watch | Kind::Ring => {
            if kind == Kind::Ring {
                watch.extend(["--capture", "ring"]);
            }
            let mut p = Process::start(mcscope(lab, &mut Command::new(PROGRAM), &watch)?)?;
            p.wait_until("all groups joined", |p| p.lines_with("\"type\":\"joined\"") >= wanted)?;
            Ok(p)
        }
        Kind::Dashboard => {
            let mut command = Command::new(PROGRAM);
            mcscope(lab, &mut command, &[&spec, "--no-resolve", "--rcvbuf", &rcvbuf])?;
            let mut p = terminal::start(&mut command)?;
            // All systems' group is a membership as well.
            p.wait_until("all groups joined", |p| p.sockets().0 >= wanted && p.memberships() > wanted)?;
            Ok(p)
        }
        Kind::Tcpdump => {
            let mut command = Command::new("tcpdump");
            command.args(["-n", "-Z", "root", "-i", lab::IFACE, "-B", "4096", "-w", "/dev/null", "udp"]);
            let mut p = Process::start(lab.enter(lab::RECEIVER, &mut command)?)?;
            p.wait_until("listening", |p| p.lines_with("listening on") > 0)?;
            Ok(p)
        }
    }
}

/// What a receiver says that it took, did not analyse, and dropped. The dashboard says nothing when it
/// ends: the kernel's count of its socket's drops stands in.
fn counted(kind: Kind, ended: &Ended, sent: u64, dropped: u64) -> Result<(u64, Option<u64>, u64)> {
    match kind {
        Kind::Bare => {
            let c = bare::Counted::read(&ended.out.text())?;
            Ok((c.packets, None, c.drops))
        }
        Kind::Dashboard => Ok((sent - dropped.min(sent), None, dropped)),
        Kind::Watch | Kind::Ring => {
            let text = ended.out.text();
            let total = finals(&text).find(|v| v["scope"] == "total");
            let total = total.with_context(|| format!("no final line: {}", ended.err.text().trim()))?;
            let number = |name: &str| total[name].as_u64().unwrap_or(0);
            let not_analysed = number("not_analysed");
            Ok((number("packets") + not_analysed, Some(not_analysed), number("socket_drops")))
        }
        Kind::Tcpdump => {
            let text = ended.err.text();
            let number = |words: &str| {
                let line = text.lines().find(|l| l.contains(words));
                line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok())
                    .with_context(|| format!("tcpdump does not say what was {words}: {text}"))
            };
            Ok((number("captured")?, None, number("dropped by kernel")?))
        }
    }
}

/// The `final` lines of an output.
pub fn finals(text: &str) -> impl Iterator<Item = Value> + '_ {
    text.lines().filter(|l| l.contains("\"type\":\"final\"")).filter_map(|l| serde_json::from_str(l).ok())
}

/// Both receivers in turn, so many times; the one that begins changes. A round that others disturbed is
/// done once more, up to twice as many rounds in all; what is still missing then is filled up from the
/// disturbed ones, of which the number is given as well.
pub fn rounds(lab: &Lab, wanted: u32, kinds: [Kind; 2], job: &Job) -> Result<(Vec<[Reading; 2]>, usize)> {
    let (mut good, mut disturbed) = (Vec::new(), Vec::new());
    let wanted = wanted as usize;
    while good.len() < wanted && good.len() + disturbed.len() < 2 * wanted {
        let round = good.len() + disturbed.len();
        let mut pair = [Reading::default(); 2];
        for turn in 0..2 {
            let which = (turn + round) % 2;
            pair[which] = measure(lab, kinds[which], job)?;
            println!("  {} {:<12} {}", round + 1, kinds[which], pair[which]);
        }
        if !pair.iter().any(|r| r.disturbed(job)) { good.push(pair) } else { disturbed.push(pair) }
    }
    disturbed.truncate(wanted - good.len());
    let bad = disturbed.len();
    good.extend(disturbed);
    Ok((good, bad))
}

/// The median; 0 of nothing.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut list: Vec<f64> = values.collect();
    list.sort_by(f64::total_cmp);
    let n = list.len();
    match n {
        0 => 0.0,
        _ if n % 2 == 1 => list[n / 2],
        _ => (list[n / 2 - 1] + list[n / 2]) / 2.0,
    }
}

/// The highest rate that the bare receiver takes without a loss, to some 5 %, as far as the sender
/// reaches.
pub fn loss_free_rate(lab: &Lab) -> Result<u64> {
    let (mut low, mut high) = (50_000u64, 1_600_000u64);
    for _ in 0..7 {
        let rate = ((low as f64) * (high as f64)).sqrt() as u64;
        let job = Job { groups: 1, rate, time: Duration::from_millis(1500), busy: true };
        // Once more where it failed: a stall of the whole machine is no limit of either.
        let (mut free, mut reached) = (false, 0);
        for _ in 0..2 {
            let r = measure(lab, Kind::Bare, &job)?;
            println!("  bare at {rate}/s: {r}");
            reached = reached.max(r.rate);
            free |= r.lost() == 0;
            if free && reached >= rate * 95 / 100 {
                break;
            }
        }
        if free && reached < rate * 95 / 100 {
            println!("  the sender reaches {reached}/s and no more");
            return Ok(reached);
        }
        if free { low = rate } else { high = rate }
    }
    ensure!(low > 50_000, "the bare receiver loses packets at 50,000 a second: the machine is too busy");
    Ok(low)
}

/// Whether a program can be run.
pub fn has(program: &str) -> bool {
    let tried = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    tried.is_ok_and(|s| s.success())
}

/// Refuses what cannot be meant.
pub fn part_named(name: &str, parts: &[&str]) -> Result<()> {
    if parts.contains(&name) {
        return Ok(());
    }
    bail!("there is no part {name:?}: {} exist", parts.join(", "))
}
