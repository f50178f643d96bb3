//! Where a machine is, and how to log into it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::{Error, Result};

/// A machine on the way: `user@host:port`, where user and port may be left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// The user; ssh's own choice where it is not set.
    pub user: Option<String>,
    /// The address or DNS name.
    pub host: String,
    /// The port of its sshd; ssh's own choice where it is not set.
    pub port: Option<u16>,
}

impl fmt::Display for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?
        } else {
            f.write_str(&self.host)?
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl FromStr for Gateway {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::invalid(
                format!("gateway {text:?}"),
                "expected host, user@host or user@host:port",
            )
        };
        let (user, rest) = match text.split_once('@') {
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, text),
        };
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or_else(wrong)?;
                (
                    host,
                    if port.is_empty() {
                        None
                    } else {
                        Some(port.strip_prefix(':').ok_or_else(wrong)?)
                    },
                )
            }
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        let odd = |part: &str| {
            part.is_empty() || part.starts_with('-') || part.contains(char::is_whitespace)
        };
        if odd(host) || user.as_deref().is_some_and(odd) {
            return Err(wrong());
        }
        let port = port.map(|port| port.parse().map_err(|_| wrong())).transpose()?;
        Ok(Self { user, host: host.to_owned(), port })
    }
}

impl<'de> serde::Deserialize<'de> for Gateway {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Which host keys are accepted from a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostKeyPolicy {
    /// The key must be in the user's own `known_hosts` (`~/.ssh/known_hosts`, or what the user's ssh
    /// configuration names). An unknown key is refused: nobody is there to be asked.
    #[default]
    UserDefault,
    /// The key must be in this file, and only this file counts.
    Strict(PathBuf),
    /// Any key is accepted and none is recorded. Only for guests that a test made: they get a new
    /// key with each boot, and what is between them and us is checked host by host.
    AcceptAny,
}

impl From<Option<PathBuf>> for HostKeyPolicy {
    /// A file that was named must have the key; else the user's own files must.
    fn from(file: Option<PathBuf>) -> Self {
        file.map_or(Self::UserDefault, Self::Strict)
    }
}

/// A machine to go through on the way to another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshHop {
    /// Where it is.
    pub gateway: Gateway,
    /// The private key for it; ssh's own choice (agent, default keys) where it is not set.
    pub key: Option<PathBuf>,
    /// Which host keys are accepted from it.
    pub host_key: HostKeyPolicy,
}

/// A gateway of which nothing more is known: the user's own keys and `known_hosts` have to do.
impl From<Gateway> for SshHop {
    fn from(gateway: Gateway) -> Self {
        Self { gateway, key: None, host_key: HostKeyPolicy::UserDefault }
    }
}

impl fmt::Display for SshHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.gateway, f)
    }
}

/// A machine to log into.
///
/// A machine (or hop) whose `key` and host key are both given is reached by these settings alone.
/// Where one of them is left to ssh, the user's own ssh configuration fills in what is not said
/// here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshTarget {
    /// The user.
    pub user: String,
    /// The address or DNS name.
    pub host: String,
    /// The port of its sshd.
    pub port: u16,
    /// The private key; ssh's own choice (agent, default keys) where it is not set.
    pub key: Option<PathBuf>,
    /// Which host keys are accepted from it.
    pub host_key: HostKeyPolicy,
    /// Machines to go through, the first one first.
    pub gateways: Vec<SshHop>,
    /// A program and its arguments that carry the connection to the first machine on the way over
    /// its standard input and output, where there is no route; `%h` and `%p` in an argument stand
    /// for the machine and its port (ssh_config(5), `ProxyCommand`). Empty for a plain connection.
    pub proxy: Vec<String>,
}

impl SshTarget {
    /// `user` at `host`, port 22, with ssh's own keys and `known_hosts`, reached directly.
    pub fn new(user: impl Into<String>, host: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            host: host.into(),
            port: 22,
            key: None,
            host_key: HostKeyPolicy::UserDefault,
            gateways: Vec::new(),
            proxy: Vec::new(),
        }
    }

    /// Sets the port of its sshd.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Sets the private key.
    #[must_use]
    pub fn key(mut self, key: impl Into<PathBuf>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets which host keys are accepted.
    #[must_use]
    pub fn host_key(mut self, policy: HostKeyPolicy) -> Self {
        self.host_key = policy;
        self
    }

    /// Sets the program that carries the connection to the first machine on the way.
    #[must_use]
    pub fn proxy(mut self, words: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.proxy = words.into_iter().map(Into::into).collect();
        self
    }

    /// This machine, reached through `host` and through whatever `host` is itself reached through:
    /// a guest through its dom0.
    ///
    /// ```
    /// use xenrt_core::remote::{HostKeyPolicy, SshTarget};
    ///
    /// let dom0 = SshTarget::new("root", "127.0.0.1").port(2201).key("/lab/key");
    /// let guest = SshTarget::new("root", "10.0.0.101")
    ///     .key("/lab/guest-key")
    ///     .host_key(HostKeyPolicy::AcceptAny)
    ///     .through(&dom0);
    /// assert_eq!(guest.to_string(), "root@10.0.0.101:22 via root@127.0.0.1:2201");
    /// ```
    #[must_use]
    pub fn through(mut self, host: &Self) -> Self {
        self.gateways = host.gateways.iter().cloned().chain([host.as_hop()]).collect();
        self.proxy.clone_from(&host.proxy);
        self
    }

    /// This machine as one to go through.
    pub fn as_hop(&self) -> SshHop {
        SshHop {
            gateway: Gateway {
                user: Some(self.user.clone()),
                host: self.host.clone(),
                port: Some(self.port),
            },
            key: self.key.clone(),
            host_key: self.host_key.clone(),
        }
    }
}

/// `root@10.0.0.1:22`, with ` via user@gateway` where there is one.
impl fmt::Display for SshTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        write!(f, "{}@{host}:{}", self.user, self.port)?;
        for gateway in &self.gateways {
            write!(f, " via {gateway}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_read_as_they_are_shown() {
        for text in ["jump", "me@jump", "me@jump:2222", "[fe80::1]:22", "me@[::1]"] {
            assert_eq!(text.parse::<Gateway>().unwrap().to_string(), text);
        }
        for wrong in ["", "@", "me@", "a:b:c", "a:99999", "-oProxyCommand=x", "a b"] {
            assert!(wrong.parse::<Gateway>().is_err(), "{wrong:?} was accepted");
        }
    }
}
