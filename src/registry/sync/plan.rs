//! What a sync has to do: a pure comparison of the folder, of what was last seen there, and of the agents.

use std::collections::{BTreeMap, BTreeSet};

use super::super::agent::{AgentSource, AgentState};
use super::super::folder::{ScanOutcome, ScannedFile};
use super::super::has_warnings;
use super::super::report::{Action, FileReport, Verdict};
use super::super::store::Head;
use super::store::{KnownFile, SeenFile};
use crate::definition::{Diagnostic, ParsedDefinition};

/// Everything that one sync does.
#[derive(Debug, Default)]
pub(in crate::registry) struct Plan {
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
pub(in crate::registry) struct PlannedRevision {
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
pub(in crate::registry) struct Before {
    pub files: BTreeMap<String, KnownFile>,
    pub heads: BTreeMap<String, Head>,
}

/// Compares. `files` are in byte order of path: the first of two with one name wins.
pub(in crate::registry) fn plan(files: Vec<ScannedFile>, before: &Before, prunes: bool) -> Plan {
    let mut planner = Planner {
        before,
        plan: Plan::default(),
        taken: names_of_bad(&files, before),
        met: BTreeSet::new(),
    };
    let places: BTreeSet<String> = files.iter().map(ScannedFile::place).collect();
    for file in files {
        planner.add(file);
    }
    if prunes {
        planner.prune(&places);
    }
    planner.plan
}

/// A file that went bad keeps its agent: no other file takes the name meanwhile.
fn names_of_bad(files: &[ScannedFile], before: &Before) -> BTreeMap<String, String> {
    files
        .iter()
        .filter(|file| {
            matches!(file.outcome, ScanOutcome::Quarantined(_) | ScanOutcome::Skipped(_))
        })
        .filter_map(|file| {
            let agent = before.files.get(&file.place())?.served_agent()?;
            Some((agent.to_owned(), file.path.clone()))
        })
        .collect()
}

struct Planner<'a> {
    before: &'a Before,
    plan: Plan,
    /// Agent names in this folder, with the file that has each.
    taken: BTreeMap<String, String>,
    /// The places that have been there already.
    met: BTreeSet<String>,
}

/// Where a file was found, and what it held there.
struct Found {
    path: String,
    place: String,
    sha256: String,
}

/// What a definition needs to become a revision.
struct Content {
    source_bytes: Vec<u8>,
    parsed: ParsedDefinition,
}

impl Planner<'_> {
    fn add(&mut self, file: ScannedFile) {
        let found = Found { place: file.place(), path: file.path, sha256: file.sha256 };
        if !self.met.insert(found.place.clone()) {
            self.plan.reports.push(repeated(found));
            return;
        }
        match file.outcome {
            ScanOutcome::Quarantined(diagnostics) => {
                let agent = self.last_agent(&found);
                self.report(found, Verdict::Quarantined, Action::None, agent, diagnostics);
            }
            ScanOutcome::Skipped(notes) => match self.last_agent(&found) {
                None => self.report(found, Verdict::Skipped, Action::None, None, notes),
                // What gave an agent is no documentation: it went bad.
                agent => {
                    let errors = notes.into_iter().map(Diagnostic::into_error).collect();
                    self.report(found, Verdict::Quarantined, Action::None, agent, errors);
                }
            },
            ScanOutcome::Parsed { source, parsed } => {
                let name = parsed.definition.name.to_string();
                let diagnostics = parsed.diagnostics.clone();
                let content = Content { source_bytes: source, parsed: *parsed };
                self.add_agent(found, name, diagnostics, Some(content));
            }
            ScanOutcome::Known { agent, diagnostics } => {
                self.add_agent(found, agent.to_string(), diagnostics.to_vec(), None);
            }
        }
    }

    /// The agent that the file gave when it was last seen.
    fn last_agent(&self, found: &Found) -> Option<String> {
        self.before.files.get(&found.place)?.served_agent().map(str::to_owned)
    }

    fn add_agent(
        &mut self,
        found: Found,
        name: String,
        mut diagnostics: Vec<Diagnostic>,
        content: Option<Content>,
    ) {
        if let Some(winner) = self.taken.get(&name) {
            diagnostics.push(Diagnostic::warning(
                "duplicate_name",
                2,
                1,
                &format!("`{winner}` has the agent name `{name}` too and comes first"),
                "rename one of the two agents",
            ));
            self.report(found, Verdict::Skipped, Action::None, Some(name), diagnostics);
            return;
        }
        self.taken.insert(name.clone(), found.path.clone());
        let verdict =
            if has_warnings(&diagnostics) { Verdict::LoadedWithWarnings } else { Verdict::Loaded };
        let mut action = self.action(&found, &name);
        match action {
            Action::Created | Action::Updated if !self.is_content_live(&name, &found.sha256) => {
                match content {
                    Some(Content { source_bytes, parsed }) => {
                        self.plan.revisions.push(PlannedRevision {
                            sha256: found.sha256.clone(),
                            source_bytes,
                            parsed,
                            folder_labels: folders(&found.path),
                        });
                    }
                    // Another instance has changed the agent since the folder was read: the next sync sees to it.
                    None => action = Action::Unchanged,
                }
            }
            Action::Updated => self.plan.revived.push(name.clone()),
            Action::Unchanged if self.has_moved(&name, &found.path) => {
                self.plan.moved.push((name.clone(), folders(&found.path)));
            }
            _ => {}
        }
        self.report(found, verdict, action, Some(name), diagnostics);
    }

