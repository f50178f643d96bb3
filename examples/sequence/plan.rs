//! `plan`: what a sequence file would do.

use std::path::PathBuf;
use std::process::ExitCode;

use xenrt::seconds::Readable;
use xenrt::sequence::{
    Action, Block, BlockKind, HostChoice, Node, Prepare, Rounds, Sequence, TestStep,
};
use xenrt::testcase::Registry;

use crate::reading::Reading;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The sequence file
    file: PathBuf,
    #[command(flatten)]
    reading: Reading,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let sequence = match arguments.reading.options(&arguments.file).read(&arguments.file) {
        Ok(sequence) => sequence,
        Err(error) => {
            anstream::eprintln!("{:?}", miette::Report::new(error.into_report()));
            return ExitCode::FAILURE;
        }
    };
    let registry = match Registry::global() {
        Ok(registry) => registry,
        Err(error) => {
            anstream::eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    for warning in &sequence.warnings {
        anstream::eprintln!("{warning}");
    }
    anstream::print!("{}", text(&sequence, &registry));
    ExitCode::SUCCESS
}

fn text(sequence: &Sequence, registry: &Registry) -> String {
    let mut lines = Lines { text: String::new(), registry, left_out: Vec::new(), tests: 0 };
    lines.machines(sequence);
    lines.prepare("preprepare", &sequence.preprepare);
    lines.prepare("prepare", &sequence.prepare);
    match &sequence.tests {
        Some(block) => {
            lines.line(0, "tests");
            lines.block(block, 1, false);
            lines.line(0, &format!("{} tests", lines.tests));
        }
        None => lines.line(0, "no tests: this sequence only prepares"),
    }
    let not = sequence.not_carried_out();
    if !not.is_empty() {
        lines.line(0, "not carried out by this library");
        for item in not {
            lines.line(1, &format!("line {}: {}: {}", item.place.line, item.what, item.reason));
        }
    }
    let left = sequence.left_to_the_lab();
    if !left.is_empty() {
        lines.line(0, "left to the lab");
        for line in left {
            lines.line(1, &line);
        }
    }
    if !lines.left_out.is_empty() {
        lines.line(0, "would be skipped");
        for line in std::mem::take(&mut lines.left_out) {
            lines.line(1, &line);
        }
    }
    lines.text
}

struct Lines<'r> {
    text: String,
    registry: &'r Registry,
    left_out: Vec<String>,
    tests: usize,
}

