//! What very many senders cost: memory, a turn of the model, a frame of 200x60 cells.
//!
//! `cargo bench --bench scale`, or with `-- --sources 1000000`. Two crowds of that size are measured, each
//! in a process of its own: `one`, a thousand groups of 50 sources and all the others in one group (as a
//! flood of spoofed addresses has it), and `spread`, as many in each of a thousand groups.
//!
//! `--shape one` or `--shape spread` measures that one only; `--rounds N` says how often every sender
//! sends while it is measured. It fails when the memory is beyond the bounds: 512 bytes a source and
//! 16 KiB for each that is kept with its details.

use std::process::{Command, ExitCode};
use std::time::Duration;

use mcscope::model::Settings;

mod desk;

use desk::{Crowd, Desk, FILTER};

const GROUPS: u32 = 1000;
const EACH: u32 = 50;
/// Turns that nobody sends in.
const QUIET: u32 = 60;
/// Filters that everything has to be looked at for.
const NONE: &str = "1/zebra or lost>5\n";
const ADDRESS: &str = "1/0.77:5004\n";
const TURN_MS: u64 = 50;
const JUMP_MS: u64 = 1_100;

#[derive(Clone)]
struct Args {
    sources: u32,
    rounds: u32,
    shape: Option<String>,
}

fn args() -> Result<Args, String> {
    let mut out = Args { sources: 100_000, rounds: 30, shape: None };
    let mut list = std::env::args().skip(1);
    while let Some(a) = list.next() {
        let mut value = || list.next().ok_or(format!("{a} needs a value"));
        let number = |v: String| v.parse::<u32>().map_err(|e| format!("{v}: {e}"));
        match a.as_str() {
            // What cargo adds.
            "--bench" => {}
            "--sources" => out.sources = number(value()?)?.max(GROUPS * EACH + 1),
            "--rounds" => out.rounds = number(value()?)?.max(1),
            "--shape" => out.shape = Some(value()?),
            _ => return Err(format!("{a} is not known: --sources N, --rounds N, --shape one|spread")),
        }
    }
    Ok(out)
}

/// Memory that is resident now and was at most, in bytes; `None` where the system does not say.
fn resident() -> Option<(u64, u64)> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let of = |key: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(key))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
    };
    Some((of("VmRSS:")?, of("VmHWM:")?))
}

/// Durations of one kind.
#[derive(Default)]
struct Times {
    sum: Duration,
    worst: Duration,
    n: u32,
}

impl Times {
    fn add(&mut self, d: Duration) {
        self.sum += d;
        self.worst = self.worst.max(d);
        self.n += 1;
    }

    fn text(&self) -> String {
        let ms = |d: Duration| d.as_secs_f64() * 1e3;
        format!("{:8.3} ms, worst {:8.3}", ms(self.sum) / f64::from(self.n.max(1)), ms(self.worst))
    }
}

/// Turns of the model with a frame after each.
fn turns(desk: &mut Desk, name: &str, rounds: u32, ms: u64, busy: bool) {
    let (mut advance, mut frame) = (Times::default(), Times::default());
    for _ in 0..rounds {
        if busy {
            desk.traffic();
        }
        advance.add(desk.pass(ms));
        frame.add(desk.draw());
    }
    println!("  {name:28} advance {}   frame {}", advance.text(), frame.text());
}

fn measure(name: &str, crowd: Crowd, rounds: u32) -> bool {
    let before = resident().map(|r| r.0);
    let mut desk = Desk::new(crowd, Settings { keep_packets: false });
    desk.pass(100);
    let n = crowd.first + (crowd.groups - 1) * crowd.each;
    println!("{name}: {n} sources of {} groups", crowd.groups);
    for what in ["appearing", "second", "third", "fourth"] {
        let a = desk.traffic();
        let turn = desk.pass(TURN_MS);
        println!(
            "  {what:10} {:5.2} M datagrams/s, a batch {:.3} ms at most; then a turn of {:.3} ms",
            a.datagrams as f64 / a.all.as_secs_f64() / 1e6,
            a.worst.as_secs_f64() * 1e3,
            turn.as_secs_f64() * 1e3
        );
    }
    desk.keys("1");
    let views = [("", "1"), ("all pass, ", FILTER), ("none passes, ", NONE), ("an address, ", ADDRESS)];
    for (view, keys) in views {
        desk.keys(keys);
        turns(&mut desk, &format!("{view}busy"), rounds, TURN_MS, true);
        turns(&mut desk, &format!("{view}busy, a second"), rounds.min(10), JUMP_MS, true);
        turns(&mut desk, &format!("{view}quiet"), QUIET, TURN_MS, false);
        turns(&mut desk, &format!("{view}quiet, a second"), rounds.min(10), JUMP_MS, false);
    }
    let Some(((now, most), before)) = resident().zip(before) else {
        println!("  memory: this system does not say");
        return true;
    };
    let known: usize = desk.model.groups().map(|g| g.sources.len()).sum();
    let detailed: usize = desk.model.groups().map(|g| g.sources.detailed()).sum();
    let (used, allowed) = (
        now - before,
        known as u64 * 512 + detailed as u64 * (16 << 10) + u64::from(crowd.groups) * (64 << 10),
    );
    let mib = |bytes: u64| bytes >> 20;
    println!(
        "  memory: {} MiB resident (at most {}), {} MiB of it for {known} sources, {detailed} of them with \
         details: {} bytes a source; the bound is {} MiB",
        mib(now),
        mib(most),
        mib(used),
        used / known.max(1) as u64,
        mib(allowed)
    );
    used <= allowed
}

fn main() -> ExitCode {
    let args = match args() {
        Ok(a) => a,
        Err(e) => {
            eprintln!("{e}");
            return ExitCode::from(2);
        }
    };
    let others = (GROUPS - 1) * EACH;
    let crowd = match args.shape.as_deref() {
        Some("one") => Crowd { groups: GROUPS, first: args.sources - others, each: EACH },
        Some("spread") => {
            let each = args.sources / GROUPS;
            Crowd { groups: GROUPS, first: args.sources - (GROUPS - 1) * each, each }
        }
        Some(other) => {
            eprintln!("{other} is no shape: one or spread");
            return ExitCode::from(2);
        }
        // A process each, so that the memory of one is not that of the other.
        None => {
            let run = |shape: &&str| {
                let this = std::env::current_exe().expect("the path of this benchmark");
                let (n, rounds) = (args.sources.to_string(), args.rounds.to_string());
                let list = ["--shape", shape, "--sources", &n, "--rounds", &rounds];
                Command::new(this).args(list).status().is_ok_and(|s| s.success())
            };
            let failed = ["one", "spread"].iter().filter(|s| !run(s)).count();
            return if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
    };
    if measure(args.shape.as_deref().unwrap_or_default(), crowd, args.rounds) {
        ExitCode::SUCCESS
    } else {
        eprintln!("more memory than the bounds allow");
        ExitCode::FAILURE
    }
}
