//! Networks: Linux bridges of dom0.

use std::net::IpAddr;

use serde::Deserialize;
use xenrt_core::model::{Network, NetworkKind, NetworkSpec};
use xenrt_core::remote::{Command, Shell};
use xenrt_core::{Error, Result, ToolstackErrorKind};

use crate::error;
use crate::script::{Script, q};

/// The alias (`ifalias`) of bridges that this library made; no other is ever removed.
const MARK: &str = "xenrt";

#[derive(Deserialize)]
struct Link {
    ifname: String,
    #[serde(default)]
    ifalias: Option<String>,
    #[serde(default)]
    master: Option<String>,
    #[serde(default)]
    linkinfo: LinkInfo,
    #[serde(default)]
    addr_info: Vec<Address>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct LinkInfo {
    info_kind: Option<String>,
}

#[derive(Deserialize)]
struct Address {
    /// Entries of `ip -j` may be empty objects.
    #[serde(default)]
    local: Option<IpAddr>,
    #[serde(default)]
    prefixlen: u8,
}

impl Link {
    fn is_bridge(&self) -> bool {
        self.linkinfo.info_kind.as_deref() == Some("bridge")
    }
}

/// Why `name` cannot be the name of a network interface, if it cannot (IFNAMSIZ, netdevice(7);
/// dev_valid_name() of Linux). A comma would end it in a configuration of xl.
pub(crate) fn name_problem(name: &str) -> Option<&'static str> {
    if name.is_empty() || name.len() > 15 {
        Some("the name of a bridge has 1 to 15 bytes")
    } else if name == "." || name == ".." || name.starts_with('-') {
        Some("that cannot be the name of a bridge")
    } else if name.contains(|c: char| c.is_whitespace() || c.is_control() || "/:,%".contains(c)) {
        Some("the name of a bridge holds no white space, `/`, `:`, `,` or `%`")
    } else {
        None
    }
}

fn links(json: &str) -> Result<Vec<Link>> {
    serde_json::from_str(json).map_err(|error| Error::UnexpectedOutput {
        what: "ip -j -d address show".to_owned(),
        expected: format!("a list of interfaces as JSON ({error})"),
        found: xenrt_core::remote::shorten_middle(json.trim(), 200),
    })
}

/// The bridges in an answer of `ip -j -d address show`. The uplink is the first port that is not of
/// a guest.
fn parse(json: &str) -> Result<Vec<Network>> {
    let links = links(json)?;
    let guests_port = |name: &str| ["vif", "tap", "vnet"].iter().any(|p| name.starts_with(p));
    let networks = links.iter().filter(|link| link.is_bridge()).map(|bridge| {
        let uplink = links.iter().find(|port| {
            port.master.as_deref() == Some(&bridge.ifname) && !guests_port(&port.ifname)
        });
        Network {
            name: bridge.ifname.clone(),
            kind: uplink
                .map_or(NetworkKind::Isolated, |port| NetworkKind::Uplink(port.ifname.clone())),
            addresses: bridge.addr_info.iter().filter_map(|address| address.local).collect(),
        }
    });
    Ok(networks.collect())
}

/// The names of the bridges that this library made, from the same answer.
pub(crate) fn own_bridges(json: &str) -> Result<Vec<String>> {
    let links = links(json)?;
    let own = |link: &Link| link.is_bridge() && link.ifalias.as_deref() == Some(MARK);
    Ok(links.into_iter().filter(own).map(|link| link.ifname).collect())
}

/// The IPv4 addresses of dom0 on `bridge`, with the lengths of their prefixes.
pub(crate) fn addresses_of(json: &str, bridge: &str) -> Result<Vec<(std::net::Ipv4Addr, u8)>> {
    let links = links(json)?;
    let own = links.into_iter().find(|link| link.ifname == bridge);
    let addresses = own.into_iter().flat_map(|link| link.addr_info);
    Ok(addresses
        .filter_map(|address| match address.local {
            Some(IpAddr::V4(v4)) => Some((v4, address.prefixlen)),
            _ => None,
        })
        .collect())
}

/// The line that prints what the functions above read.
pub(crate) const LIST: &str = "ip -j -d address show";

/// The networks of the host.
pub(crate) async fn list(shell: &dyn Shell) -> Result<Vec<Network>> {
    let command = Command::shell_line(LIST).deadline(std::time::Duration::from_secs(60));
    parse(&error::text(shell, &command, "list", "networks").await?)
}

