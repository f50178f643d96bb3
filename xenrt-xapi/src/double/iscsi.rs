//! iSCSI portals, their targets and LUNs: what the driver finds where storage is to be.

use super::answer::{Answer, Failure};
use super::request::Request;
use super::world::{Object, World};

/// The class of a LUN, which no list shows.
const LUN: &str = "iscsi-lun";

/// What the driver answers to a probe; it needs a target and a LUN, and says which there are.
pub(super) fn probe(world: &World, request: &Request) -> Result<Answer, Failure> {
    let config = request.map("device-config");
    let given =
        |key: &str| config.iter().find(|(own, _)| own == key).map(|(_, value)| value.as_str());
    let failed = |number: u32, text: &str, found: String| {
        let values = [String::new(), text.to_owned(), found];
        Failure::Api(format!("SR_BACKEND_FAILURE_{number}"), values.to_vec())
    };
    let portal = given("target").unwrap_or_default();
    let of = |lun: &Object, key: &str| lun.hidden(key).unwrap_or_default().to_owned();
    let there: Vec<&Object> = world.all(LUN).filter(|lun| of(lun, "portal") == portal).collect();
    if there.is_empty() {
        return Err(failed(141, "nobody answers there", String::new()));
    }
    let Some(iqn) = given("targetIQN") else {
        let mut targets: Vec<String> = there.iter().map(|lun| of(lun, "iqn")).collect();
        targets.dedup();
        let target = |(index, iqn): (usize, &String)| {
            format!(
                "\t<TGT>\n\t\t<Index>{index}</Index>\n\t\t<IPAddress>{portal}</IPAddress>\n\t\t\
                 <TargetIQN>{iqn}</TargetIQN>\n\t</TGT>\n"
            )
        };
        let targets: String = targets.iter().enumerate().map(target).collect();
        let root = "iscsi-target-iqns";
        let found = format!("<?xml version=\"1.0\" ?>\n<{root}>\n{targets}</{root}>\n");
        return Err(failed(96, "no target is named", found));
    };
    if given("SCSIid").is_none() {
        let luns = there.iter().filter(|lun| of(lun, "iqn") == iqn).map(|lun| {
            let fields = ["vendor", "serial", "LUNid", "size", "SCSIid"];
            let fields =
                fields.map(|key| format!("\t\t<{key}>\n\t\t\t{}\n\t\t</{key}>\n", of(lun, key)));
            format!("\t<LUN>\n{}\t</LUN>\n", fields.concat())
        });
        let luns: String = luns.collect();
        let found = format!("<?xml version=\"1.0\" ?>\n<iscsi-target>\n{luns}</iscsi-target>\n");
        return Err(failed(107, "no LUN is named", found));
    }
    Ok(Answer::line("<?xml version=\"1.0\" ?>\n<SRlist>\n</SRlist>"))
}

impl World {
    /// Has an iSCSI portal offer a LUN of this size, as the next one of the target.
    pub fn add_iscsi_lun(&mut self, portal: &str, iqn: &str, size: u64, scsi_id: &str) {
        let of_target =
            |lun: &&Object| lun.hidden("portal") == Some(portal) && lun.hidden("iqn") == Some(iqn);
        let number = self.all(LUN).filter(of_target).count();
        let lun = Object::new(LUN)
            .with_hidden("portal", portal)
            .with_hidden("iqn", iqn)
            .with_hidden("vendor", "DOUBLE")
            .with_hidden("serial", "")
            .with_hidden("LUNid", number.to_string())
            .with_hidden("size", size.to_string())
            .with_hidden("SCSIid", scsi_id);
        self.add(lun);
    }
}
