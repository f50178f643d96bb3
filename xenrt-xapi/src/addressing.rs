//! How the interfaces of a host come to their addresses: IPv4, IPv6, name servers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use uuid::Uuid;
use xenrt_core::model::Host as _;
use xenrt_core::{Error, Result};

use crate::host::XapiHost;
use crate::parse::{Record, not_understood, records};
use crate::xe::XeCommand;

/// How an interface comes to its IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressing {
    /// It has none.
    None,
    /// Through DHCP.
    Dhcp,
    /// It is given one.
    Static {
        /// The address.
        address: Ipv4Addr,
        /// The mask of its network.
        netmask: Ipv4Addr,
        /// The gateway, where there is one.
        gateway: Option<Ipv4Addr>,
    },
}

/// How an interface comes to its IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ipv6Addressing {
    /// It has none.
    None,
    /// Through DHCPv6.
    Dhcp,
    /// From what routers advertise.
    Autoconf,
    /// It is given one.
    Static {
        /// The address.
        address: Ipv6Addr,
        /// How many of its first bits are those of the network.
        prefix: u8,
        /// The gateway, where there is one.
        gateway: Option<Ipv6Addr>,
    },
}

/// Which of its addresses an interface is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressFamily {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl AddressFamily {
    /// As xapi prints and takes it (`primary_address_type` in its datamodel).
    fn as_str(self) -> &'static str {
        match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
        }
    }
}

/// How an interface comes to its addresses, as xapi has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceAddressing {
    /// IPv4.
    pub ipv4: Addressing,
    /// IPv6.
    pub ipv6: Ipv6Addressing,
    /// Its name servers.
    pub dns: Vec<IpAddr>,
    /// Which of its addresses it is known by.
    pub primary: AddressFamily,
}

/// The fields of an interface that say so. Releases before 6.1 have none of IPv6.
pub(crate) const FIELDS: &[&str] = &[
    "uuid",
    "IP-configuration-mode",
    "IP",
    "netmask",
    "gateway",
    "IPv6-configuration-mode",
    "IPv6",
    "IPv6-gateway",
    "primary-address-type",
    "DNS",
];

/// A field that may be missing or empty.
fn optional<T: std::str::FromStr>(record: &Record<'_>, name: &str) -> Result<Option<T>> {
    match record.get(name) {
        None | Some("") => Ok(None),
        Some(text) => match text.parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(not_understood(&format!("the field {name}"), "an address", text)),
        },
    }
}

/// How an interface comes to its IPv4 address, from its record.
pub(crate) fn read_ipv4(record: &Record<'_>) -> Result<Addressing> {
    let (address, netmask) = (optional(record, "IP")?, optional(record, "netmask")?);
    Ok(match (record.get("IP-configuration-mode"), address, netmask) {
        (Some("DHCP"), ..) => Addressing::Dhcp,
        (Some("Static"), Some(address), Some(netmask)) => {
            Addressing::Static { address, netmask, gateway: optional(record, "gateway")? }
        }
        _ => Addressing::None,
    })
}

/// How an interface comes to its IPv6 address, from its record. xapi keeps several in one field; a
/// static one is the first, with its prefix.
pub(crate) fn read_ipv6(record: &Record<'_>) -> Result<Ipv6Addressing> {
    Ok(match record.get("IPv6-configuration-mode") {
        Some("DHCP") => Ipv6Addressing::Dhcp,
        Some("Autoconf") => Ipv6Addressing::Autoconf,
        Some("Static") => {
            let text = record.get("IPv6").unwrap_or_default();
            let first = text.split([',', ';']).next().unwrap_or_default().trim();
            let parts = first
                .split_once('/')
                .and_then(|(address, prefix)| Some((address.parse().ok()?, prefix.parse().ok()?)));
            let Some((address, prefix)) = parts else {
                let expected = "an address with its prefix";
                return Err(not_understood("the field IPv6", expected, text));
            };
            Ipv6Addressing::Static { address, prefix, gateway: optional(record, "IPv6-gateway")? }
        }
        _ => Ipv6Addressing::None,
    })
}

fn read(record: &Record<'_>) -> Result<InterfaceAddressing> {
    let servers = record.get("DNS").unwrap_or_default();
    let servers = servers.split(',').map(str::trim).filter(|server| !server.is_empty());
    let server =
        |text: &str| text.parse().map_err(|_| not_understood("the field DNS", "addresses", text));
    Ok(InterfaceAddressing {
        ipv4: read_ipv4(record)?,
        ipv6: read_ipv6(record)?,
        dns: servers.map(server).collect::<Result<_>>()?,
        primary: match record.get("primary-address-type") {
            Some("IPv6") => AddressFamily::Ipv6,
            _ => AddressFamily::Ipv4,
        },
    })
}

