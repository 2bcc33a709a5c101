//! `rolecall pick`

use std::process::ExitCode;

use rolecall::config::Config;
use rolecall::dispatch::{Decision, DispatchRequest, Index, decide};
use rolecall::registry::{Roster, scan_folder};

use super::print_json;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What is asked for
    text: String,

    /// How many candidates to rank
    #[arg(long, default_value_t = rolecall::dispatch::DEFAULT_TOP_K)]
    top_k: usize,
}

pub(super) fn run(args: &Args, config: &Config, as_json: bool) -> anyhow::Result<ExitCode> {
    let roster = Roster::of_files(scan_folder(&config.registry));
    let index = Index::build(&roster, None);
    let request = DispatchRequest {
        input: args.text.clone(),
        top_k: Some(args.top_k),
        ..DispatchRequest::default()
    };
    let decision = decide(&index, &request, &config.dispatch)?;
    if as_json {
        print_json(&decision)?;
    } else {
        print(&decision);
    }
    Ok(ExitCode::SUCCESS)
}

fn print(decision: &Decision) {
    let percent = decision.confidence * 100.0;
    match &decision.agent {
        Some(agent) => println!("{} ({percent:.0} % sure)", agent.name),
        None => println!("none of the agents fits"),
    }
    for candidate in &decision.ranked {
        println!("\n{:.3}  {}", candidate.score, candidate.agent);
        for reason in &candidate.reasons {
            let kind = serde_json::to_value(reason.kind).unwrap_or_default();
            let kind = kind.as_str().unwrap_or_default().to_owned();
            println!("       {:>4.0} %  {kind}: {}", reason.share * 100.0, reason.text);
        }
    }
}
