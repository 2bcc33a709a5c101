//! What a sync has to do: a pure comparison of the folder, of what was last seen there, and of the agents.

use std::collections::{BTreeMap, BTreeSet};

use super::agent::{AgentSource, AgentState};
use super::has_warnings;
use super::report::{Action, FileReport, Verdict};
use super::scan::{ScanOutcome, ScannedFile};
use super::store::{Head, KnownFile, SeenFile};
use crate::definition::{Diagnostic, ParsedDefinition};

/// Everything that one sync does.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub reports: Vec<FileReport>,
    pub revisions: Vec<PlannedRevision>,
    /// Agents to archive because their files are gone.
    pub archived: Vec<String>,
    /// Agents to bring back as they are.
    pub revived: Vec<String>,
    /// Agents whose unchanged files lie in other folders now, with the names of those.
    pub moved: Vec<(String, Vec<String>)>,
    /// Files to remember, each with the hash that was seen.
    pub seen: Vec<SeenFile>,
    /// Files to forget.
    pub forgotten: Vec<String>,
}

#[derive(Debug)]
pub(super) struct PlannedRevision {
    pub sha256: String,
    pub source_bytes: Vec<u8>,
    pub parsed: ParsedDefinition,
    pub folder_labels: Vec<String>,
}

impl Plan {
    /// Whether the roster changes.
    pub fn changes_roster(&self) -> bool {
        !(self.revisions.is_empty()
            && self.archived.is_empty()
            && self.revived.is_empty()
            && self.moved.is_empty())
    }
}

/// What the database knows before a sync.
#[derive(Default)]
pub(super) struct Before {
    pub files: BTreeMap<String, KnownFile>,
    pub heads: BTreeMap<String, Head>,
}

/// Compares. `files` are in byte order of path: the first of two with one name wins.
pub(super) fn plan(files: Vec<ScannedFile>, before: &Before, prunes: bool) -> Plan {
    let mut planner =
        Planner { before, plan: Plan::default(), taken: names_of_bad(&files, before) };
    let paths: BTreeSet<String> = files.iter().map(|file| file.path.clone()).collect();
    for file in files {
        planner.add(file);
    }
    if prunes {
        planner.prune(&paths);
    }
    planner.plan
}

/// A file that went bad keeps its agent: no other file takes the name meanwhile.
fn names_of_bad(files: &[ScannedFile], before: &Before) -> BTreeMap<String, String> {
    files
        .iter()
        .filter(|file| matches!(file.outcome, ScanOutcome::Quarantined(_)))
        .filter_map(|file| {
            let agent = before.files.get(&file.path)?.served_agent()?;
            Some((agent.to_owned(), file.path.clone()))
        })
        .collect()
}

struct Planner<'a> {
    before: &'a Before,
    plan: Plan,
    /// Agent names in this folder, with the file that has each.
    taken: BTreeMap<String, String>,
}

