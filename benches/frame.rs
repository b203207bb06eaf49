//! What one frame of the dashboard costs: 200x60 cells, 1000 groups, 100,000 sources (a thousand
//! groups of 50 and one of 50,000), sorted and filtered.
//!
//! `cargo bench --bench frame`; the target is 4 ms. `steady` is the frame that follows 50 ms after
//! another, `worst` one that comes a second or more later, when every order is made anew and no figure
//! is still known. `advance` is what the model does before each frame.
//!
//! `--bench scale` has the longest of each, while everybody sends and while nobody does, and memory.

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use mcscope::model::Settings;

mod desk;

use desk::{Crowd, Desk, FILTER};

fn frame(c: &mut Criterion) {
    let mut g = c.benchmark_group("frame");
    g.sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
    let mut desk = Desk::new(Crowd { groups: 1000, first: 50_050, each: 50 }, Settings::default());
    // Each source sends four times, and then nobody does.
    for _ in 0..4 {
        desk.pass(100);
        desk.traffic();
    }
    for (name, keys) in [("live", "1"), ("filtered", FILTER), ("stream", "2")] {
        desk.keys(keys);
        for (when, ms) in [("steady", 50), ("worst", 1100)] {
            g.bench_function(format!("{name}, {when}"), |b| {
                b.iter_custom(|rounds| {
                    let mut spent = Duration::ZERO;
                    for _ in 0..rounds {
                        desk.pass(ms);
                        spent += desk.draw();
                    }
                    spent
                });
            });
        }
    }
    for (name, ms) in [("advance", 50), ("advance by a second", 1100)] {
        g.bench_function(name, |b| b.iter_custom(|rounds| (0..rounds).map(|_| desk.pass(ms)).sum()));
    }
    g.finish();
}

criterion_group!(benches, frame);
criterion_main!(benches);
