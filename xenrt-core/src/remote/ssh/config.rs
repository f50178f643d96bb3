//! The ssh configuration of one connection.
//!
//! `ssh -J` hands neither the key nor the known hosts of a gateway to the `ssh` that reaches it. So
//! each machine on the way has a `Host` entry of its own in a generated file, and each is the
//! `ProxyCommand` of the next one, with a log of its own, which is what names the machine that
//! refused.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::{Command, HostKeyPolicy, SshHop, SshTarget};
use super::failure::ConnectFailure;

/// A dead connection is noticed after this many seconds times [`ALIVE_COUNT`] without an answer.
const ALIVE_INTERVAL: u8 = 5;
const ALIVE_COUNT: u8 = 3;

/// One machine on the way, the last one being the target.
#[derive(Debug)]
pub(super) struct Station {
    hop: SshHop,
    /// What ssh calls it: its own name where that is enough, so that the user's own configuration
    /// for that name applies.
    pub(super) alias: String,
    /// Who it is, for people.
    pub(super) name: String,
    /// What ssh said about it.
    pub(super) log: PathBuf,
    /// The program that carries the connection to it, where it is the first one and there is one.
    proxy: Vec<String>,
}

impl Station {
    /// The machines on the way to `target`, whose logs are to be in `folder`.
    pub(super) fn all(target: &SshTarget, folder: &Path) -> Vec<Self> {
        let hops: Vec<SshHop> = target.gateways.iter().cloned().chain([target.as_hop()]).collect();
        let count = |host: &str| hops.iter().filter(|hop| hop.gateway.host == host).count();
        let plain = |host: &str| {
            host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
        };
        let station = |(number, hop): (usize, &SshHop)| {
            let host = &hop.gateway.host;
            let own = count(host) == 1 && plain(host);
            Self {
                alias: if own { host.clone() } else { format!("xenrt-hop-{number}") },
                name: hop.to_string(),
                log: folder.join(format!("log{number}")),
                hop: hop.clone(),
                proxy: if number == 0 { target.proxy.clone() } else { Vec::new() },
            }
        };
        hops.iter().enumerate().map(station).collect()
    }

    /// The file that its host key is looked for in, for people.
    pub(super) fn known_hosts(&self) -> String {
        match &self.hop.host_key {
            HostKeyPolicy::Strict(file) => file.display().to_string(),
            HostKeyPolicy::UserDefault => "~/.ssh/known_hosts".to_owned(),
            HostKeyPolicy::AcceptAny => "no file (any key is accepted)".to_owned(),
        }
    }

    /// Looks at its files before ssh does, which words their absence as a refused login.
    pub(super) fn check_files(&self) -> Result<(), ConnectFailure> {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let refuse = |message: String| {
            Err(ConnectFailure::Authentication { target: self.name.clone(), message })
        };
        if let Some(key) = &self.hop.key {
            let shown = key.display();
            match std::fs::metadata(key) {
                Err(error) => {
                    return refuse(format!("the key file {shown} cannot be read: {error}"));
                }
                Ok(known) if !known.is_file() => {
                    return refuse(format!("the key {shown} is not a file"));
                }
                // OpenSSH ignores its user's private key if others can read it (sshkey_perm_ok).
                Ok(known)
                    if known.permissions().mode() & 0o077 != 0
                        && known.uid() == nix::unistd::getuid().as_raw() =>
                {
                    return refuse(format!(
                        "the key file {shown} can be read by others, so ssh does not use it; run \
                         `chmod 600 {shown}`"
                    ));
                }
                Ok(_) => {}
            }
        }
        if let HostKeyPolicy::Strict(file) = &self.hop.host_key
            && let Err(error) = std::fs::metadata(file)
        {
            return Err(ConnectFailure::HostKey {
                target: self.name.clone(),
                message: format!("the file with its key cannot be read: {error}"),
                known_hosts: file.display().to_string(),
            });
        }
        Ok(())
    }

    fn write(&self, text: &mut String, before: Option<&Self>, config: &str) -> Result<(), String> {
        let mut line = |words: std::fmt::Arguments<'_>| {
            let _ = writeln!(text, "  {words}");
        };
        let SshHop { gateway, key, host_key } = &self.hop;
        if self.alias != gateway.host {
            line(format_args!("HostName {}", gateway.host));
        }
        if let Some(user) = &gateway.user {
            line(format_args!("User {}", quoted(user)?));
        }
        if let Some(port) = gateway.port {
            line(format_args!("Port {port}"));
        }
        if let Some(key) = key {
            line(format_args!("IdentityFile {}", path(key)?));
            line(format_args!("IdentitiesOnly yes"));
        }
        match host_key {
            HostKeyPolicy::UserDefault => line(format_args!("StrictHostKeyChecking yes")),
            HostKeyPolicy::Strict(file) => {
                line(format_args!("StrictHostKeyChecking yes"));
                line(format_args!("UserKnownHostsFile {}", path(file)?));
                line(format_args!("GlobalKnownHostsFile /dev/null"));
            }
            HostKeyPolicy::AcceptAny => {
                line(format_args!("StrictHostKeyChecking no"));
                line(format_args!("UserKnownHostsFile /dev/null"));
                line(format_args!("GlobalKnownHostsFile /dev/null"));
            }
        }
        if let Some(before) = before {
            line(format_args!(
                "ProxyCommand ssh -F {config} -E {} -W '[%h]:%p' {}",
                path(&before.log)?,
                before.alias
            ));
        }
        if !self.proxy.is_empty() {
            let words: Vec<_> = self.proxy.iter().map(|word| Command::quote(word)).collect();
            let words = words.join(" ");
            if words.contains(['\n', '\r']) {
                return Err(format!("{words:?} cannot stand in an ssh configuration"));
            }
            line(format_args!("ProxyCommand {words}"));
        }
        if key.is_none() || *host_key == HostKeyPolicy::UserDefault {
            line(format_args!("Include ~/.ssh/config"));
            line(format_args!("Include /etc/ssh/ssh_config"));
        }
        Ok(())
    }
}

