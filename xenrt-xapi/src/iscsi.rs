//! What an iSCSI portal offers: its targets, and their LUNs.
//!
//! The driver is asked with less than it needs, and says in its refusal what there is: without a
//! target the targets (`SR_BACKEND_FAILURE_96`), without a LUN the LUNs (`SR_BACKEND_FAILURE_107`),
//! each as XML in its last parameter.

use xenrt_core::model::{Host as _, Memory};
use xenrt_core::{Error, Result};

use crate::host::XapiHost;
use crate::parse::not_understood;
use crate::xe::{ApiCode, XeCommand};

/// A target of an iSCSI portal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IscsiTarget {
    /// The address where it is.
    pub address: String,
    /// The port there.
    pub port: u16,
    /// Its name (IQN).
    pub iqn: String,
}

/// A LUN of an iSCSI target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IscsiLun {
    /// Its number.
    pub number: u32,
    /// Who made it.
    pub vendor: String,
    /// Its serial number; empty where it has none.
    pub serial: String,
    /// Its size, where the target tells it.
    pub size: Option<Memory>,
    /// What [`StorageSpec::iscsi`](crate::StorageSpec::iscsi) names it by.
    pub scsi_id: String,
}

/// The port of iSCSI (RFC 7143), which is not told.
const PORT: u16 = 3260;

impl XapiHost {
    /// The targets of an iSCSI portal, as this host sees them. One call.
    ///
    /// # Errors
    /// What the driver refuses: nobody answers there (`SR_BACKEND_FAILURE_141`).
    pub async fn iscsi_targets(&self, portal: &str) -> Result<Vec<IscsiTarget>> {
        let probe = self.probe(portal);
        let told = self.told_by(probe, 96, "iscsi-target-iqns").await?;
        let target = |block: &str| {
            Ok(IscsiTarget {
                address: required(block, "IPAddress")?,
                port: match element(block, "Port") {
                    Some(text) => number(&text, "Port")?,
                    None => PORT,
                },
                iqn: required(block, "TargetIQN")?,
            })
        };
        elements(&told, "TGT").map(target).collect()
    }

    /// The LUNs of a target. One call.
    ///
    /// # Errors
    /// As [`iscsi_targets`](Self::iscsi_targets).
    pub async fn iscsi_luns(&self, portal: &str, iqn: &str) -> Result<Vec<IscsiLun>> {
        let probe = self.probe(portal).param("device-config:targetIQN", iqn);
        let told = self.told_by(probe, 107, "iscsi-target").await?;
        let lun = |block: &str| {
            let size = element(block, "size").filter(|size| !size.is_empty());
            Ok(IscsiLun {
                number: number(&required(block, "LUNid")?, "LUNid")?,
                vendor: element(block, "vendor").unwrap_or_default(),
                serial: element(block, "serial").unwrap_or_default(),
                size: size.map(|size| number(&size, "size").map(Memory::bytes)).transpose()?,
                scsi_id: required(block, "SCSIid")?,
            })
        };
        elements(&told, "LUN").map(lun).collect()
    }

    fn probe(&self, portal: &str) -> XeCommand {
        XeCommand::new("sr-probe")
            .param("type", "lvmoiscsi")
            .param("host-uuid", self.uuid().to_string())
            .param("device-config:target", portal)
            .deadline(self.entry().deadlines.suspend)
    }

    /// What stands in the element `root` of the refusal with this number.
    async fn told_by(&self, probe: XeCommand, refusal: u32, root: &str) -> Result<String> {
        let text = match self.xe().run(&probe).await {
            // It is no refusal everywhere.
            Ok(printed) => printed,
            Err(error) if error.code() == Some(&ApiCode::SrBackendFailure(refusal)) => {
                let api = error.api();
                api.and_then(|api| api.parameter("message")).unwrap_or_default().to_owned()
            }
            Err(error) => return Err(error.during("probe", "an iSCSI portal")),
        };
        if text.contains(&format!("<{root}/>")) {
            return Ok(String::new());
        }
        let told = element(&text, root);
        told.ok_or_else(|| wrong(&format!("an element {root}"), &text))
    }
}

fn wrong(expected: &str, found: &str) -> Error {
    not_understood("the answer of the iSCSI driver", expected, found)
}

/// What stands between the tags of each element of this name. The driver writes no attributes.
fn elements<'a>(text: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let (begin, end) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = text;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(begin.as_str())?;
        let (inside, left) = after.split_once(end.as_str())?;
        rest = left;
        Some(inside)
    })
}

/// The text of the first element of this name, with what XML writes for its own signs.
fn element(text: &str, name: &str) -> Option<String> {
    let text = elements(text, name).next()?.trim();
    let signs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    Some(signs.iter().fold(text.to_owned(), |text, (written, sign)| text.replace(written, sign)))
}

fn required(block: &str, name: &str) -> Result<String> {
    let text = element(block, name).filter(|text| !text.is_empty());
    text.ok_or_else(|| wrong(&format!("an element {name}"), block))
}

fn number<T: std::str::FromStr>(text: &str, name: &str) -> Result<T> {
    text.parse().map_err(|_| wrong(&format!("a number in {name}"), text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn elements_are_read_with_and_without_line_ends_in_them() {
        let text = "<TGT>\n\t<Index>\n\t\t0\n\t</Index>\n</TGT><TGT><Index>1</Index></TGT><TGT>";
        let indices: Vec<_> = elements(text, "TGT").map(|block| element(block, "Index")).collect();
        assert_eq!(indices, [Some("0".to_owned()), Some("1".to_owned())]);
        assert_eq!(element("<v>a &lt;b&gt; &amp;lt;</v>", "v").as_deref(), Some("a <b> &lt;"));
        assert!(required("<v> </v>", "v").is_err() && number::<u32>("x", "LUNid").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_them_panic(text: String) {
            let _ = elements(&text, "LUN").count();
            let _ = element(&format!("<v>{text}</v>"), "v");
        }
    }
}
