//! `rolecall pick`

use std::process::ExitCode;

use rolecall::config::Config;
use rolecall::dispatch::{Corrections, Decision, DispatchRequest, Index, decide};
use rolecall::registry::{KnownOutcomes, Roster, scan_folder};

use super::{print_json, print_text};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What is asked for
    text: String,

    /// How many candidates to rank
    #[arg(long, default_value_t = rolecall::dispatch::DEFAULT_TOP_K)]
    top_k: usize,
}

pub(super) fn run(args: &Args, config: &Config, as_json: bool) -> anyhow::Result<ExitCode> {
    let roster = Roster::of_files(&scan_folder(&config.registry, &KnownOutcomes::default()));
    let index = Index::build_and_fit(&roster, &Corrections::default());
    let request = DispatchRequest {
        input: args.text.clone(),
        top_k: Some(args.top_k),
        ..DispatchRequest::default()
    };
    let decision = decide(&index, &request, &config.dispatch)?;
    if as_json {
        print_json(&decision)?;
    } else {
        print_text(&describe(&decision))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(decision: &Decision) -> String {
    let percent = decision.confidence * 100.0;
    let mut lines = vec![match &decision.agent {
        Some(agent) => format!("{} ({percent:.0} % sure)", agent.name),
        None => "none of the agents fits".to_owned(),
    }];
    for candidate in &decision.ranked {
        lines.push(format!("\n{:.3}  {}", candidate.score, candidate.agent));
        for reason in &candidate.reasons {
            let kind = serde_json::to_value(reason.kind).unwrap_or_default();
            let kind = kind.as_str().unwrap_or_default();
            let share = reason.share * 100.0;
            let words = reason.words.join(", ");
            let words = if words.is_empty() { words } else { format!("{words}, as in ") };
            lines.push(format!("       {share:>4.0} %  {kind}: {words}{}", reason.text));
        }
    }
    lines.join("\n")
}