impl XapiHost {
    /// How an interface comes to its addresses. One call.
    ///
    /// # Errors
    /// [`Error::NotFound`] where this host has no such interface.
    pub async fn addressing_of(&self, interface: Uuid) -> Result<InterfaceAddressing> {
        let list = XeCommand::new("pif-list")
            .uuid(interface)
            .param("host-uuid", self.uuid().to_string())
            .fields(FIELDS);
        let text = self.xe().run(&list).await;
        let text = text.map_err(|error| error.during("look at", &object(self, interface)))?;
        match records(&text).next().transpose()? {
            Some(record) => read(&record),
            None => Err(Error::NotFound {
                kind: "network interface",
                name: interface.to_string(),
                known: self.interfaces().await?.into_iter().map(|own| own.device).collect(),
            }),
        }
    }

    /// Sets how an interface comes to its IPv4 address. One call. Its name servers are gone: see
    /// [`set_ipv4`](Self::set_ipv4) for an address with some.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what can be no address there; what xapi refuses. Of the interface that
    /// xapi is reached through, the connection may go: see [`set_management`](Self::set_management).
    pub async fn configure_interface(&self, interface: Uuid, how: Addressing) -> Result<()> {
        check_ipv4(how, &[])?;
        let configured = self.xe().repeat(&reconfigure(interface, how, &[]), |_| false).await;
        configured.map_err(|error| error.during("configure", &object(self, interface)))
    }

    /// Sets how an interface comes to its IPv4 address, and its name servers. After: xapi says so.
    /// Two calls.
    ///
    /// # Errors
    /// As [`configure_interface`](Self::configure_interface); [`Error::UnexpectedOutput`] where xapi
    /// says something else after.
    pub async fn set_ipv4(&self, interface: Uuid, how: Addressing, dns: &[IpAddr]) -> Result<()> {
        check_ipv4(how, dns)?;
        let command = reconfigure(interface, how, dns);
        self.configured(interface, command, |now| now.ipv4 == how && now.dns == dns).await
    }

    /// Sets how an interface comes to its IPv6 address, and its name servers. After: xapi says so.
    /// Two calls.
    ///
    /// # Errors
    /// As [`set_ipv4`](Self::set_ipv4).
    pub async fn set_ipv6(
        &self,
        interface: Uuid,
        how: Ipv6Addressing,
        dns: &[IpAddr],
    ) -> Result<()> {
        check_ipv6(how, dns)?;
        let command = XeCommand::new("pif-reconfigure-ipv6").uuid(interface);
        let command = match how {
            Ipv6Addressing::None => command.param("mode", "none"),
            Ipv6Addressing::Dhcp => command.param("mode", "dhcp"),
            Ipv6Addressing::Autoconf => command.param("mode", "autoconf"),
            Ipv6Addressing::Static { address, prefix, gateway } => command
                .param("mode", "static")
                .param("IPv6", format!("{address}/{prefix}"))
                .maybe("gateway", gateway.map(|gateway| gateway.to_string())),
        };
        let command = with_servers(command, dns);
        self.configured(interface, command, |now| now.ipv6 == how && now.dns == dns).await
    }

    /// Sets which of its addresses an interface is known by. After: xapi says so. Two calls.
    ///
    /// # Errors
    /// What xapi refuses: the interface that it is reached through stays as it is
    /// (`PIF_IS_MANAGEMENT_INTERFACE`).
    pub async fn set_primary_address(&self, interface: Uuid, family: AddressFamily) -> Result<()> {
        let command = XeCommand::new("pif-set-primary-address-type")
            .uuid(interface)
            .param("primary_address_type", family.as_str());
        self.configured(interface, command, |now| now.primary == family).await
    }

    /// Sends a command that is the same when it is done twice, and looks whether the interface is so
    /// then.
    async fn configured(
        &self,
        interface: Uuid,
        command: XeCommand,
        is_so: impl Fn(&InterfaceAddressing) -> bool,
    ) -> Result<()> {
        let object = object(self, interface);
        let sent = self.xe().repeat(&command, |_| false).await;
        sent.map_err(|error| error.during("configure", &object))?;
        let now = self.addressing_of(interface).await?;
        if is_so(&now) {
            return Ok(());
        }
        Err(Error::UnexpectedOutput {
            what: object,
            expected: format!("what `{command}` sets"),
            found: format!("{now:?}"),
        })
    }
}

fn object(host: &XapiHost, interface: Uuid) -> String {
    format!("interface {interface} of host {:?}", host.name())
}

