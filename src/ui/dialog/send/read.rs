//! From what the fields say to a job, its one-line summary, and what to mind.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::target::{may_go_on, target};
use super::{Item, KIND_FILE, KIND_HEX, KIND_PING, KIND_PROBE, KIND_TEXT, PLAN_LADDER, PLAN_SOAK};
use crate::base::dscp;
use crate::base::group::Endpoint;
use crate::base::text::{TextError, parse_hex, unescape};
use crate::base::units::{self, Rate, parse_duration, parse_rate, parse_size};
use crate::engine::command::{Impair, Payload, Plan, SendJob, Size};
use crate::model::IfaceState;
use crate::ui::dialog::form::Form;
use crate::ui::dialog::ifaces::IfaceOptions;
use crate::ui::dialog::value::{Trouble, number, optional, read};
use crate::wire::probe;

/// Largest UDP payload over IPv4, in bytes: 65,535 less the IP and UDP headers.
pub const MAX_PAYLOAD: u64 = 65_507;
/// How long a ping waits for answers when nothing else is said.
const PING_WAIT: Duration = Duration::from_secs(2);

/// What the fields come to.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The job, if nothing is wrong.
    pub job: Option<SendJob>,
    /// The file whose content is the payload.
    pub file: Option<PathBuf>,
    /// What is wrong, by field.
    pub troubles: Vec<(Item, Trouble)>,
    /// The interface that the target names.
    pub named: Option<String>,
    /// What will be sent, in one sentence.
    pub summary: String,
    /// What to mind.
    pub warnings: Vec<String>,
    /// The guard and the rate under it.
    pub guard: String,
}

/// A rate field as written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Pace {
    Packets(f64),
    Bits(f64),
    /// One burst each.
    Every(Duration),
    /// As fast as the guard allows.
    Max,
}

/// Collects what is wrong while the fields are read.
struct Fields<'a> {
    form: &'a Form<Item>,
    troubles: Vec<(Item, Trouble)>,
}

impl Fields<'_> {
    fn take<T>(&mut self, item: Item, read: impl FnOnce(&str) -> Result<T, Trouble>) -> Option<T> {
        match read(self.form.text(item)) {
            Ok(value) => Some(value),
            Err(trouble) => {
                self.troubles.push((item, trouble));
                None
            }
        }
    }

    fn maybe<T>(&mut self, item: Item, read: impl FnOnce(&str) -> Result<T, Trouble>) -> Option<Option<T>> {
        self.take(item, |text| optional(text, read))
    }

    fn count(&mut self, item: Item, low: u64, high: u64, what: &str) -> Option<Option<u64>> {
        self.maybe(item, |text| read(text, |t| number(t, low..=high, what), &[]))
    }
}

/// Reads the form. `settled` says that the interface shown as chosen was meant; otherwise the target
/// must name one.
pub fn reading(form: &Form<Item>, ifaces: &[IfaceState], options: &IfaceOptions, settled: bool) -> Reading {
    let mut f = Fields { form, troubles: Vec::new() };
    let target = f
        .take(Item::To, |text| target(text).map_err(|e| Trouble { unfinished: may_go_on(text), ..e.into() }));
    let named = target.as_ref().and_then(|t| t.iface.as_deref()).map(|name| by_index(name, ifaces));
    let iface = iface(&mut f, named.as_deref(), options, settled);
    let (payload, file, length) = payload(&mut f);
    let least = if form.chosen(Item::Kind) <= KIND_PING { probe::HEADER as u64 } else { 0 };
    let size = f.maybe(Item::Size, |text| read(text, |t| read_size(t, least), &["1", "65507"]));
    let mean = size.map(|size| mean_size(size, length));
    let guard = f.take(Item::Guard, |text| read(text, read_guard, &["s", "/s"]));
    let plan = plan(&mut f, mean.flatten());
    let ttl = f.take(Item::Ttl, |text| read(text, |t| number(t, 0..=255, "TTL"), &[]));
    let dscp = f.take(Item::Dscp, |text| read(text, dscp::parse, &DSCP_ENDINGS));
    let from = f.count(Item::From, 1, 65_535, "a port");
    let impair = impair(&mut f);
    let wait = f.maybe(Item::Wait, |text| read(text, parse_duration, &["s", "1s"]));

    let mut out = Reading { named, file, ..Reading::default() };
    let troubles = std::mem::take(&mut f.troubles);
    let parts = (|| {
        let wait = wait?.or((form.chosen(Item::Kind) == KIND_PING).then_some(PING_WAIT));
        Some(SendJob {
            to: target.as_ref()?.to,
            iface: iface?,
            payload: payload?,
            size: size?,
            plan: plan?,
            ttl: ttl? as u8,
            dscp: dscp?,
            source_port: from?.map(|port| port as u16),
            source_ip: None,
            loopback: form.checked(Item::Loop),
            impair: impair?,
            limit_pps: guard?,
            await_reply: wait.filter(|wait| !wait.is_zero()),
        })
    })();
    out.troubles = troubles;
    if let Some(job) = parts.filter(|_| out.troubles.is_empty()) {
        let known = ifaces.iter().find(|i| i.iface.name == job.iface);
        out.summary = summary(&job, form, length);
        out.guard = guard_line(&job);
        out.warnings = warnings(&job, known, length);
        out.job = Some(job);
    }
    out
}