/// Makes a bridge, marks it as ours and brings it up.
pub(crate) async fn define(shell: &dyn Shell, spec: &NetworkSpec) -> Result<Network> {
    let what = format!("network {:?}", spec.name);
    if let Some(problem) = name_problem(&spec.name) {
        return Err(Error::invalid(what, problem));
    }
    let name = q(&spec.name);
    let taken = q(&format!("there is an interface {} already", spec.name));
    // Until it is marked, a failure of a later step must take it away again.
    let mut script = Script::new()
        .step(format!("[ ! -e /sys/class/net/{name} ] || refuse AlreadyExists {taken}"));
    if let NetworkKind::Uplink(uplink) = &spec.kind {
        if let Some(problem) = name_problem(uplink) {
            return Err(Error::invalid(what, format!("uplink {uplink:?}: {problem}")));
        }
        let (port, missing) = (q(uplink), q(&format!("there is no interface {uplink}")));
        let busy = q(&format!("interface {uplink} is a port of another bridge"));
        script = script
            .step(format!("[ -e /sys/class/net/{port} ] || refuse NoSuchObject {missing}"))
            .step(format!("[ ! -e /sys/class/net/{port}/master ] || refuse BadState {busy}"));
    }
    script = script
        .step(format!("ip link add name {name} type bridge"))
        .step(format!("trap 'ip link delete '{} EXIT", q(&name)))
        .step(format!("ip link set dev {name} alias {MARK} up"));
    if let NetworkKind::Uplink(uplink) = &spec.kind {
        script = script.step(format!("ip link set dev {} master {name} up", q(uplink)));
    }
    let command = script.step("trap - EXIT").step(LIST).command();
    let json = error::text(shell, &command, "create", &what).await.map_err(|error| match error
        .toolstack_kind()
    {
        Some(ToolstackErrorKind::AlreadyExists) => Error::invalid(&what, "that name is taken"),
        _ => error,
    })?;
    parse(&json)?.into_iter().find(|network| network.name == spec.name).ok_or_else(|| {
        error::refusal(ToolstackErrorKind::Other, "create", &what, "it is not listed after that")
    })
}

/// Removes a bridge that [`define`] made.
pub(crate) async fn remove(shell: &dyn Shell, name: &str) -> Result<()> {
    let what = format!("network {name:?}");
    if let Some(problem) = name_problem(name) {
        return Err(Error::invalid(what, problem));
    }
    let quoted = q(name);
    let script = Script::new()
        .step(format!("cd /sys/class/net/{quoted} 2>/dev/null || exit 0"))
        .step(format!(
            "[ \"$(cat ifalias)\" = {MARK} ] || refuse BadState 'it was not made by this library'"
        ))
        .step(
            "used=; for port in brif/*; do case \"$port\" in brif/vif*|brif/tap*|brif/vnet*) \
             used=\"$used ${port#brif/}\";; esac; done",
        )
        .step("[ -z \"$used\" ] || refuse BadState \"guests still use it:$used\"")
        .step(format!("cd /; ip link delete dev {quoted}"));
    error::run(shell, &script.command(), "remove", &what).await?;
    Ok(())
}

/// The step that requires that `bridge` is there, before a device is put on it: a hotplug script
/// that fails leaves half a device behind.
pub(crate) fn require(bridge: &str) -> String {
    let missing = q(&format!("there is no bridge {bridge} on the host"));
    format!("[ -d /sys/class/net/{}/bridge ] || refuse NoSuchObject {missing}", q(bridge))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ANSWER: &str = include_str!("../tests/data/ip-address.json");

    #[test]
    fn bridges_are_told_from_other_interfaces() {
        let shown: Vec<String> = parse(ANSWER)
            .unwrap()
            .iter()
            .map(|network| format!("{} {:?} {:?}", network.name, network.kind, network.addresses))
            .collect();
        insta::assert_snapshot!(shown.join("\n"));
        assert_eq!(own_bridges(ANSWER).unwrap(), ["xb1"]);
        assert_eq!(addresses_of(ANSWER, "xenbr0").unwrap(), [("10.0.2.15".parse().unwrap(), 24)]);
    }

    #[test]
    fn names_that_cannot_be_bridges_are_refused() {
        for name in ["", "sixteen-bytes-xx", "a b", "a/b", "..", "-x", "a,b", "a%d", "a\n"] {
            assert!(name_problem(name).is_some(), "{name:?} was accepted");
        }
        for name in ["xenbr0", "größe", "fifteen-bytes-x"] {
            assert!(name_problem(name).is_none(), "{name:?} was refused");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = parse(&text);
        }
    }
}
