//! The templates that guests are installed from: what is known of them, and which one is meant.

use uuid::Uuid;
use xenrt_core::model::Memory;
use xenrt_core::{Error, Result};

use crate::parse::{Record, records, values};
use crate::shared::HostShared;
use crate::xe::{Xe, XeCommand};

/// The template of a guest without an image, or with one that has no disk of its own.
pub(crate) const BARE_TEMPLATE: &str = "Other install media";

/// What is known of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) uuid: Uuid,
    name: String,
    pub(crate) memory: [Memory; 4],
    pub(crate) vcpus: u32,
    pub(crate) max_vcpus: u32,
    pub(crate) domain_type: Option<String>,
    pub(crate) has_disks: bool,
}

/// Fields of memory, from the least to the most.
const MEMORY_FIELDS: [&str; 4] =
    ["memory-static-min", "memory-dynamic-min", "memory-dynamic-max", "memory-static-max"];

/// Asks for all templates.
pub(crate) fn templates_command() -> XeCommand {
    let [a, b, c, d] = MEMORY_FIELDS;
    XeCommand::new("template-list").fields(&[
        "uuid",
        "name-label",
        a,
        b,
        c,
        d,
        "VCPUs-max",
        "VCPUs-at-startup",
        "domain-type",
        "other-config",
        "VBDs",
    ])
}

/// The templates in an answer.
pub(crate) fn read_templates(text: &str) -> Result<Vec<Template>> {
    let template = |record: Result<Record<'_>>| {
        let record = record?;
        let mut memory = [Memory::default(); 4];
        for (size, field) in memory.iter_mut().zip(MEMORY_FIELDS) {
            *size = Memory::bytes(record.parse(field)?);
        }
        let config = record.get("other-config").map(values::map).unwrap_or_default();
        let provisioned = config.get("disks").is_some_and(|disks| disks.contains("<disk"));
        Ok(Template {
            uuid: record.parse("uuid")?,
            name: record.require("name-label")?.to_owned(),
            memory,
            vcpus: record.parse("VCPUs-at-startup")?,
            max_vcpus: record.parse("VCPUs-max")?,
            domain_type: record.get("domain-type").map(str::to_owned),
            has_disks: provisioned || !record.get("VBDs").unwrap_or_default().is_empty(),
        })
    };
    records(text).map(template).collect()
}

fn choose(templates: &[Template], name: &str) -> Result<Template> {
    let mut found = templates.iter().filter(|own| own.name == name || own.uuid.to_string() == name);
    match (found.next(), found.next()) {
        (Some(template), None) => Ok(template.clone()),
        (Some(_), Some(_)) => {
            let problem = "several templates have that name; say the UUID of one";
            Err(Error::invalid(format!("template {name:?}"), problem))
        }
        (None, _) => Err(Error::NotFound {
            kind: "template",
            name: name.to_owned(),
            known: templates.iter().map(|own| own.name.clone()).collect(),
        }),
    }
}

/// The template of this name or UUID, from what is known; xapi is asked only where that does not
/// tell.
pub(crate) async fn template_for(host: &HostShared, xe: &Xe, name: &str) -> Result<Template> {
    if let Ok(template) = choose(&host.known_templates(), name) {
        return Ok(template);
    }
    let text = xe.run(&templates_command()).await;
    let templates = read_templates(&text.map_err(|error| error.during("list", "templates"))?)?;
    host.know_templates(templates.clone());
    choose(&templates, name)
}