    fn action(&self, found: &Found, name: &str) -> Action {
        let Some(head) = self.before.heads.get(name) else { return Action::Created };
        let is_archived = head.state == AgentState::Archived;
        let known = self.before.files.get(&found.place).filter(|known| known.was_loaded);
        let is_as_last_seen = known.is_some_and(|known| {
            known.sha256 == found.sha256 && known.agent.as_deref() == Some(name)
        });
        // An agent that was put by the API and archived since keeps no file waiting, once that is changed.
        if head.source == AgentSource::Api && (!is_archived || is_as_last_seen) {
            return Action::Shadowed;
        }
        let is_served = self.is_content_live(name, &found.sha256) && !is_archived;
        if is_as_last_seen || is_served { Action::Unchanged } else { Action::Updated }
    }

    fn has_moved(&self, name: &str, path: &str) -> bool {
        self.before.heads.get(name).is_some_and(|head| head.folder_labels != folders(path))
    }

    fn is_content_live(&self, name: &str, sha256: &str) -> bool {
        self.before.heads.get(name).is_some_and(|head| head.sha256 == sha256)
    }

    /// Archives the agents that came from files and that no file gives any more, and forgets the files that are gone.
    fn prune(&mut self, places: &BTreeSet<String>) {
        // What lies in a folder that could not be read this time may still be there.
        let unreadable: Vec<String> = self
            .plan
            .reports
            .iter()
            .filter(|report| report.verdict == Verdict::Quarantined)
            .map(|report| report.path.clone())
            .collect();
        let may_be_there = |place: &str| {
            unreadable.iter().any(|path| {
                place.strip_prefix(path).is_some_and(|rest| rest.starts_with(['/', '#']))
            })
        };
        let mut last_places: BTreeMap<&str, &str> = BTreeMap::new();
        for (place, known) in &self.before.files {
            if let Some(agent) = known.served_agent() {
                last_places.insert(agent, place);
            }
            if !places.contains(place) && !may_be_there(place) {
                self.plan.forgotten.push(place.clone());
            }
        }
        for (name, head) in &self.before.heads {
            let place = last_places.get(name.as_str()).copied();
            let is_kept = head.source != AgentSource::File
                || head.state == AgentState::Archived
                || self.taken.contains_key(name)
                || place.is_some_and(may_be_there);
            if is_kept {
                continue;
            }
            self.plan.archived.push(name.clone());
            self.plan.reports.push(FileReport {
                path: place.unwrap_or(name).to_owned(),
                verdict: Verdict::Skipped,
                action: Action::Archived,
                agent: Some(name.clone()),
                diagnostics: vec![Diagnostic::note(
                    "file_gone",
                    1,
                    1,
                    "no file gives this agent any more, so it is archived",
                    "put the file back to have the agent again",
                )],
            });
        }
    }

    fn report(
        &mut self,
        found: Found,
        verdict: Verdict,
        action: Action,
        agent: Option<String>,
        diagnostics: Vec<Diagnostic>,
    ) {
        let Found { path, place, sha256 } = found;
        let known = self.before.files.get(&place);
        let is_known = known.is_some_and(|known| {
            known.is_read_alike
                && known.sha256 == sha256
                && known.verdict == verdict.as_str()
                && known.agent == agent
        });
        // What never gave an agent and is none need not be remembered.
        let is_of_no_interest = verdict == Verdict::Skipped && agent.is_none() && known.is_none();
        if !is_known && !is_of_no_interest {
            self.plan.seen.push(SeenFile {
                place,
                sha256,
                agent: agent.clone(),
                verdict,
                diagnostics: diagnostics.clone(),
            });
        }
        self.plan.reports.push(FileReport { path, verdict, action, agent, diagnostics });
    }
}

/// What is remembered of files is remembered by place, so that there can be no other of the same.
fn repeated(found: Found) -> FileReport {
    let Found { path, place, .. } = found;
    let warning = Diagnostic::warning(
        "duplicate_place",
        1,
        1,
        &format!("there is another agent at `{place}`, which comes first"),
        "give each agent of a file, and each file, a name of its own",
    );
    FileReport {
        path,
        verdict: Verdict::Skipped,
        action: Action::None,
        agent: None,
        diagnostics: vec![warning],
    }
}

fn folders(path: &str) -> Vec<String> {
    let mut parts: Vec<String> = path.split('/').map(str::to_owned).collect();
    parts.pop();
    parts
}
