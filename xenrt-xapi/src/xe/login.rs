//! As whom `xe` speaks to xapi.

use std::fmt;

/// As whom `xe` speaks to xapi.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Login {
    /// Through the local socket of the control domain, as its root. The default.
    #[default]
    Local,
    /// To this or another host, with a user and a password.
    Remote {
        /// The address of the host.
        server: String,
        /// Its port; 443 where it is not set.
        port: Option<u16>,
        /// The user, `root` in most installations.
        user: String,
        /// The password. It is never put on a command line: see [`Xe`](super::Xe).
        password: String,
    },
}

/// Without the password.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("Local"),
            Self::Remote { server, port, user, .. } => f
                .debug_struct("Remote")
                .field("server", server)
                .field("port", port)
                .field("user", user)
                .finish_non_exhaustive(),
        }
    }
}

impl Login {
    /// The same on another host of the pool.
    pub(super) fn at(&self, coordinator: &str) -> Self {
        match self {
            Self::Local => Self::Local,
            Self::Remote { port, user, password, .. } => Self::Remote {
                server: coordinator.to_owned(),
                port: *port,
                user: user.clone(),
                password: password.clone(),
            },
        }
    }

    /// Why it cannot be used, if it cannot: `xe` reads user and password from two lines of a file.
    pub(super) fn problem(&self) -> Option<String> {
        let Self::Remote { server, user, password, .. } = self else { return None };
        let line = |text: &str| text.contains(['\n', '\r', '\0']);
        if server.is_empty() || server.starts_with('-') || line(server) {
            Some(format!("{server:?} is no address"))
        } else if line(user) || line(password) {
            Some("user and password must not hold line ends".to_owned())
        } else {
            None
        }
    }
}
