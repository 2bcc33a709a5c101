//! `rolecall check`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use rolecall::config::Config;
use rolecall::definition::{Diagnostic, Level};
use rolecall::dispatch::{add_overlaps, find_overlaps};
use rolecall::registry::{
    self, FileReport, KnownOutcomes, Roster, Verdict, check_files, scan_folder,
};
use serde_json::json;

use super::{print_json, print_text};

/// How much of a long line is shown around the place of a finding, in characters to each side.
const EXCERPT_REACH: usize = 50;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Agent files and folders of them
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

pub(super) fn run(args: &Args, config: &Config, as_json: bool) -> anyhow::Result<ExitCode> {
    let mut reports = Vec::new();
    let (paths, missing): (Vec<_>, Vec<_>) = args.paths.iter().partition(|path| path.exists());
    for path in paths {
        let settings = registry::Settings { agents_dir: path.clone(), ..config.registry.clone() };
        let files = scan_folder(&settings, &KnownOutcomes::default());
        let overlaps = find_overlaps(&Roster::of_files(&files));
        let mut found = check_files(files);
        add_overlaps(&mut found, overlaps);
        for mut report in found {
            // As it was named on the command line, so that it can be opened.
            let place = if path.is_dir() { path.join(&report.path) } else { path.clone() };
            report.path = place.to_string_lossy().into_owned();
            reports.push(report);
        }
    }
    if as_json {
        print_json(&json!({"files": reports}))?;
    } else {
        let mut lines: Vec<String> = reports
            .iter()
            .map(|report| describe(report, config.registry.definition_bytes))
            .collect();
        let count = |verdict| reports.iter().filter(|report| report.verdict == verdict).count();
        lines.push(format!(
            "{} files: {} loaded, {} loaded with warnings, {} quarantined, {} skipped",
            reports.len(),
            count(Verdict::Loaded),
            count(Verdict::LoadedWithWarnings),
            count(Verdict::Quarantined),
            count(Verdict::Skipped),
        ));
        print_text(&lines.join("\n"))?;
    }
    if !missing.is_empty() {
        let missing: Vec<String> = missing.iter().map(|path| path.display().to_string()).collect();
        bail!("there is nothing at {}", missing.join(", "));
    }
    let is_bad = reports.iter().any(|report| report.verdict == Verdict::Quarantined);
    Ok(if is_bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn describe(report: &FileReport, definition_bytes: usize) -> String {
    let mut lines = vec![format!("{}: {}", report.path, report.verdict.as_str().replace('_', " "))];
    let source = read_source(Path::new(&report.path), definition_bytes);
    for diagnostic in &report.diagnostics {
        let level = match diagnostic.level {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Note => "note",
        };
        let Diagnostic { code, line, column, message, help, .. } = diagnostic;
        lines.push(format!("  {level}[{code}] {line}:{column}: {message}"));
        if let Some((excerpt, offset)) = excerpt(&source, *line, *column) {
            lines.push(format!("      | {excerpt}"));
            lines.push(format!("      | {}^", " ".repeat(offset)));
        }
        lines.push(format!("      = {help}"));
    }
    lines.join("\n")
}

/// The text of a file to quote from; empty if it is none that is worth reading, such as a pipe.
fn read_source(path: &Path, limit_bytes: usize) -> String {
    let is_small = std::fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.len() <= limit_bytes as u64);
    let source = if is_small { std::fs::read(path).unwrap_or_default() } else { Vec::new() };
    String::from_utf8_lossy(&source).into_owned()
}

/// The part of a line around a column, and where the column is in it.
fn excerpt(source: &str, line: usize, column: usize) -> Option<(String, usize)> {
    let line = source.lines().nth(line.checked_sub(1)?)?;
    let column = column.saturating_sub(1);
    let start = column.saturating_sub(EXCERPT_REACH);
    let excerpt: String = line
        .chars()
        .skip(start)
        .take(2 * EXCERPT_REACH)
        .map(|character| if character == '\t' { ' ' } else { character })
        .collect();
    (!excerpt.is_empty()).then_some((excerpt, column - start))
}
