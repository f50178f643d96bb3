//! `<vm>`, `<vmgroup>` and `<template>`.

use super::few::Few;
use super::prepare::Building;
use super::reader::Reader;
use super::value::{MOST_HINTED, Value};
use crate::model::{Memory, validate_guest_name};
use crate::sequence::diagnostic::DiagnosticKind;
use crate::sequence::model::Word as Text;
use crate::sequence::syntax::{NodeId, Span};
use crate::sequence::values::{list, parse_address};
use crate::sequence::vocabulary::{Attr, Kind, Word};
use crate::sequence::{Architecture, DiskStep, GuestFile, GuestStep, StorageChoice, VifStep};

impl Reader<'_> {
    /// `<vm>` or `<template>`.
    pub(super) fn guest(&mut self, node: NodeId, building: &mut Building) -> Option<GuestStep> {
        let value = self.attribute(node, Attr::Name)?;
        let name = self.word(&value);
        if value.settled {
            self.guest_name(&name, value.at, building);
        }
        Some(self.describe_guest(node, name.to_string()))
    }

    /// `<vmgroup>`: so many guests, called `<basename>-0` and so on.
    pub(super) fn guest_group(&mut self, node: NodeId, building: &mut Building) -> Vec<GuestStep> {
        let Some(base) = self.attribute(node, Attr::Basename) else { return Vec::new() };
        let Some(count) = self.number::<u32>(node, Attr::Number) else { return Vec::new() };
        let mut guests: Vec<GuestStep> = Vec::new();
        let mut like: Option<GuestStep> = None;
        for number in 0..count {
            if !self.take_step(self.unit().tree.at(node)) {
                break;
            }
            let name = format!("{}-{number}", base.trimmed());
            if base.settled {
                self.guest_name(&name.as_str().into(), base.at, building);
            }
            let like = like.get_or_insert_with(|| self.describe_guest(node, name.clone()));
            guests.push(GuestStep { name, ..like.clone() });
        }
        guests
    }

    fn guest_name(&mut self, name: &Text, at: Span, building: &mut Building) {
        if let Err(error) = validate_guest_name(name) {
            let problem = self.problem(DiagnosticKind::InvalidValue, at, error.to_string());
            self.push_lenient(problem.help("expected a name such as \"tiny\""));
        }
        let named = self.named(at);
        if let Some(first) = building.guests.insert(name.clone(), named) {
            let what = format!("guest called {name:?}");
            self.again(&what, at, first, "give each guest of the file its own name");
        }
    }

    fn describe_guest(&mut self, node: NodeId, name: String) -> GuestStep {
        let unit = self.unit();
        let mut guest = GuestStep::new(name, self.place(unit.tree.at(node)));
        // What there is one of, a bit each.
        let mut seen = 0_u128;
        let (mut vifs, mut disks) = (Few::default(), Few::default());
        for child in unit.tree.elements(node) {
            if self.filtered(child) || self.exhausted {
                continue;
            }
            let word = unit.tree.word(child);
            match word {
                Word::Vif => self.vif(child, &mut guest.vifs, &mut vifs),
                Word::Disk => self.disk(child, &mut guest.disks, &mut disks),
                Word::Postinstall => guest.after_install.extend(self.after_install(child)),
                Word::GuestScript => {
                    if let Some(script) = self.script_reference(child) {
                        guest.scripts.push(script);
                    }
                }
                _ => {
                    let bit = 1_u128 << word as u8;
                    if seen & bit != 0 {
                        let same = |other: &NodeId| unit.tree.word(*other) == word;
                        if let Some(first) = unit.tree.elements(node).find(same) {
                            self.second(child, first);
                        }
                    }
                    seen |= bit;
                    self.describe_part(child, word, &mut guest);
                }
            }
        }
        guest.disks.sort_by_key(|disk| disk.device);
        guest
    }

    /// What there is one of.
    fn describe_part(&mut self, node: NodeId, word: Word, guest: &mut GuestStep) {
        match word {
            Word::Distro => {
                if let Some(distro) = self.text(node) {
                    guest.distro = distro.trimmed().to_owned();
                }
            }
            Word::Arch => guest.architecture = self.architecture(node),
            Word::Vcpus => guest.vcpus = self.text_number(node),
            Word::Corespersocket => guest.cores_per_socket = self.text_number(node),
            Word::Memory => {
                guest.memory = self.text_number(node).map(|mib: u64| Memory::mib(mib));
            }
            Word::Guestparams => guest.parameters = self.parameters_of_guest(node),
            Word::GuestStorage => {
                let value = self.text(node);
                guest.storage = value.map(|value| {
                    // Which of the three it is, is known when all storage is.
                    StorageChoice::Existing(value.trimmed().to_owned())
                });
            }
            Word::File => {
                let of_user = self.flag(node, Attr::User).unwrap_or(false);
                guest.import = self
                    .text(node)
                    .map(|value| GuestFile { name: value.trimmed().to_owned(), of_user });
            }
            Word::Bootparams => {
                guest.boot_arguments = self.text(node).map(|value| value.trimmed().to_owned());
            }
            Word::Packages => {
                if let Some(packages) = self.text(node) {
                    guest.packages = list(&packages.text).map(str::to_owned).collect();
                }
            }
            _ => {}
        }
    }

    fn architecture(&mut self, node: NodeId) -> Option<Architecture> {
        let value = self.text(node)?;
        if !value.settled {
            return None;
        }
        match value.trimmed() {
            "x86-32" | "x86" => Some(Architecture::X86),
            "x86-64" | "x64" => Some(Architecture::X86_64),
            _ => {
                let problem = self.invalid(&value, &"<arch>", "x86-32 or x86-64");
                self.push_lenient(problem);
                None
            }
        }
    }

    fn parameters_of_guest(&mut self, node: NodeId) -> Vec<(String, String)> {
        let Some(value) = self.text(node) else { return Vec::new() };
        let mut parameters = Vec::new();
        for part in list(&value.text) {
            match part.split_once('=') {
                Some((name, value)) if !name.trim().is_empty() => {
                    parameters.push((name.trim().to_owned(), value.trim().to_owned()));
                }
                _ => {
                    let problem = self.invalid(&value, &"<guestparams>", "name=value,name=value");
                    self.push(problem);
                    break;
                }
            }
        }
        parameters
    }

    fn vif(&mut self, node: NodeId, vifs: &mut Vec<VifStep>, taken: &mut Few<u32>) {
        let network = self.string(node, Attr::Bridge);
        let address = self.address(node);
        let direct = self.flag(node, Attr::Sriov).unwrap_or(false);
        let device_of = self.string(node, Attr::Physdev);
        let virtual_function_of = direct.then(|| device_of.clone()).flatten();
        let at = self.unit().tree.at(node);
        if direct && device_of.is_none() {
            let message = "`sriov` without `physdev`";
            let problem = self.problem(DiagnosticKind::Missing, at, message);
            self.push_lenient(problem.help("say with `physdev` on which network"));
        }
        if !direct && device_of.is_some() {
            let message = "`physdev` without `sriov=\"yes\"`";
            let problem = self.problem(DiagnosticKind::NoEffect, at, message);
            self.push(problem.warning());
        }
        let Some(value) = self.attribute(node, Attr::Device) else { return };
        let Some(device) = self.number(node, Attr::Device) else { return };
        if !taken.insert(device) {
            self.second_device(&value, "VIF", device);
        }
        if !self.take_step(at) {
            return;
        }
        vifs.push(VifStep { device, network, address, virtual_function_of });
    }

    fn address(&mut self, node: NodeId) -> Option<crate::sequence::StaticAddress> {
        let value = self.attribute(node, Attr::Ip)?;
        if !value.settled {
            return None;
        }
        let address = parse_address(&value.text);
        if address.is_none() {
            let problem = self.invalid(&value, &"`ip`", &Kind::Address.expected());
            self.push(problem);
        }
        address
    }

    fn disk(&mut self, node: NodeId, disks: &mut Vec<DiskStep>, taken: &mut Few<u32>) {
        let size = self.number(node, Attr::Size).map(|gib: u64| Memory::gib(gib));
        let format = self.flag(node, Attr::Format).unwrap_or(false);
        let count = match self.unit().tree.attribute(node, Attr::Number) {
            Some(_) => self.number(node, Attr::Number),
            None => Some(1_u32),
        };
        let Some(value) = self.attribute(node, Attr::Device) else { return };
        let Some(device) = self.number::<u32>(node, Attr::Device) else { return };
        let (Some(size), Some(count)) = (size, count) else { return };
        for device in device..device.saturating_add(count) {
            if !self.take_step(value.at) {
                break;
            }
            if !taken.insert(device) {
                self.second_device(&value, "disk", device);
            }
            disks.push(DiskStep { device, size, format });
        }
    }

    fn second_device(&mut self, value: &Value<'_>, what: &str, device: u32) {
        let message = format!("a second {what} with the number {device}");
        let problem = self.problem(DiagnosticKind::Duplicate, value.at, message);
        self.push_lenient(problem.help("give each its own `device`"));
    }

    fn script_reference(&mut self, node: NodeId) -> Option<crate::sequence::Word> {
        let value = self.attribute(node, Attr::Name)?;
        let name = self.word(&value);
        if value.settled && !self.names.scripts.contains_key(&*name) {
            let message = format!("no script is called {:?}", &*name);
            let known = self.names.scripts.keys().map(Text::as_str).take(MOST_HINTED);
            let help = crate::nearest::hint(&name, known);
            let problem = self
                .problem(DiagnosticKind::DanglingReference, value.at, message)
                .help("expected the `filename` of a <script> of the file")
                .help(help.trim_start_matches("; ").to_owned());
            self.push(problem);
        }
        Some(name)
    }
}
