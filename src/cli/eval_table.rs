//! The report of `rolecall eval` as a reader wants it: figures, the worst confusions, agents that come near.

use rolecall::dispatch::{EvaluationReport, EvaluationSource};

/// Entries of each list. `--json` has more.
const MAX_LINES: usize = 10;

/// Longest request that is shown, in characters.
const MAX_INPUT: usize = 90;

pub(super) fn describe(report: &EvaluationReport) -> String {
    let mut lines = vec![heading(report), String::new()];
    lines.extend(figures(report));
    section(&mut lines, "Confusions", confusions(report));
    section(&mut lines, "Agents that are hard to tell apart", overlaps(report));
    section(&mut lines, "Changes", changes(report));
    if !report.unknown_agents.is_empty() {
        let unknown = vec![format!("  {}", report.unknown_agents.join(", "))];
        section(&mut lines, "Agents of cases that the roster has not got", unknown);
    }
    lines.join("\n")
}

fn heading(report: &EvaluationReport) -> String {
    let asked = match report.source {
        EvaluationSource::HeldOut => "requests of their own, held out",
        EvaluationSource::Cases | EvaluationSource::Decisions => "given cases",
    };
    let sample = report.sampled_from.map_or_else(String::new, |all| format!(" ({all} in all)"));
    let figures = &report.figures;
    format!(
        "{} agents, {} {asked}{sample}, {} strangers",
        report.agents, figures.cases, figures.strangers
    )
}

fn figures(report: &EvaluationReport) -> Vec<String> {
    let figures = &report.figures;
    let rows = [
        ("top-1", figures.top_1, "the first candidate is right"),
        ("top-3", figures.top_3, "the right agent is among the first three"),
        ("mean reciprocal rank", figures.mean_reciprocal_rank, ""),
        ("calibration error", figures.calibration_error, "how far confidence is from being right"),
        ("kept", figures.kept, "cases that are not taken for nobody's"),
        ("ambiguous", figures.ambiguous, "cases that two agents fit"),
        ("rejected", figures.rejected, "strangers that are taken for nobody's"),
        ("AUROC", figures.auroc, "a case is more sure than a stranger"),
        (
            "rejected at 95",
            figures.rejected_at_95,
            "strangers below a cut that keeps 95 % of the cases",
        ),
    ];
    let row = |(name, share, meaning): (&str, Option<f64>, &str)| {
        let share = share.map_or_else(|| "     –".to_owned(), |share| format!("{share:.4}"));
        format!("  {name:<22}{share}  {meaning}").trim_end().to_owned()
    };
    rows.map(row).into()
}

fn confusions(report: &EvaluationReport) -> Vec<String> {
    let name = |agent: &Option<String>| agent.clone().unwrap_or_else(|| "nobody".to_owned());
    let confusions = report.confusions.iter().take(MAX_LINES).flat_map(|confusion| {
        let (expected, picked) = (name(&confusion.expected), name(&confusion.picked));
        let example = confusion.examples.first().map(|input| format!("        {}", shorten(input)));
        std::iter::once(format!("  {:>4}  {expected} → {picked}", confusion.count)).chain(example)
    });
    confusions.collect()
}

fn overlaps(report: &EvaluationReport) -> Vec<String> {
    let overlaps = report.overlaps.iter().take(MAX_LINES).map(|overlap| {
        let near =
            overlap.similarity.map_or_else(|| "   –".to_owned(), |near| format!("{near:.2}"));
        format!("  {near}  {} (confused: {})", overlap.agents.join(" and "), overlap.confused)
    });
    overlaps.collect()
}

fn changes(report: &EvaluationReport) -> Vec<String> {
    let Some(changes) = &report.changed else { return Vec::new() };
    let counts =
        format!("  {} better, {} worse, {} other", changes.better, changes.worse, changes.other);
    let name = |agent: &Option<String>| agent.clone().unwrap_or_else(|| "nobody".to_owned());
    let cases = changes.cases.iter().take(MAX_LINES).flat_map(|case| {
        let (before, after) = (&case.live, &case.changed);
        [
            format!(
                "  {} ({}) → {} ({}), expected: {}",
                name(&before.agent),
                before.outcome.as_str(),
                name(&after.agent),
                after.outcome.as_str(),
                name(&case.expected)
            ),
            format!("        {}", shorten(&case.input)),
        ]
    });
    std::iter::once(counts).chain(cases).collect()
}

fn section(lines: &mut Vec<String>, title: &str, content: Vec<String>) {
    if !content.is_empty() {
        lines.extend([String::new(), title.to_owned()]);
        lines.extend(content);
    }
}

/// One line of it.
fn shorten(input: &str) -> String {
    let line = input.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_INPUT) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