/// Endings by which a DSCP begun may become one.
const DSCP_ENDINGS: [&str; 12] = ["1", "11", "F11", "F", "0", "S0", "A", "E", "f", "s0", "a", "e"];

/// The name of an interface that may be written as its number (RFC 4007 section 11.2).
fn by_index(name: &str, ifaces: &[IfaceState]) -> String {
    let index = name.parse::<u32>().ok();
    let by_name = ifaces.iter().find(|i| &*i.iface.name == name);
    let found = by_name.or_else(|| ifaces.iter().find(|i| Some(i.iface.index) == index));
    found.map_or(name, |i| &i.iface.name).to_owned()
}

fn iface(f: &mut Fields<'_>, named: Option<&str>, options: &IfaceOptions, settled: bool) -> Option<Arc<str>> {
    let Some(name) = named else {
        let chosen = options.name(f.form.chosen(Item::On)).cloned();
        let message = match &chosen {
            None => "no interface is known to send by",
            Some(_) if settled => return chosen,
            Some(_) => "several are up: choose one with the arrows, Enter takes it",
        };
        f.troubles.push((Item::On, Trouble::missing(message)));
        return None;
    };
    if let Some(place) = options.place(name) {
        return options.name(place).cloned();
    }
    let text = f.form.text(Item::To);
    let at = text.find(name).unwrap_or(0);
    let known: Vec<&str> = (0..).map_while(|i| options.name(i)).map(|n| &**n).take(8).collect();
    let trouble = Trouble {
        span: at..at + name.len(),
        message: format!("there is no interface {name} ({} exist)", known.join(", ")),
        help: None,
        unfinished: known.iter().any(|k| k.starts_with(name)),
    };
    f.troubles.push((Item::To, trouble));
    None
}

/// The payload, the file it comes from, and its length in bytes where that is known.
fn payload(f: &mut Fields<'_>) -> (Option<Payload>, Option<PathBuf>, Option<u64>) {
    match f.form.chosen(Item::Kind) {
        KIND_HEX => {
            let bytes = f.take(Item::Hex, |text| read(text, parse_hex, &["0"]));
            let length = bytes.as_ref().map(|b| b.len() as u64);
            (bytes.and_then(|b| whole(f, Item::Hex, b)), None, length)
        }
        KIND_FILE => {
            let path = f.form.text(Item::File);
            if path.is_empty() {
                f.troubles.push((Item::File, Trouble::missing("the path of a file is missing")));
                return (None, None, None);
            }
            (Some(Payload::Bytes(Arc::new([]))), Some(PathBuf::from(path)), None)
        }
        KIND_TEXT => {
            let bytes = f.take(Item::Text, |text| read(text, unescape, &ESCAPE_ENDINGS));
            let length = bytes.as_ref().map(|b| b.len() as u64);
            (bytes.and_then(|b| whole(f, Item::Text, b)), None, length)
        }
        kind => {
            let text = f.take(Item::Text, |text| read(text, unescape_text, &ESCAPE_ENDINGS));
            let length = text.as_ref().map(|t| (probe::HEADER + t.len()) as u64);
            if length.is_some_and(|n| n > MAX_PAYLOAD) {
                f.troubles.push((Item::Text, too_long(f.form.text(Item::Text))));
                return (None, None, None);
            }
            let text = text.map(|t| Some(t).filter(|t| !t.is_empty()));
            (text.map(|text| Payload::Probe { ping: kind != KIND_PROBE, text }), None, length)
        }
    }
}