impl Lines<'_> {
    fn line(&mut self, depth: usize, text: &str) {
        self.text.push_str(&"  ".repeat(depth));
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn machines(&mut self, sequence: &Sequence) {
        let least = sequence.prepare.machines().max(sequence.preprepare.machines());
        let wanted = sequence.scheduler.as_ref().and_then(|scheduler| scheduler.machines);
        let all = sequence.prepare.all_hosts.iter().any(|all| all.last.is_none());
        let count = least.max(wanted.unwrap_or(0));
        let more = if all { " or more: it takes all that there are" } else { "" };
        let shares = |prepare: &Prepare| !prepare.shared_hosts.is_empty();
        let shared = match shares(&sequence.preprepare) || shares(&sequence.prepare) {
            true => ", and one that other runs may use too",
            false => "",
        };
        self.line(0, &format!("machines: {count}{more}{shared}"));
        let Some(scheduler) = &sequence.scheduler else { return };
        for wish in &scheduler.resources {
            let wish = format!("each with {} {:?} {}", wish.name, wish.relation, wish.value);
            self.line(1, &wish);
        }
    }

    fn prepare(&mut self, name: &str, prepare: &Prepare) {
        if prepare.is_empty() {
            return;
        }
        self.line(0, name);
        for pool in &prepare.pools {
            let hosts: Vec<String> = pool
                .hosts
                .iter()
                .filter_map(|at| prepare.hosts.get(*at))
                .map(|h| h.name())
                .collect();
            self.line(1, &format!("pool {} of {}", pool.name(), hosts.join(", ")));
            for storage in &pool.storage {
                self.line(2, &format!("storage {} ({})", storage.name, storage.kind.name()));
            }
            for guest in &pool.guests {
                self.line(2, &format!("guest {} ({})", guest.name, guest.distro));
            }
        }
        for host in &prepare.hosts {
            let alias = host.alias.as_ref().map(|alias| format!(" = {alias}")).unwrap_or_default();
            self.line(1, &format!("host {}{alias}", host.name()));
            for storage in &host.storage {
                self.line(2, &format!("storage {} ({})", storage.name, storage.kind.name()));
            }
            for guest in &host.guests {
                self.line(2, &format!("guest {} ({})", guest.name, guest.distro));
            }
        }
        for all in &prepare.all_hosts {
            let last = all.last.map_or_else(|| "the last".to_owned(), |last| last.to_string());
            self.line(1, &format!("each host from {} to {last}", all.first));
        }
    }

    fn block(&mut self, block: &Block, depth: usize, finally: bool) {
        let mut said = match block.kind {
            _ if finally => "finally".to_owned(),
            BlockKind::Serial => "serial".to_owned(),
            BlockKind::Parallel { workers: None } => "parallel".to_owned(),
            BlockKind::Parallel { workers: Some(workers) } => {
                format!("parallel ({workers} at once)")
            }
        };
        if let Some(group) = &block.group {
            said.push_str(&format!(" {group}"));
        }
        said.push_str(if block.blocker { " blocker" } else { "" });
        if let Some(timeout) = block.timeout {
            said.push_str(&format!(" timeout {}", Readable(timeout)));
        }
        said.push_str(&rounds(&block.rounds));
        if let Some(seed) = block.seed {
            said.push_str(&format!(" shuffled from {seed}"));
        }
        self.line(depth, &said);
        for step in &block.steps {
            match step {
                Node::Block(block) => self.block(block, depth + 1, false),
                Node::Test(test) => self.test(test, depth + 1),
                Node::Action(action) => {
                    let said = match action.action {
                        Action::Sleep(duration) => format!("sleep {}", Readable(duration)),
                        Action::Prepare => "prepare again".to_owned(),
                        _ => format!("{:?}", action.action),
                    };
                    self.line(depth + 1, &said);
                }
            }
        }
        for finally in &block.finally {
            self.block(finally, depth + 1, true);
        }
    }

    fn test(&mut self, test: &TestStep, depth: usize) {
        self.tests += 1;
        let mut said = test.id.to_string();
        if let Some(name) = &test.name {
            said.push_str(&format!(" as {name}"));
        }
        match &test.host {
            Some(HostChoice::Named(host)) => said.push_str(&format!(" on {host}")),
            Some(HostChoice::Any) => said.push_str(" on any host"),
            None => {}
        }
        if let Some(guest) = &test.guest {
            said.push_str(&format!(" with {guest}"));
        }
        said.push_str(if test.blocker == Some(true) { " blocker" } else { "" });
        if let Some(timeout) = test.timeout {
            said.push_str(&format!(" timeout {}", Readable(timeout)));
        }
        if let Some(retries) = test.retries {
            said.push_str(&format!(" retries {retries}"));
        }
        said.push_str(&rounds(&test.rounds));
        let found = self.registry.find(&test.id).ok();
        let mut needs: Vec<String> = test.requires.iter().map(ToString::to_string).collect();
        needs.extend(found.iter().flat_map(|it| it.requires.abilities).map(ToString::to_string));
        needs.sort();
        needs.dedup();
        if !needs.is_empty() {
            said.push_str(&format!(" needs {}", needs.join(", ")));
        }
        if found.is_none() {
            said.push_str(" [not in the library]");
            let name = test.name.as_ref().unwrap_or(&test.id);
            let line = test.place.line;
            self.left_out.push(format!("line {line}: {name}: no test is called {:?}", &*test.id));
        }
        self.line(depth, &said);
        for argument in &test.arguments {
            let name = argument.name.as_ref().map(|name| format!("{name}=")).unwrap_or_default();
            self.line(depth + 1, &format!("{name}{}", argument.value));
        }
    }
}

fn rounds(rounds: &Rounds) -> String {
    let mut said = String::new();
    if let Some(times) = rounds.times {
        said.push_str(&format!(" {times} times"));
    }
    if let Some(duration) = rounds.duration {
        said.push_str(&format!(" for {}", Readable(duration)));
    }
    said
}
