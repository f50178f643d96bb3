//! How a system is talked to from inside, beside the shell that runs commands.

use std::net::IpAddr;

use serde::Deserialize;
use xenrt::prelude::*;

/// How a system is asked for its addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressQuery {
    /// Linux: `ip` (ip-address(8)).
    Ip,
    /// FreeBSD, Solaris: `ifconfig`.
    Ifconfig,
    /// Windows since 8 and Server 2012: `Get-NetIPAddress`.
    Powershell,
    /// It is not: who wants them looks at leases and neighbours.
    Outside,
}

impl AddressQuery {
    /// What it is asked with; nothing where it is not asked from inside.
    pub fn command(self) -> Option<Command> {
        let command = match self {
            Self::Ip => Command::new("ip").args(["-o", "address", "show", "scope", "global"]),
            Self::Ifconfig => Command::new("ifconfig").arg("-a"),
            Self::Powershell => Command::shell_line(
                "(Get-NetIPAddress | Where-Object PrefixOrigin -ne WellKnown).IPAddress",
            ),
            Self::Outside => return None,
        };
        Some(command.deadline(Duration::from_secs(60)))
    }

    /// The addresses of an answer, in its order, without those that no other machine can use
    /// (loopback and link-local).
    pub fn addresses(self, text: &str) -> Vec<IpAddr> {
        let words = text.lines().flat_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            match self {
                // `2: eth0    inet 10.0.0.5/24 brd ...`, `inet6 fd00::5/64 scope global`; and
                // `inet 10.0.0.5 netmask 0xffffff00`, `inet6 fe80::1%lo0 prefixlen 64`.
                Self::Ip | Self::Ifconfig => words
                    .windows(2)
                    .filter(|pair| pair[0] == "inet" || pair[0] == "inet6")
                    .map(|pair| pair[1])
                    .collect(),
                Self::Powershell => words,
                Self::Outside => Vec::new(),
            }
        });
        let address = |word: &str| {
            let end = word.find(['/', '%']).unwrap_or(word.len());
            word[..end].parse::<IpAddr>().ok()
        };
        words.filter_map(address).filter(usable).collect()
    }
}

/// Whether another machine can use an address: RFC 1122 (3.2.1.3), RFC 3927, RFC 4291 (2.5).
fn usable(address: &IpAddr) -> bool {
    let own = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !own && !address.is_loopback() && !address.is_unspecified() && !address.is_multicast()
}

/// How a system is told from inside to shut down and power off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shutdown {
    /// Linux: `poweroff` (systemd's and every init's).
    Poweroff,
    /// FreeBSD: `shutdown -p now` (shutdown(8) there; `-h` leaves the machine on).
    ShutdownP,
    /// Solaris: run level 5 is "off" (shutdown(1M), init(1M)).
    ShutdownI5,
    /// Windows: `shutdown.exe /s /t 0 /f`, which closes programs that have unsaved work.
    ShutdownExe,
}

impl Shutdown {
    /// The command, of whose end nobody may live to hear.
    pub fn command(self) -> Command {
        let command = match self {
            Self::Poweroff => Command::new("poweroff"),
            Self::ShutdownP => Command::new("shutdown").args(["-p", "now"]),
            Self::ShutdownI5 => Command::new("shutdown").args(["-y", "-g0", "-i5"]),
            // Without quotes: PowerShell and cmd.exe do not have those of a POSIX shell.
            Self::ShutdownExe => Command::shell_line("shutdown.exe /s /t 0 /f"),
        };
        command.deadline(Duration::from_secs(60))
    }
}

/// What the checks of the model can look at in a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SystemCheck {
    /// Its power state, for the toolstack and the hypervisor.
    Power,
    /// That it has an address.
    Address,
    /// That a login works.
    Login,
    /// How many processors it sees.
    Vcpus,
    /// How much memory it sees.
    Memory,
    /// Which disks it sees.
    Disks,
    /// Which network interfaces it sees.
    Vifs,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(query: AddressQuery, text: &str) -> Vec<String> {
        query.addresses(text).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn answers_of_each_system_are_read() {
        // iproute2 6.1 of Debian 12.
        let ip = "\
1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever
2: eth0    inet 192.0.2.2/24 brd 192.0.2.255 scope global eth0\\       valid_lft forever preferred_lft forever
2: eth0    inet6 2001:db8::2/64 scope global \\       valid_lft forever preferred_lft forever
2: eth0    inet6 fe80::fc:ff:fe00:1/64 scope link \\       valid_lft forever preferred_lft forever
";
        assert_eq!(told(AddressQuery::Ip, ip), ["192.0.2.2", "2001:db8::2"]);
        let ifconfig = "\
xn0: flags=8843<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST> metric 0 mtu 1500
\tether 00:16:3e:00:00:01
\tinet 10.0.0.7 netmask 0xffffff00 broadcast 10.0.0.255
\tinet6 fe80::216:3eff:fe00:1%xn0 prefixlen 64 scopeid 0x1
lo0: flags=8049<UP,LOOPBACK,RUNNING,MULTICAST> metric 0 mtu 16384
\tinet6 ::1 prefixlen 128
\tinet 127.0.0.1 netmask 0xff000000
";
        assert_eq!(told(AddressQuery::Ifconfig, ifconfig), ["10.0.0.7"]);
        let powershell = "fe80::d5c1:8b2d:1234:5678%4\r\n::1\r\n10.0.0.9\r\n127.0.0.1\r\n";
        assert_eq!(told(AddressQuery::Powershell, powershell), ["10.0.0.9"]);
        assert!(AddressQuery::Outside.command().is_none());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            for query in [AddressQuery::Ip, AddressQuery::Ifconfig, AddressQuery::Powershell] {
                let _ = query.addresses(&text);
            }
        }
    }
}
