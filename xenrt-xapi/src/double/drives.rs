//! The disks and CD drives of a VM: lists whose records are of two classes in turn.

use super::answer::{Answer, Failure};
use super::printer;
use super::program::Given;
use super::request::Request;
use super::schema::{self, FieldSchema};
use super::world::{Object, World};

pub(super) fn answer(world: &mut World, request: &Request) -> Given {
    let (kind, shown): (&str, &[&str]) = match request.name.as_str() {
        "vm-disk-list" => ("Disk", &["uuid", "vm-name-label", "userdevice"]),
        "vm-cd-list" => ("CD", &["uuid", "vm-name-label", "empty", "userdevice"]),
        _ => return None,
    };
    Some(request.selected(world, "vm").and_then(|vms| {
        let mut listed = Vec::new();
        for vm in &vms {
            let own = |vbd: &&Object| vbd.is("vm-uuid", vm) && vbd.is("type", kind);
            for (number, vbd) in world.all("vbd").filter(own).enumerate() {
                let named = |class: &str| format!("{kind} {number} {class}:\n");
                listed.push((named("VBD"), vbd));
                // An empty drive has none.
                let vdi = world.object("vdi", &vbd.text("vdi-uuid"));
                listed.extend(vdi.map(|vdi| (named("VDI"), vdi)));
            }
        }
        let of_disks = ["uuid", "name-label", "sr-name-label", "virtual-size"];
        let fields = |object: &Object| match object.class.as_str() {
            "vbd" => chosen("vbd", request.get("vbd-params"), shown),
            _ => chosen("vdi", request.get("vdi-params"), &of_disks),
        };
        if request.flag("minimal")? {
            let first = |(_, object): &(String, &Object)| {
                let fields = fields(object);
                fields.first().map_or(String::new(), |field| object.text(field.name))
            };
            // The last one is printed first.
            let values: Vec<String> = listed.iter().rev().map(first).collect();
            return Ok(Answer::text(printer::minimal(&values)));
        }
        let text = listed.iter().map(|(heading, object)| {
            format!("{heading}{}", printer::object(object, &fields(object), false))
        });
        Ok::<_, Failure>(Answer::text(text.collect::<String>()))
    }))
}

/// The fields that are asked for, or those that are shown by default.
pub(super) fn chosen(
    class: &str,
    asked: Option<&str>,
    default: &[&str],
) -> Vec<&'static FieldSchema> {
    let fields = schema::fields(class).iter();
    match asked {
        Some("all") => fields.collect(),
        Some(names) => {
            let names: Vec<&str> = names.split(',').collect();
            fields.filter(|field| names.contains(&field.name)).collect()
        }
        None => fields.filter(|field| default.contains(&field.name)).collect(),
    }
}
