//! How a back end comes to hosts and guests.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Result;
use crate::lab::HostEntry;
use crate::remote::{HostKeyPolicy, Shell, SshShell, SshTarget};

/// Makes shells on machines: through ssh, or as a program that embeds a back end likes.
///
/// A back end keeps one in the value that connects to hosts, and reaches hosts and guests by it
/// alone, so that tests of the back end can put other machines in their place.
#[derive(Clone)]
pub struct Reach(Arc<dyn Fn(SshTarget) -> Arc<dyn Shell> + Send + Sync>);

impl Reach {
    /// Reaches machines through ssh.
    pub fn by_ssh() -> Self {
        Self::by(|target| Arc::new(SshShell::new(target)))
    }

    /// Reaches machines by shells that `make` makes. It must not connect yet.
    pub fn by(make: impl Fn(SshTarget) -> Arc<dyn Shell> + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }

    /// A shell on this machine, not connected yet.
    pub fn shell(&self, target: SshTarget) -> Arc<dyn Shell> {
        (self.0)(target)
    }
}

/// Through ssh.
impl Default for Reach {
    fn default() -> Self {
        Self::by_ssh()
    }
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reach").finish_non_exhaustive()
    }
}

/// The shells into the guests of one host: one for each address and login, so that connections are
/// shared by all who log in there.
#[derive(Debug)]
pub struct GuestShells {
    reach: Reach,
    shells: Mutex<HashMap<Login, Arc<dyn Shell>>>,
}

/// A login into a guest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Login {
    address: IpAddr,
    user: String,
    key: Option<PathBuf>,
}

impl GuestShells {
    /// No shells yet; guests are reached by `reach`.
    pub fn new(reach: Reach) -> Self {
        Self { reach, shells: Mutex::default() }
    }

    fn shells(&self) -> MutexGuard<'_, HashMap<Login, Arc<dyn Shell>>> {
        // Each holder makes one change; none can leave it half made.
        self.shells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The shell into the guest at `address` of the host that `entry` describes, through that host:
    /// as the user and with the key of its image, or as root with the host's key.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) for an image that the host has not.
    pub fn shell(
        &self,
        entry: &HostEntry,
        image: Option<&str>,
        address: IpAddr,
    ) -> Result<Arc<dyn Shell>> {
        let image = image.map(|name| entry.image_for(name)).transpose()?;
        let user = image.map_or("root", |image| &image.user).to_owned();
        let key = image.and_then(|image| image.key.clone()).or_else(|| entry.key.clone());
        let login = Login { address, user, key };
        let mut shells = self.shells();
        let shell = shells.entry(login.clone()).or_insert_with(|| {
            let Login { address, user, key } = login;
            // A guest's key is made when it is first booted; nobody can know it beforehand.
            let mut target = SshTarget::new(user, address.to_string())
                .host_key(HostKeyPolicy::AcceptAny)
                .through(&entry.ssh_target());
            target.key = key;
            self.reach.shell(target)
        });
        Ok(Arc::clone(shell))
    }

    /// Drops the connections to `address`: what answers there from now on is not what was connected
    /// to.
    pub async fn drop_connections(&self, address: IpAddr) {
        let doomed: Vec<Arc<dyn Shell>> = {
            let mut shells = self.shells();
            let logins: Vec<Login> =
                shells.keys().filter(|login| login.address == address).cloned().collect();
            logins.iter().filter_map(|login| shells.remove(login)).collect()
        };
        for shell in doomed {
            shell.reset().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::remote::LocalShell;

    #[tokio::test]
    async fn a_login_has_one_shell_until_its_connections_are_dropped() {
        let text = "[[host]]\nname = \"a\"\naddress = \"192.0.2.1\"\ntoolstack = \"xl\"\n\
                    [[host.images]]\nname = \"i\"\nkinds = [\"pv\"]\nmemory_mib = 64\nuser = \"me\"\n";
        let entry = crate::lab::LabFile::parse(text, "lab.toml").unwrap().hosts.remove(0);
        let made = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&made);
        let shells = GuestShells::new(Reach::by(move |target| {
            assert!(["me", "root"].contains(&target.user.as_str()));
            assert_eq!(target.gateways.len(), 1, "through its host");
            count.fetch_add(1, Ordering::Relaxed);
            Arc::new(LocalShell::new())
        }));
        let address = "192.0.2.101".parse().unwrap();
        for image in [None, None, Some("i"), Some("i")] {
            shells.shell(&entry, image, address).unwrap();
        }
        assert_eq!(made.load(Ordering::Relaxed), 2);
        shells.drop_connections(address).await;
        shells.shell(&entry, None, address).unwrap();
        assert_eq!(made.load(Ordering::Relaxed), 3);
        assert!(shells.shell(&entry, Some("nosuch"), address).is_err());
    }
}
