//! `rolecall eval`

use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use rolecall::config::Config;
use rolecall::dispatch::{
    Asked, Case, Corrections, DEFAULT_WRONG_LIMIT, EvaluationReport, Index, Progress, Subject,
    can_be_held_out, evaluate,
};
use rolecall::registry::{self, KnownOutcomes, Roster, scan_folder};
use serde::Deserialize;

use super::eval_table::describe;
use super::{print_json, print_text};

/// Cases between two lines of progress.
const TELL_EVERY: usize = 10;

/// What a terminal takes to write a line anew.
const CLEAR_LINE: &str = "\r\x1b[K";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Requests with their right agents, a JSON object a line: {"input": text, "agent": name or null}
    /// [default: the agents' own examples, each held out of the roster that is asked]
    #[arg(long, value_name = "FILE")]
    cases: Option<PathBuf>,

    /// Measure this folder of agents instead, and report where it differs from that of --agents
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,

    /// Exit with 1 if a smaller share of the cases finds its agent, 0 to 1
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    at_least: Option<f64>,

    /// Exit with 1 if a smaller share of the requests that belong to nobody is rejected, 0 to 1
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    reject_at_least: Option<f64>,

    /// How many wrong cases to list
    #[arg(long, value_name = "COUNT", default_value_t = DEFAULT_WRONG_LIMIT)]
    wrong_limit: usize,
}

/// A line of the file of cases. More fields are notes of whoever wrote it.
#[derive(Deserialize)]
struct Line {
    input: String,
    // A line that leaves it out is a mistake, and would be taken for a stranger.
    #[serde(deserialize_with = "Option::deserialize")]
    agent: Option<String>,
}

/// The agents of a folder, ready to be asked.
struct Agents {
    roster: Roster,
    index: Index,
    corrections: Corrections,
}

pub(super) fn run(args: &Args, config: &Config, as_json: bool) -> anyhow::Result<ExitCode> {
    let asked = match &args.cases {
        Some(path) => Asked::Cases(read_cases(path)?),
        None => Asked::HeldOut,
    };
    let live = Agents::of_folder(&config.registry.agents_dir, config)?;
    let other = args.against.as_deref().map(|folder| Agents::of_folder(folder, config));
    let other = other.transpose()?;
    if matches!(asked, Asked::HeldOut) {
        for agents in std::iter::once(&live).chain(&other) {
            if !can_be_held_out(&agents.roster) {
                bail!("the roster is too large for its requests to be held out: give --cases FILE");
            }
        }
    }
    let (subject, live) = match &other {
        Some(other) => (other.subject(), Some(live.subject())),
        None => (live.subject(), None),
    };
    let report = evaluate(subject, live, &asked, args.wrong_limit, &mut progress());
    let report = report.expect("nothing ends it");
    if std::io::stderr().is_terminal() {
        eprint!("{CLEAR_LINE}");
    }
    if as_json {
        print_json(&report)?;
    } else {
        print_text(&describe(&report))?;
    }
    Ok(verdict(args, &report))
}

impl Agents {
    fn of_folder(folder: &Path, config: &Config) -> anyhow::Result<Self> {
        if !folder.is_dir() {
            bail!("there is no folder of agents at {}", folder.display());
        }
        let agents_dir = folder.to_owned();
        let settings = registry::Settings { agents_dir, ..config.registry.clone() };
        let roster = Roster::of_files(&scan_folder(&settings, &KnownOutcomes::default()));
        let corrections = Corrections::default();
        let index = Index::build_and_fit(&roster, &corrections);
        Ok(Self { roster, index, corrections })
    }

    fn subject(&self) -> Subject<'_> {
        Subject { roster: &self.roster, corrections: &self.corrections, index: &self.index }
    }
}

fn parse_share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "must be a number from 0 to 1".to_owned())
}

fn read_cases(path: &Path) -> anyhow::Result<Vec<Case>> {
    let file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
    let mut cases = Vec::new();
    for (number, line) in (1..).zip(BufReader::new(file).lines()) {
        let place = || format!("{}, line {number}", path.display());
        let line = line.with_context(place)?;
        if line.trim().is_empty() {
            continue;
        }
        let Line { input, agent } = serde_json::from_str(&line).with_context(place)?;
        if input.trim().is_empty() {
            bail!("{}: `input` must not be empty", place());
        }
        cases.push(Case { input, agent });
    }
    if cases.is_empty() {
        bail!("{}: there are no cases in it", path.display());
    }
    Ok(cases)
}

/// Tells a terminal how far the evaluation is.
fn progress() -> impl FnMut(Progress) -> ControlFlow<()> {
    let mut stderr = std::io::stderr();
    let is_terminal = stderr.is_terminal();
    let mut told = None;
    move |Progress { done, all }| {
        if is_terminal && done % TELL_EVERY == 0 && told != Some(done) {
            told = Some(done);
            // Whoever cannot be told is not told.
            let _ = write!(stderr, "{CLEAR_LINE}asked {done} of {all}");
            let _ = stderr.flush();
        }
        ControlFlow::Continue(())
    }
}

/// Failure if a share is below what is wanted, or there was nothing to count.
fn verdict(args: &Args, report: &EvaluationReport) -> ExitCode {
    let wanted = [
        ("top-1", report.figures.top_1, args.at_least),
        ("rejected", report.figures.rejected, args.reject_at_least),
    ];
    let mut code = ExitCode::SUCCESS;
    for (name, share, wanted) in wanted {
        let Some(wanted) = wanted else { continue };
        if share.is_none_or(|share| share < wanted) {
            let share =
                share.map_or_else(|| "nothing to count".to_owned(), |share| share.to_string());
            eprintln!("rolecall: {name} is below {wanted}: {share}");
            code = ExitCode::FAILURE;
        }
    }
    code
}
