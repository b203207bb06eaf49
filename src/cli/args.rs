//! The arguments of the program and its help.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::base::batch::Capture;
use crate::base::units;
use crate::cli::feeds::Feeds;
use crate::cli::wire::WireArgs;
use crate::cli::{doctor, ping, respond, send, soak, tree};
use crate::config;
use crate::ui::theme::Theme;

const GROUPS_HELP: &str = "Groups: 239.1.1.1:5004 · 10.1.2.20@232.1.1.1:5004 (source-specific) · \
239.1.1.1+16:5004 (sixteen of them) · 239.1.1.1%eth0:5004 · [ff02::fb%eth0]:5353 · rtp://@239.1.1.1:5004 · \
mdns (a name of `mcscope groups`). Without an interface a group is joined on every one that carries a LAN; \
`mcscope interfaces` lists them.\n\nExit codes: 0 done, 1 a condition was not met, 2 wrong usage, 3 could not \
run, 130 or 143 ended by a signal with results printed.";

const FILTER_HELP: &str = "Print only packets that match; --count counts these, statistics and events are \
of all. Words must all occur (in addresses, names, protocol, preview); a property is compared with =, !=, <, <=, \
>, >= or by writing its value behind it: group, source, port, source-port, interface, protocol, size, ttl, dscp, \
lost, duplicates, reordered, packets, rate, bps, pps, state; text and hex look into the payload; and, or, not and \
parentheses join them. As in: 'rtp and lost > 0', 'source 10.1.2.0/24 or iface eth1', \
'size >= 1000 not port 5353', 'hex \"de ad\"', 'rate > 1.5Mbit'. lost, rate and other counts are those of the \
packet's source at the moment. A comparison with what a packet does not have is false.";

const RULE_HELP: &str = "What streams are, or where they count, before mcscope recognises them by itself: \
[WHERE=]WHAT. WHERE is a group (239.1.1.1), a range of them (239.1.0.0/16), either with :PORT behind ([ff15::1]:5004), \
or :PORT alone; everywhere without it. WHAT is a protocol (rtp, mpegts, json …, as in the filter), a counter \
(seq:OFFSET:WIDTH[:le|be][:STEP] in bytes from the start of the payload, big endian without le; seq:off for none), or \
both with a comma between, as in 239.1.1.1:5004=rtp or :9000=seq:4:2:le. Can be given several times: the first that \
holds for a stream counts, then the [[protocol]] rules of the settings file, which can also look at the sender and \
at bytes of the payload.";

/// An oscilloscope for IP multicast: join groups, see who sends what and what is lost.
#[derive(Parser)]
#[command(name = "mcscope", version, about, after_help = GROUPS_HELP, args_conflicts_with_subcommands = true)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Groups to watch on the dashboard; without any, what announces itself on a LAN
    #[arg(value_name = "GROUP")]
    pub groups: Vec<String>,

    /// Watch built-in senders on the loopback interface: no network and no privilege needed
    #[arg(long)]
    pub demo: bool,

    /// Colours: dark, light or mono
    #[arg(long, value_name = "NAME", value_parser = theme)]
    pub theme: Option<Theme>,

    /// Give up all privileges for good once the first sockets are open. Afterwards no packet ring, no port below
    /// 1024 and no receive buffer beyond net.core.rmem_max can be had any more, also not for a group that is
    /// joined later or an interface that returns. Without it one thread keeps the network capabilities and uses
    /// them for such calls alone
    #[arg(long, global = true)]
    pub drop_privileges: bool,

    #[command(flatten)]
    pub feeds: Feeds,

    #[command(flatten)]
    pub wire: WireArgs,

    #[command(flatten)]
    pub common: Common,
}

/// What every command that receives can be told.
#[derive(Args, Clone, Debug)]
pub(super) struct Common {
    /// Receive buffer to ask for, for each group (as in 4MiB), or for each packet ring; the system's
    /// default without it, 8 MiB for a ring
    #[arg(long, value_name = "BYTES", value_parser = config::buffer)]
    pub rcvbuf: Option<usize>,

    /// How to receive: a socket for each group, or one packet ring for each interface, which is many times
    /// cheaper but needs CAP_NET_RAW and sees what the firewall would keep away
    #[arg(long, value_enum, value_name = "HOW", default_value_t = CaptureArg::Sockets)]
    pub capture: CaptureArg,

    /// What a stream is, or where it counts, before mcscope recognises it by itself: [WHERE=]WHAT, as in
    /// 239.1.1.1:5004=rtp or :9000=seq:4:2:le; can be given several times, the first that holds counts
    #[arg(long = "protocol", value_name = "RULE", long_help = RULE_HELP)]
    pub protocols: Vec<String>,

