//! Clouds, and what is deployed in them.

use serde_json::Value as Json;

use super::reader::Reader;
use crate::model::Memory;
use crate::sequence::diagnostic::DiagnosticKind;
use crate::sequence::syntax::{self, NodeId};
use crate::sequence::vocabulary::{Attr, Word};
use crate::sequence::{
    BlueprintStep, CloudCluster, CloudMachineKind, CloudMachineStep, CloudNetwork, CloudStep,
    CloudZone,
};

impl Reader<'_> {
    pub(super) fn cloud(&mut self, node: NodeId) -> Option<CloudStep> {
        let place = self.place(self.unit().tree.at(node));
        let value = self.text(node)?;
        let description = match syntax::parse_yaml(&value.text) {
            Ok(description) => description.to_json(),
            // What it is going to be is known when its variables are, which was told.
            Err(_) if !value.settled => Json::Null,
            Err(error) => {
                let message = format!("<cloud> is neither YAML nor JSON: {}", error.message);
                let at = value.part(error.at..error.at);
                let problem = self.problem(DiagnosticKind::InvalidValue, at, message);
                self.push(problem);
                return None;
            }
        };
        let mut zones = Vec::new();
        for zone in each(&description, "zones") {
            let network = match zone.get("networktype").and_then(Json::as_str) {
                Some("Basic") | None => CloudNetwork::Basic,
                Some("Advanced") => CloudNetwork::Advanced,
                Some(other) => {
                    let message = format!("`networktype` is {other:?}");
                    let problem = self.problem(DiagnosticKind::InvalidValue, value.at, message);
                    self.push_lenient(problem.help("expected Basic or Advanced"));
                    CloudNetwork::Basic
                }
            };
            let pods = each(zone, "pods");
            let clusters = pods.flat_map(|pod| each(pod, "clusters")).map(cluster).collect();
            zones.push(CloudZone { network, clusters });
        }
        Some(CloudStep { zones, description, place })
    }

    pub(super) fn cloud_machine(&mut self, node: NodeId, word: Word) -> CloudMachineStep {
        let unit = self.unit();
        let mut machine = CloudMachineStep {
            kind: match word {
                Word::CloudTemplate => CloudMachineKind::Template,
                _ => CloudMachineKind::Instance,
            },
            name: self.shared(node, Attr::Name),
            distro: self.string(node, Attr::Distro),
            zone: self.shared(node, Attr::Zone),
            hypervisor: self.string(node, Attr::HypervisorType),
            install_tools: self.flag(node, Attr::InstallTools).unwrap_or(true),
            vcpus: None,
            memory: None,
            root_disk: None,
            place: self.place(unit.tree.at(node)),
        };
        for child in unit.tree.elements(node) {
            match unit.tree.word(child) {
                Word::Vcpus => machine.vcpus = self.text_number(child),
                Word::Memory => {
                    machine.memory = self.text_number(child).map(|mib: u64| Memory::mib(mib));
                }
                Word::Rootdisk => {
                    machine.root_disk =
                        self.text_number(child).map(|size: u64| Memory::bytes(size));
                }
                _ => {}
            }
        }
        machine
    }

    pub(super) fn blueprint(&mut self, node: NodeId) -> Option<BlueprintStep> {
        let unit = self.unit();
        let mut blueprint = BlueprintStep {
            name: self.shared(node, Attr::Name)?,
            version: self.string(node, Attr::Version),
            profile: self.string(node, Attr::Profile),
            template: None,
            place: self.place(unit.tree.at(node)),
        };
        for child in unit.tree.elements(node) {
            if unit.tree.word(child) == Word::TemplateName {
                blueprint.template = self.text(child).map(|text| text.trimmed().to_owned());
            }
        }
        Some(blueprint)
    }
}

/// The items of a list, where there is one.
fn each<'j>(value: &'j Json, key: &str) -> impl Iterator<Item = &'j Json> {
    value.get(key).and_then(Json::as_array).into_iter().flatten()
}

fn cluster(value: &Json) -> CloudCluster {
    let number = |value: &Json| {
        let number = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())?;
        u32::try_from(number).ok()
    };
    let mut named_hosts = Vec::new();
    for (key, value) in value.as_object().into_iter().flatten() {
        let names =
            key.starts_with("XRT_") && (key.ends_with("HostId") || key.ends_with("HostIds"));
        if !names {
            continue;
        }
        match value {
            Json::Array(items) => named_hosts.extend(items.iter().filter_map(number)),
            Json::String(text) => {
                named_hosts.extend(text.split(',').filter_map(|id| id.trim().parse::<u32>().ok()));
            }
            other => named_hosts.extend(number(other)),
        }
    }
    CloudCluster {
        hypervisor: value
            .get("hypervisor")
            .and_then(Json::as_str)
            .unwrap_or("XenServer")
            .to_owned(),
        hosts: value.get("XRT_Hosts").and_then(number).unwrap_or(0),
        named_hosts,
    }
}
