//! What it means when ssh cannot connect.

use super::super::RemoteError;
use super::config::Station;

/// Why no connection could be made. Unlike an error it can be given to everybody who waited for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ConnectFailure {
    Connect { message: String },
    Authentication { target: String, message: String },
    HostKey { target: String, message: String, known_hosts: String },
}

impl ConnectFailure {
    pub(super) fn connect(message: impl Into<String>) -> Self {
        Self::Connect { message: message.into() }
    }

    /// As the error of a call; `target` is who was called in the end.
    pub(super) fn to_error(&self, target: &str) -> RemoteError {
        match self.clone() {
            Self::Connect { message } => {
                RemoteError::Connect { target: target.to_owned(), message, source: None }
            }
            Self::Authentication { target, message } => {
                RemoteError::Authentication { target, message }
            }
            Self::HostKey { target, message, known_hosts } => {
                RemoteError::HostKey { target, message, known_hosts }
            }
        }
    }

    /// What the logs of the machines on the way say, the first one first.
    pub(super) fn from_logs(stations: &[Station], exit: &str) -> Self {
        let mut said = Vec::new();
        let (target, gateways) = match stations.split_last() {
            Some(split) => split,
            None => return Self::connect(exit),
        };
        for station in stations {
            let log = std::fs::read_to_string(&station.log).unwrap_or_default();
            // A gateway that cannot reach the next machine says so in its own log.
            let beyond = gateways.iter().any(|gateway| std::ptr::eq(gateway, station))
                && log.contains("stdio forwarding failed");
            if !beyond && let Some(failure) = Self::of_log(&log, station) {
                return failure;
            }
            said.extend(log.lines().map(|line| (station, line.trim().to_owned())));
        }
        let told: Vec<String> = said
            .iter()
            .filter(|(_, line)| !NOISE.iter().any(|noise| line.starts_with(noise)))
            .filter(|(_, line)| !line.is_empty())
            .map(|(station, line)| {
                if std::ptr::eq(*station, target) {
                    line.clone()
                } else {
                    format!("{}: {line}", station.name)
                }
            })
            .collect();
        let told = if told.is_empty() { exit.to_owned() } else { told.join("; ") };
        Self::connect(format!("{told}{}", remedy(&told)))
    }

    fn of_log(log: &str, station: &Station) -> Option<Self> {
        let line = |needle: &str| log.lines().map(str::trim).find(|line| line.contains(needle));
        let host_key = |message: &str| {
            Some(Self::HostKey {
                target: station.name.clone(),
                message: message.to_owned(),
                known_hosts: station.known_hosts(),
            })
        };
        if line("REMOTE HOST IDENTIFICATION HAS CHANGED").is_some() {
            return host_key("it shows another key than the one on record");
        }
        if let Some(unknown) = line("host key is known for") {
            return host_key(unknown.trim_end_matches('.'));
        }
        if let Some(failed) = line("Host key verification failed") {
            return host_key(failed.trim_end_matches('.'));
        }
        if let Some(denied) =
            line("Permission denied (").or(line("Too many authentication failures"))
        {
            // An unusable key is reported on a line of its own: `Load key "x": invalid format`.
            let key = line("Load key").map(|load| format!("{load}; ")).unwrap_or_default();
            return Some(Self::Authentication {
                target: station.name.clone(),
                message: format!("{key}{}", denied.trim_end_matches('.')),
            });
        }
        None
    }
}

/// What ssh says beside the point.
const NOISE: [&str; 2] = ["Warning: Permanently added", "stdio forwarding failed"];

/// What to do about a connection that could not be made, judged by ssh's own words.
fn remedy(said: &str) -> &'static str {
    const REMEDIES: [(&str, &str); 11] = [
        ("Could not resolve hostname", "; check the address of this host, or name resolution here"),
        ("Connection refused", "; nothing listens there: is sshd running, is the port right?"),
        ("No route to host", "; is the machine up, or does it need a gateway?"),
        ("Network is unreachable", "; there is no route from here: does it need a gateway?"),
        ("timed out", "; is the machine up, and does no firewall drop the traffic?"),
        ("Timeout", "; is the machine up, and does no firewall drop the traffic?"),
        ("administratively prohibited", "; allow TCP forwarding in the gateway's sshd_config"),
        (
            "Connection closed by",
            "; sshd ended it: is the machine starting or stopping, is MaxStartups reached?",
        ),
        (
            "Connection reset by",
            "; sshd ended it: is the machine starting or stopping, is MaxStartups reached?",
        ),
        ("Broken pipe", "; the machine or its sshd went away"),
        (
            "onfiguration option",
            "; mend ~/.ssh/config, or give this host both `key` and `known_hosts`",
        ),
    ];
    REMEDIES.iter().find(|(words, _)| said.contains(words)).map_or("", |(_, remedy)| remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::{HostKeyPolicy, SshTarget};

    /// The failure for logs of a gateway and the target behind it.
    fn failure(gateway: &str, target: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let dom0 =
            SshTarget::new("root", "dom0").host_key(HostKeyPolicy::Strict("/lab/known".into()));
        let guest =
            SshTarget::new("root", "guest").host_key(HostKeyPolicy::AcceptAny).through(&dom0);
        let stations = Station::all(&guest, folder.path());
        std::fs::write(&stations[0].log, gateway).unwrap();
        std::fs::write(&stations[1].log, target).unwrap();
        let failure = ConnectFailure::from_logs(&stations, "ssh ended with exit status 255");
        failure.to_error(&guest.to_string()).to_string()
    }

    #[test]
    fn the_words_of_ssh_become_errors_with_remedies() {
        // The texts are those of OpenSSH 9.2.
        let closed = "kex_exchange_identification: Connection closed by remote host\r\nConnection closed by UNKNOWN port 65535\r\n";
        let told = [
            ("", "ssh: connect to host guest port 22: Connection refused\r\n"),
            ("", "ssh: Could not resolve hostname guest: Name or service not known\r\n"),
            ("", "ssh: connect to host guest port 22: Connection timed out\r\n"),
            (
                "",
                "Load key \"/k\": error in libcrypto\r\nroot@guest: Permission denied (publickey).\r\n",
            ),
            (
                "channel 0: open failed: connect failed: Connection refused\r\nstdio forwarding failed\r\n",
                closed,
            ),
            ("root@dom0: Permission denied (publickey).\r\n", closed),
            (
                "No ED25519 host key is known for dom0 and you have requested strict checking.\r\nHost key verification failed.\r\n",
                closed,
            ),
            (
                "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\nHost key verification failed.\r\n",
                closed,
            ),
            ("", ""),
        ];
        let errors: Vec<String> =
            told.iter().map(|(gateway, target)| failure(gateway, target)).collect();
        insta::assert_snapshot!(errors.join("\n"));
    }
}
