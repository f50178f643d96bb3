//! `<testsequence>`: blocks, tests and actions.

use std::time::Duration;

use super::reader::{Reader, Reference, Referred};
use super::value::Value;
use crate::lab::deadlines::parse_duration;
use crate::model::Ability;
use crate::sequence::diagnostic::DiagnosticKind;
use crate::sequence::model::Word as Text;
use crate::sequence::syntax::NodeId;
use crate::sequence::values::list;
use crate::sequence::vocabulary::{Attr, Kind, Word};
use crate::sequence::{
    Action, ActionStep, Argument, Block, BlockKind, Claim, Dependency, HostChoice, Node, Rounds,
    TestStep,
};

/// The test that runs tests of CloudStack, as the original's sequences call it.
const MARVIN: &str = "xenrt.lib.cloud.marvinwrapper.TCMarvinTestRunner";

/// The bits of attributes that few steps have.
const fn bits(names: &[Attr]) -> u128 {
    let (mut bits, mut index) = (0, 0);
    while index < names.len() {
        bits |= names[index].bit();
        index += 1;
    }
    bits
}

const RARE_OF_TESTS: u128 = bits(&[
    Attr::Depends,
    Attr::Timeout,
    Attr::Retries,
    Attr::Requires,
    Attr::Claim,
    Attr::Repeat,
    Attr::Duration,
]);
const RARE_OF_BLOCKS: u128 = bits(&[
    Attr::Tc,
    Attr::Sku,
    Attr::Blocker,
    Attr::Timeout,
    Attr::Repeat,
    Attr::Duration,
    Attr::Seed,
]);
const INHERITED: u128 = bits(&[Attr::Group, Attr::Host, Attr::Guest, Attr::Prio, Attr::Ttype]);

/// What a step takes from the blocks around it, where it does not say otherwise.
#[derive(Debug, Clone, Default)]
pub(super) struct Inherited {
    group: Option<Text>,
    host: Option<HostChoice>,
    guest: Option<Text>,
    priority: Option<i32>,
    ttype: Option<Text>,
}

