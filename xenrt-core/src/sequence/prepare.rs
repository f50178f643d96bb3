//! `<prepare>`: hosts and guests.

use super::diagnostic::DiagnosticKind;
use super::reader::{Reader, Value};
use super::vocabulary::{self, Word};
use super::xml::Element;
use super::{DiskStep, GuestStep, HostStep, Prepare, VifStep};
use crate::model::{GuestSpec, Memory};

impl Reader<'_> {
    pub(super) fn prepare(&mut self, element: &Element<'_>) -> Prepare {
        let Some(word) = vocabulary::find("prepare", "xenrt") else { return Prepare::default() };
        for text in element.texts() {
            // The one other form that the original had.
            let at =
                text.at.start..text.at.start + text.text.chars().next().map_or(0, char::len_utf8);
            let at = if text.literal { at } else { text.at };
            let problem = self.problem(
                DiagnosticKind::NotCarriedOut,
                &at,
                "JSON or YAML in <prepare> is known from the original, but not carried out yet",
            );
            self.push(problem.help("expected <host>"));
            self.whole = false;
        }
        let hosts = self.enter(element, word);
        Prepare {
            hosts: hosts.into_iter().map(|(host, word)| self.host(host, word)).collect(),
            ..Prepare::default()
        }
    }

    fn host(&mut self, element: &Element<'_>, word: &'static Word) -> HostStep {
        self.no_text(element);
        let given = self.attribute(element, "id");
        let id = match &given {
            Some(value) => self.number(value, "`id`", 0..=9999),
            None => Some(0),
        };
        let mut host = HostStep::new(id.unwrap_or_default(), self.source.place(&element.at));
        if id.is_some() {
            let at = given.map_or_else(|| element.at.clone(), |value| value.at);
            let name = host.name();
            if let Some(first) = self.hosts.insert(name, at.clone()) {
                let message = format!("a second host with the id {}", host.id);
                let problem = self.problem(DiagnosticKind::Duplicate, &at, message);
                let problem = problem.help("give each host its own id; without `id` it is 0");
                self.push(problem.see(&first, "the first is"));
            }
        }
        if let Some(alias) = self.attribute(element, "alias") {
            host.alias = Some(alias.text.trim().to_owned());
            if alias.settled
                && let Some(first) =
                    self.hosts.insert(alias.text.trim().to_owned(), alias.at.clone())
            {
                let message = format!("a second host called {:?}", alias.text.trim());
                let problem = self.problem(DiagnosticKind::Duplicate, &alias.at, message);
                self.push(problem.help("give each its own alias").see(&first, "the first is"));
            }
        }
        let guests = self.enter(element, word);
        host.guests = guests.into_iter().map(|(guest, word)| self.guest(guest, word)).collect();
        host
    }

    fn guest(&mut self, element: &Element<'_>, word: &'static Word) -> GuestStep {
        self.no_text(element);
        let name = self.guest_name(element).unwrap_or_default();
        let mut guest = GuestStep::new(name, self.source.place(&element.at));
        let mut disks: Vec<(u32, Vec<Memory>)> = Vec::new();
        let mut seen: Vec<&Element<'_>> = Vec::new();
        for (child, word) in self.enter(element, word) {
            self.enter(child, word);
            if !matches!(child.name, "network" | "disk") {
                if let Some(first) = seen.iter().find(|first| first.name == child.name) {
                    let message = format!("a second <{}>", child.name);
                    let problem = self.problem(DiagnosticKind::Duplicate, &child.at, message);
                    self.push(problem.help("remove one of them").see(&first.at, "the first is"));
                }
                seen.push(child);
            }
            match child.name {
                "distro" => {
                    if let Some(distro) = self.single_text(child, "the name of an image") {
                        guest.distro = distro.text.into_owned();
                    }
                }
                "vcpus" => guest.vcpus = self.text_number(child, "a number of vCPUs", 4096),
                "memory" => {
                    let mib = self.text_number(child, "a number of MiB", u32::MAX);
                    guest.memory = mib.map(|mib| Memory::mib(mib.into()));
                }
                "network" => self.vif(child, &mut guest.vifs),
                "disk" => self.disk(child, &mut disks),
                _ => {}
            }
        }
        disks.sort_by_key(|(device, _)| *device);
        let disks = disks.into_iter().flat_map(|(device, sizes)| {
            (device..).zip(sizes).map(|(device, size)| DiskStep { device, size, format: false })
        });
        guest.disks = disks.collect();
        guest
    }

    fn guest_name(&mut self, element: &Element<'_>) -> Option<String> {
        let name = self.required(element, "name", "tiny")?;
        let text = name.text.trim().to_owned();
        if !name.settled {
            return Some(text);
        }
        if let Err(error) = GuestSpec::new(&text).validate() {
            let problem = self.problem(DiagnosticKind::InvalidValue, &name.at, error.to_string());
            self.push(problem.help("expected a name such as \"tiny\""));
        }
        if let Some(first) = self.guests.insert(text.clone(), name.at.clone()) {
            let message = format!("a second guest called {text:?}");
            let problem = self.problem(DiagnosticKind::Duplicate, &name.at, message);
            let problem = problem.help("give each guest of the file its own name");
            self.push(problem.see(&first, "the first is"));
        }
        Some(text)
    }

    fn text_number(&mut self, element: &Element<'_>, expected: &str, most: u32) -> Option<u32> {
        let value = self.single_text(element, expected)?;
        self.number(&value, &format!("<{}>", element.name), 1..=most)
    }

    fn vif(&mut self, element: &Element<'_>, vifs: &mut Vec<VifStep>) {
        self.no_text(element);
        let network = self.attribute(element, "bridge").map(|bridge| bridge.text.into_owned());
        let Some(value) = self.required(element, "device", "0") else { return };
        let Some(device) = self.number(&value, "`device`", 0..=255) else { return };
        if vifs.iter().any(|vif| vif.device == device) {
            self.second_device(&value, "VIF", device);
        }
        vifs.push(VifStep { network, ..VifStep::new(device) });
    }

    fn disk(&mut self, element: &Element<'_>, disks: &mut Vec<(u32, Vec<Memory>)>) {
        self.no_text(element);
        let size = self.required(element, "size", "8");
        let size = size.and_then(|size| self.number(&size, "`size` (in GiB)", 1..=1 << 20));
        let count = match self.attribute(element, "number") {
            Some(number) => self.number(&number, "`number`", 1..=255),
            None => Some(1),
        };
        self.flag(element, "format");
        let Some(value) = self.required(element, "device", "0") else { return };
        let Some(device) = self.number(&value, "`device`", 0..=255) else { return };
        if disks.iter().any(|(taken, _)| *taken == device) {
            self.second_device(&value, "disk", device);
        }
        if let (Some(size), Some(count)) = (size, count) {
            let sizes = std::iter::repeat_n(Memory::gib(size.into()), count as usize);
            disks.push((device, sizes.collect()));
        }
    }

    fn second_device(&mut self, value: &Value<'_>, what: &str, device: u32) {
        let message = format!("a second {what} with the number {device}");
        let problem = self.problem(DiagnosticKind::Duplicate, &value.at, message);
        self.push(problem.help("give each its own `device`"));
    }
}