/// Endings by which an escape begun may become one.
const ESCAPE_ENDINGS: [&str; 6] = ["\\", "0", "00", "0}", "{0}", "x00"];

fn whole(f: &mut Fields<'_>, item: Item, bytes: Vec<u8>) -> Option<Payload> {
    if bytes.len() as u64 > MAX_PAYLOAD {
        f.troubles.push((item, too_long(f.form.text(item))));
        return None;
    }
    Some(Payload::Bytes(bytes.into()))
}

fn too_long(text: &str) -> Trouble {
    Trouble::whole(text, format!("longer than a datagram can be ({MAX_PAYLOAD} bytes)"))
}

fn unescape_text(text: &str) -> Result<String, TextError> {
    String::from_utf8(unescape(text)?).map_err(|_| {
        TextError::new(text, 0..text.len(), "the text of a probe is UTF-8: these bytes are not")
            .help("send them as text or hex instead, without a probe")
    })
}

/// Reads `200`, `1.2k` or `100-1400`.
fn read_size(text: &str, least: u64) -> Result<Size, TextError> {
    let one = |range: std::ops::Range<usize>| {
        let n = parse_size(&text[range.clone()]).map_err(|e| {
            let span = range.start + e.span.start..range.start + e.span.end;
            let e = TextError { text: text.to_owned(), span, ..e };
            e.help("a size is written like 200 or 1.2k; 100-1400 is random between both")
        })?;
        let wrong = |message: String| Err(TextError::new(text, range.clone(), message));
        match n {
            _ if n < least => wrong(format!("a probe has at least {least} bytes")),
            _ if n > MAX_PAYLOAD => wrong(format!("a datagram carries at most {MAX_PAYLOAD} bytes")),
            _ => Ok(n as u32),
        }
    };
    match text.find(['-', '–', '…']) {
        None => Ok(Size::Fixed(one(0..text.len())?)),
        Some(at) => {
            let after = at + text[at..].chars().next().map_or(1, char::len_utf8);
            let (low, high) = (one(0..at)?, one(after..text.len())?);
            if low > high {
                return Err(TextError::new(text, 0..text.len(), "the smaller size comes first"));
            }
            Ok(Size::Random(low, high))
        }
    }
}

/// Reads the guard: whole datagrams a second.
fn read_guard(text: &str) -> Result<u32, TextError> {
    let wrong = |message: &str| TextError::new(text, 0..text.len(), message);
    match parse_rate(text)? {
        Rate::Packets(pps) if (1.0..=f64::from(u32::MAX)).contains(&pps) => Ok(pps as u32),
        Rate::Packets(_) => Err(wrong("the guard is at least 1 packet a second, at most 4 294 967 295")),
        Rate::Bits(_) => Err(wrong("the guard is in packets a second")),
    }
}

/// Reads a rate or an interval.
fn read_pace(text: &str) -> Result<Pace, TextError> {
    const FORM: &str = "a rate is written like 10/s, 5k, 20Mbit; an interval like 100ms; or max";
    let word = text.trim();
    if word.eq_ignore_ascii_case("max") {
        return Ok(Pace::Max);
    }
    let wrong = match parse_rate(text) {
        Ok(Rate::Packets(pps)) => return Ok(Pace::Packets(pps)),
        Ok(Rate::Bits(bps)) => return Ok(Pace::Bits(bps)),
        Err(e) => e,
    };
    match parse_duration(text) {
        Ok(d) if d.is_zero() => {
            Err(TextError::new(text, 0..text.len(), "an interval of 0 has no rate").help(FORM))
        }
        Ok(d) => Ok(Pace::Every(d)),
        Err(_) => Err(wrong.help(FORM)),
    }
}

fn mean_size(size: Option<Size>, length: Option<u64>) -> Option<f64> {
    match size {
        Some(Size::Fixed(n)) => Some(f64::from(n)),
        Some(Size::Random(low, high)) => Some((f64::from(low) + f64::from(high)) / 2.0),
        None => length.map(|n| n as f64),
    }
}

