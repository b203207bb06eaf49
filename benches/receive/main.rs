//! What receiving costs: mcscope beside bare receivers, in one run, on one cable between two network
//! namespaces.
//!
//! ```text
//! cargo bench --bench receive [-- --rounds 5 --seconds 4 --only PART]
//! ```
//!
//! Parts: `sockets`, `dashboard`, `groups`, `ring`, `latency`, `joins`. It needs Linux, root, two
//! CPUs and `ip`; `ring` needs `tcpdump`. The sender is pinned to the first CPU, the receiver to the
//! second, both ahead of other sessions. On a machine that others use a receiver still pays for waking
//! into their work, and one that wakes often pays most: each line says how busy others kept the
//! receiver's CPU, and figures of disturbed rounds are marked as in doubt.
//!
//! A figure is the CPU time of the whole process, all threads, over the packets that were delivered:
//! once for its whole life as `wait4` tells it, with start, joins and final output (the stricter
//! one, which the targets are held against), and once only while there was traffic. Nothing is
//! asserted: the table at the end has each target beside what was reached.

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("this benchmark needs the network namespaces of Linux");
}

#[cfg(target_os = "linux")]
mod bare;
#[cfg(target_os = "linux")]
mod compare;
#[cfg(target_os = "linux")]
mod lab;
#[cfg(target_os = "linux")]
mod lines;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
mod sender;
#[cfg(target_os = "linux")]
mod terminal;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match args.first().map(String::as_str) {
        Some("sender") => sender::main(&args[1..]),
        Some("bare") => bare::main(&args[1..]),
        _ => run::main(&args),
    };
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("receive: {e:#}");
            std::process::ExitCode::from(3)
        }
    }
}
