//! Networks: libvirt's own, and the bridges of the host.

use serde::Deserialize;
use uuid::Uuid;
use virt::connect::Connect;
use virt::error::{Error as VirtError, ErrorNumber};
use virt::network::Network as VirtNetwork;
use virt_sys as sys;
use xenrt_core::model::{Network, NetworkKind, NetworkSpec};
use xenrt_core::remote::{Command, Shell, ShellExt as _, shorten_middle};
use xenrt_core::{Error, Result, ToolstackErrorKind};

use crate::connection::Failure;
use crate::driver::Driver;
use crate::error::{not_understood, not_written, refusal};
use crate::host::LibvirtHost;
use crate::xml::{Domain, NatNetwork, NetworkXml, Source};

/// The name of the network of VIFs that QEMU itself connects: guests see the world through it and
/// are not seen.
const USER_NETWORK: &str = "user";

/// What the identities of networks begin with that this library made ("xenrt"); no other is ever
/// removed. libvirt before 9.7 keeps nothing else of ours with a network.
const MARK: [u8; 5] = *b"xenrt";

pub(crate) fn new_uuid() -> Uuid {
    let mut bytes = *Uuid::new_v4().as_bytes();
    bytes[..MARK.len()].copy_from_slice(&MARK);
    Uuid::from_bytes(bytes)
}

fn is_own(uuid: Uuid) -> bool {
    uuid.as_bytes().starts_with(&MARK)
}

/// Why `name` cannot be the name of a network, if it cannot: the bridge of one has its name, and
/// names of interfaces are bounded (IFNAMSIZ, netdevice(7); dev_valid_name() of Linux).
fn name_problem(name: &str) -> Option<&'static str> {
    if name.is_empty() || name.len() > 15 {
        Some("the name of a bridge has 1 to 15 bytes")
    } else if name == "." || name == ".." || name.starts_with('-') {
        Some("that cannot be the name of a bridge")
    } else if name.contains(|c: char| c.is_whitespace() || c.is_control() || "/:%".contains(c)) {
        Some("the name of a bridge holds no white space, `/`, `:` or `%`")
    } else {
        None
    }
}

fn read(network: &VirtNetwork) -> Result<NetworkXml, Failure> {
    let text = network.get_xml_desc(0)?;
    let wrong = |error| Failure::Own(not_understood("the document of a network", &error));
    NetworkXml::parse(&text).map_err(wrong)
}

/// The networks of libvirt's that are active. Blocks.
pub(crate) fn list(connect: &Connect) -> Result<Vec<NetworkXml>, Failure> {
    let mut networks = Vec::new();
    for network in connect.list_all_networks(sys::VIR_CONNECT_LIST_NETWORKS_ACTIVE)? {
        match read(&network) {
            Ok(own) => networks.push(own),
            Err(Failure::Libvirt(error)) if error.code() == ErrorNumber::NoNetwork => {}
            Err(error) => return Err(error),
        }
    }
    Ok(networks)
}

/// The names of those that this library made. Blocks.
pub(crate) fn own(connect: &Connect) -> Result<Vec<String>, Failure> {
    let all = connect.list_all_networks(0)?;
    let mut names = Vec::new();
    for network in all {
        if is_own(network.get_uuid()?) {
            names.push(network.get_name()?);
        }
    }
    Ok(names)
}

