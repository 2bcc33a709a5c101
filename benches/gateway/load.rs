//! Requests on several connections at once, and what their times say.

use std::fmt;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::Outcome;
use crate::cases::Case;
use crate::client::{Sample, Target};

#[derive(Clone, Copy)]
pub(crate) struct Load {
    connections: u32,
    requests: u32,
}

impl Load {
    pub fn of(connections: u32, requests: u32) -> Self {
        Self { connections, requests }
    }
}

/// The times of one load.
pub(crate) struct Times {
    samples: Vec<Sample>,
    took: Duration,
}

/// The times of the service beside those of the proxy.
pub(crate) struct Comparison<'a> {
    ours: &'a Times,
    bare: &'a Times,
}

pub(crate) async fn run(target: &Target, case: &'static Case, load: Load) -> Outcome<Times> {
    let mut connections = Vec::new();
    for _ in 0..load.connections {
        connections.push(target.connect().await?);
    }
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for (number, mut connection) in (0..load.connections).zip(connections) {
        // What does not divide evenly goes to the first ones.
        let share = (load.requests + load.connections - 1 - number) / load.connections;
        tasks.spawn(async move {
            let mut samples = Vec::new();
            for _ in 0..share {
                samples.push(connection.ask(case).await?);
            }
            Outcome::Ok(samples)
        });
    }
    let mut samples = Vec::new();
    while let Some(done) = tasks.join_next().await {
        samples.extend(done??);
    }
    Ok(Times { samples, took: began.elapsed() })
}

/// Streams under way.
pub(crate) struct Held {
    tasks: JoinSet<Outcome<Sample>>,
}

/// Opens streams and waits until all are in their middle.
pub(crate) async fn hold(target: &Target, case: &'static Case, streams: u32) -> Outcome<Held> {
    let mut tasks = JoinSet::new();
    for _ in 0..streams {
        let mut connection = target.connect().await?;
        tasks.spawn(async move { connection.ask(case).await });
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    Ok(Held { tasks })
}

impl Held {
    pub async fn finish(mut self) -> Outcome<()> {
        while let Some(done) = self.tasks.join_next().await {
            done??;
        }
        Ok(())
    }
}

impl Times {
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    pub fn against<'a>(&'a self, bare: &'a Self) -> Comparison<'a> {
        Comparison { ours: self, bare }
    }

    /// In milliseconds.
    fn percentile(&self, percent: usize, of: impl Fn(&Sample) -> Duration) -> f64 {
        let mut times: Vec<Duration> = self.samples.iter().map(of).collect();
        times.sort_unstable();
        let place = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times.get(place).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    }

    fn a_second(&self) -> f64 {
        f64::from(u32::try_from(self.len()).unwrap_or(u32::MAX)) / self.took.as_secs_f64()
    }
}

impl fmt::Display for Comparison<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let added = |percent, of: fn(&Sample) -> Duration| {
            self.ours.percentile(percent, of) - self.bare.percentile(percent, of)
        };
        write!(
            formatter,
            "{:.0} requests a second | bare {:.0} | added p50 {:.2} ms, p99 {:.2} ms, first chunk {:.2} ms",
            self.ours.a_second(),
            self.bare.a_second(),
            added(50, |sample| sample.whole),
            added(99, |sample| sample.whole),
            added(50, |sample| sample.first_chunk),
        )
    }
}
