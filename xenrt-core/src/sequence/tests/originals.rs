//! The files of the original, where they are at hand: each loads, gives the same plan as ever, and its
//! defects are named.

use std::path::PathBuf;

use super::*;

/// The original's own files, where they are at hand: in `$XENRT_SEQUENCES`, or beside the workspace.
pub(super) fn real_files() -> Option<Vec<PathBuf>> {
    let folder = std::env::var_os("XENRT_SEQUENCES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/sequences"),
        PathBuf::from,
    );
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "seq"));
    files.sort();
    Some(files)
}

/// What a file of the original's own gives, read as the original did.
pub(super) fn compat() -> ReadOptions {
    ReadOptions::new().mode(Mode::Compat)
}

/// Skipped, which is said, where the files are not at hand.
macro_rules! real_files_or_skip {
    () => {
        match real_files() {
            Some(files) => files,
            None => {
                eprintln!("skipped: no sequence files in $XENRT_SEQUENCES or ../shared/sequences");
                return;
            }
        }
    };
}

#[test]
fn every_file_of_the_original_loads_in_the_compatible_mode() {
    let files = real_files_or_skip!();
    let refused: Vec<String> = files
        .iter()
        .filter_map(|file| compat().read(file).err().map(|error| error.to_string()))
        .collect();
    assert_eq!(refused, [""; 0], "{} of {} files", refused.len(), files.len());
}

/// How often each thing is in the plans of all files: a change of any reading shows here.
#[test]
fn the_files_of_the_original_have_the_same_plans_as_ever() {
    let files = real_files_or_skip!();
    if files.len() != 2676 {
        eprintln!("skipped: the snapshot is of 2676 files, not of {}", files.len());
        return;
    }
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    for file in &files {
        let sequence = compat().read(file).unwrap();
        count(&sequence, &mut |what, number| *counts.entry(what).or_default() += number);
    }
    let lines: Vec<String> =
        counts.iter().map(|(what, number)| format!("{what}: {number}")).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

fn count(sequence: &Sequence, add: &mut dyn FnMut(&'static str, usize)) {
    add("files", 1);
    add("variables", sequence.variables.len());
    add("semaphores", sequence.semaphores.len());
    add("limits of values", sequence.perfcheck.len());
    add("schedulers", usize::from(sequence.scheduler.is_some()));
    add("not carried out", sequence.not_carried_out().len());
    add("warnings", sequence.warnings.len());
    for prepare in [&sequence.preprepare, &sequence.prepare] {
        add("hosts", prepare.hosts.len());
        add("nested hosts", prepare.hosts.iter().filter(|host| host.nested.is_some()).count());
        add("allhosts", prepare.all_hosts.len());
        add("pools", prepare.pools.len());
        add("shared hosts", prepare.shared_hosts.len());
        add("private VLANs", prepare.vlans.len());
        add("clouds", prepare.clouds.len());
        add("cloud machines", prepare.cloud_machines.len());
        let shared = prepare.shared_hosts.iter().flat_map(|host| &host.guests);
        for guest in prepare.guests().map(|(_, guest)| guest).chain(shared) {
            add("guests", 1);
            add("VIFs", guest.vifs.len());
            add("disks", guest.disks.len());
            add("actions after installation", guest.after_install.len());
            add("guests from files", usize::from(guest.import.is_some()));
            add("guests with memory", usize::from(guest.memory.is_some()));
        }
        let topologies = prepare.hosts.iter().filter_map(|host| host.topology.as_ref());
        let topologies =
            topologies.chain(prepare.pools.iter().filter_map(|pool| pool.topology.as_ref()));
        for topology in topologies {
            add("topologies", 1);
            add("physical networks", topology.networks.len());
            for network in &topology.networks {
                add("network interfaces", network.nics.len());
                add("VLANs", network.vlans.len());
            }
        }
        add("storage of hosts", prepare.hosts.iter().map(|host| host.storage.len()).sum());
        add("storage of pools", prepare.pools.iter().map(|pool| pool.storage.len()).sum());
    }
    if let Some(block) = &sequence.tests {
        add("test sequences", 1);
        count_block(block, add);
    }
}

fn count_block(block: &Block, add: &mut dyn FnMut(&'static str, usize)) {
    match block.kind {
        BlockKind::Serial => add("serial blocks", 1),
        BlockKind::Parallel { workers } => {
            add("parallel blocks", 1);
            add("parallel blocks with workers", usize::from(workers.is_some()));
        }
    }
    add("finally blocks", block.finally.len());
    for step in &block.steps {
        match step {
            Node::Block(block) => count_block(block, add),
            Node::Test(test) => {
                add("tests", 1);
                add("arguments", test.arguments.len());
                add("dependencies", test.depends.len());
                add("blockers", usize::from(test.blocker == Some(true)));
            }
            Node::Action(_) => add("actions", 1),
        }
    }
    for finally in &block.finally {
        count_block(finally, add);
    }
}

/// The defects that the files have, each with its line.
#[test]
fn the_strict_mode_names_every_defect_of_the_original_s_files() {
    let files = real_files_or_skip!();
    let mut told: BTreeMap<DiagnosticKind, BTreeSet<String>> = BTreeMap::new();
    for file in &files {
        let Err(error) = ReadOptions::new().read(file) else { continue };
        for problem in error.diagnostics() {
            // A variable of the lab or of the command line is not a defect.
            if problem.severity() == Severity::Error
                && problem.kind() != DiagnosticKind::UndefinedVariable
            {
                let name = file.file_name().unwrap().to_string_lossy();
                let line = format!("{name}:{}: {}", problem.place().line, problem.message());
                told.entry(problem.kind()).or_default().insert(line);
            }
        }
    }
    for never in [
        DiagnosticKind::MalformedXml,
        DiagnosticKind::UnknownElement,
        DiagnosticKind::UnknownAttribute,
        DiagnosticKind::LimitExceeded,
    ] {
        assert_eq!(told.get(&never), None, "{never:?}");
    }
    let stray = told.get(&DiagnosticKind::MisplacedElement).cloned().unwrap_or_default();
    if files.len() == 2676 {
        let lines = [14, 22];
        let expected: BTreeSet<String> = ["clearwaterstoragebvt1.seq", "tampastoragebvt1.seq"]
            .into_iter()
            .flat_map(|file| {
                lines.map(|line| format!("{file}:{line}: <serial> cannot stand in <xenrt>"))
            })
            .collect();
        assert_eq!(stray, expected);
    }
}