/// What a VIF on the network `name` is connected to, if libvirt has an active network of that name.
/// Blocks.
pub(crate) fn source(
    connect: &Connect,
    driver: Driver,
    name: &str,
) -> Result<Option<Source>, Failure> {
    if name == USER_NETWORK && driver == Driver::Qemu {
        return Ok(Some(Source::default()));
    }
    match VirtNetwork::lookup_by_name(connect, name) {
        Ok(_) => Ok(Some(Source { network: Some(name.to_owned()), ..Source::default() })),
        Err(error) if matches!(error.code(), ErrorNumber::NoNetwork | ErrorNumber::NoSupport) => {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether libvirt knows an interface of the host; `None` where its driver cannot tell.
fn knows_interface(connect: &Connect, name: &str) -> Result<Option<bool>, VirtError> {
    match virt::interface::Interface::lookup_by_name(connect, name) {
        Ok(_) => Ok(Some(true)),
        Err(error) if error.code() == ErrorNumber::NoInterface => Ok(Some(false)),
        Err(error) if error.code() == ErrorNumber::NoSupport => Ok(None),
        Err(error) => Err(error),
    }
}

/// Refuses what cannot be made, before the host is touched.
pub(crate) fn validate(spec: &NetworkSpec) -> Result<()> {
    let what = format!("network {:?}", spec.name);
    if let Some(problem) = name_problem(&spec.name) {
        return Err(Error::invalid(what, problem));
    }
    if let NetworkKind::Uplink(uplink) = &spec.kind
        && let Some(problem) = name_problem(uplink)
    {
        return Err(Error::invalid(what, format!("uplink {uplink:?}: {problem}")));
    }
    Ok(())
}

/// Makes a network and starts it; the same again when it is done once more. `has_interface` says
/// whether the host has its uplink, where libvirt cannot. Blocks.
pub(crate) fn define(
    connect: &Connect,
    spec: &NetworkSpec,
    uuid: Uuid,
    has_interface: bool,
) -> Result<Network, Failure> {
    let known = || match &spec.kind {
        NetworkKind::Uplink(uplink)
            if !knows_interface(connect, uplink)?.unwrap_or(has_interface) =>
        {
            let message = format!("the host has no interface {uplink}");
            let (kind, what) =
                (ToolstackErrorKind::NoSuchObject, format!("network {:?}", spec.name));
            Err(refusal(kind, "create", &what, message).into())
        }
        _ => Ok(()),
    };
    make(connect, &NetworkXml::new(&spec.name, uuid, &spec.kind), known)
}

/// Makes a network of a document and starts it. `possible` refuses one that is not there yet.
fn make(
    connect: &Connect,
    document: &NetworkXml,
    possible: impl FnOnce() -> Result<(), Failure>,
) -> Result<Network, Failure> {
    let what = format!("network {:?}", document.name);
    match VirtNetwork::lookup_by_name(connect, &document.name) {
        // An attempt that was broken off had come so far.
        Ok(begun) if begun.get_uuid()? == document.uuid => {
            if !begun.is_active()? {
                begun.create()?;
            }
            return Ok(read(&begun)?.network());
        }
        Ok(_) => return Err(Error::invalid(what, "that name is taken").into()),
        Err(_) => possible()?,
    }
    let document = document.to_element().map_err(|error| not_written(&what, &error))?;
    let network = VirtNetwork::define_xml(connect, &document.to_xml())?;
    if let Err(error) = network.create() {
        // What it is defined as must not stay; that it could not be started is what is told.
        let _ = network.undefine();
        return Err(error.into());
    }
    Ok(read(&network)?.network())
}

impl LibvirtHost {
    /// Makes a network whose guests reach what the host reaches, behind its address. After: it is
    /// active; [`Host::remove_network`](xenrt_core::model::Host::remove_network) removes it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that no bridge can have or that is taken, and for a prefix of
    /// more than 32 bits; what libvirt refuses, such as leases that are not of the network, nothing
    /// is left then.
    pub async fn create_nat_network(&self, network: &NatNetwork) -> Result<Network> {
        let object = format!("network {:?}", network.name);
        if let Some(problem) = name_problem(&network.name) {
            return Err(Error::invalid(object, problem));
        }
        if network.prefix > 32 {
            return Err(Error::invalid(object, "a network has a prefix of at most 32 bits"));
        }
        let document = NetworkXml::nat(network, new_uuid());
        let make = move |connect: &Connect| make(connect, &document, || Ok(()));
        self.shared.call_surely("create", &object, make).await
    }
}

/// The refusal to remove what this library did not make.
pub(crate) fn foreign(name: &str) -> Error {
    let what = format!("network {name:?}");
    refusal(ToolstackErrorKind::BadState, "remove", &what, "it was not made by this library")
}

/// Removes a network that [`define`] made; says whether libvirt had it. Blocks.
pub(crate) fn remove(connect: &Connect, name: &str) -> Result<bool, Failure> {
    let what = format!("network {name:?}");
    let bad_state = |message: String| {
        Failure::Own(refusal(ToolstackErrorKind::BadState, "remove", &what, message))
    };
    let network = match VirtNetwork::lookup_by_name(connect, name) {
        Err(error) if error.code() == ErrorNumber::NoNetwork => return Ok(false),
        result => result?,
    };
    if !is_own(network.get_uuid()?) {
        return Err(foreign(name).into());
    }
    let mut users = Vec::new();
    for domain in connect.list_all_domains(sys::VIR_CONNECT_LIST_DOMAINS_ACTIVE)? {
        let document = Domain::parse(&domain.get_xml_desc(0)?)
            .map_err(|error| not_understood("the document of a domain", &error))?;
        if document.devices.interfaces.iter().any(|vif| vif.network() == name) {
            users.push(document.name);
        }
    }
    if !users.is_empty() {
        return Err(bad_state(format!("guests still use it: {}", users.join(", "))));
    }
    if network.is_active()? {
        network.destroy()?;
    }
    network.undefine()?;
    Ok(true)
}

#[derive(Deserialize)]
struct Link {
    ifname: String,
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
    #[serde(default)]
    local: Option<std::net::IpAddr>,
}

/// The bridges of the host, from `ip -j -d address show`. The uplink is the first port that is not
/// of a guest.
pub(crate) async fn bridges(shell: &dyn Shell) -> Result<Vec<Network>> {
    let command = Command::new("ip").args(["-j", "-d", "address", "show"]);
    let text = shell.text(&command.deadline(std::time::Duration::from_secs(60))).await?;
    read_bridges(&text)
}

fn read_bridges(json: &str) -> Result<Vec<Network>> {
    let links: Vec<Link> = serde_json::from_str(json).map_err(|error| Error::UnexpectedOutput {
        what: "ip -j -d address show".to_owned(),
        expected: format!("a list of interfaces as JSON ({error})"),
        found: shorten_middle(json.trim(), 200),
    })?;
    let of_a_guest =
        |name: &str| ["vif", "tap", "vnet", "macvtap"].iter().any(|own| name.starts_with(own));
    let is_bridge = |link: &&Link| link.linkinfo.info_kind.as_deref() == Some("bridge");
    let networks = links.iter().filter(is_bridge).map(|bridge| {
        let uplink = links.iter().find(|port| {
            port.master.as_deref() == Some(&bridge.ifname) && !of_a_guest(&port.ifname)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cannot_be_bridges_are_refused() {
        for name in ["", "sixteen-bytes-xx", "a b", "a/b", "..", "-x", "a%d", "a\n"] {
            assert!(name_problem(name).is_some(), "{name:?} was accepted");
        }
        for name in ["virbr0", "größe", "fifteen-bytes-x"] {
            assert!(name_problem(name).is_none(), "{name:?} was refused");
        }
    }

    #[test]
    fn networks_of_this_library_are_known_by_their_identity() {
        assert!(is_own(new_uuid()) && new_uuid() != new_uuid());
        assert!(!is_own(Uuid::new_v4()));
    }

    #[test]
    fn bridges_are_told_from_other_interfaces() {
        let json = r#"[
            {"ifname":"lo","addr_info":[{"local":"127.0.0.1","prefixlen":8}]},
            {"ifname":"enp1s0","master":"xenbr0","linkinfo":{}},
            {"ifname":"vnet3","master":"virbr0","linkinfo":{"info_kind":"tun"}},
            {"ifname":"virbr0","linkinfo":{"info_kind":"bridge"},"addr_info":[{"local":"192.168.122.1"}, {}]},
            {"ifname":"xenbr0","linkinfo":{"info_kind":"bridge"}}]"#;
        let shown: Vec<String> = read_bridges(json)
            .unwrap()
            .iter()
            .map(|own| format!("{} {:?} {:?}", own.name, own.kind, own.addresses))
            .collect();
        assert_eq!(shown, ["virbr0 Isolated [192.168.122.1]", "xenbr0 Uplink(\"enp1s0\") []"]);
        assert!(read_bridges("nonsense").is_err());
    }
}
