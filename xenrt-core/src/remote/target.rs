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

/// A machine to log into.
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
    /// The file with its host key, which must match; the user's own where it is not set.
    pub known_hosts: Option<PathBuf>,
    /// Machines to go through, the first one first.
    pub gateways: Vec<Gateway>,
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