impl Reader<'_> {
    pub(super) fn root_block(&mut self, node: NodeId) -> Block {
        self.block(node, BlockKind::Serial, &Inherited::default())
    }

    /// The steps below an element, into a block.
    pub(super) fn steps(&mut self, parent: NodeId, around: &Inherited, into: &mut Block) {
        let unit = self.unit();
        // Collections within collections: the tree itself is not deeper than this.
        self.depth += 1;
        if self.depth > self.limits().depth() {
            let most = self.limits().depth();
            let message = format!("steps within steps, more than {most} deep");
            let at = unit.tree.at(parent);
            let problem = self.problem(DiagnosticKind::LimitExceeded, at, message);
            self.push(problem.help("the limit is `depth`"));
            self.exhausted = true;
        }
        into.steps.reserve(unit.tree.elements(parent).count());
        for child in unit.tree.elements(parent) {
            if self.exhausted {
                break;
            }
            let word = unit.tree.word(child);
            if self.filtered(child) {
                continue;
            }
            match word {
                Word::For => self.unroll(child, around, into),
                Word::Ifin | Word::Ifnotin | Word::Ifeq | Word::Ifnoteq => {
                    self.condition(child, word, around, into);
                }
                Word::Include => self.include(child, around, into),
                Word::Serial => {
                    let block = self.block(child, BlockKind::Serial, around);
                    into.steps.push(Node::Block(block));
                }
                Word::Parallel => {
                    let workers = self.number(child, Attr::Workers);
                    let block = self.block(child, BlockKind::Parallel { workers }, around);
                    into.steps.push(Node::Block(block));
                }
                Word::Finally => {
                    let block = self.block(child, BlockKind::Serial, around);
                    into.finally.push(block);
                }
                Word::Testcase => self.test(child, around, &mut into.steps),
                Word::Marvintests => into.steps.extend(self.marvin(child, around)),
                Word::Action => into.steps.extend(self.action(child, around)),
                _ => {}
            }
        }
        self.depth -= 1;
    }

    fn block(&mut self, node: NodeId, kind: BlockKind, around: &Inherited) -> Block {
        let at = self.unit().tree.at(node);
        let inherited = self.inherited(node, around);
        let mut block = Block { kind, place: self.place(at), ..Block::default() };
        if self.has_any(node, RARE_OF_BLOCKS) {
            block.tc = self.shared(node, Attr::Tc);
            block.sku = self.shared(node, Attr::Sku);
            block.blocker = self.blocker(node).unwrap_or(false);
            block.timeout = self.duration(node, Attr::Timeout);
            block.rounds = self.rounds(node);
            block.seed = self.number(node, Attr::Seed);
        }
        if self.take_step(at) {
            self.steps(node, &inherited, &mut block);
        }
        block.group = inherited.group;
        block
    }

    fn test(&mut self, node: NodeId, around: &Inherited, into: &mut Vec<Node>) {
        let at = self.unit().tree.at(node);
        if !self.take_step(at) {
            return;
        }
        // One without an id was told.
        let Some(id) = self.attribute(node, Attr::Id) else { return };
        let shared = self.word(&id);
        let step = TestStep::new(shared, self.place(at));
        // Filled where it stays: it is large, and most of a file is tests.
        into.push(Node::Test(step));
        let Some(Node::Test(test)) = into.last_mut() else { return };
        test.id_place = self.place(id.at);
        test.name = self.shared(node, Attr::Name);
        self.common(node, around, test);
        self.arguments(node, &mut test.arguments);
    }

    /// `<marvintests>`, as the original carried it out: one test for the whole file, class or tags.
    fn marvin(&mut self, node: NodeId, around: &Inherited) -> Option<Node> {
        let at = self.unit().tree.at(node);
        if !self.take_step(at) {
            return None;
        }
        let path = self.attribute(node, Attr::Path)?;
        let class = self.attribute(node, Attr::Class);
        let tags = self.attribute(node, Attr::Tags);
        let id = self.share(MARVIN);
        let mut test = TestStep::new(id, self.place(at));
        test.id_place = self.place(path.at);
        self.common(node, around, &mut test);
        let own_group = self.unit().tree.attribute(node, Attr::Group).is_some();
        if !own_group {
            let text = path.trimmed();
            // The original's names of groups were at most so long.
            let start = text.char_indices().rev().nth(31).map_or(0, |(at, _)| at);
            test.group = Some(self.part(&path, &text[start..]));
        }
        let own_name = self.shared(node, Attr::Name);
        test.name = own_name.or_else(|| class.as_ref().map(|class| self.word(class)));
        for (name, value) in [("path", Some(path)), ("class", class), ("tags", tags)] {
            let Some(value) = value else { continue };
            test.arguments.push(Argument {
                name: Some(self.share(name)),
                value: self.word(&value),
                place: self.place(value.at),
            });
        }
        self.arguments(node, &mut test.arguments);
        Some(Node::Test(test))
    }

    /// What all tests have.
    fn common(&mut self, node: NodeId, around: &Inherited, test: &mut TestStep) {
        let inherited = self.inherited(node, around);
        test.group = inherited.group;
        test.host = inherited.host;
        test.guest = inherited.guest;
        test.priority = inherited.priority;
        test.ttype = inherited.ttype;
        test.tc = self.shared(node, Attr::Tc);
        test.sku = self.shared(node, Attr::Sku);
        test.blocker = self.blocker(node);
        if !self.has_any(node, RARE_OF_TESTS) {
            return;
        }
        test.depends = self.depends(node);
        test.timeout = self.duration(node, Attr::Timeout);
        test.retries = self.number(node, Attr::Retries);
        test.requires = self.requires(node);
        let claims = [("shared", Claim::Shared), ("exclusive", Claim::Exclusive)];
        test.claim = self.choice(node, Attr::Claim, &claims, true);
        test.rounds = self.rounds(node);
    }

    fn inherited(&mut self, node: NodeId, around: &Inherited) -> Inherited {
        let mut own = around.clone();
        if !self.has_any(node, INHERITED) {
            return own;
        }
        // Most elements have none of these.
        let unit = self.unit();
        for attribute in unit.tree.attributes(node) {
            match attribute.name {
                Some(Attr::Group) => own.group = self.shared(node, Attr::Group).or(own.group),
                Some(Attr::Host) => own.host = self.host_choice(node).or(own.host),
                Some(Attr::Guest) => {
                    own.guest = self.reference(node, Attr::Guest, Referred::Guest).or(own.guest);
                }
                Some(Attr::Prio) => own.priority = self.number(node, Attr::Prio).or(own.priority),
                Some(Attr::Ttype) => own.ttype = self.shared(node, Attr::Ttype).or(own.ttype),
                _ => {}
            }
        }
        own
    }

    fn host_choice(&mut self, node: NodeId) -> Option<HostChoice> {
        let unit = self.unit();
        let attribute = unit.tree.attribute(node, Attr::Host)?;
        if unit.tree.written(&attribute.value, &unit.source).text.trim() == "any" {
            return Some(HostChoice::Any);
        }
        self.reference(node, Attr::Host, Referred::Host).map(HostChoice::Named)
    }

    /// A `host` or `guest`; whether somebody is called so is looked at when all are known.
    fn reference(&mut self, node: NodeId, name: Attr, to: Referred) -> Option<Text> {
        let value = self.attribute(node, name)?;
        let name = self.word(&value);
        if value.settled {
            self.refer(to, &name, &value);
        }
        Some(name)
    }

    pub(super) fn refer(&mut self, to: Referred, name: &Text, value: &Value<'_>) {
        // What is read once is referred to once.
        let again = !self.locals.is_empty() || !self.including.is_empty();
        let key = (self.current, value.at.start(), name.clone());
        if !again || self.names.referred.insert(key) {
            let place = self.named(value.at);
            self.names.references.push(Reference { to, name: name.clone(), place });
        }
    }

    /// `blocker`. The original read `0` as yes and `1` as no, by mistake.
    fn blocker(&mut self, node: NodeId) -> Option<bool> {
        let flag = self.flag(node, Attr::Blocker)?;
        let unit = self.unit();
        if let Some(attribute) = unit.tree.attribute(node, Attr::Blocker)
            && matches!(unit.tree.written(&attribute.value, &unit.source).text.trim(), "0" | "1")
        {
            let said = if flag { "yes" } else { "no" };
            let message = format!("`blocker` is read as {said}");
            let at = attribute.value.at;
            let problem = self.problem(DiagnosticKind::ReadOtherwise, at, message);
            self.push(problem.warning().help(format!("write blocker=\"{said}\"")));
        }
        Some(flag)
    }

    fn rounds(&mut self, node: NodeId) -> Rounds {
        Rounds {
            times: self.number(node, Attr::Repeat),
            duration: self.duration(node, Attr::Duration),
        }
    }

    /// `depends`: `group:test` or `test`, with commas between them.
    fn depends(&mut self, node: NodeId) -> Vec<Dependency> {
        let Some(value) = self.attribute(node, Attr::Depends) else { return Vec::new() };
        self.dependencies = true;
        let mut all = Vec::new();
        for part in list(&value.text) {
            let place = self.place(value.place_of(part));
            let (group, name) = match part.split_once(':') {
                Some((group, name)) => (Some(group.trim()), name.trim()),
                None => (None, part),
            };
            if name.is_empty() || group == Some("") {
                let problem = self.invalid(&value, &"`depends`", "\"group:test\" or \"test\"");
                self.push_lenient(problem);
                continue;
            }
            let group = group.map(|group| self.part(&value, group));
            all.push(Dependency { group, name: self.part(&value, name), place });
        }
        all
    }

    fn requires(&mut self, node: NodeId) -> Vec<Ability> {
        let Some(value) = self.attribute(node, Attr::Requires) else { return Vec::new() };
        if !value.settled {
            return Vec::new();
        }
        let mut abilities = Vec::new();
        for name in list(&value.text) {
            match name.parse() {
                Ok(ability) => abilities.push(ability),
                Err(_) => {
                    let message = format!("no ability is called {name:?}");
                    let at = value.place_of(name);
                    let names = Ability::ALL.iter().map(|ability| ability.name());
                    let hint = crate::nearest::nearest(name, names)
                        .map(|name| format!("did you mean {name:?}?"));
                    let expected =
                        super::or(Ability::ALL.iter().map(|ability| ability.name().to_owned()));
                    let problem = self
                        .problem(DiagnosticKind::InvalidValue, at, message)
                        .help(format!("expected {expected}"))
                        .help(hint.unwrap_or_default());
                    self.push(problem);
                }
            }
        }
        abilities
    }

    // ---- arguments ----

    fn arguments(&mut self, node: NodeId, into: &mut Vec<Argument>) {
        let unit = self.unit();
        into.reserve_exact(unit.tree.elements(node).count());
        for child in unit.tree.elements(node) {
            if unit.tree.word(child) == Word::Arg && !self.filtered(child) {
                self.argument(child, into);
            }
        }
    }

    /// The arguments of one `<arg>`: `name` and `value`; or each of its texts, which comments
    /// separate, as in the original.
    fn argument(&mut self, node: NodeId, into: &mut Vec<Argument>) {
        let unit = self.unit();
        let before = into.len();
        let name = self.attribute(node, Attr::Name);
        if let Some(value) = self.free(node, Attr::Value) {
            let name = name.as_ref().map(|name| self.word(name));
            self.push_argument(name, value.trimmed(), &value, into);
        } else {
            for child in unit.tree.children(node) {
                let Some(text) = unit.tree.text(child, &unit.source) else { continue };
                let value = self.expand(text.trimmed());
                if let Some(name) = &name {
                    let name = self.word(name);
                    self.push_argument(Some(name), &value.text, &value, into);
                    continue;
                }
                match split_at_equals(&value.text) {
                    Some((name, rest)) if is_name(name) => {
                        let name = self.part(&value, name);
                        self.push_argument(Some(name), rest, &value, into);
                    }
                    _ => {
                        self.push_argument(None, &value.text, &value, into);
                    }
                }
            }
        }
        if into.len() == before {
            let at = unit.tree.at(node);
            let problem = self.problem(DiagnosticKind::InvalidValue, at, "<arg> has no text");
            self.push_lenient(problem.help("expected <arg>name=value</arg> or <arg>value</arg>"));
        }
    }

    fn push_argument(
        &mut self,
        name: Option<Text>,
        part: &str,
        from: &Value<'_>,
        into: &mut Vec<Argument>,
    ) {
        // The original's installation tests make the guest that their argument `guest` names.
        let value = self.part(from, part);
        if from.settled && name.as_deref() == Some("guest") {
            self.names.guests_made.insert(value.clone());
        }
        into.push(Argument { name, value, place: self.place(from.at) });
    }

    // ---- actions ----

    fn action(&mut self, node: NodeId, around: &Inherited) -> Option<Node> {
        let unit = self.unit();
        let at = unit.tree.at(node);
        if !self.take_step(at) {
            return None;
        }
        let group = self.inherited(node, around).group;
        let place = self.place(at);
        let words = [("sleep", true), ("prepare", false)];
        let sleep = self.choice(node, Attr::Action, &words, true)?;
        let argument =
            unit.tree.elements(node).find(|child| unit.tree.word(*child) == Word::Arg).and_then(
                |child| match self.free(child, Attr::Value) {
                    Some(value) => Some(value),
                    None => self.text(child),
                },
            );
        if !sleep {
            return Some(Node::Action(ActionStep { action: Action::Prepare, group, place }));
        }
        let Some(argument) = argument else {
            // The original failed on it, too, when it came to it.
            let message = "a sleep without saying how long";
            let problem = self.problem(DiagnosticKind::Missing, at, message);
            self.push(problem.help("expected <arg>60</arg> (seconds) or <arg>2m</arg>"));
            return None;
        };
        let duration = self.sleep(&argument)?;
        Some(Node::Action(ActionStep { action: Action::Sleep(duration), group, place }))
    }

    fn sleep(&mut self, value: &Value<'_>) -> Option<Duration> {
        if !value.settled {
            return None;
        }
        let text = value.trimmed();
        let seconds = text.parse().ok().map(Duration::from_secs);
        let duration = seconds.or_else(|| parse_duration(text).ok());
        if duration.is_none() {
            let expected = format!("a number of seconds, or {}", Kind::Duration.expected());
            let problem = self.invalid(value, &"the duration of a sleep", &expected);
            self.push(problem);
        }
        duration
    }
}

