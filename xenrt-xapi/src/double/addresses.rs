//! The addresses of interfaces.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::answer::{Answer, Failure};
use super::program::Given;
use super::request::Request;
use super::world::{Object, World};

pub(super) fn answer(world: &mut World, request: &Request) -> Given {
    let act: fn(&mut World, &Request) -> Result<Answer, Failure> = match request.name.as_str() {
        "pif-reconfigure-ip" => ipv4,
        "pif-reconfigure-ipv6" => ipv6,
        "pif-set-primary-address-type" => primary,
        _ => return None,
    };
    Some(request.require_all().and_then(|()| act(world, request)))
}

/// The mode that is asked for, as xapi prints it.
fn mode(request: &Request, known: &[&'static str]) -> Result<&'static str, Failure> {
    let asked = request.required("mode")?;
    let mode = known.iter().find(|mode| mode.eq_ignore_ascii_case(asked));
    mode.copied()
        .ok_or_else(|| Failure::Client(format!("Failed to parse mode '{}'", asked.to_lowercase())))
}

/// What is there must be an address; what must be there may be empty otherwise.
fn address<T: std::str::FromStr>(
    request: &Request,
    field: &str,
    required: bool,
) -> Result<(), Failure> {
    let text = request.get(field).unwrap_or_default();
    if text.parse::<T>().is_ok() || (text.is_empty() && !required) {
        return Ok(());
    }
    Err(Failure::api("INVALID_IP_ADDRESS_SPECIFIED", [field]))
}

fn servers(request: &Request) -> Result<(), Failure> {
    let servers = request.get("DNS").unwrap_or_default();
    let wrong = |server: &str| !server.is_empty() && server.parse::<IpAddr>().is_err();
    if servers.split(',').any(wrong) {
        return Err(Failure::api("INVALID_IP_ADDRESS_SPECIFIED", ["DNS"]));
    }
    Ok(())
}

fn is_managed_by(pif: &Object, family: &str) -> bool {
    pif.is("management", "true") && pif.is("primary-address-type", family)
}

fn ipv4(world: &mut World, request: &Request) -> Result<Answer, Failure> {
    let pif = world.find("pif", request.required("uuid")?)?.clone();
    let mode = mode(request, &["None", "DHCP", "Static"])?;
    let fixed = mode == "Static";
    address::<Ipv4Addr>(request, "IP", fixed)?;
    address::<Ipv4Addr>(request, "netmask", fixed)?;
    address::<Ipv4Addr>(request, "gateway", false)?;
    servers(request)?;
    if is_managed_by(&pif, "IPv4") && mode == "None" {
        return Err(Failure::api("PIF_IS_MANAGEMENT_INTERFACE", [pif.uuid()]));
    }
    if let (true, Some(address)) = (is_managed_by(&pif, "IPv4"), request.get("IP")) {
        world.find_mut("host", &pif.text("host-uuid"))?.set("address", address);
    }
    let pif = world.find_mut("pif", &pif.uuid())?;
    pif.set("IP-configuration-mode", mode);
    for field in ["IP", "netmask", "gateway", "DNS"] {
        pif.set(field, request.get(field).unwrap_or(""));
    }
    Ok(Answer::nothing())
}

fn ipv6(world: &mut World, request: &Request) -> Result<Answer, Failure> {
    let pif = world.find("pif", request.required("uuid")?)?.clone();
    let mode = mode(request, &["None", "DHCP", "Static", "Autoconf"])?;
    let text = request.get("IPv6").unwrap_or_default();
    let parts = text.split_once('/').and_then(|(address, prefix)| {
        let prefix = prefix.parse::<u8>().ok().filter(|prefix| *prefix <= 128)?;
        Some((address.parse::<Ipv6Addr>().ok()?, prefix))
    });
    if parts.is_none() && (mode == "Static" || !text.is_empty()) {
        return Err(Failure::api("INVALID_IP_ADDRESS_SPECIFIED", ["IPv6"]));
    }
    address::<Ipv6Addr>(request, "gateway", false)?;
    servers(request)?;
    if is_managed_by(&pif, "IPv6") && mode == "None" {
        return Err(Failure::api("PIF_IS_MANAGEMENT_INTERFACE", [pif.uuid()]));
    }
    let pif = world.find_mut("pif", &pif.uuid())?;
    pif.set("IPv6-configuration-mode", mode);
    pif.set("IPv6", text);
    pif.set("IPv6-gateway", request.get("gateway").unwrap_or(""));
    pif.set("DNS", request.get("DNS").unwrap_or(""));
    Ok(Answer::nothing())
}

fn primary(world: &mut World, request: &Request) -> Result<Answer, Failure> {
    let asked = request.required("primary_address_type")?;
    let family = ["IPv4", "IPv6"].into_iter().find(|family| family.eq_ignore_ascii_case(asked));
    let unknown = || Failure::Client(format!("Failed to parse primary address type '{asked}'"));
    let family = family.ok_or_else(unknown)?;
    let pif = world.find_mut("pif", request.required("uuid")?)?;
    if pif.is("management", "true") {
        return Err(Failure::api("PIF_IS_MANAGEMENT_INTERFACE", [pif.uuid()]));
    }
    pif.set("primary-address-type", family);
    Ok(Answer::nothing())
}