    /// Do not look up the names of senders
    #[arg(long)]
    pub no_resolve: bool,

    /// Read the settings from this file
    #[arg(long, value_name = "FILE", env = "MCSCOPE_CONFIG")]
    pub config: Option<PathBuf>,
}

/// The ways to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum CaptureArg {
    /// A socket for each group
    Sockets,
    /// A memory-mapped packet ring for each interface (Linux, CAP_NET_RAW)
    Ring,
}

impl From<CaptureArg> for Capture {
    fn from(arg: CaptureArg) -> Capture {
        match arg {
            CaptureArg::Sockets => Capture::Sockets,
            CaptureArg::Ring => Capture::Ring,
        }
    }
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// Watch groups without a screen: packets, events and statistics on standard output
    Watch(WatchArgs),
    /// Send test messages to a group
    Send(Box<send::SendArgs>),
    /// Ask who answers on a group: round trips, loss each way, hops, of every mcscope that responds
    Ping(ping::PingArgs),
    /// Answer what arrives on groups with a unicast reply to its sender
    Respond(respond::RespondArgs),
    /// Keep memberships past the time after which switches forget, and say whether traffic went on
    Soak(soak::SoakArgs),
    /// Measure how long it takes from a join to the first datagram, and from the leave to the last
    Tree(tree::TreeArgs),
    /// Say why a group does not arrive, and what to do about it
    Doctor(doctor::DoctorArgs),
    /// List the interfaces, their addresses, and which are joined by default
    #[command(after_help = "Examples:\n  mcscope interfaces\n  mcscope interfaces --json")]
    Interfaces {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Search the registry of well-known groups
    #[command(
        after_help = "Examples:\n  mcscope groups\n  mcscope groups mdns\n  mcscope groups 224.0.1 --json"
    )]
    Groups {
        /// Words to look for: a name, an address, a protocol
        query: Vec<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// The same as --demo
    #[command(after_help = "Examples:\n  mcscope demo\n  mcscope demo --theme light")]
    Demo {
        /// Colours: dark, light or mono
        #[arg(long, value_name = "NAME", value_parser = theme)]
        theme: Option<Theme>,
    },
    /// Print the completions of a shell
    #[command(
        after_help = "Examples:\n  mcscope completions bash > ~/.local/share/bash-completion/completions/mcscope\n  mcscope completions fish > ~/.config/fish/completions/mcscope.fish"
    )]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page (roff)
    #[command(after_help = "Examples:\n  mcscope man | man -l -")]
    Man,
}

const WATCH_EXAMPLES: &str = "Examples:
  mcscope watch 239.1.1.1:5004
  mcscope watch 239.1.1.1:5004 --format json --stats-only --duration 30s
  mcscope watch mdns ssdp --filter 'source 10.1.2.0/24' --count 20
  mcscope watch --pair 239.1.1.1%eth0:5004 239.1.1.1%eth1:5004";

#[derive(Args)]
#[command(after_help = WATCH_EXAMPLES)]
pub(super) struct WatchArgs {
    /// Groups to watch
    #[arg(value_name = "GROUP", required_unless_present_any = ["pair", "wire", "no_join"])]
    pub groups: Vec<String>,

    #[command(flatten)]
    pub feeds: Feeds,

    #[command(flatten)]
    pub wire: WireArgs,

    /// json is one object a line
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,

    /// Statistics this often
    #[arg(long, short_alias = 'i', value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub interval: Duration,

    /// End after this time, as in 30s
    #[arg(long, alias = "for", value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,

    /// Print only packets that match, as in 'rtp and lost > 0'; --count counts these, statistics and
    /// events are of all
    #[arg(long, value_name = "FILTER", long_help = FILTER_HELP)]
    pub filter: Option<String>,

    /// End after so many datagrams over all groups
    #[arg(long, short_alias = 'c', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,

    /// No packets, only events and statistics
    #[arg(long)]
    pub stats_only: bool,

    /// Bytes of payload in a packet line
    #[arg(long, value_name = "BYTES", default_value_t = 256)]
    pub snap: usize,

    #[command(flatten)]
    pub common: Common,
}

/// The forms of `watch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// JSON Lines.
    Json,
    /// Plain lines for people.
    Text,
    /// Comma-separated values: packets, or statistics with `--stats-only`.
    Csv,
}

pub(super) fn theme(name: &str) -> Result<Theme, &'static str> {
    Theme::named(name).ok_or(Theme::NAMES)
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    match units::parse_duration(text) {
        Ok(d) if d.is_zero() => Err("it must be more than nothing".to_owned()),
        Ok(d) => Ok(d),
        Err(e) => Err(e.in_a_line()),
    }
}