/// Gives an interface another IPv4 address, and these name servers.
pub(crate) fn reconfigure(interface: Uuid, how: Addressing, dns: &[IpAddr]) -> XeCommand {
    let command = XeCommand::new("pif-reconfigure-ip").uuid(interface);
    let command = match how {
        Addressing::None => command.param("mode", "none"),
        Addressing::Dhcp => command.param("mode", "dhcp"),
        Addressing::Static { address, netmask, gateway } => command
            .param("mode", "static")
            .param("IP", address.to_string())
            .param("netmask", netmask.to_string())
            .maybe("gateway", gateway.map(|gateway| gateway.to_string())),
    };
    with_servers(command, dns)
}

fn with_servers(command: XeCommand, dns: &[IpAddr]) -> XeCommand {
    let servers: Vec<String> = dns.iter().map(IpAddr::to_string).collect();
    command.maybe("DNS", (!servers.is_empty()).then(|| servers.join(",")))
}

/// Refuses what can be no address of an interface, or leads nowhere: xapi itself looks only whether
/// it is written like one.
pub(crate) fn check_ipv4(how: Addressing, dns: &[IpAddr]) -> Result<()> {
    check_servers(how == Addressing::None, dns)?;
    let Addressing::Static { address, netmask, gateway } = how else { return Ok(()) };
    let wrong = |problem: String| Err(Error::invalid(format!("address {address}"), problem));
    let (own, mask) = (address.to_bits(), netmask.to_bits());
    if address.is_unspecified() || address.is_multicast() || address.is_broadcast() {
        return wrong("no single interface can have it".to_owned());
    }
    if mask == 0 || mask.leading_ones() + mask.trailing_zeros() != u32::BITS {
        return wrong(format!("{netmask} is no mask of a network: ones, then zeros"));
    }
    // With one bit or none for hosts, every address is one (RFC 3021).
    let host_bits = own & !mask;
    if mask.trailing_zeros() > 1 && (host_bits == 0 || host_bits == !mask) {
        return wrong(format!(
            "with the mask {netmask} it is that of the network, or of all in it"
        ));
    }
    match gateway {
        Some(gateway) if gateway == address => {
            wrong("the gateway is the interface itself".to_owned())
        }
        Some(gateway) if gateway.to_bits() & mask != own & mask => {
            wrong(format!("the gateway {gateway} is not in its network, so that it is not reached"))
        }
        _ => Ok(()),
    }
}

fn check_ipv6(how: Ipv6Addressing, dns: &[IpAddr]) -> Result<()> {
    check_servers(how == Ipv6Addressing::None, dns)?;
    let Ipv6Addressing::Static { address, prefix, gateway } = how else { return Ok(()) };
    let object = || format!("address {address}/{prefix}");
    let wrong = |problem: String| Err(Error::invalid(object(), problem));
    if address.is_unspecified() || address.is_multicast() || address.to_ipv4_mapped().is_some() {
        return wrong("no single interface can have it".to_owned());
    }
    if !(1..=128).contains(&prefix) {
        return wrong("a prefix has 1 to 128 bits".to_owned());
    }
    let mask = u128::MAX << (128 - u32::from(prefix));
    match gateway {
        Some(gateway) if gateway == address => {
            wrong("the gateway is the interface itself".to_owned())
        }
        Some(gateway)
            if !gateway.is_unicast_link_local()
                && gateway.to_bits() & mask != address.to_bits() & mask =>
        {
            wrong(format!("the gateway {gateway} is neither in its network nor link-local"))
        }
        _ => Ok(()),
    }
}