impl Planner<'_> {
    fn add(&mut self, file: ScannedFile) {
        let known = self.before.files.get(&file.path);
        match file.outcome {
            ScanOutcome::Quarantined(diagnostics) => {
                let agent = known.and_then(KnownFile::served_agent).map(str::to_owned);
                self.report(
                    file.path,
                    file.sha256,
                    Verdict::Quarantined,
                    Action::None,
                    agent,
                    diagnostics,
                );
            }
            ScanOutcome::Skipped(diagnostics) => {
                self.report(
                    file.path,
                    file.sha256,
                    Verdict::Skipped,
                    Action::None,
                    None,
                    diagnostics,
                );
            }
            ScanOutcome::Parsed { source, parsed } => {
                self.add_definition(file.path, file.sha256, source, *parsed);
            }
        }
    }

    fn add_definition(
        &mut self,
        path: String,
        sha256: String,
        source_bytes: Vec<u8>,
        parsed: ParsedDefinition,
    ) {
        let name = parsed.definition.name.to_string();
        let mut diagnostics = parsed.diagnostics.clone();
        if let Some(winner) = self.taken.get(&name) {
            diagnostics.push(Diagnostic::warning(
                "duplicate_name",
                2,
                1,
                &format!("`{winner}` has the agent name `{name}` too and comes first"),
                "rename one of the two agents",
            ));
            self.report(path, sha256, Verdict::Skipped, Action::None, Some(name), diagnostics);
            return;
        }
        self.taken.insert(name.clone(), path.clone());
        let verdict =
            if has_warnings(&diagnostics) { Verdict::LoadedWithWarnings } else { Verdict::Loaded };
        let action = self.action(&path, &sha256, &name);
        match action {
            Action::Created | Action::Updated if !self.is_content_live(&name, &sha256) => {
                let folder_labels = folders(&path);
                let sha256 = sha256.clone();
                let revision = PlannedRevision { sha256, source_bytes, parsed, folder_labels };
                self.plan.revisions.push(revision);
            }
            Action::Updated => self.plan.revived.push(name.clone()),
            Action::Unchanged if self.has_moved(&name, &path) => {
                self.plan.moved.push((name.clone(), folders(&path)));
            }
            _ => {}
        }
        self.report(path, sha256, verdict, action, Some(name), diagnostics);
    }

    fn action(&self, path: &str, sha256: &str, name: &str) -> Action {
        let Some(head) = self.before.heads.get(name) else { return Action::Created };
        if head.source == AgentSource::Api {
            return Action::Shadowed;
        }
        let known = self.before.files.get(path).filter(|known| known.was_loaded);
        let is_as_last_seen = known
            .is_some_and(|known| known.sha256 == sha256 && known.agent.as_deref() == Some(name));
        let is_served = self.is_content_live(name, sha256) && head.state != AgentState::Archived;
        if is_as_last_seen || is_served { Action::Unchanged } else { Action::Updated }
    }

    fn has_moved(&self, name: &str, path: &str) -> bool {
        self.before.heads.get(name).is_some_and(|head| head.folder_labels != folders(path))
    }

    fn is_content_live(&self, name: &str, sha256: &str) -> bool {
        self.before.heads.get(name).is_some_and(|head| head.sha256 == sha256)
    }

    /// Archives the agents of files that are gone, unless another file has the name now.
    fn prune(&mut self, paths: &BTreeSet<String>) {
        for (path, known) in &self.before.files {
            if paths.contains(path) || self.is_below_unreadable(path) {
                continue;
            }
            self.plan.forgotten.push(path.clone());
            let Some(agent) = known.served_agent() else { continue };
            let is_served = self.before.heads.get(agent).is_some_and(|head| {
                head.source == AgentSource::File && head.state != AgentState::Archived
            });
            if !is_served || self.taken.contains_key(agent) {
                continue;
            }
            self.plan.archived.push(agent.to_owned());
            self.plan.reports.push(FileReport {
                path: path.clone(),
                verdict: Verdict::Skipped,
                action: Action::Archived,
                agent: Some(agent.to_owned()),
                diagnostics: vec![Diagnostic::note(
                    "file_gone",
                    1,
                    1,
                    "the file is gone, so its agent is archived",
                    "put the file back to have the agent again",
                )],
            });
        }
    }

    /// Whether the file lies in a folder that could not be read this time: it may still be there.
    fn is_below_unreadable(&self, path: &str) -> bool {
        self.plan.reports.iter().any(|report| {
            report.verdict == Verdict::Quarantined
                && path.strip_prefix(&report.path).is_some_and(|rest| rest.starts_with('/'))
        })
    }

    fn report(
        &mut self,
        path: String,
        sha256: String,
        verdict: Verdict,
        action: Action,
        agent: Option<String>,
        diagnostics: Vec<Diagnostic>,
    ) {
        let is_known = self.before.files.get(&path).is_some_and(|known| {
            known.sha256 == sha256 && known.verdict == verdict.as_str() && known.agent == agent
        });
        if !is_known {
            self.plan.seen.push(SeenFile {
                path: path.clone(),
                sha256,
                agent: agent.clone(),
                verdict,
                diagnostics: diagnostics.clone(),
            });
        }
        self.plan.reports.push(FileReport { path, verdict, action, agent, diagnostics });
    }
}

fn folders(path: &str) -> Vec<String> {
    let mut parts: Vec<String> = path.split('/').map(str::to_owned).collect();
    parts.pop();
    parts
}
