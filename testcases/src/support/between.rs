//! How hosts reach one another.

use std::net::IpAddr;

use xenrt::prelude::*;

use super::{USUAL_PING, pings};

const MINUTE: Duration = Duration::from_secs(60);

/// An address of dom0 of `server` at which dom0 of `client` reaches it, and the one that `client` is seen
/// under then. Networks that each host has for itself, with the same addresses on all of them, do not count.
///
/// # Errors
/// Infrastructure's where there is none.
pub(crate) async fn addresses_between(
    client: &dyn Host,
    server: &dyn Host,
) -> Result<(IpAddr, IpAddr)> {
    let (here, there) = (client.dom0(), server.dom0());
    let own = addresses(here.as_ref()).await?;
    let mut tried = Vec::new();
    for address in addresses(there.as_ref()).await? {
        if own.contains(&address) {
            continue;
        }
        match pings(here.as_ref(), address, USUAL_PING).await? {
            Ok(()) => return Ok((address, source_towards(here.as_ref(), address).await?)),
            Err(_) => tried.push(address.to_string()),
        }
    }
    let (client, server) = (client.name(), server.name());
    let message = format!("dom0 of {client} reaches dom0 of {server} at none of its addresses");
    Err(TestError::infrastructure(format!("{message} ({})", tried.join(", "))))
}

/// The addresses of a machine that others may know.
async fn addresses(shell: &dyn Shell) -> Result<Vec<IpAddr>> {
    let list = Command::new("ip").args(["-o", "-4", "addr", "show", "scope", "global"]);
    let text = shell.text(&list.deadline(MINUTE)).await?;
    Ok(text.lines().filter_map(address_of).collect())
}

/// The address in a line such as `3: xenbr0    inet 192.168.99.1/24 scope global xenbr0` (ip-address(8)).
fn address_of(line: &str) -> Option<IpAddr> {
    let mut words = line.split_whitespace().skip_while(|word| *word != "inet");
    words.nth(1)?.split('/').next()?.parse().ok()
}

/// The address that a machine sends under to another one (ip-route(8)).
pub(crate) async fn source_towards(shell: &dyn Shell, to: IpAddr) -> Result<IpAddr> {
    let route = Command::new("ip").args(["-o", "route", "get"]).arg(to.to_string());
    let route = shell.text(&route.deadline(MINUTE)).await?;
    let mut words = route.split_whitespace().skip_while(|word| *word != "src");
    let source = words.nth(1).and_then(|source| source.parse().ok());
    source.ok_or_else(|| {
        let from = shell.target();
        TestError::infrastructure(format!("{from} has no source address towards {to}: {route}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let line = "4: xenbr0    inet 192.168.99.1/24 brd 192.168.99.255 scope global xenbr0\\       \
                    valid_lft forever preferred_lft forever";
        assert_eq!(address_of(line), Some("192.168.99.1".parse().unwrap()));
        for other in ["", "4: xenbr0 inet", "4: xenbr0 inet6 fe80::1/64", "1: lo inet none/8"] {
            assert_eq!(address_of(other), None, "{other:?}");
        }
    }
}