fn check_servers(without_address: bool, dns: &[IpAddr]) -> Result<()> {
    let wrong = |server: &IpAddr, problem| Err(Error::invalid(format!("DNS {server}"), problem));
    for (index, server) in dns.iter().enumerate() {
        if without_address {
            return wrong(server, "an interface without an address asks no name server");
        }
        if server.is_unspecified() || server.is_multicast() {
            return wrong(server, "no server can have that address");
        }
        if dns.iter().take(index).any(|earlier| earlier == server) {
            return wrong(server, "it is named twice");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ipv4(address: &str, netmask: &str, gateway: Option<&str>) -> Addressing {
        let parse = |text: &str| text.parse().unwrap();
        let (address, netmask) = (parse(address), parse(netmask));
        Addressing::Static { address, netmask, gateway: gateway.map(parse) }
    }

    fn ipv6(address: &str, prefix: u8, gateway: Option<&str>) -> Ipv6Addressing {
        let parse = |text: &str| text.parse().unwrap();
        Ipv6Addressing::Static { address: parse(address), prefix, gateway: gateway.map(parse) }
    }

    #[test]
    fn ipv4_addresses_that_cannot_be_are_refused() {
        for (address, netmask, gateway) in [
            ("192.0.2.5", "255.255.255.0", Some("192.0.2.1")),
            ("192.0.2.4", "255.255.255.254", Some("192.0.2.5")),
            ("192.0.2.4", "255.255.255.255", None),
        ] {
            assert!(check_ipv4(ipv4(address, netmask, gateway), &[]).is_ok(), "{address}");
        }
        for (address, netmask, gateway) in [
            ("0.0.0.0", "255.255.255.0", None),
            ("224.0.0.1", "255.255.255.0", None),
            ("192.0.2.5", "0.0.0.0", None),
            ("192.0.2.5", "255.0.255.0", None),
            ("192.0.2.0", "255.255.255.0", None),
            ("192.0.2.255", "255.255.255.0", None),
            ("192.0.2.5", "255.255.255.0", Some("192.0.2.5")),
            ("192.0.2.5", "255.255.255.0", Some("192.0.3.1")),
        ] {
            let error = check_ipv4(ipv4(address, netmask, gateway), &[]);
            assert!(error.is_err(), "{address} {netmask} {gateway:?}");
        }
    }

    #[test]
    fn ipv6_addresses_that_cannot_be_are_refused() {
        for gateway in [None, Some("2001:db8::1"), Some("fe80::1")] {
            assert!(check_ipv6(ipv6("2001:db8::5", 64, gateway), &[]).is_ok(), "{gateway:?}");
        }
        for (address, prefix, gateway) in [
            ("::", 64, None),
            ("ff02::1", 64, None),
            ("::ffff:192.0.2.1", 64, None),
            ("2001:db8::5", 0, None),
            ("2001:db8::5", 129, None),
            ("2001:db8::5", 64, Some("2001:db8::5")),
            ("2001:db8::5", 64, Some("2001:db8:1::1")),
        ] {
            let error = check_ipv6(ipv6(address, prefix, gateway), &[]);
            assert!(error.is_err(), "{address}/{prefix} {gateway:?}");
        }
    }

    #[test]
    fn name_servers_that_cannot_be_are_refused() {
        let servers = |texts: &[&str]| -> Vec<IpAddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        assert!(check_ipv4(Addressing::Dhcp, &servers(&["192.0.2.53", "2001:db8::53"])).is_ok());
        for wrong in [&["0.0.0.0"][..], &["ff02::1"], &["192.0.2.53", "192.0.2.53"]] {
            assert!(check_ipv4(Addressing::Dhcp, &servers(wrong)).is_err(), "{wrong:?}");
        }
        assert!(check_ipv6(Ipv6Addressing::None, &servers(&["192.0.2.53"])).is_err());
    }

    /// A record as `xe` prints it.
    fn printed(rows: &[(&str, &str)]) -> String {
        let width = 9 + rows.iter().map(|(name, _)| name.len()).max().unwrap();
        let row = |(index, (name, value)): (usize, &(&str, &str))| {
            let name = format!("{name} ( RO)");
            match index {
                0 => format!("{name:<width$}: {value}\n"),
                _ => format!("{name:>width$}: {value}\n"),
            }
        };
        rows.iter().enumerate().map(row).collect::<String>() + "\n\n"
    }

    #[test]
    fn what_xapi_says_is_read_back() {
        let rows = [
            ("uuid", "00000000-0000-0000-0000-000000000001"),
            ("IP-configuration-mode", "Static"),
            ("IP", "192.0.2.5"),
            ("netmask", "255.255.255.0"),
            ("gateway", ""),
            ("IPv6-configuration-mode", "Static"),
            ("IPv6", "2001:db8::5/64"),
            ("IPv6-gateway", "fe80::1"),
            ("primary-address-type", "IPv6"),
            ("DNS", "192.0.2.53,2001:db8::53"),
        ];
        let text = printed(&rows);
        let now = read(&records(&text).next().unwrap().unwrap()).unwrap();
        assert_eq!(now.ipv4, ipv4("192.0.2.5", "255.255.255.0", None));
        assert_eq!(now.ipv6, ipv6("2001:db8::5", 64, Some("fe80::1")));
        assert_eq!((now.dns.len(), now.primary), (2, AddressFamily::Ipv6));
        // A release without IPv6 says nothing of it.
        let old = printed(&[rows[0], ("IP-configuration-mode", "DHCP")]);
        let now = read(&records(&old).next().unwrap().unwrap()).unwrap();
        assert_eq!((now.ipv4, now.ipv6), (Addressing::Dhcp, Ipv6Addressing::None));
        for (value, wrong) in [("2001:db8::5/64", "2001:db8::5"), ("192.0.2.5", "192.0.2")] {
            let odd = text.replace(value, wrong);
            assert!(read(&records(&odd).next().unwrap().unwrap()).is_err(), "{wrong}");
        }
    }
}
