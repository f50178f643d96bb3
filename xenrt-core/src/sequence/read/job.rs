//! `<script>`, `<perfcheck>` and `<scheduler>`.

use super::reader::Reader;
use super::value::{Replaced, Value};
use crate::sequence::diagnostic::DiagnosticKind;
use crate::sequence::model::Word as Text;
use crate::sequence::syntax::{NodeId, Span};
use crate::sequence::values::list;
use crate::sequence::vocabulary::{Attr, Kind, Word};
use crate::sequence::{MetricLimit, Relation, ResourceWish, Scheduler, ScriptFile};

/// The type of a script where none is given.
const DEFAULT_SCRIPT_TYPE: &str = "cmd";

impl Reader<'_> {
    pub(super) fn script(&mut self, node: NodeId) -> Option<ScriptFile> {
        let place = self.place(self.unit().tree.at(node));
        let value = self.attribute(node, Attr::Filename)?;
        let kind = self.shared(node, Attr::Type);
        let kind = kind.unwrap_or_else(|| self.share(DEFAULT_SCRIPT_TYPE));
        let name = self.word(&value);
        let named = self.named(value.at);
        if let Some(first) = self.names.scripts.insert(name.clone(), named) {
            let what = format!("script called {:?}", &*name);
            self.again(&what, value.at, first, "remove one of them");
        }
        let text = self.script_text(&value)?;
        Some(ScriptFile { name, kind, text, place })
    }

    fn script_text(&mut self, value: &Value<'_>) -> Option<String> {
        let name = value.trimmed();
        let most = self.limits().bytes();
        let loaded = match &self.options.loader {
            Some(loader) => loader.load(name, most).map_err(|error| error.to_string()),
            None => Err("this program reads no other file than the sequence".to_owned()),
        };
        let text = loaded.and_then(|file| {
            if file.bytes.len() > most {
                return Err(format!("it is longer than {most} bytes"));
            }
            String::from_utf8(file.bytes).map_err(|_| "it is not UTF-8".to_owned())
        });
        match text {
            Ok(text) => Some(text),
            Err(why) => {
                let message = format!("the script {name:?} cannot be read: {why}");
                let problem = self.problem(DiagnosticKind::CannotInclude, value.at, message);
                self.push(problem);
                None
            }
        }
    }

    pub(super) fn perfcheck(&mut self, node: NodeId, into: &mut Vec<MetricLimit>) {
        let unit = self.unit();
        for limits in unit.tree.elements(node) {
            for test in unit.tree.elements(limits) {
                if unit.tree.word(test) != Word::LimitedTest {
                    continue;
                }
                let Some(name) = self.shared(test, Attr::Name) else { continue };
                for metric in unit.tree.elements(test) {
                    if unit.tree.word(metric) == Word::Metric
                        && self.take_step(unit.tree.at(metric))
                    {
                        into.extend(self.metric(metric, name.clone()));
                    }
                }
            }
        }
    }

    fn metric(&mut self, node: NodeId, test: Text) -> Option<MetricLimit> {
        let at = self.unit().tree.at(node);
        let metric = self.shared(node, Attr::Name)?;
        let (least, most) = (self.decimal(node, Attr::Min), self.decimal(node, Attr::Max));
        if let (Some(least), Some(most)) = (least, most)
            && least > most
        {
            let problem = self.problem(DiagnosticKind::InvalidValue, at, "`min` is above `max`");
            self.push_lenient(problem.help("no value is between them"));
        }
        Some(MetricLimit { test, metric, least, most, place: self.place(at) })
    }

    fn decimal(&mut self, node: NodeId, name: Attr) -> Option<f64> {
        let value = self.attribute(node, name)?;
        if !value.settled {
            return None;
        }
        let number = value.trimmed().parse().ok().filter(|number: &f64| number.is_finite());
        if number.is_none() {
            let what = format!("`{}`", name.name());
            let problem = self.invalid(&value, &what, &Kind::Decimal.expected());
            self.push(problem);
        }
        number
    }

    // ---- scheduler ----

    pub(super) fn scheduler(&mut self, node: NodeId, into: &mut Scheduler) {
        let unit = self.unit();
        for child in unit.tree.elements(node) {
            if self.filtered(child) {
                continue;
            }
            let word = unit.tree.word(child);
            match word {
                Word::Resources | Word::Resources1 => {
                    let wishes = self.resources(child);
                    match word {
                        Word::Resources => into.resources.extend(wishes),
                        _ => into.resources_of_second.extend(wishes),
                    }
                }
                Word::JobParam => self.job_parameter(child, into),
                Word::Holdfail => into.hold_on_failure = self.text_number(child),
                Word::Delay => into.delay = self.text_number(child),
                Word::ForVersion => {
                    into.version = self.text(child).map(|text| text.trimmed().to_owned());
                }
                Word::Flags => self.words(child, &mut into.flags),
                Word::MachinePool => self.words(child, &mut into.pools),
                Word::JobRequires => self.words(child, &mut into.requires),
                Word::Email => self.words(child, &mut into.email),
                Word::Skip => self.words(child, &mut into.skip),
                Word::Skipgroup => self.words(child, &mut into.skip_groups),
                _ => {}
            }
        }
    }

    fn words(&mut self, node: NodeId, into: &mut Vec<Text>) {
        let Some(value) = self.text(node) else { return };
        for word in list(&value.text) {
            into.push(self.part(&value, word));
        }
    }

    /// `memory>=4G/NPRI>=1`.
    fn resources(&mut self, node: NodeId) -> Vec<ResourceWish> {
        let Some(value) = self.text(node) else { return Vec::new() };
        let mut wishes = Vec::new();
        for part in value.text.split('/').map(str::trim).filter(|part| !part.is_empty()) {
            match self.wish(&value, part) {
                Some(wish) => wishes.push(wish),
                None if value.settled => {
                    let message = format!("a resource is {part:?}");
                    let at = value.place_of(part);
                    let problem = self.problem(DiagnosticKind::InvalidValue, at, message);
                    self.push_lenient(problem.help("expected such as memory>=4G"));
                }
                None => {}
            }
        }
        wishes
    }

    fn wish(&mut self, whole: &Value<'_>, text: &str) -> Option<ResourceWish> {
        let sign = text.find(['<', '>', '='])?;
        let (name, rest) = text.split_at(sign);
        let (relation, value) = if let Some(value) = rest.strip_prefix("<=") {
            (Relation::AtMost, value)
        } else if let Some(value) = rest.strip_prefix(">=") {
            (Relation::AtLeast, value)
        } else if let Some(value) = rest.strip_prefix('<') {
            (Relation::Less, value)
        } else if let Some(value) = rest.strip_prefix('>') {
            (Relation::More, value)
        } else {
            (Relation::Equal, rest.strip_prefix('=')?)
        };
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || value.is_empty() || value.contains(['<', '>', '=']) {
            return None;
        }
        Some(ResourceWish {
            name: self.part(whole, name),
            relation,
            value: self.part(whole, value),
        })
    }

    /// `NAME=VALUE`.
    fn job_parameter(&mut self, node: NodeId, into: &mut Scheduler) {
        let Some(value) = self.text(node) else { return };
        let Some((name, rest)) = value.text.split_once('=') else {
            let problem = self.invalid(&value, &"<param>", "NAME=VALUE");
            return self.push_lenient(problem);
        };
        let (name, rest) = (name.trim(), rest.trim());
        if name == "MACHINES_REQUIRED" && value.settled {
            let at: Span = value.place_of(rest);
            let number = Value { text: Replaced::Not(rest), at, literal: false, settled: true };
            into.machines = self.as_number(&number, &name, Kind::Number(1, 10_000));
        }
        into.parameters.insert(name.to_owned(), rest.to_owned());
    }
}
