//! `<storage>` of hosts and pools.

use super::prepare::Building;
use super::reader::{FastSet, Reader};
use crate::model::Memory;
use crate::sequence::diagnostic::DiagnosticKind;
use crate::sequence::model::Word as Text;
use crate::sequence::syntax::NodeId;
use crate::sequence::values::list;
use crate::sequence::vocabulary::Attr;
use crate::sequence::{
    GuestStep, NetworkRole, StorageChoice, StorageOption, StorageStep, StorageType,
};

/// Names of storage.
pub(super) type StorageNames = FastSet<Text>;

impl Reader<'_> {
    pub(super) fn storage(&mut self, node: NodeId, building: &mut Building) -> Option<StorageStep> {
        let place = self.place(self.unit().tree.at(node));
        let kind = self.choice(node, Attr::Type, &StorageType::WORDS, true)?;
        // The original could do without a name.
        let name = self.shared(node, Attr::Name);
        let name = name.unwrap_or_else(|| self.share(kind.name()));
        building.storage.insert(name.clone());
        let is_default = self.flag(node, Attr::Default).unwrap_or(false);
        let unit = self.unit();
        if is_default
            && let Some(attribute) = unit.tree.attribute(node, Attr::Default)
            && self.free(node, Attr::Default).is_some_and(|value| value.trimmed() != "true")
        {
            let problem = self
                .problem(
                    DiagnosticKind::ReadOtherwise,
                    attribute.value.at,
                    "`default` is read as true",
                )
                .help("the original took anything but \"true\" for false");
            self.push(problem.warning());
        }
        Some(StorageStep {
            kind,
            name,
            is_default,
            options: self.storage_options(node),
            network: self.string(node, Attr::Network).map(|it| NetworkRole::from_word(&it)),
            block_backend_pages: self.number(node, Attr::Blkbackpoolsize),
            exporter_host: self.number(node, Attr::Vmhost),
            size: self.number(node, Attr::Size).map(|gib: u64| Memory::gib(gib)),
            place,
        })
    }

    fn storage_options(&mut self, node: NodeId) -> Vec<StorageOption> {
        let Some(value) = self.free(node, Attr::Options) else { return Vec::new() };
        let mut options = Vec::new();
        for word in list(&value.text) {
            let option = storage_option(word);
            if option.is_none() && value.settled {
                let message = format!("`options` has {word:?}");
                let at = value.place_of(word);
                let problem = self.problem(DiagnosticKind::InvalidValue, at, message);
                self.push_lenient(problem.help("expected such as \"initiatorcount=2\""));
            }
            options.extend(option);
        }
        options
    }
}

fn storage_option(word: &str) -> Option<StorageOption> {
    Some(match word {
        "iet" => StorageOption::FromController,
        "ietvm" | "vm" => StorageOption::FromGuest,
        "jumbo" => StorageOption::Jumbo,
        "mpprdac" => StorageOption::MppRdac,
        "thin" => StorageOption::Thin,
        "nosubdir" => StorageOption::NoSubfolder,
        "filesr" => StorageOption::FileBased,
        "v4" | "4" => StorageOption::NfsVersion4,
        "cifsuser" => StorageOption::OwnUser,
        other => return storage_option_with_value(other),
    })
}

fn storage_option_with_value(word: &str) -> Option<StorageOption> {
    if let Some(count) = word.strip_prefix("initiatorcount=") {
        return count.trim().parse().ok().map(StorageOption::Initiators);
    }
    if let Some(size) = word.strip_prefix("thin_init:") {
        return Some(StorageOption::ThinInitial(size.to_owned()));
    }
    if let Some(size) = word.strip_prefix("thin_quan:") {
        return Some(StorageOption::ThinQuantum(size.to_owned()));
    }
    if let Some(host) = word.strip_prefix("host-") {
        let (host, device) = match host.split_once('-') {
            Some((host, device)) => (host, Some(device.to_owned())),
            None => (host, None),
        };
        let host = host.parse().ok()?;
        return Some(StorageOption::FromHost { host, device });
    }
    if word.contains(['=', ':']) {
        return None;
    }
    Some(StorageOption::Device(word.to_owned()))
}

impl Building {
    /// Says of each guest's storage what it is, now that all storage is known.
    pub(super) fn resolve_storage(&mut self) {
        let names = std::mem::take(&mut self.storage);
        let hosts = self.prepare.hosts.iter_mut();
        let all = self.prepare.all_hosts.iter_mut().map(|all| &mut all.host);
        let of_hosts =
            hosts.chain(all).flat_map(|host| host.guests.iter_mut().chain(&mut host.templates));
        let of_pools = self
            .prepare
            .pools
            .iter_mut()
            .flat_map(|pool| pool.guests.iter_mut().chain(&mut pool.templates));
        let shared = self.prepare.shared_hosts.iter_mut().flat_map(|host| &mut host.guests);
        for guest in of_hosts.chain(of_pools).chain(shared) {
            resolve(guest, &names);
        }
    }
}

fn resolve(guest: &mut GuestStep, names: &StorageNames) {
    let Some(StorageChoice::Existing(said)) = &guest.storage else { return };
    if let Some(name) = names.get(said.as_str()) {
        guest.storage = Some(StorageChoice::Named(name.clone()));
    } else if let Some((_, kind)) = StorageType::WORDS.iter().find(|(word, _)| word == said) {
        guest.storage = Some(StorageChoice::Type(*kind));
    }
}