/// The text of the configuration file `config` for these machines.
///
/// # Errors
/// Says what cannot be written into such a file.
pub(super) fn text(
    stations: &[Station],
    config: &Path,
    timeout: Duration,
) -> Result<String, String> {
    // LogLevel INFO: at ERROR a gateway does not say why it cannot reach the next machine.
    // The first value that ssh finds for an option counts, so these stand before the machines'.
    let mut text = format!(
        "Host *\n  BatchMode yes\n  ConnectTimeout {}\n  ServerAliveInterval {ALIVE_INTERVAL}\n  \
         ServerAliveCountMax {ALIVE_COUNT}\n  LogLevel INFO\n  UpdateHostKeys no\n  ForwardAgent \
         no\n  ForwardX11 no\n  ClearAllForwardings yes\n  PermitLocalCommand no\n  RemoteCommand \
         none\n  RequestTTY no\n  EscapeChar none\n",
        timeout.as_secs().max(1)
    );
    let config = path(config)?;
    let (target, gateways) = stations.split_last().ok_or("there is no machine to reach")?;
    for (number, gateway) in gateways.iter().enumerate() {
        let _ = writeln!(text, "Host {}\n  ControlMaster no\n  ControlPath none", gateway.alias);
        gateway.write(&mut text, number.checked_sub(1).map(|before| &gateways[before]), &config)?;
    }
    let _ = writeln!(text, "Host {}", target.alias);
    target.write(&mut text, gateways.last(), &config)?;
    Ok(text)
}

/// A value that may hold blanks.
fn quoted(value: &str) -> Result<String, String> {
    if value.contains(['"', '\\', '\n', '\r']) || value.contains("${") {
        return Err(format!("{value:?} cannot stand in an ssh configuration"));
    }
    Ok(format!("\"{value}\""))
}

/// A path; ssh expands `%` in it, and `~` at its start.
fn path(path: &Path) -> Result<String, String> {
    let text = path.to_str().ok_or_else(|| format!("the path {} is not UTF-8", path.display()))?;
    quoted(&text.replace('%', "%%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config_of(target: &SshTarget) -> String {
        let stations = Station::all(target, Path::new("/t"));
        text(&stations, Path::new("/t/config"), Duration::from_secs(15)).unwrap()
    }

    #[test]
    fn each_machine_on_the_way_has_its_own_settings() {
        let dom0 = SshTarget::new("root", "127.0.0.1")
            .port(2201)
            .key("/lab/a key")
            .host_key(HostKeyPolicy::Strict("/lab/known".into()));
        let dom0 = SshTarget {
            gateways: vec!["me@jump".parse::<super::super::super::Gateway>().unwrap().into()],
            ..dom0
        };
        let guest = SshTarget::new("root", "10.0.0.9")
            .key("/lab/100%")
            .host_key(HostKeyPolicy::AcceptAny)
            .through(&dom0);
        insta::assert_snapshot!(config_of(&guest));
    }

    #[test]
    fn machines_with_one_address_are_told_apart() {
        let first = SshTarget::new("a", "127.0.0.1").port(1);
        let text = config_of(&SshTarget::new("b", "127.0.0.1").port(2).through(&first));
        assert!(
            text.contains("Host xenrt-hop-0\n") && text.contains("Host xenrt-hop-1\n"),
            "{text}"
        );
        assert_eq!(text.matches("HostName 127.0.0.1").count(), 2);
    }

    #[test]
    fn a_program_carries_the_connection_to_the_first_machine() {
        let words = ["nsenter", "--net", "--", "a b", "%h", "%p"];
        let first = SshTarget::new("a", "10.0.0.1").proxy(words);
        let expected = "  ProxyCommand nsenter --net -- 'a b' %h %p\n";
        assert!(config_of(&first).contains(expected), "{}", config_of(&first));
        let text = config_of(&SshTarget::new("b", "10.0.0.2").through(&first));
        let (gateway, target) = text.split_once("Host 10.0.0.2\n").unwrap();
        assert!(gateway.contains(expected) && target.contains("-W '[%h]:%p' 10.0.0.1"), "{text}");
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        for key in ["/a\"b", "/a\nProxyCommand x", "/${HOME}/key"] {
            let target = SshTarget::new("root", "h").key(key);
            let stations = Station::all(&target, Path::new("/t"));
            assert!(text(&stations, Path::new("/t/c"), Duration::from_secs(1)).is_err(), "{key:?}");
        }
    }
}
