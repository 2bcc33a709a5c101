//! How long a pick takes inside the process, and how soon a changed agent can be picked.
//!
//! The rosters are made from the shipped agents: each agent has sentences, examples and lines of several of them. Prints
//! one line a figure; the process is to have a core for itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rolecall::definition::{AgentDefinition, Origin, parse};
use rolecall::dispatch::{Corrections, DispatchRequest, Index, Settings, decide};
use rolecall::registry::{Agent, Roster};

/// Picks that are timed.
const PICKS: usize = 4_000;

/// Lines of a made agent's body.
const BODY_LINES: usize = 40;

fn main() {
    let shipped = read_shipped();
    let requests: Vec<String> = shipped
        .iter()
        .flat_map(|definition| definition.examples.iter().map(|example| example.user.clone()))
        .collect();
    for agents in [400, 10_000] {
        let mut roster = Roster { revision: 1, agents: BTreeMap::new() };
        for number in 0..agents {
            put(&mut roster, &shipped, number, 0);
        }
        let started = Instant::now();
        let index = Index::build(&roster, &Corrections::default(), None);
        println!("{agents} agents: index built in {:.0} ms", milliseconds(started.elapsed()));
        time_picks(&index, &requests, agents);
        if agents == 400 {
            let started = Instant::now();
            let fitted = Index::build_and_fit(&roster, &Corrections::default());
            println!(
                "{agents} agents: built and fitted in {:.0} ms",
                milliseconds(started.elapsed())
            );
            time_picks(&fitted, &requests, agents);
        }

        let mut times = Vec::new();
        let mut before = index;
        for change in 1..=5 {
            put(&mut roster, &shipped, agents / 2, change);
            roster.revision += 1;
            let started = Instant::now();
            before = Index::build(&roster, &Corrections::default(), Some(&before));
            times.push(started.elapsed());
        }
        times.sort();
        let (median, most) = (milliseconds(times[2]), milliseconds(times[4]));
        println!(
            "{agents} agents: one changed, pickable after {median:.0} ms, {most:.0} ms at most"
        );
    }
    let table: u64 = ["table.bin", "vocabulary.txt"]
        .iter()
        .map(|file| Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dispatch/embedding").join(file))
        .map(|file| file.metadata().expect("the table is there").len())
        .sum();
    #[expect(clippy::cast_precision_loss, reason = "a few millions")]
    let megabytes = table as f64 / 1e6;
    println!("table and vocabulary: {megabytes:.2} MB of the program");
}

fn time_picks(index: &Index, requests: &[String], agents: usize) {
    let settings = Settings::default();
    let mut times: Vec<Duration> = requests
        .iter()
        .cycle()
        .take(PICKS)
        .map(|input| {
            let request = DispatchRequest { input: input.clone(), ..DispatchRequest::default() };
            let started = Instant::now();
            decide(index, &request, &settings).expect("nothing is named");
            started.elapsed()
        })
        .collect();
    times.sort();
    let (median, late) = (times[PICKS / 2], times[PICKS * 99 / 100]);
    println!(
        "{agents} agents: pick p50 {:.3} ms, p99 {:.3} ms",
        milliseconds(median),
        milliseconds(late)
    );
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn read_shipped() -> Vec<AgentDefinition> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("agents");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("the shipped agents are there")
        .map(|entry| entry.expect("the folder can be read").path())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let source = std::fs::read(path).expect("the file can be read");
            parse(&source, &Origin::default()).expect("a shipped agent is one").definition
        })
        .collect()
}

/// Puts an agent in the roster. Its pieces depend on its number and on how often it was changed.
fn put(roster: &mut Roster, shipped: &[AgentDefinition], number: usize, change: usize) {
    let piece = |step: usize| (number * 7_919 + step * 104_729 + change * 15_485_863) % 1_000_003;
    let of = |step: usize| &shipped[piece(step) % shipped.len()];
    let one_of = |texts: Vec<&str>, step: usize| match texts.len() {
        0 => String::new(),
        count => texts[piece(step + 50) % count].trim().to_owned(),
    };
    let sentence = |step: usize| one_of(of(step).summary.split([',', '.']).collect(), step);
    let user = |step: usize| {
        one_of(of(step).examples.iter().map(|example| example.user.as_str()).collect(), step)
    };
    let line = |step: usize| {
        one_of(of(step).prompt.lines().filter(|line| line.len() > 20).collect(), step)
    };
    let mut source = format!(
        "---\nname: agent-{number}\ndescription: |\n  Use for {}, {} and {} in area {number}.\n",
        sentence(1),
        sentence(2),
        sentence(3)
    );
    for step in 4..6 {
        let said = user(step);
        source += "  <example>
  user: \"";
        source += &said;
        source += "\"
  assistant: \"Yes.\"
  </example>
";
    }
    source += "---\n";
    for step in 10..10 + BODY_LINES {
        source += &line(step);
        source.push('\n');
    }
    let parsed = parse(source.as_bytes(), &Origin::default()).expect("a made agent is one");
    let agent = Agent::unsaved(parsed, format!("{number:064x}{change}"), 1);
    roster.agents.insert(agent.name().clone(), Arc::new(agent));
}
