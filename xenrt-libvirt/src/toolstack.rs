//! Connecting to a host.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use xenrt_core::Result;
use xenrt_core::lab::HostEntry;
use xenrt_core::model::{Host, Scope, Toolstack, XenConsoles};
use xenrt_core::remote::{Command, LocalShell, Shell, ShellExt as _, SshShell, SshTarget};

use crate::connection::{Call, Connection};
use crate::driver::{Driver, Facts};
use crate::error::TOOLSTACK;
use crate::host::{HostShared, LibvirtHost, Reach};
use crate::reach;

/// The libvirt toolstack: QEMU, Xen and libvirt's own driver for tests, on this machine or through
/// ssh.
///
/// Nothing is needed on the host but libvirt's daemon, a POSIX shell, `flock` and `ip`.
#[derive(Clone)]
pub struct LibvirtToolstack {
    reach: Reach,
}

impl fmt::Debug for LibvirtToolstack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LibvirtToolstack").finish_non_exhaustive()
    }
}

impl Default for LibvirtToolstack {
    fn default() -> Self {
        Self::new()
    }
}

impl LibvirtToolstack {
    /// The toolstack, reaching hosts and guests through ssh.
    pub fn new() -> Self {
        Self::reaching_by(|target| Arc::new(SshShell::new(target)))
    }

    /// The toolstack, reaching hosts and guests by shells that `reach` makes. It must not connect
    /// yet. libvirt's own connection and commands on this machine do not go through it.
    pub fn reaching_by(
        reach: impl Fn(SshTarget) -> Arc<dyn Shell> + Send + Sync + 'static,
    ) -> Self {
        Self { reach: Arc::new(reach) }
    }
}

#[async_trait]
impl Toolstack for LibvirtToolstack {
    fn name(&self) -> &'static str {
        TOOLSTACK
    }

    async fn connect(&self, entry: &HostEntry) -> Result<Arc<dyn Host>> {
        let shell: Arc<dyn Shell> = match reach::is_local(entry) {
            true => Arc::new(LocalShell::new()),
            false => (self.reach)(entry.ssh_target()),
        };
        let command = Command::new("uname").arg("-r").deadline(Duration::from_secs(90));
        let kernel = shell.text(&command).await?;
        let (uri, folder) = reach::uri(entry)?;
        let connection = Connection::of(uri, entry.deadlines.command);
        let call = Call {
            verb: "describe",
            object: format!("host {:?}", entry.name),
            deadline: entry.deadlines.command,
        };
        let wanted = reach::accelerator(entry)?;
        let mut facts = connection.call(call, move |own| Facts::read(own, wanted)).await?;
        if facts.driver == Driver::Xen {
            let look = Command::shell_line(XenConsoles::LOOK).deadline(entry.deadlines.command);
            facts.consoles = XenConsoles::told_by(&shell.text(&look).await?);
        }
        let reach = Arc::clone(&self.reach);
        let shared =
            HostShared::new(entry.clone(), facts, connection, kernel, shell, reach, folder);
        Ok(Arc::new(LibvirtHost { shared: Arc::new(shared), scope: Scope::default() }))
    }
}