/// As `split_once('=')`, which takes three times as long for the few bytes of an argument.
fn split_at_equals(text: &str) -> Option<(&str, &str)> {
    let at = text.bytes().position(|byte| byte == b'=')?;
    Some((&text[..at], &text[at + 1..]))
}

/// What can stand before the `=` of an argument; anything else is part of a positional one, such
/// as an address with a query in it.
fn is_name(text: &str) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'/' | b'.');
    if text.bytes().all(plain) {
        return !text.is_empty();
    }
    text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '/' | '.'))
}

/// The blocks of several `<testsequence>` as one, as the original ran them: what blocks a step
/// blocks those of the later ones too. One with time-outs or rounds stays a block of its own.
pub(super) fn one_root(blocks: Vec<Block>) -> Option<Block> {
    let mut blocks = blocks.into_iter();
    let mut root = blocks.next()?;
    let plain =
        |block: &Block| block.timeout.is_none() && block.rounds.is_once() && block.seed.is_none();
    let mut first = true;
    for block in blocks {
        if std::mem::take(&mut first) && !plain(&root) {
            let place = root.place;
            let own = Block { blocker: true, ..root };
            root = Block { steps: vec![Node::Block(own)], place, ..Block::default() };
        }
        if plain(&block) {
            root.blocker |= block.blocker;
            root.steps.extend(block.steps);
            root.finally.extend(block.finally);
        } else {
            root.steps.push(Node::Block(Block { blocker: true, ..block }));
        }
    }
    Some(root)
}
