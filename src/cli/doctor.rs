//! `mcscope doctor`: why does a group not arrive?

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use crossbeam_channel::{bounded, select};

use crate::base::iface::{Iface, candidates, to_examine};
use crate::base::resolve::Note;
use crate::base::spec::{IfaceChoice, Spec};
use crate::cli::signals::{self, Signal};
use crate::cli::{CliError, Exit, interfaces, local_offset, print, refuse, resolved, wire};
use crate::doctor::finding::Verdict;
use crate::doctor::{Examination, Request};
use crate::export;
use crate::net::clock;

const EXAMPLES: &str = "Examples:
  mcscope doctor                                            this host and its interfaces
  mcscope doctor 239.1.1.1:5004                             why does it not arrive?
  sudo mcscope doctor 239.1.1.1%eth0:5004 --for 135s        with the wire, and a querier's next query
  mcscope doctor 239.1.1.1:5004 --json --strict             for a script";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DoctorArgs {
    /// Groups that should arrive; without any, the host and its interfaces are looked at
    #[arg(value_name = "GROUP")]
    groups: Vec<String>,

    /// Look at these interfaces, where a group names none
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    iface: Vec<String>,

    /// Send a datagram to each group that stays on this host (TTL 0), and see whether it comes back: it tries
    /// the packet filter where its rules cannot be read. Every program here that listens to the group gets it
    #[arg(long, requires = "groups")]
    probe: bool,

    /// As JSON: one object with the findings, the worst first
    #[arg(long)]
    json: bool,

    /// Measure this long; the next query of a querier may take 135s
    #[arg(long = "for", alias = "duration", value_name = "TIME", default_value = "3s", value_parser = super::duration)]
    window: Duration,

    /// Exit with 1 also for warnings
    #[arg(long)]
    strict: bool,

    /// Show every check, also what is fine
    #[arg(long)]
    all: bool,
}

pub(super) fn run(args: &DoctorArgs) -> Result<Exit, CliError> {
    let ifaces = interfaces()?;
    let request = request(args, &ifaces)?;
    let signals = signals::listen(false);
    let (tell, told) = bounded(1);
    let examination = Examination::start(request, move |reports| {
        // The other end waits for it, unless the program ends.
        let _ = tell.send(reports);
    })
    .map_err(|e| CliError::could_not(format!("cannot start a thread: {e}")))?;
    let mut ended = None;
    let reports = loop {
        select! {
            recv(signals) -> s => if let Ok(Signal::End(code)) = s {
                ended = Some(code);
                examination.stop();
            },
            recv(told) -> reports => break reports,
        }
    };
    let reports = reports
        .map_err(|_| CliError::could_not("the examination broke off"))?
        .map_err(|e| CliError::could_not(e.to_string()))?;
    print(&if args.json {
        export::doctor::json(&reports) + "\n"
    } else {
        export::doctor::text(&reports, args.all)
    })?;
    if let Some(code) = ended {
        return Ok(Exit::Signal(code));
    }
    let worst = reports.iter().filter_map(|r| r.worst()).min();
    Ok(match worst {
        Some(Verdict::Fail) => Exit::Unmet,
        Some(Verdict::Warn) if args.strict => Exit::Unmet,
        _ => Exit::Done,
    })
}

fn request(args: &DoctorArgs, ifaces: &[Iface]) -> Result<Request, CliError> {
    wire::exist(&args.iface, ifaces)?;
    let names = |list: Vec<&Iface>| list.into_iter().map(|i| i.name.to_string()).collect::<Vec<_>>();
    // A join that names no interface would take the loopback; whoever asks why nothing comes means the
    // interface that is down.
    let instead = match args.iface.is_empty() && candidates(ifaces).iter().all(|i| i.candidate().is_err()) {
        true => names(to_examine(ifaces)),
        false => args.iface.clone(),
    };
    let mut groups = Vec::new();
    for text in &args.groups {
        let spec = Spec::parse(text).map_err(|e| refuse("", &e))?;
        let unnamed = matches!(spec.ifaces(), IfaceChoice::Unnamed);
        let named =
            !unnamed && !matches!(spec.ifaces(), IfaceChoice::All) || unnamed && !args.iface.is_empty();
        let text = match unnamed && !instead.is_empty() {
            true => spec.on(IfaceChoice::Named(instead.clone())).to_string(),
            false => text.clone(),
        };
        let found = resolved(&[text], ifaces)?;
        // What an interface is like the findings tell.
        for note in found.notes.iter().filter(|n| !matches!(n, Note::NotCandidate { .. })) {
            eprintln!("mcscope: note: {note}");
        }
        for m in found.memberships {
            if !groups.iter().any(|(have, _): &(Arc<_>, bool)| **have == m) {
                groups.push((Arc::new(m), named));
            }
        }
    }
    let looked_at: Vec<Arc<str>> = match (args.iface.is_empty(), groups.is_empty()) {
        (false, _) => ifaces
            .iter()
            .filter(|i| args.iface.iter().any(|n| **n == *i.name))
            .map(|i| i.name.clone())
            .collect(),
        (true, true) => to_examine(ifaces).into_iter().map(|i| i.name.clone()).collect(),
        (true, false) => Vec::new(),
    };
    Ok(Request {
        groups,
        ifaces: looked_at,
        window: args.window,
        probe: args.probe,
        utc_offset_s: local_offset(clock::now().wall),
        ..Request::default()
    })
}
