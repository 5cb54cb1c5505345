//! What both benches share: leaf_spine with entries, and a measurement beside its baseline.

use std::path::Path;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, SamplingMode};
use pointsman_ebpf::switch::Shared;
use pointsman_p4::dataplane::Operation;
use pointsman_p4::vectors::{Case, Commands};

/// Short enough for a look, long enough for a median. A batch takes its time beside what is
/// measured of it, so there is nothing to gain from more of them in a longer sample.
pub fn configure(group: &mut BenchmarkGroup<'_, WallTime>) {
    group
        .sampling_mode(SamplingMode::Flat)
        .sample_size(50)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
}

/// Says aloud why nothing is measured, where programs cannot be loaded.
pub fn privileged() -> bool {
    match Shared::new() {
        Ok(_) => true,
        Err(error) => {
            println!("skipped: {error}");
            false
        }
    }
}

/// The pipeline that comes with Pointsman.
pub fn leaf_spine() -> Case {
    Case::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../p4/programs/leaf_spine"))
        .expect("the pipeline of this repository can be read")
}

/// What lines in STF's syntax do.
pub fn operations(case: &Case, lines: impl IntoIterator<Item = String>) -> Vec<Operation> {
    let mut commands = Commands::new(&case.pipeline);
    for line in lines {
        commands
            .add(&line)
            .unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    commands.finish()
}

/// A baseline and how much of it is measured at once.
pub struct Baseline<'a> {
    /// What it is, for people.
    pub name: &'a str,
    /// What is counted: "a packet" or "an entry".
    pub unit: &'a str,
    /// How many of them one call does.
    pub batch: u64,
    /// The least number of batches in a sample.
    pub batches: u64,
}

impl Baseline<'_> {
    /// Measures in turns with the baseline, so that whatever else the machine does meets both, and
    /// prints by how much they differ. Each closure does one batch and says how long it took.
    pub fn beside(
        &self,
        group: &mut BenchmarkGroup<'_, WallTime>,
        name: &str,
        mut measured: impl FnMut() -> Duration,
        mut baseline: impl FnMut() -> Duration,
    ) {
        let mut pairs: Vec<(Duration, Duration)> = Vec::new();
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|units| {
                let batches = units.div_ceil(self.batch).max(self.batches);
                let start = pairs.len();
                pairs.extend((0..batches).map(|_| (baseline(), measured())));
                let total: Duration = pairs[start..].iter().map(|(_, m)| *m).sum();
                total.mul_f64(units as f64 / (batches * self.batch) as f64)
            });
        });
        // None if a filter left this one out.
        if pairs.is_empty() {
            return;
        }
        let (of_baseline, of_measured) = pairs.iter().copied().unzip();
        let (base, here) = (self.median_ns(of_baseline), self.median_ns(of_measured));
        let mut ratios: Vec<f64> = pairs
            .iter()
            .map(|(base, here)| here.as_secs_f64() / base.as_secs_f64())
            .collect();
        ratios.sort_unstable_by(f64::total_cmp);
        let [lower, median, upper] = [1, 2, 3].map(|quarter| ratios[ratios.len() * quarter / 4]);
        let Baseline {
            name: what, unit, ..
        } = self;
        println!(
            "{name}: median {here:.0} ns {unit} ({:.0}/s), {what} {base:.0} ns: {median:.2} times as long \
             (half of {} pairs: {lower:.2} to {upper:.2})\n",
            1e9 / here,
            ratios.len(),
        );
    }

    fn median_ns(&self, mut batches: Vec<Duration>) -> f64 {
        batches.sort_unstable();
        batches[batches.len() / 2].as_nanos() as f64 / self.batch as f64
    }
}