fn plan(f: &mut Fields<'_>, mean: Option<f64>) -> Option<Plan> {
    match f.form.chosen(Item::Plan) {
        PLAN_LADDER => {
            let step = f.take(Item::Step, |text| read(text, positive, &["s", "1s"]))?;
            Some(Plan::Ladder { step })
        }
        PLAN_SOAK => {
            let duration = f.take(Item::Soak, |text| read(text, positive, &["s", "1s"]))?;
            Some(Plan::Soak { duration })
        }
        _ => {
            let count = f.count(Item::Count, 1, u64::MAX, "a count");
            let duration = f.maybe(Item::For, |text| read(text, positive, &["s", "1s"]));
            let burst = f.count(Item::Burst, 1, 65_535, "a burst");
            let burst = burst.map(|b| b.unwrap_or(1) as u32);
            let pace = f.take(Item::Rate, |text| {
                read(text, read_pace, &["s", "t", "it", "/s", "1", "1s", "x", "ax"])
            });
            let rate_pps = match pace? {
                Pace::Packets(pps) => pps,
                Pace::Max => f64::INFINITY,
                Pace::Every(each) => f64::from(burst?) / each.as_secs_f64(),
                Pace::Bits(bps) => match mean {
                    Some(bytes) if bytes > 0.0 => bps / (8.0 * bytes),
                    _ => {
                        let text = f.form.text(Item::Rate);
                        let message = "a rate in bits needs a size: write one beside it";
                        f.troubles.push((Item::Rate, Trouble::whole(text, message)));
                        return None;
                    }
                },
            };
            Some(Plan::Steady { rate_pps, burst: burst?, count: count?, duration: duration? })
        }
    }
}

fn positive(text: &str) -> Result<Duration, TextError> {
    match parse_duration(text)? {
        d if d.is_zero() => Err(TextError::new(text, 0..text.len(), "this is no time at all")),
        d => Ok(d),
    }
}

fn impair(f: &mut Fields<'_>) -> Option<Impair> {
    let drop = f.count(Item::Drop, 0, u64::MAX, "this");
    let dup = f.count(Item::Dup, 0, u64::MAX, "this");
    let swap = f.count(Item::Swap, 0, u64::MAX, "this");
    let drop_every = drop?.unwrap_or(0);
    if drop_every == 1 {
        let text = f.form.text(Item::Drop);
        f.troubles.push((Item::Drop, Trouble::whole(text, "1 leaves out every number: nothing is sent")));
        return None;
    }
    Some(Impair { drop_every, dup_every: dup?.unwrap_or(0), swap_every: swap?.unwrap_or(0) })
}

/// A rate as exact as it can be said: `200 pkt/s`, `0.5 pkt/s`.
fn pps(rate: f64) -> String {
    if rate.fract() == 0.0 && rate < 1e6 {
        format!("{} pkt/s", units::count(rate as u64))
    } else {
        units::packets_per_s(rate)
    }
}

fn time(d: Duration) -> String {
    units::duration(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
}

/// The rate that comes out under the guard, in datagrams a second.
fn effective(job: &SendJob) -> f64 {
    let guard = f64::from(job.limit_pps);
    match job.plan {
        Plan::Steady { rate_pps, .. } => rate_pps.min(guard),
        Plan::Ladder { .. } => guard,
        Plan::Soak { .. } => 1.0f64.min(guard),
    }
}

fn guard_line(job: &SendJob) -> String {
    let guard = pps(f64::from(job.limit_pps));
    match job.plan {
        Plan::Ladder { .. } => format!("guard {guard}, which is the ladder's top"),
        _ => format!("guard {guard}, this sends {}", pps(effective(job))),
    }
}

fn summary(job: &SendJob, form: &Form<Item>, length: Option<u64>) -> String {
    let one = match form.chosen(Item::Kind) {
        KIND_PROBE => "probe",
        KIND_PING => "ping",
        KIND_TEXT => "text",
        _ => "datagram",
    };
    let many = |n: Option<u64>| match n {
        Some(1) => format!("1 {one}"),
        Some(n) => format!("{} {one}s", units::count(n)),
        None => format!("{one}s"),
    };
    let size = match job.size {
        Some(Size::Fixed(n)) => format!(" of {}", units::bytes(n.into())),
        Some(Size::Random(low, high)) => format!(" of {low} to {}", units::bytes(high.into())),
        None => length.map_or(" as long as the file".to_owned(), |n| format!(" of {}", units::bytes(n))),
    };
    let place = format!("to {} by {}", job.to, job.iface);
    let far = reach(job);
    let rate = effective(job);
    match job.plan {
        Plan::Ladder { step } => {
            // The powers of ten below the guard, the guard, and six sizes of burst.
            let powers = std::iter::successors(Some(1u32), |r| r.checked_mul(10));
            let rungs = powers.take_while(|r| *r < job.limit_pps).chain([job.limit_pps]);
            let rungs: Vec<String> = rungs.map(|r| units::count(r.into())).collect();
            let takes = time(step.saturating_mul(rungs.len() as u32 + 6));
            let (rungs, each) = (rungs.join(", "), time(step));
            format!(
                "{}{size} {place}, {rungs} pkt/s, then bursts of 2 to 64, {each} each, takes {takes}, {far}",
                many(None)
            )
        }
        Plan::Soak { duration } => {
            let queries = duration.as_secs() / 125;
            let (n, each) = (many(Some(duration.as_secs().max(1))), time(duration));
            format!("{n}{size} {place}, one a second for {each} ({queries} query intervals of 125 s), {far}")
        }
        Plan::Steady { burst, count, duration, .. } => {
            let bursts = if burst > 1 { format!(" in bursts of {burst}") } else { String::new() };
            let by_time = duration.map(|d| (d.as_secs_f64() * rate).ceil().max(1.0) as u64);
            let n = count.into_iter().chain(by_time).min();
            let takes = match n {
                Some(1) => String::new(),
                Some(n) => format!(
                    ", takes {}",
                    time(Duration::try_from_secs_f64(n as f64 / rate).unwrap_or(Duration::MAX))
                ),
                None => ", until stopped".to_owned(),
            };
            let speed = if n == Some(1) { String::new() } else { format!(", {}{bursts}", pps(rate)) };
            format!("{}{size} {place}{speed}{takes}, {far}", many(n))
        }
    }
}

/// How far the TTL lets it go.
fn reach(job: &SendJob) -> String {
    let word = if job.to.ip.is_ipv4() { "TTL" } else { "hop limit" };
    match job.ttl {
        0 => format!("{word} 0: stays on this host"),
        1 => format!("{word} 1: stops at the first router"),
        n if stays_on_link(job.to) => format!("{word} {n}: link-local, no router passes it on"),
        2 => format!("{word} 2: passes one router"),
        n => format!("{word} {n}: passes up to {} routers", n - 1),
    }
}

/// Whether routers never pass the group on: 224.0.0/24 (RFC 5771 section 4), and interface-local and
/// link-local scope (RFC 4291 section 2.7).
fn stays_on_link(to: Endpoint) -> bool {
    match to.ip {
        IpAddr::V4(ip) => ip.octets()[..3] == [224, 0, 0],
        IpAddr::V6(ip) => ip.is_multicast() && ip.octets()[1] & 0x0f <= 2,
    }
}

fn warnings(job: &SendJob, known: Option<&IfaceState>, length: Option<u64>) -> Vec<String> {
    let mut out = Vec::new();
    if let Plan::Steady { rate_pps, .. } = job.plan
        && rate_pps > f64::from(job.limit_pps)
    {
        let asked = if rate_pps.is_finite() { pps(rate_pps) } else { "as fast as can be".to_owned() };
        out.push(format!(
            "asked for {asked}, held at {} by the guard: raise the guard to go faster",
            pps(f64::from(job.limit_pps))
        ));
    }
    let largest = match job.size {
        Some(Size::Fixed(n) | Size::Random(_, n)) => Some(u64::from(n)),
        None => length,
    };
    if let (Some(n), Some(length)) = (job.size, length) {
        let least = match n {
            Size::Fixed(n) | Size::Random(n, _) => u64::from(n),
        };
        if least < length {
            out.push(format!("the size cuts what is sent from {length} to {least} bytes"));
        }
    }
    let headers = if job.to.ip.is_ipv4() { 28 } else { 48 };
    if let Some(iface) = known {
        if let (Some(n), Some(mtu)) = (largest, iface.iface.mtu)
            && n + headers > u64::from(mtu)
        {
            out.push(format!("longer than the MTU of {} ({mtu}): it travels in fragments", job.iface));
        }
        if !iface.iface.has_family(job.to.ip) {
            let family = if job.to.ip.is_ipv4() { "IPv4" } else { "IPv6" };
            out.push(format!("{} has no {family} address to send from", job.iface));
        }
        if !iface.iface.up {
            out.push(format!("{} is down", job.iface));
        }
    }
    out
}
